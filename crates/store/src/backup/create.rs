//! Makes a backup beside a running coordinator.

use super::error::BackupError;
use super::files::{self, Draft};
use super::manifest::{LeftOut, Manifest, Part, WhyLeftOut};
use super::verify::check_database;
use super::{ARTIFACTS, BLOBS, CA, DATABASE, LOGS, MANIFEST, Summary};
use crate::archive::{Archive, collect};
use crate::chain::StoredEntry;
use crate::error::StoreError;
use crate::{recovery, sealed, wal_scan};
use rusqlite::{Connection, params};
use rustix::fs::FlockOperation;
use skep_model::attempt::{ArtifactHash, LogIndex};
use skep_model::command::{Command, LogEntry};
use skep_model::memory::{MemoryChange, MemoryValue, MemoryWrite};
use skep_model::time::UnixMillis;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Hashes of artifacts read in one question to the database.
const HASHES_PER_READ: i64 = 1_000;

/// What a backup takes along, and when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateOptions {
    /// The present time.
    pub now: UnixMillis,
    /// Whether to take along what attempts printed.
    pub attempt_logs: bool,
}

/// Makes a backup of a data directory in an empty or new directory. The directory may belong to a
/// running coordinator, which goes on unhindered; its write-ahead log cannot start anew while the
/// database is copied.
///
/// The copy is checked like [`super::verify`] would before it gets its name.
pub fn create(
    data_dir: &Path,
    destination: &Path,
    options: CreateOptions,
) -> Result<Summary, BackupError> {
    if !data_dir.join(DATABASE).exists() {
        return Err(BackupError::NoDataDirectory {
            path: data_dir.to_owned(),
        });
    }
    let data_dir = data_dir
        .canonicalize()
        .map_err(BackupError::file("resolve", data_dir))?;
    refuse_inside(&data_dir, destination)?;
    refuse_damage_of_a_stopped_one(&data_dir)?;
    let draft = Draft::begin(destination, "partial")?;
    copy_database(&data_dir, draft.path())?;
    let archive = Archive::open_as_guest(draft.path())?;
    let facts = super::verify::Facts::read(&archive)?;
    let mut manifest = Manifest::new(facts.cluster, options.now, (facts.log, facts.state));
    let database = draft.path().join(DATABASE);
    let content = files::measure(&database).map_err(BackupError::file("read", &database))?;
    manifest.parts.push(Part::new(DATABASE, content));
    copy_artifacts(&data_dir, draft.path(), &archive, &mut manifest)?;
    if options.attempt_logs {
        copy_tree(&data_dir, draft.path(), LOGS, &mut manifest)?;
    }
    copy_tree(&data_dir, draft.path(), CA, &mut manifest)?;
    check_database(&archive, &manifest)?;
    drop(archive);
    // The manifest must not be there before what it promises.
    draft.sync()?;
    let text = manifest.to_text();
    let path = draft.path().join(MANIFEST);
    files::write_new(&path, text.as_bytes()).map_err(BackupError::file("write", &path))?;
    draft.finish()?;
    Ok(manifest.summary(ArtifactHash::of(text.as_bytes())))
}

fn refuse_inside(data_dir: &Path, destination: &Path) -> Result<(), BackupError> {
    let absolute =
        std::path::absolute(destination).map_err(BackupError::file("resolve", destination))?;
    // The deepest part that is there says where it really is.
    let real = absolute
        .ancestors()
        .find_map(|path| path.canonicalize().ok());
    if real.is_some_and(|real| real.starts_with(data_dir)) {
        return Err(BackupError::InsideDataDirectory { path: absolute });
    }
    Ok(())
}

/// Damage in the write-ahead log is noticed when a coordinator starts. Without one, nobody has
/// looked: reading would silently give what was before the damage.
fn refuse_damage_of_a_stopped_one(data_dir: &Path) -> Result<(), BackupError> {
    let path = data_dir.join("lock");
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::file("open", path)(error)),
    };
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared) {
        // Held while the file is read, so that nobody writes it meanwhile.
        Ok(()) => Ok(wal_scan::refuse_damage(&data_dir.join(DATABASE))?),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(()),
        Err(error) => Err(BackupError::file("lock", path)(error.into())),
    }
}

/// Copies the database as it is at one moment.
fn copy_database(data_dir: &Path, draft: &Path) -> Result<(), BackupError> {
    let target = draft.join(DATABASE);
    // Made first, for its mode; the database fills it.
    files::write_new(&target, b"").map_err(BackupError::file("create", &target))?;
    let name = target
        .to_str()
        .ok_or_else(|| io::Error::other("its name is not text"))
        .map_err(BackupError::file("name", &target))?;
    Archive::open_as_guest(data_dir)?.read(|connection| {
        connection
            .pragma_update(None, "query_only", false)
            .and_then(|()| connection.execute("VACUUM INTO ?1", [name]))
            .map_err(StoreError::database("copy"))
    })?;
    // With a log beside it, reading the copy would change the directory it lies in.
    let copied = Connection::open(&target).map_err(StoreError::database("open the copy of"))?;
    copied
        .pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))
        .map_err(StoreError::database("close the copy of"))?;
    Ok(())
}

fn copy_artifacts(
    data_dir: &Path,
    draft: &Path,
    archive: &Archive,
    manifest: &mut Manifest,
) -> Result<(), BackupError> {
    let mut after = Vec::new();
    loop {
        let hashes = archive.read(|connection| indexed_after(connection, &after))?;
        let Some(last) = hashes.last() else { break };
        after = last.0.to_vec();
        for hash in hashes {
            copy_artifact(data_dir, draft, hash, manifest)?;
        }
    }
    let indexed: BTreeSet<ArtifactHash> = manifest.parts.iter().map(|part| part.blake3).collect();
    let reported = archive.read(reported_and_not_indexed)?;
    for hash in reported.difference(&indexed) {
        if manifest.left_out.iter().all(|left| left.artifact != *hash) {
            copy_artifact(data_dir, draft, *hash, manifest)?;
        }
    }
    Ok(())
}

/// Hashes of artifacts of final tasks, and of those that shared memory refers to, in order.
pub(super) fn indexed_after(
    connection: &Connection,
    after: &[u8],
) -> Result<Vec<ArtifactHash>, StoreError> {
    collect(
        connection,
        "SELECT hash FROM artifacts WHERE hash > ?1
         UNION SELECT artifact FROM memory WHERE artifact > ?1 ORDER BY 1 LIMIT ?2",
        params![after, HASHES_PER_READ],
        |row| {
            row.get(0)
                .map(ArtifactHash)
                .map_err(StoreError::database("read the index of artifacts"))
        },
    )
}

/// The artifact that a write to shared memory refers to.
fn written_artifact(write: &MemoryWrite) -> Option<ArtifactHash> {
    let MemoryChange::Put(put) = &write.change else {
        return None;
    };
    match put.value {
        MemoryValue::Artifact { blake3, .. } => Some(blake3),
        _ => None,
    }
}

/// Artifacts named by reports and writes at the end of the log whose outcome is not stored yet.
pub(super) fn reported_and_not_indexed(
    connection: &Connection,
) -> Result<BTreeSet<ArtifactHash>, StoreError> {
    let derived: i64 = connection
        .query_row("SELECT coalesce(max(idx), 0) FROM events", [], |row| {
            row.get(0)
        })
        .map_err(StoreError::database("read the newest events"))?;
    let mut hashes = BTreeSet::new();
    recovery::for_each_entry(
        connection,
        LogIndex(derived as u64),
        |entry: &StoredEntry| {
            let decoded: LogEntry = sealed::decode(&entry.body).map_err(|error| {
                StoreError::damaged(format!("log entry {}", entry.index), error.to_string())
            })?;
            match decoded.command {
                Command::ReportResults { reports, .. } => {
                    let artifacts = reports.into_iter().flat_map(|report| report.artifacts);
                    hashes.extend(artifacts.map(|artifact| artifact.blake3));
                }
                Command::WriteMemory { writes, .. } => {
                    hashes.extend(writes.iter().filter_map(written_artifact));
                }
                _ => {}
            }
            Ok(())
        },
    )?;
    Ok(hashes)
}

/// The name of an artifact below its directory.
pub(super) fn artifact_name(hash: ArtifactHash) -> String {
    format!("{:02x}/{hash}", hash.0[0])
}

fn copy_artifact(
    data_dir: &Path,
    draft: &Path,
    hash: ArtifactHash,
    manifest: &mut Manifest,
) -> Result<(), BackupError> {
    let source = data_dir.join(BLOBS).join(artifact_name(hash));
    let name = format!("{ARTIFACTS}/{}", artifact_name(hash));
    let target = draft.join(&name);
    let reason = match files::open(&source) {
        Ok(mut file) => {
            let content = files::copy_to(&mut file, &target)
                .map_err(BackupError::file("copy to", &target))?;
            if content.blake3 == hash {
                manifest.parts.push(Part::new(name, content));
                return Ok(());
            }
            fs::remove_file(&target).map_err(BackupError::file("remove", &target))?;
            WhyLeftOut::Damaged
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => WhyLeftOut::Missing,
        Err(error) => return Err(BackupError::file("open", source)(error)),
    };
    tracing::error!(artifact = %hash, ?reason, "an artifact is left out of the backup");
    manifest.left_out.push(LeftOut {
        artifact: hash,
        reason,
    });
    Ok(())
}

/// Copies a directory as it is, if it is there.
fn copy_tree(
    data_dir: &Path,
    draft: &Path,
    directory: &str,
    manifest: &mut Manifest,
) -> Result<(), BackupError> {
    let root = data_dir.join(directory);
    let names = match files::names_below(&root) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::file("list", root)(error)),
    };
    for name in names {
        let source = root.join(&name);
        let name = format!("{directory}/{name}");
        let target = draft.join(&name);
        let mut file = match files::open(&source) {
            Ok(file) => file,
            // Removed meanwhile, with its task.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(BackupError::file("open", source)(error)),
        };
        let content =
            files::copy_to(&mut file, &target).map_err(BackupError::file("copy to", &target))?;
        manifest.parts.push(Part::new(name, content));
    }
    Ok(())
}

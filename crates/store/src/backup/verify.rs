//! Checks a backup: each part, the database in it, and that both fit together.

use super::create::{artifact_name, indexed_after, reported_and_not_indexed};
use super::error::BackupError;
use super::files;
use super::manifest::{LogPlace, Manifest, Part, StatePlace};
use super::{ARTIFACTS, CA, DATABASE, LOGS, MANIFEST, Summary};
use crate::anchors::{Anchor, AnchorName};
use crate::archive::Archive;
use crate::error::StoreError;
use crate::provenance::CLUSTER;
use rusqlite::{Connection, OptionalExtension};
use skep_model::attempt::{ArtifactHash, LogIndex};
use skep_model::ids::ClusterId;
use std::collections::BTreeSet;
use std::path::Path;

/// Checks the size and hash of each part, that there are no others, the database file, the whole
/// hash chain of its log with every stored body, and that it is the database of this backup.
///
/// The first thing that is wrong is the error, and names the part.
pub fn verify(directory: &Path) -> Result<Summary, BackupError> {
    let (manifest, hash) = check(directory)?;
    Ok(manifest.summary(hash))
}

/// As [`verify`]; gives the manifest that was checked.
pub(super) fn check(directory: &Path) -> Result<(Manifest, ArtifactHash), BackupError> {
    let (manifest, hash) = Manifest::read(directory)?;
    check_names(directory, &manifest)?;
    for part in &manifest.parts {
        check_part(directory, part)?;
    }
    let archive = Archive::open_as_guest(directory)?;
    check_database(&archive, &manifest)?;
    check_artifacts(&archive, &manifest)?;
    Ok((manifest, hash))
}

/// The parts that are there must be those of the manifest.
fn check_names(directory: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let found = files::names_below(directory).map_err(BackupError::file("list", directory))?;
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    let mut wanted = BTreeSet::from([MANIFEST]);
    for part in &manifest.parts {
        let kind = part.name.split('/').next().unwrap_or_default();
        let known = part.name == DATABASE || [ARTIFACTS, LOGS, CA].contains(&kind);
        if !known || !wanted.insert(&part.name) {
            return Err(BackupError::DamagedManifest {
                detail: format!(
                    "it names `{}`, which is no part, or one it named",
                    part.name
                ),
            });
        }
    }
    if !wanted.contains(DATABASE) {
        return Err(BackupError::DamagedManifest {
            detail: format!("it does not name `{DATABASE}`"),
        });
    }
    if let Some(part) = wanted.difference(&found).next() {
        return Err(BackupError::MissingPart {
            part: (*part).to_owned(),
        });
    }
    match found.difference(&wanted).next() {
        Some(part) => Err(BackupError::AdditionalPart {
            part: (*part).to_owned(),
        }),
        None => Ok(()),
    }
}

fn check_part(directory: &Path, part: &Part) -> Result<(), BackupError> {
    let path = directory.join(&part.name);
    let content = files::measure(&path).map_err(BackupError::file("read", &path))?;
    same_content(part, content)
}

/// Refuses bytes that are not those of the part.
pub(super) fn same_content(part: &Part, content: files::Content) -> Result<(), BackupError> {
    if content.bytes != part.bytes {
        let detail = format!("it has {} bytes instead of {}", content.bytes, part.bytes);
        return Err(BackupError::damaged(&part.name, detail));
    }
    if content.blake3 != part.blake3 {
        return Err(BackupError::damaged(&part.name, "blake3 differs"));
    }
    Ok(())
}

/// What the manifest repeats of the database.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) cluster: ClusterId,
    pub(super) log: LogPlace,
    pub(super) state: Option<StatePlace>,
}

impl Facts {
    pub(super) fn read(archive: &Archive) -> Result<Self, StoreError> {
        archive.read(|connection| {
            Ok(Self {
                cluster: cluster(connection)?,
                log: log_place(connection)?,
                state: state_place(connection)?,
            })
        })
    }
}

fn cluster(connection: &Connection) -> Result<ClusterId, StoreError> {
    connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [CLUSTER], |row| {
            row.get(0)
        })
        .map(|id| ClusterId::from_u128(u128::from_be_bytes(id)))
        .map_err(StoreError::database("read the cluster id"))
}

fn log_place(connection: &Connection) -> Result<LogPlace, StoreError> {
    let last = newest(
        connection,
        "SELECT idx, hash FROM log ORDER BY idx DESC LIMIT 1",
    )?;
    let (index, hash) = if let Some(last) = last {
        last
    } else {
        let start = Anchor::load(connection, AnchorName::LogStart)?;
        (start.index, start.log_hash)
    };
    Ok(LogPlace {
        index,
        hash: ArtifactHash(hash),
    })
}

/// The newest stored digest; that of the checkpoint if there are no events.
fn state_place(connection: &Connection) -> Result<Option<StatePlace>, StoreError> {
    let newest = newest(
        connection,
        "SELECT idx, digest FROM events ORDER BY idx DESC LIMIT 1",
    )?;
    let (index, digest) = if let Some(newest) = newest {
        newest
    } else {
        let checkpoint = Anchor::load(connection, AnchorName::Checkpoint)?;
        (checkpoint.index, checkpoint.digest)
    };
    Ok((index != LogIndex(0)).then_some(StatePlace {
        index,
        digest: ArtifactHash(digest),
    }))
}

fn newest(connection: &Connection, sql: &str) -> Result<Option<(LogIndex, [u8; 32])>, StoreError> {
    connection
        .query_row(sql, [], |row| {
            Ok((LogIndex(row.get::<_, i64>(0)? as u64), row.get(1)?))
        })
        .optional()
        .map_err(StoreError::database("read the end of the log"))
}

/// Checks everything in the database, and that it is the one of the manifest.
pub(super) fn check_database(archive: &Archive, manifest: &Manifest) -> Result<(), BackupError> {
    let report = archive.verify_all()?;
    if let Some(finding) = report.findings.first() {
        return Err(BackupError::damaged(DATABASE, &finding.message));
    }
    let facts = Facts::read(archive)?;
    if facts.log != manifest.log {
        return Err(BackupError::damaged(
            DATABASE,
            format!(
                "its log ends at entry {} with hash {}, the manifest says {} with {}",
                facts.log.index, facts.log.hash, manifest.log.index, manifest.log.hash
            ),
        ));
    }
    if (facts.cluster, facts.state) != (manifest.cluster, manifest.state) {
        return Err(BackupError::damaged(
            DATABASE,
            "its cluster or its state is not the one of the manifest",
        ));
    }
    Ok(())
}

/// Each artifact that the database refers to must be a part, or known to be left out.
fn check_artifacts(archive: &Archive, manifest: &Manifest) -> Result<(), BackupError> {
    let mut here: BTreeSet<ArtifactHash> =
        manifest.left_out.iter().map(|left| left.artifact).collect();
    for part in &manifest.parts {
        let Some(name) = part.name.strip_prefix(ARTIFACTS) else {
            continue;
        };
        if name.trim_start_matches('/') != artifact_name(part.blake3) {
            return Err(BackupError::damaged(&part.name, "its name is not its hash"));
        }
        here.insert(part.blake3);
    }
    let refuse_missing = |hash: &ArtifactHash| {
        if here.contains(hash) {
            return Ok(());
        }
        Err(BackupError::MissingPart {
            part: format!("{ARTIFACTS}/{}", artifact_name(*hash)),
        })
    };
    let mut after = Vec::new();
    loop {
        let hashes = archive.read(|connection| indexed_after(connection, &after))?;
        let Some(last) = hashes.last() else { break };
        after = last.0.to_vec();
        hashes.iter().try_for_each(refuse_missing)?;
    }
    let reported = archive.read(reported_and_not_indexed)?;
    reported.iter().try_for_each(refuse_missing)
}

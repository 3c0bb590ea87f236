//! Backups are made beside a writer, checked, restored, and gone on from.

use super::{
    BackupError, CreateOptions, Summary, create, farewell_said, owes_farewell, restore, verify,
};
use crate::fixtures::{
    clock_checkpoint, derived_events, digest, entries, finished, history, journal_in, options,
    read_everything, report, task_id, write_everything,
};
use crate::{Archive, DataDir, Provenance, SqliteJournal, Store};
use skep_coordinator::ports::{Commit, Derived, Journal};
use skep_model::attempt::{ArtifactHash, LogIndex, Outcome};
use skep_model::ids::ClusterId;
use skep_model::time::UnixMillis;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

pub(super) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(super) const NEW_CLUSTER: ClusterId = ClusterId::from_u128(77);

/// A directory with a data directory in it, and room for others beside.
pub(super) struct Fixture {
    pub(super) directory: TempDir,
}

impl Fixture {
    /// A data directory with something in every table and of every kind of file.
    pub(super) fn new() -> Self {
        let fixture = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        write_everything(&fixture.data());
        let owner = DataDir::open(fixture.data(), options()).unwrap();
        let blobs = owner.blobs().unwrap();
        for bytes in [&b"bytes"[..], b"not referred to"] {
            let hash = ArtifactHash::of(bytes);
            blobs.append(hash, 0, bytes).unwrap();
            blobs.finish(hash, bytes.len() as u64).unwrap();
        }
        let logs = owner.attempt_logs().unwrap();
        logs.append(task_id(1), 1, 0, b"printed\n").unwrap();
        fs::create_dir(fixture.data().join("ca")).unwrap();
        fs::write(fixture.data().join("ca/key.pem"), b"private").unwrap();
        fixture
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(super) fn create(&self, name: &str) -> Result<Summary, BackupError> {
        create(&self.data(), &self.path(name), WITH_LOGS)
    }
}

pub(super) const WITH_LOGS: CreateOptions = CreateOptions {
    now: NOW,
    attempt_logs: true,
};

fn cluster_of(path: &Path) -> ClusterId {
    let owner = DataDir::open(path, options()).unwrap();
    Store::open(&owner).unwrap().cluster()
}

/// The names in a directory, in order.
pub(super) fn names(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_restored_backup_holds_what_was_there_and_goes_on_as_another_cluster() {
    let fixture = Fixture::new();
    let old_cluster = cluster_of(&fixture.data());
    let made = fixture.create("backup").unwrap();
    assert_eq!((made.cluster, made.log.index), (old_cluster, LogIndex(10)));
    assert_eq!(
        made.state.map(|state| (state.index, state.digest.0)),
        Some((LogIndex(8), digest(8)))
    );
    // The artifact that is referred to, the log, the key, the database.
    assert_eq!((made.artifacts, made.parts, made.left_out.len()), (1, 4, 0));
    assert_eq!(verify(&fixture.path("backup")).unwrap(), made);

    let restored = fixture.path("restored");
    assert_eq!(
        restore(&fixture.path("backup"), &restored, NEW_CLUSTER, NOW).unwrap(),
        made
    );
    assert_eq!(
        read_everything(&restored).unwrap(),
        read_everything(&fixture.data()).unwrap()
    );
    assert_eq!(cluster_of(&restored), NEW_CLUSTER);
    let archive = Archive::open_as_guest(&restored).unwrap();
    let expected = Provenance {
        cluster: old_cluster,
        index: LogIndex(10),
        log_hash: made.log.hash.0,
        restored_at: NOW,
    };
    assert_eq!(archive.restored_from().unwrap(), Some(expected));
    assert_eq!(archive.search("nightly", None, 10).unwrap().hits.len(), 2);
    assert_eq!(
        Archive::open_as_guest(&fixture.data())
            .unwrap()
            .restored_from()
            .unwrap(),
        None
    );

    let owner = DataDir::open(&restored, options()).unwrap();
    let old_owner = DataDir::open(fixture.data(), options()).unwrap();
    assert_ne!(owner.secret(), old_owner.secret());
    assert!(owes_farewell(&owner) && !owes_farewell(&old_owner));
    farewell_said(&owner).unwrap();
    assert!(!owes_farewell(&owner));
    let blob = owner
        .blobs()
        .unwrap()
        .open_blob(ArtifactHash::of(b"bytes"))
        .unwrap();
    assert_eq!(std::io::read_to_string(blob.unwrap()).unwrap(), "bytes");
    let log = owner
        .attempt_logs()
        .unwrap()
        .read(task_id(1), 1, 0, 100)
        .unwrap();
    assert_eq!(log, b"printed\n");
    assert_eq!(fs::read(restored.join("ca/key.pem")).unwrap(), b"private");
    let (_, mut journal) = Store::open(&owner).unwrap().recover().unwrap();
    journal.commit(&entries(11..=11)).unwrap();
    assert_eq!(archive.verify_all().unwrap().findings, []);
}

/// Commits entries of their own and events of those before, until it is told to stop.
fn write_until(stop: &AtomicBool, mut journal: SqliteJournal) -> u64 {
    let mut last = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut commit = entries(last + 1..=last + 5);
        if last > 0 {
            commit.derived = derived_events(last - 4..=last);
            commit.derived.tasks = vec![Arc::new(finished(u128::from(last), None, "t"))];
        }
        if last % 50 == 0 && last > 0 {
            commit.derived.checkpoint = clock_checkpoint(last, last).checkpoint;
        }
        journal.commit(&commit).unwrap();
        last += 5;
    }
    last
}

#[test]
fn a_backup_beside_a_writer_is_the_state_at_one_index() {
    let fixture = Fixture {
        directory: tempfile::tempdir().unwrap(),
    };
    // Open before the first backup, which else has the directory for itself for a moment.
    let journal = journal_in(&fixture.data());
    let stop = AtomicBool::new(false);
    let (backups, written) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(&stop, journal));
        let mut backups = Vec::new();
        // The writer must get somewhere between two backups.
        let mut reached = LogIndex(0);
        while backups.len() < 4 {
            let name = format!("backup{}", backups.len());
            let made = fixture.create(&name);
            if made.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            let made = made.unwrap();
            if made.log.index > reached {
                reached = made.log.index;
                backups.push(made);
            } else {
                fs::remove_dir_all(fixture.path(&name)).unwrap();
            }
        }
        stop.store(true, Ordering::Relaxed);
        (backups, writer.join().unwrap())
    });
    for (number, made) in backups.iter().enumerate() {
        let index = made.log.index.0;
        assert!(index <= written && index.is_multiple_of(5), "{index}");
        let restored = fixture.path(&format!("restored{number}"));
        let backup = fixture.path(&format!("backup{number}"));
        restore(&backup, &restored, NEW_CLUSTER, NOW).unwrap();
        // The same log and digests come from the original, cut at this index.
        let state = made.state.map_or(0, |state| state.index.0);
        assert_eq!(
            state,
            index - 5,
            "a group of events follows its entries by one commit"
        );
        assert_eq!(
            made.state.map_or([0; 32], |state| state.digest.0),
            if state == 0 { [0; 32] } else { digest(state) }
        );
        let owner = DataDir::open(&restored, options()).unwrap();
        let (recovered, mut journal) = Store::open(&owner).unwrap().recover().unwrap();
        let first = recovered.checkpoint_index.0 + 1;
        let expected: Vec<_> = (first..=index)
            .map(|index| {
                let stored = (index <= state).then(|| digest(index));
                (
                    LogIndex(index),
                    crate::fixtures::entry(index, index % 3),
                    stored,
                )
            })
            .collect();
        assert_eq!(recovered.entries, expected);
        assert_eq!(journal.last_index(), LogIndex(index));
        let derived = derived_events(state + 1..=index);
        journal
            .commit(&Commit {
                derived,
                ..entries(index + 1..=index + 1)
            })
            .unwrap();
    }
}

#[test]
fn what_a_report_at_the_end_of_the_log_handed_in_is_taken_along() {
    use skep_model::command::{Actor, Command, LogEntry};
    let fixture = Fixture::new();
    let mut journal = journal_in(&fixture.data());
    let late = *report(task_id(9), Outcome::Completed, &[b"not referred to"]);
    let entry = LogEntry {
        at: NOW,
        seed: 1,
        actor: Actor::Coordinator,
        command: Command::ReportResults {
            node: skep_model::ids::NodeId::from_u128(1),
            reports: vec![late],
        },
    };
    journal
        .commit(&Commit {
            entries: vec![(LogIndex(11), entry)],
            derived: Derived::default(),
        })
        .unwrap();
    let made = fixture.create("backup").unwrap();
    assert_eq!((made.artifacts, made.log.index), (2, LogIndex(11)));
    assert_eq!(verify(&fixture.path("backup")).unwrap(), made);
}

#[test]
fn a_backup_is_readable_by_its_owner_only_and_so_is_what_comes_of_it() {
    fn check(path: &Path) {
        let metadata = path.symlink_metadata().unwrap();
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(
            metadata.permissions().mode() & 0o777,
            wanted,
            "{}",
            path.display()
        );
        if metadata.is_dir() {
            for name in names(path) {
                check(&path.join(name));
            }
        }
    }
    let fixture = Fixture::new();
    fixture.create("backup").unwrap();
    restore(
        &fixture.path("backup"),
        &fixture.path("restored"),
        NEW_CLUSTER,
        NOW,
    )
    .unwrap();
    check(&fixture.path("backup"));
    check(&fixture.path("restored"));
    assert_eq!(
        names(&fixture.path("")),
        ["backup", "data", "restored"],
        "no drafts are left"
    );
}

#[test]
fn logs_of_attempts_may_stay_behind() {
    let fixture = Fixture::new();
    let options = CreateOptions {
        attempt_logs: false,
        ..WITH_LOGS
    };
    let made = create(&fixture.data(), &fixture.path("backup"), options).unwrap();
    assert_eq!(made.parts, 3);
    assert_eq!(
        names(&fixture.path("backup")),
        ["artifacts", "ca", "manifest.json", "skep.db"]
    );
}

#[test]
fn a_shortened_log_is_backed_up_with_the_place_it_starts_from() {
    let fixture = Fixture::new();
    let mut journal = journal_in(&fixture.data());
    assert_eq!(journal.forget_before(LogIndex(4), 100).unwrap(), 3);
    drop(journal);
    let made = fixture.create("backup").unwrap();
    assert_eq!(made.log.index, LogIndex(10));
    restore(
        &fixture.path("backup"),
        &fixture.path("restored"),
        NEW_CLUSTER,
        NOW,
    )
    .unwrap();
    assert_eq!(
        read_everything(&fixture.path("restored")).unwrap().0,
        read_everything(&fixture.data()).unwrap().0
    );
}

#[test]
fn a_backup_of_a_new_directory_is_one_too() {
    let fixture = Fixture {
        directory: tempfile::tempdir().unwrap(),
    };
    drop(journal_in(&fixture.data()));
    let made = fixture.create("backup").unwrap();
    assert_eq!((made.log.index, made.state), (LogIndex(0), None));
    restore(
        &fixture.path("backup"),
        &fixture.path("restored"),
        NEW_CLUSTER,
        NOW,
    )
    .unwrap();
    journal_in(&fixture.path("restored"))
        .commit(&history(Vec::new(), Vec::new()))
        .unwrap();
}

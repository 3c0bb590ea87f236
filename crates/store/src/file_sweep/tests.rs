//! Which files go: judged by real files with the times set.

use super::FileSweeper;
use crate::fixtures::{
    clock_checkpoint, commit_sizes, derived_events, entries, finished, history, options, report,
    task_id,
};
use crate::{DataDir, FileSweepReport, RetentionPolicy, SqliteJournal, Store};
use skep_coordinator::ports::{Commit, Journal};
use skep_model::attempt::{ArtifactHash, Outcome};
use skep_model::row::{Row, RowChange, RowKey};
use skep_model::task::TaskState;
use skep_model::time::UnixMillis;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Two days before the present of these tests: past the grace.
const OLD: Duration = Duration::from_hours(48);

struct Fixture {
    directory: TempDir,
    owner: DataDir,
    journal: SqliteJournal,
    sweeper: FileSweeper,
}

impl Fixture {
    /// Three entries with their events, and a checkpoint at the last.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let owner = DataDir::open(directory.path(), options()).unwrap();
        let store = Store::open(&owner).unwrap();
        let archive = store.archive();
        let (_, mut journal) = store.recover().unwrap();
        commit_sizes(&mut journal, &[3]);
        let sweeper = FileSweeper::new(
            archive,
            owner.blobs().unwrap(),
            owner.attempt_logs().unwrap(),
        );
        let mut fixture = Self {
            directory,
            owner,
            journal,
            sweeper,
        };
        fixture.catch_up(3);
        fixture
    }

    /// Stores the events and a checkpoint up to this entry.
    fn catch_up(&mut self, last: u64) {
        let mut derived = derived_events(1..=last);
        derived.checkpoint = clock_checkpoint(last, 1).checkpoint;
        self.commit(&Commit {
            derived,
            ..Commit::default()
        });
    }

    fn commit(&mut self, commit: &Commit) {
        self.journal.commit(commit).unwrap();
    }

    fn artifact(&self, bytes: &[u8]) -> ArtifactHash {
        let blobs = self.owner.blobs().unwrap();
        let hash = ArtifactHash::of(bytes);
        blobs.append(hash, 0, bytes).unwrap();
        blobs.finish(hash, bytes.len() as u64).unwrap();
        hash
    }

    fn log(&self, task: u128) {
        let logs = self.owner.attempt_logs().unwrap();
        logs.append(task_id(task), 1, 0, b"printed").unwrap();
    }

    fn has_artifact(&self, hash: ArtifactHash) -> bool {
        self.owner
            .blobs()
            .unwrap()
            .open_blob(hash)
            .unwrap()
            .is_some()
    }

    fn has_log(&self, task: u128) -> bool {
        self.owner
            .attempt_logs()
            .unwrap()
            .length(task_id(task), 1)
            .unwrap()
            > 0
    }

    /// Makes all files there are old.
    fn age_files(&self) {
        let then = SystemTime::now() - OLD;
        for directory in ["blobs", "logs"] {
            age(&self.directory.path().join(directory), then);
        }
    }

    fn round(&mut self) -> FileSweepReport {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let now = UnixMillis(now.as_millis() as u64);
        let mut total = FileSweepReport::default();
        for _ in 0..256 {
            total.add(
                &self
                    .sweeper
                    .sweep(now, &RetentionPolicy::default())
                    .unwrap(),
            );
        }
        assert!(!total.more);
        total
    }
}

fn age(directory: &Path, then: SystemTime) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            age(&entry.path(), then);
        } else {
            File::open(entry.path())
                .unwrap()
                .set_modified(then)
                .unwrap();
        }
    }
}

#[test]
fn artifacts_go_when_nothing_refers_to_them_and_nobody_asked_for_a_day() {
    let mut fixture = Fixture::new();
    let referred = fixture.artifact(b"referred");
    let asked_for = fixture.artifact(b"asked for");
    let forgotten = fixture.artifact(b"forgotten");
    let blobs = fixture.owner.blobs().unwrap();
    blobs
        .append(ArtifactHash::of(b"half an upload"), 0, b"half")
        .unwrap();
    let mut task = finished(1, None, "a");
    task.report = Some(report(task.record.id, Outcome::Completed, &[b"referred"]));
    fixture.commit(&history(vec![task], Vec::new()));
    fixture.age_files();
    blobs.status(asked_for).unwrap();
    let young = fixture.artifact(b"young");
    let report = fixture.round();
    let expected = FileSweepReport {
        artifacts: 1,
        bytes: b"forgotten".len() as u64,
        uploads: 1,
        ..FileSweepReport::default()
    };
    assert_eq!(report, expected);
    for (hash, kept) in [
        (referred, true),
        (asked_for, true),
        (young, true),
        (forgotten, false),
    ] {
        assert_eq!(fixture.has_artifact(hash), kept, "{hash}");
    }
}

#[test]
fn no_artifact_goes_before_the_end_of_the_log_is_in_the_index() {
    let mut fixture = Fixture::new();
    let hash = fixture.artifact(b"maybe reported by entry 4");
    fixture.age_files();
    fixture.commit(&entries(4..=4));
    assert_eq!(fixture.round().artifacts, 0);
    assert!(fixture.has_artifact(hash));
    // Later entries do not hold up what the first ones decide.
    fixture.commit(&Commit {
        derived: derived_events(4..=4),
        ..entries(5..=5)
    });
    assert_eq!(fixture.round().artifacts, 1);
}

#[test]
fn logs_go_with_their_task_and_not_before() {
    let mut fixture = Fixture::new();
    for task in [1, 2, 3] {
        fixture.log(task);
    }
    fixture.age_files();
    fixture.commit(&history(vec![finished(1, None, "final")], Vec::new()));
    fixture.commit(&entries(4..=4));
    assert_eq!(fixture.round().attempt_logs, 0, "task 2 may be live");
    let mut live = finished(2, None, "live").record;
    live.state = TaskState::Running;
    let mut derived = derived_events(4..=4);
    derived.checkpoint = clock_checkpoint(4, 1).checkpoint.map(|mut checkpoint| {
        checkpoint
            .changes
            .push(RowChange::Put(RowKey::Task(live.id), Row::Task(live)));
        checkpoint
    });
    fixture.commit(&Commit {
        derived,
        ..Commit::default()
    });
    let report = fixture.round();
    assert_eq!((report.attempt_logs, report.bytes), (1, 7));
    assert_eq!(
        [1, 2, 3].map(|task| fixture.has_log(task)),
        [true, true, false]
    );
}

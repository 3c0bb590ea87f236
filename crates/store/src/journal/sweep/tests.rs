//! What goes and what stays, piece by piece.

use super::ROWS_PER_PIECE;
use crate::fixtures::{
    clock_checkpoint, commit_sizes, derived_events, digest, entries, finished, history, journal_in,
    options, report, run, run_id, task_id,
};
use crate::{Archive, DataDir, RetentionPolicy, SqliteJournal, Store, SweepReport};
use skep_coordinator::ports::{Commit, Derived, Journal};
use skep_model::attempt::{ArtifactHash, LogIndex, Outcome};
use skep_model::event::EventCursor;
use skep_model::ids::RunId;
use skep_model::row::{Row, RowChange, RowKey};
use skep_model::run::{RunRecord, RunState};
use skep_model::task::{FinishedTask, TaskSpec, TaskState};
use skep_model::time::UnixMillis;
use skep_model::work::{CommandWork, Input, Invocation, Work, Workspace};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub(super) const DAY: u64 = 24 * 3_600_000;
/// Pieces of the longest round here.
pub(super) const PIECES_MAX: u32 = 1_000;

pub(super) fn day(number: u64) -> UnixMillis {
    UnixMillis(number * DAY)
}

pub(super) fn task(
    number: u128,
    run: Option<RunId>,
    at: UnixMillis,
    artifacts: &[&[u8]],
) -> FinishedTask {
    let mut task = finished(number, run, &format!("task{number}"));
    task.finished_at = at;
    task.report = Some(report(task.record.id, Outcome::Completed, artifacts));
    task
}

fn final_run(number: u128, at: UnixMillis) -> RunRecord {
    RunRecord {
        finished_at: Some(at),
        ..run(number, &format!("run{number}"), RunState::Succeeded)
    }
}

/// A live task outside runs that reads what task `from` handed in.
fn reader_of(from: u128) -> RowChange {
    let work = CommandWork {
        invocation: Invocation::Shell("true".to_owned()),
        env: BTreeMap::new(),
        workspace: Workspace::None,
        reads: Vec::new(),
        inputs: vec![Input {
            from: task_id(from),
            name: "from".to_owned(),
            glob: "**".to_owned(),
            into: "inputs".to_owned(),
        }],
        artifacts: Vec::new(),
        gates: Vec::new(),
        timeout_ms: 1,
        kill_grace_ms: 1,
    };
    let mut record = finished(500, None, "reader").record;
    record.state = TaskState::Ready;
    record.spec = Arc::new(TaskSpec {
        work: Work::Command(Box::new(work)),
        ..TaskSpec::noop("reader")
    });
    RowChange::Put(RowKey::Task(record.id), Row::Task(record))
}

pub(super) fn checkpoint(
    journal: &mut SqliteJournal,
    index: u64,
    clock: UnixMillis,
    rows: Vec<RowChange>,
) {
    let mut derived = clock_checkpoint(index, clock.0);
    if let Some(checkpoint) = &mut derived.checkpoint {
        checkpoint.changes.extend(rows);
    }
    journal
        .commit(&Commit {
            derived,
            ..Commit::default()
        })
        .unwrap();
}

pub(super) fn sweep_all(
    journal: &mut SqliteJournal,
    now: UnixMillis,
    policy: &RetentionPolicy,
) -> SweepReport {
    let mut total = SweepReport::default();
    for _ in 0..PIECES_MAX {
        total.add(&journal.sweep(now, policy).unwrap());
        if !total.more {
            return total;
        }
    }
    panic!("the round has no end: {total:?}");
}

pub(super) fn archive(path: &Path) -> Archive {
    Archive::open_as_guest(path).unwrap()
}

#[test]
fn only_what_is_due_goes_and_what_belongs_to_live_work_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = journal_in(dir.path());
    commit_sizes(&mut journal, &[3]);
    let tasks = vec![
        task(1, None, day(1), &[b"old", b"shared"]),
        task(2, Some(run_id(1)), day(2), &[]),
        task(3, Some(run_id(2)), day(3), &[]), // its run is live
        task(4, Some(run_id(3)), day(4), &[]), // its run ended late
        task(5, None, day(5), &[b"wanted"]),   // a live task reads it
        task(6, None, day(80), &[b"shared"]),
        task(7, None, day(81), &[]),
    ];
    let runs = vec![
        final_run(1, day(2)),
        final_run(3, day(75)),
        final_run(4, day(80)),
    ];
    journal.commit(&history(tasks, runs)).unwrap();
    journal.index_search(100).unwrap();
    checkpoint(&mut journal, 3, day(100), vec![reader_of(5)]);

    let report = sweep_all(&mut journal, day(100), &RetentionPolicy::default());
    assert_eq!((report.tasks, report.runs), (2, 1), "{report:?}");
    let archive = archive(dir.path());
    let kept = |number| archive.task(task_id(number)).unwrap().is_some();
    assert_eq!(
        [1, 2, 3, 4, 5, 6, 7].map(kept),
        [false, false, true, true, true, true, true]
    );
    assert!(archive.run(run_id(1)).unwrap().is_none());
    assert!(archive.run(run_id(3)).unwrap().is_some());
    for (bytes, references) in [(&b"old"[..], 0), (b"shared", 1), (b"wanted", 1)] {
        let found = archive
            .artifact_references(ArtifactHash::of(bytes), 10)
            .unwrap();
        assert_eq!(found.len(), references, "{bytes:?}");
    }
    assert_eq!(archive.search("task1", None, 10).unwrap().hits.len(), 0);
    assert_eq!(archive.search("task6", None, 10).unwrap().hits.len(), 1);
    assert_eq!(archive.verify_all().unwrap().findings, []);
}

#[test]
fn nothing_goes_that_became_final_after_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = journal_in(dir.path());
    commit_sizes(&mut journal, &[3]);
    let tasks = (1..=4).map(|number| task(number, None, day(number as u64), &[]));
    journal
        .commit(&history(tasks.collect(), Vec::new()))
        .unwrap();
    let now = day(1_000);
    let sweep = |journal: &mut SqliteJournal| sweep_all(journal, now, &RetentionPolicy::default());
    assert_eq!(sweep(&mut journal).tasks, 0, "there is no checkpoint");
    checkpoint(&mut journal, 2, day(2), Vec::new());
    assert_eq!(sweep(&mut journal).tasks, 1);
    checkpoint(&mut journal, 3, now, Vec::new());
    assert_eq!(sweep(&mut journal).tasks, 2, "the newest keeps its number");
}

#[test]
fn a_long_history_goes_in_pieces_and_numbers_are_never_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = journal_in(dir.path());
    commit_sizes(&mut journal, &[3]);
    let count = u128::from(ROWS_PER_PIECE) * 2 + 10;
    let tasks = (1..=count).map(|number| task(number, Some(run_id(number)), day(1), &[]));
    let runs = (1..=count).map(|number| final_run(number, day(1)));
    journal
        .commit(&history(tasks.collect(), runs.collect()))
        .unwrap();
    while journal.index_search(500).unwrap() > 0 {}
    checkpoint(&mut journal, 3, day(100), Vec::new());
    let policy = RetentionPolicy::default();
    let mut total = SweepReport::default();
    for _ in 0..PIECES_MAX {
        let piece = journal.sweep(day(100), &policy).unwrap();
        assert!(
            piece.tasks + piece.runs <= u64::from(ROWS_PER_PIECE),
            "{piece:?}"
        );
        total.add(&piece);
        if !total.more {
            break;
        }
    }
    // The newest task stays, and so does its run.
    assert_eq!(
        (u128::from(total.tasks), u128::from(total.runs)),
        (count - 1, count - 1)
    );
    let later = task(count + 1, None, day(100), &[]);
    journal.commit(&history(vec![later], Vec::new())).unwrap();
    assert_eq!(
        journal.index_search(10).unwrap(),
        1,
        "the search goes on where it was"
    );
    let name = format!("task{}", count + 1);
    assert_eq!(
        archive(dir.path())
            .search(&name, None, 10)
            .unwrap()
            .hits
            .len(),
        1
    );
}

#[test]
fn a_task_that_cannot_be_read_is_kept_for_the_doctor() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = journal_in(dir.path());
    commit_sizes(&mut journal, &[3]);
    let tasks = (1..=3).map(|number| task(number, None, day(1), &[]));
    journal
        .commit(&history(tasks.collect(), Vec::new()))
        .unwrap();
    checkpoint(&mut journal, 3, day(100), Vec::new());
    let other = rusqlite::Connection::open(dir.path().join("skep.db")).unwrap();
    other
        .execute("UPDATE tasks SET body = x'00' WHERE seq = 1", [])
        .unwrap();
    let report = sweep_all(&mut journal, day(100), &RetentionPolicy::default());
    assert_eq!(report.tasks, 1);
    assert!(archive(dir.path()).task(task_id(1)).is_err());
    journal.commit(&entries(4..=4)).unwrap();
}

/// 600 entries with their events, the checkpoint at 500. The time of entry n is base + n.
fn six_hundred_entries(path: &Path) -> SqliteJournal {
    let mut journal = journal_in(path);
    for first in (1..600).step_by(100) {
        journal.commit(&entries(first..=first + 99)).unwrap();
    }
    let derived = Derived {
        checkpoint: clock_checkpoint(500, 1).checkpoint,
        ..derived_events(1..=600)
    };
    journal
        .commit(&Commit {
            derived,
            ..Commit::default()
        })
        .unwrap();
    journal
}

const BASE: u64 = 1_700_000_000_000;

#[test]
fn events_and_log_go_by_age_and_number_and_what_is_left_verifies_and_goes_on() {
    // (now - base, kept ms, entries kept, log kept) -> (first event, first log entry)
    for (now, kept_ms, entries_kept, log_kept, first_event, first_entry) in [
        (1_000, 10_000, 1_000, 1_000, 1, 1),
        (1_000, 10_000, 250, 1_000, 351, 1),
        (1_000, 600, 1_000, 1_000, 400, 1),
        (1_000, 0, 0, 1_000, 500, 1),
        (1_000, 10_000, 1_000, 120, 1, 380),
        (1_000, 600, 1_000, 0, 400, 500),
        (1_000, 0, 0, 0, 500, 500),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = six_hundred_entries(dir.path());
        let policy = RetentionPolicy {
            events_kept_ms: kept_ms,
            event_entries_kept_max: entries_kept,
            log_entries_kept: log_kept,
            ..RetentionPolicy::default()
        };
        let report = sweep_all(&mut journal, UnixMillis(BASE + now), &policy);
        assert_eq!(
            (report.event_entries, report.log_entries),
            (first_event - 1, first_entry - 1),
            "{policy:?}"
        );
        let archive = archive(dir.path());
        assert_eq!(
            archive.first_event_index().unwrap(),
            Some(LogIndex(first_event))
        );
        let verified = archive.verify_all().unwrap();
        assert_eq!(
            (verified.log_entries, verified.findings),
            (601 - first_entry, vec![])
        );
        drop((journal, archive));
        let owner = DataDir::open(dir.path(), options()).unwrap();
        let (recovered, mut journal) = Store::open(&owner).unwrap().recover().unwrap();
        assert_eq!(recovered.entries.len(), 100);
        assert_eq!(recovered.entries[99].2, Some(digest(600)));
        journal.commit(&entries(601..=601)).unwrap();
    }
}

#[test]
fn a_cursor_before_the_oldest_kept_event_meets_a_gap_and_one_at_its_edge_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = six_hundred_entries(dir.path());
    let policy = RetentionPolicy {
        event_entries_kept_max: 250,
        ..RetentionPolicy::default()
    };
    sweep_all(&mut journal, UnixMillis(BASE), &policy);
    let archive = archive(dir.path());
    for (cursor, expired) in [
        (1, true),
        (349, true),
        (350, false),
        (351, false),
        (600, false),
    ] {
        let cursor = EventCursor {
            index: LogIndex(cursor),
            ordinal: 1,
        };
        let next = archive.events_after(cursor, 1).unwrap();
        let gap = next
            .first()
            .is_some_and(|first| first.index > cursor.index.next());
        assert_eq!(gap, expired, "{cursor}");
    }
}

#[test]
fn a_changed_start_of_a_shortened_log_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = six_hundred_entries(dir.path());
    let policy = RetentionPolicy {
        log_entries_kept: 100,
        ..RetentionPolicy::default()
    };
    sweep_all(&mut journal, UnixMillis(BASE), &policy);
    let other = rusqlite::Connection::open(dir.path().join("skep.db")).unwrap();
    other
        .execute("DELETE FROM log WHERE idx = 400", [])
        .unwrap();
    let report = archive(dir.path()).verify_all().unwrap();
    assert!(
        report.findings[0].message.contains("log entry 400"),
        "{report:?}"
    );
}

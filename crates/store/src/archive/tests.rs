//! Questions to the archive, on real files.

use crate::fixtures::{
    clock_checkpoint, commit_sizes, derived_events, entries, finished, history, journal_in,
    options, report, run, run_id, task_id,
};
use crate::{
    Archive, DataDir, HistoryCursor, PageStart, RunFilter, SqliteJournal, Store, TaskFilter,
};
use skep_coordinator::ports::{Commit, Journal};
use skep_model::attempt::{ArtifactHash, LogIndex, Outcome};
use skep_model::event::EventCursor;
use skep_model::run::RunState;
use skep_model::task::{FinishedTask, TaskState};
use tempfile::TempDir;

pub(super) struct Fixture {
    pub(super) dir: TempDir,
    pub(super) journal: SqliteJournal,
    pub(super) archive: Archive,
}

pub(super) fn with_history(
    tasks: Vec<FinishedTask>,
    runs: Vec<skep_model::run::RunRecord>,
) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let owner = DataDir::open(dir.path(), options()).unwrap();
    let store = Store::open(&owner).unwrap();
    let archive = store.archive();
    let (_, mut journal) = store.recover().unwrap();
    journal.commit(&history(tasks, runs)).unwrap();
    Fixture {
        dir,
        journal,
        archive,
    }
}

pub(super) fn failed(number: u128, name: &str) -> FinishedTask {
    let mut task = finished(number, None, name);
    task.record.state = TaskState::Failed;
    let message = "disk on fire".to_owned();
    let outcome = Outcome::Error {
        code: "workspace_failed".to_owned(),
        message,
    };
    task.report = Some(report(task.record.id, outcome, &[]));
    task
}

/// Names on all pages of this size, walking to older items.
fn names(archive: &Archive, filter: &TaskFilter, limit: usize) -> Vec<String> {
    let mut names = Vec::new();
    let mut start = PageStart::Newest;
    loop {
        let page = archive.tasks(filter, start, limit).unwrap();
        names.extend(
            page.items
                .iter()
                .map(|(_, task)| task.record.spec.name.clone()),
        );
        assert!(page.items.len() <= limit);
        if !page.more {
            return names;
        }
        start = PageStart::Before(page.items.last().unwrap().0);
    }
}

#[test]
fn a_task_is_found_by_id_and_by_name_in_its_run() {
    let first = finished(1, Some(run_id(1)), "build");
    let second = finished(2, Some(run_id(2)), "build");
    let fixture = with_history(vec![first.clone(), second.clone()], vec![]);
    let archive = &fixture.archive;
    assert_eq!(archive.task(task_id(1)).unwrap(), Some(first));
    assert_eq!(archive.task(task_id(9)).unwrap(), None);
    assert_eq!(
        archive.task_by_name(run_id(2), "build").unwrap(),
        Some(second)
    );
    assert_eq!(archive.task_by_name(run_id(2), "test").unwrap(), None);
    assert_eq!(archive.task_by_name(run_id(3), "build").unwrap(), None);
}

#[test]
fn every_filter_gives_the_same_tasks_at_every_page_size() {
    let mut tasks: Vec<_> = (0..20)
        .map(|number| {
            finished(
                number,
                Some(run_id(number % 2)),
                &format!("step-{number:02}"),
            )
        })
        .collect();
    tasks.extend((20..25).map(|number| failed(number, &format!("bad_{number}"))));
    let fixture = with_history(tasks, vec![]);
    let by_run = TaskFilter {
        run: Some(run_id(1)),
        ..TaskFilter::default()
    };
    let by_state = |state| TaskFilter {
        state: Some(state),
        ..TaskFilter::default()
    };
    let by_name = |prefix: &str| TaskFilter {
        name_prefix: Some(prefix.to_owned()),
        ..TaskFilter::default()
    };
    for (filter, count, newest) in [
        (TaskFilter::default(), 25, "bad_24"),
        (by_run, 10, "step-19"),
        (by_state(TaskState::Failed), 5, "bad_24"),
        (by_state(TaskState::Succeeded), 20, "step-19"),
        (by_name("step-1"), 10, "step-19"),
        (by_name("bad_2"), 5, "bad_24"),
        (by_name(""), 25, "bad_24"),
    ] {
        for limit in [1, 3, 7, 100] {
            let found = names(&fixture.archive, &filter, limit);
            assert_eq!(found.len(), count, "{filter:?} by {limit}");
            assert_eq!(found[0], newest, "{filter:?} by {limit}");
            assert!(
                found
                    .iter()
                    .collect::<std::collections::BTreeSet<_>>()
                    .len()
                    == count
            );
        }
    }
    let none = names(&fixture.archive, &by_name("Step"), 10);
    assert!(
        none.is_empty(),
        "names are compared by letter case: {none:?}"
    );
}

#[test]
fn a_page_after_a_cursor_ends_just_above_it() {
    let tasks = (0..6)
        .map(|number| finished(number, None, &format!("t{number}")))
        .collect();
    let fixture = with_history(tasks, vec![]);
    let all = TaskFilter::default();
    let oldest = fixture
        .archive
        .tasks(&all, PageStart::Newest, 10)
        .unwrap()
        .items[5]
        .0;
    let page = fixture
        .archive
        .tasks(&all, PageStart::After(oldest), 2)
        .unwrap();
    let names: Vec<_> = page
        .items
        .iter()
        .map(|(_, task)| task.record.spec.name.as_str())
        .collect();
    assert_eq!((names, page.more), (vec!["t2", "t1"], true));
    assert_eq!(oldest.to_string().parse::<HistoryCursor>(), Ok(oldest));
}

#[test]
fn the_states_left_out_of_the_index_are_those_that_succeeded() {
    // The schema and the listing write the number out: the index could not be used otherwise.
    assert_eq!(TaskState::Succeeded as i64, 6);
    let fixture = with_history(vec![], vec![]);
    let plan: Vec<String> = fixture
        .archive
        .read(|connection| {
            let sql = "EXPLAIN QUERY PLAN SELECT seq, id, body FROM tasks
                       WHERE state = ?1 AND state <> 6 ORDER BY seq DESC LIMIT 10";
            super::collect(connection, sql, [7], |row| Ok(row.get(3).unwrap()))
        })
        .unwrap();
    assert!(plan.join(" ").contains("tasks_not_succeeded"), "{plan:?}");
}

#[test]
fn runs_are_listed_newest_first_and_filtered() {
    let runs = vec![
        run(1, "nightly", RunState::Succeeded),
        run(2, "release", RunState::Failed),
        run(3, "nightly", RunState::Failed),
    ];
    let fixture = with_history(vec![], runs.clone());
    assert_eq!(
        fixture.archive.run(run_id(2)).unwrap(),
        Some(runs[1].clone())
    );
    let ids = |filter: &RunFilter| -> Vec<_> {
        let page = fixture.archive.runs(filter, PageStart::Newest, 10).unwrap();
        page.items.into_iter().map(|(_, run)| run.id).collect()
    };
    assert_eq!(
        ids(&RunFilter::default()),
        [run_id(3), run_id(2), run_id(1)]
    );
    let state = Some(RunState::Failed);
    assert_eq!(
        ids(&RunFilter {
            state,
            ..RunFilter::default()
        }),
        [run_id(3), run_id(2)]
    );
    let name_prefix = Some("night".to_owned());
    assert_eq!(
        ids(&RunFilter {
            name_prefix,
            ..RunFilter::default()
        }),
        [run_id(3), run_id(1)]
    );
}

#[test]
fn artifacts_are_found_by_task_run_and_hash() {
    let bytes: [&[u8]; 2] = [b"one", b"three"];
    let mut tasks: Vec<_> = (1..=3)
        .map(|number| finished(number, Some(run_id(1)), &format!("t{number}")))
        .collect();
    tasks[0].report = Some(report(task_id(1), Outcome::Completed, &bytes));
    tasks[2].report = Some(report(task_id(3), Outcome::Completed, &bytes[..1]));
    let fixture = with_history(tasks, vec![]);
    let archive = &fixture.archive;
    assert_eq!(archive.artifacts_of_run(run_id(1), 100).unwrap().len(), 3);
    assert_eq!(archive.artifacts_of_run(run_id(1), 2).unwrap().len(), 2);
    let holders = |bytes: &[u8]| -> Vec<_> {
        let found = archive
            .artifact_references(ArtifactHash::of(bytes), 100)
            .unwrap();
        found.into_iter().map(|reference| reference.task).collect()
    };
    assert_eq!(holders(b"one"), [task_id(1), task_id(3)]);
    assert_eq!(holders(b"three"), [task_id(1)]);
    assert!(holders(b"none").is_empty());
}

#[test]
fn events_follow_a_cursor_without_gap() {
    let mut fixture = with_history(vec![], vec![]);
    assert_eq!(fixture.archive.first_event_index().unwrap(), None);
    assert_eq!(fixture.archive.last_event_index().unwrap(), None);
    let derived = derived_events(1..=5);
    fixture
        .journal
        .commit(&Commit {
            derived,
            ..entries(1..=5)
        })
        .unwrap();
    assert_eq!(
        fixture.archive.first_event_index().unwrap(),
        Some(LogIndex(1))
    );
    assert_eq!(
        fixture.archive.last_event_index().unwrap(),
        Some(LogIndex(5))
    );
    // Each entry has two events.
    for (index, ordinal, limit, expected) in [
        (0, 0, 100, vec![1, 2, 3, 4, 5]),
        (2, 0, 100, vec![2, 3, 4, 5]),
        (2, 1, 100, vec![3, 4, 5]),
        (2, 1, 2, vec![3, 4]),
        (2, 0, 2, vec![2, 3]),
        (5, 1, 100, vec![]),
        (9, 0, 100, vec![]),
    ] {
        let cursor = EventCursor {
            index: LogIndex(index),
            ordinal,
        };
        let found = fixture.archive.events_after(cursor, limit).unwrap();
        let indexes: Vec<_> = found.iter().map(|entry| entry.index.0).collect();
        assert_eq!(indexes, expected, "{cursor} by {limit}");
    }
}

#[test]
fn a_history_row_that_changed_is_refused_and_named() {
    let fixture = with_history(vec![finished(1, None, "a"), finished(2, None, "b")], vec![]);
    let connection = rusqlite::Connection::open(fixture.archive.path()).unwrap();
    let swap = "UPDATE tasks SET body = (SELECT body FROM tasks WHERE seq = 2) WHERE seq = 1";
    connection.execute(swap, []).unwrap();
    let error = fixture.archive.task(task_id(1)).unwrap_err();
    assert!(
        error.to_string().contains("row 1 of the history (Tasks)"),
        "{error}"
    );
    assert!(fixture.archive.task(task_id(2)).unwrap().is_some());
}

#[test]
fn the_doctor_finds_nothing_in_a_sound_store_and_everything_in_a_ruined_one() {
    let mut fixture = with_history(
        vec![finished(1, None, "a")],
        vec![run(1, "nightly", RunState::Succeeded)],
    );
    commit_sizes(&mut fixture.journal, &[3]);
    let mut derived = derived_events(1..=3);
    derived.checkpoint = clock_checkpoint(2, 2).checkpoint;
    fixture
        .journal
        .commit(&Commit {
            derived,
            ..Commit::default()
        })
        .unwrap();
    // A guest may look while the owner is there.
    let guest = Archive::open_as_guest(fixture.dir.path()).unwrap();
    let report = guest.verify_all().unwrap();
    assert_eq!(report.findings, []);
    let counts = (
        report.log_entries,
        report.events,
        report.tasks,
        report.runs,
        report.live_rows,
    );
    assert_eq!(counts, (3, 3, 1, 1, 1));

    let connection = rusqlite::Connection::open(fixture.archive.path()).unwrap();
    for (table, condition) in [
        ("log", "idx = 1"),
        ("events", "idx = 2"),
        ("tasks", "seq = 1"),
        ("runs", "seq = 1"),
        ("live", "kind = 7"),
    ] {
        let sql = format!("UPDATE {table} SET body = zeroblob(20) WHERE {condition}");
        assert_eq!(connection.execute(&sql, []).unwrap(), 1);
    }
    let report = guest.verify_all().unwrap();
    assert_eq!(report.findings.len(), 5, "{:?}", report.findings);
    assert_eq!((report.log_entries, report.events), (0, 2));
}

#[test]
fn sizes_follow_what_was_written() {
    let mut fixture = with_history(vec![finished(1, None, "a")], vec![]);
    commit_sizes(&mut fixture.journal, &[4]);
    let sizes = fixture.archive.sizes().unwrap();
    assert_eq!((sizes.log_entries, sizes.tasks, sizes.runs), (4, 1, 0));
    assert_eq!(sizes.search_behind, 1);
    assert!(sizes.wal_bytes > 0 && sizes.database_bytes > 0);
}

#[test]
fn a_journal_and_its_readers_keep_the_directory_owned() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal_in(dir.path());
    assert!(DataDir::open(dir.path(), options()).is_err());
    drop(journal);
    assert!(DataDir::open(dir.path(), options()).is_ok());
}

#[test]
fn a_store_starts_while_a_guest_reads() {
    let mut fixture = with_history(vec![finished(1, None, "a")], vec![]);
    let guest = Archive::open_as_guest(fixture.dir.path()).unwrap();
    guest
        .read(|connection| {
            // An open read transaction pins the write-ahead log.
            connection
                .execute_batch("BEGIN; SELECT count(*) FROM log")
                .unwrap();
            Ok(())
        })
        .unwrap();
    commit_sizes(&mut fixture.journal, &[5]);
    let Fixture {
        dir,
        journal,
        archive,
    } = fixture;
    drop((journal, archive));
    assert_eq!(journal_in(dir.path()).last_index(), LogIndex(5));
}

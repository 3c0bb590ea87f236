//! The journal and its recovery, on real files.

use crate::fixtures::{
    clock_checkpoint, commit_sizes, derived_events, digest, entries, entry, events, finished,
    history, journal_in, options, task_id,
};
use crate::{DataDir, OpenOptions, SqliteJournal, Store, StoreError};
use proptest::prelude::*;
use skep_coordinator::ports::{Commit, Derived, Journal, JournalError, Recovered};
use skep_model::attempt::LogIndex;
use skep_model::row::{Row, RowChange, RowKey};
use skep_model::time::UnixMillis;
use std::path::Path;
use std::sync::Arc;

pub(super) fn recover(path: &Path) -> Result<Recovered, StoreError> {
    let dir = DataDir::open(path, options())?;
    Ok(Store::open(&dir)?.recover()?.0)
}

/// A directory with ten entries in three commits, events of the first eight, checkpoint at 4.
pub(super) fn ten_entries(path: &Path) {
    let mut journal = journal_in(path);
    commit_sizes(&mut journal, &[5, 3]);
    let derived = Derived {
        checkpoint: clock_checkpoint(4, 44).checkpoint,
        ..derived_events(1..=8)
    };
    journal
        .commit(&Commit {
            derived,
            ..entries(9..=10)
        })
        .unwrap();
}

#[test]
fn what_was_committed_comes_back_after_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    ten_entries(dir.path());
    let recovered = recover(dir.path()).unwrap();
    assert_eq!(recovered.checkpoint_index, LogIndex(4));
    assert_eq!(recovered.checkpoint_digest, digest(4));
    assert_eq!(recovered.rows, [Row::Clock(UnixMillis(44))]);
    let expected: Vec<_> = (5..=10)
        .map(|index| {
            (
                LogIndex(index),
                entry(index, index % 3),
                (index <= 8).then(|| digest(index)),
            )
        })
        .collect();
    assert_eq!(recovered.entries, expected);
}

#[test]
fn an_empty_directory_recovers_to_nothing_and_keeps_its_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let owner = DataDir::open(dir.path(), options()).unwrap();
    let store = Store::open(&owner).unwrap();
    let cluster = store.cluster();
    let (recovered, journal) = store.recover().unwrap();
    assert_eq!(
        (recovered.checkpoint_index, recovered.entries.len()),
        (LogIndex(0), 0)
    );
    assert_eq!(journal.last_index(), LogIndex(0));
    drop(journal);
    assert_eq!(Store::open(&owner).unwrap().cluster(), cluster);
}

#[test]
fn a_checkpoint_replaces_and_removes_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = journal_in(dir.path());
    commit_sizes(&mut journal, &[2]);
    journal
        .commit(&Commit {
            derived: clock_checkpoint(1, 10),
            ..Commit::default()
        })
        .unwrap();
    let key = RowKey::Idempotency("scope/key".to_owned());
    let record = skep_model::row::IdempotencyRecord {
        key: "scope/key".to_owned(),
        fingerprint: [7; 32],
        run: None,
        tasks: vec![task_id(1)],
        versions: vec![None],
        expires_at: UnixMillis(99),
    };
    let mut derived = clock_checkpoint(2, 20);
    let changes = &mut derived.checkpoint.as_mut().unwrap().changes;
    changes.push(RowChange::Put(
        key.clone(),
        Row::Idempotency(record.clone()),
    ));
    journal
        .commit(&Commit {
            derived,
            ..Commit::default()
        })
        .unwrap();
    drop(journal);
    let rows = recover(dir.path()).unwrap().rows;
    assert_eq!(rows, [Row::Idempotency(record), Row::Clock(UnixMillis(20))]);

    let mut journal = journal_in(dir.path());
    let mut derived = clock_checkpoint(2, 20);
    derived.checkpoint.as_mut().unwrap().changes = vec![RowChange::Delete(key)];
    journal
        .commit(&Commit {
            derived,
            ..Commit::default()
        })
        .unwrap();
    drop(journal);
    assert_eq!(
        recover(dir.path()).unwrap().rows,
        [Row::Clock(UnixMillis(20))]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_prefix_of_commits_recovers_to_what_was_committed(
        commits in prop::collection::vec((1_u64..6, any::<bool>()), 1..8)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut last, mut checkpoint) = (0, 0);
        for (size, checkpointed) in commits {
            let mut journal = journal_in(dir.path());
            let mut commit = entries(last + 1..=last + size);
            if checkpointed && last > checkpoint {
                commit.derived = clock_checkpoint(last, last);
                checkpoint = last;
            }
            journal.commit(&commit).unwrap();
            last += size;
            drop(journal);
            let recovered = recover(dir.path()).unwrap();
            prop_assert_eq!(recovered.checkpoint_index, LogIndex(checkpoint));
            let expected: Vec<_> = (checkpoint + 1..=last)
                .map(|index| (LogIndex(index), entry(index, index % 3), None))
                .collect();
            prop_assert_eq!(recovered.entries, expected);
        }
    }
}

#[test]
fn entries_out_of_order_are_refused_and_nothing_follows() {
    for wrong in [1, 2, 4] {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = journal_in(dir.path());
        commit_sizes(&mut journal, &[2]);
        let error = journal.commit(&entries(wrong..=wrong)).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
        let error = journal.commit(&entries(3..=3)).unwrap_err();
        assert!(matches!(error, JournalError::NotDurable { .. }), "{error}");
        drop(journal);
        assert_eq!(recover(dir.path()).unwrap().entries.len(), 2);
    }
}

#[test]
fn derived_rows_may_be_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = journal_in(dir.path());
    commit_sizes(&mut journal, &[2]);
    for _ in 0..2 {
        let tasks = vec![Arc::new(finished(1, None, "a"))];
        let derived = Derived {
            tasks,
            ..derived_events(1..=2)
        };
        journal
            .commit(&Commit {
                derived,
                ..Commit::default()
            })
            .unwrap();
    }
    drop(journal);
    assert_eq!(recover(dir.path()).unwrap().entries.len(), 2);
}

#[test]
fn an_entry_that_leads_to_another_state_than_before_stops_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = journal_in(dir.path());
    commit_sizes(&mut journal, &[1]);
    journal
        .commit(&Commit {
            derived: derived_events(1..=1),
            ..Commit::default()
        })
        .unwrap();
    let derived = Derived {
        events: vec![(events(1, 2), digest(99))],
        ..Derived::default()
    };
    let error = journal
        .commit(&Commit {
            derived,
            ..Commit::default()
        })
        .unwrap_err();
    assert!(
        error.to_string().contains("entry 1 led to another state"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_without_its_entry_is_refused() {
    for index in [5, 0] {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = journal_in(dir.path());
        commit_sizes(&mut journal, &[2]);
        journal
            .commit(&Commit {
                derived: clock_checkpoint(1, 1),
                ..Commit::default()
            })
            .unwrap();
        let commit = Commit {
            derived: clock_checkpoint(index, 1),
            ..Commit::default()
        };
        let error = journal.commit(&commit).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_full_disk_stores_nothing_of_the_commit_and_loses_nothing_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let full = OpenOptions {
        database_bytes_max: Some(60 * 8192),
        ..options()
    };
    let owner = DataDir::open(dir.path(), full).unwrap();
    let (_, mut journal) = Store::open(&owner).unwrap().recover().unwrap();
    let mut stored = 0;
    let error = loop {
        let commit = Commit {
            entries: vec![(LogIndex(stored + 1), entry(stored + 1, 500))],
            derived: Derived::default(),
        };
        match journal.commit(&commit) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1_000, "the bound on the file had no effect");
    };
    assert!(matches!(error, JournalError::DiskFull { .. }), "{error}");
    assert!(stored > 0);
    // Nothing was harmed: the journal tries again, and says the same until there is room.
    let again = Commit {
        entries: vec![(LogIndex(stored + 1), entry(stored + 1, 500))],
        derived: Derived::default(),
    };
    let error = journal.commit(&again).unwrap_err();
    assert!(matches!(error, JournalError::DiskFull { .. }), "{error}");
    drop((journal, owner));
    assert_eq!(recover(dir.path()).unwrap().entries.len() as u64, stored);
}

#[test]
fn upkeep_that_meets_a_full_disk_leaves_the_journal_usable() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = journal_in(dir.path());
    let tasks = (1..=400).map(|number| finished(number, None, &"name ".repeat(40)));
    journal
        .commit(&history(tasks.collect(), Vec::new()))
        .unwrap();
    let pages = |journal: &SqliteJournal, name: &str| -> i64 {
        let sql = format!("PRAGMA {name}");
        journal
            .connection
            .query_row(&sql, [], |row| row.get(0))
            .unwrap()
    };
    let now = pages(&journal, "page_count");
    let room = pages(&journal, &format!("max_page_count = {now}"));
    assert_eq!(room, now, "the disk is full");
    let error = journal.idle().unwrap_err();
    assert!(matches!(error, JournalError::DiskFull { .. }), "{error}");
    pages(&journal, "max_page_count = 1000000");
    commit_sizes(&mut journal, &[2]);
    assert!(!journal.idle().unwrap(), "the search is filled after all");
}

#[test]
fn forgotten_entries_leave_a_chain_that_still_verifies() {
    let dir = tempfile::tempdir().unwrap();
    ten_entries(dir.path());
    let mut journal = journal_in(dir.path());
    assert_eq!(journal.forget_before(LogIndex(9), 2).unwrap(), 2);
    assert_eq!(
        journal.forget_before(LogIndex(9), 100).unwrap(),
        1,
        "entry 4 is the checkpoint"
    );
    assert_eq!(journal.forget_before(LogIndex(9), 100).unwrap(), 0);
    drop(journal);
    assert_eq!(recover(dir.path()).unwrap().entries.len(), 6);
    let owner = DataDir::open(dir.path(), options()).unwrap();
    let archive = Store::open(&owner).unwrap().archive();
    assert_eq!(
        archive.first_event_index().unwrap(),
        Some(LogIndex(1)),
        "events go by rules of their own"
    );
    let report = archive.verify_all().unwrap();
    assert_eq!((report.log_entries, report.findings), (7, vec![]));
}

#[test]
fn commits_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = journal_in(dir.path());
    commit_sizes(&mut journal, &[2, 3]);
    journal.commit(&Commit::default()).unwrap();
    let stats = journal.stats();
    assert_eq!((stats.commits, stats.entries), (2, 5));
    assert!(stats.bytes > 100);
}

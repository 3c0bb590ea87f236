//! When a journal sweeps by itself.

use super::tests::{PIECES_MAX, archive, checkpoint, day, task};
use super::{PIECE_PAUSE_MS, ROUND_PAUSE_MS, ROWS_PER_PIECE};
use crate::fixtures::{commit_sizes, entries, history, journal_in};
use crate::{RetentionPolicy, SqliteJournal};
use parking_lot::Mutex;
use skep_coordinator::ports::{Clock, Journal};
use skep_model::time::UnixMillis;
use std::path::Path;
use std::sync::Arc;

/// A clock that stands still until it is told otherwise; its wall shows day 100.
#[derive(Default)]
struct SetClock(Mutex<u64>);

impl Clock for SetClock {
    fn wall(&self) -> UnixMillis {
        day(100)
    }

    fn elapsed_ms(&self) -> u64 {
        *self.0.lock()
    }
}

/// A journal that sweeps by itself, with a long history of which all but one row is due.
fn journal_with_upkeep(path: &Path) -> (SqliteJournal, Arc<SetClock>) {
    let clock = Arc::new(SetClock::default());
    let mut journal = journal_in(path);
    commit_sizes(&mut journal, &[3]);
    let tasks = (1..=601).map(|number| task(number, None, day(1), &[]));
    journal
        .commit(&history(tasks.collect(), Vec::new()))
        .unwrap();
    while journal.index_search(500).unwrap() > 0 {}
    checkpoint(&mut journal, 3, day(100), Vec::new());
    let journal = journal.with_retention(RetentionPolicy::default(), clock.clone());
    (journal, clock)
}

#[test]
fn pauses_are_used_until_the_round_is_over_and_the_next_one_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, clock) = journal_with_upkeep(dir.path());
    let mut pieces = 0;
    while journal.idle().unwrap() {
        pieces += 1;
        assert!(pieces < PIECES_MAX);
    }
    assert!(pieces >= 5, "{pieces}");
    let archive = archive(dir.path());
    assert_eq!(archive.sizes().unwrap().tasks, 1);
    let late = task(700, None, day(1), &[]);
    journal.commit(&history(vec![late], Vec::new())).unwrap();
    journal.idle().unwrap();
    assert_eq!(
        archive.sizes().unwrap().tasks,
        2,
        "the next round is not due"
    );
    *clock.0.lock() += ROUND_PAUSE_MS;
    while journal.idle().unwrap() {}
    assert_eq!(archive.sizes().unwrap().tasks, 1);
}

#[test]
fn without_pauses_a_piece_is_done_behind_a_commit_now_and_then() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, clock) = journal_with_upkeep(dir.path());
    let archive = archive(dir.path());
    let mut index = 3;
    let mut commit = |journal: &mut SqliteJournal| {
        index += 1;
        journal.commit(&entries(index..=index)).unwrap();
    };
    let left = || archive.sizes().unwrap().tasks;
    // The first piece looks at live tasks, the second one removes.
    for _ in 0..2 {
        commit(&mut journal);
        *clock.0.lock() += PIECE_PAUSE_MS;
    }
    let after_one = 601 - u64::from(ROWS_PER_PIECE);
    assert_eq!(left(), after_one);
    commit(&mut journal);
    let after_two = left();
    assert!(after_two < after_one);
    commit(&mut journal);
    assert_eq!(left(), after_two, "the last piece was just now");
}

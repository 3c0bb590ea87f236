//! Commits that are written while the one before them is applied.

use super::*;

const MANY: u64 = OVERLAP_FROM_DEFAULT as u64;

/// An engine whose first commit is under way, with so many proposals behind it.
fn waited_for(proposals: u64) -> (Engine, Commit) {
    let mut engine = engine(nothing()).unwrap();
    let first = commit_of(engine.handle(at(1), propose(1)));
    for number in 2..2 + proposals {
        assert!(engine.handle(at(1), propose(number)).is_empty());
    }
    (engine, first)
}

fn full() -> Result<(), JournalError> {
    let detail = "test".to_owned();
    Err(JournalError::DiskFull { detail })
}

#[test]
fn the_next_commit_starts_before_the_last_one_is_applied_when_many_wait_for_it() {
    for (proposals, is_early) in [(MANY - 1, false), (MANY, true)] {
        let (mut engine, first) = waited_for(proposals);
        let mut before = Vec::new();
        engine.feed(at(2), committed(first, Ok(())), &mut before);
        assert_eq!(engine.view().read().state.task_count(), 0);
        assert_eq!(answers(&before), [], "nothing is said before it is applied");
        assert_eq!(before.len(), usize::from(is_early), "{before:?}");
        let mut after = Vec::new();
        engine.advance(at(2), &mut after);
        assert_eq!(answers(&after), [(1, Ok(()))]);
        assert_eq!(engine.view().read().state.task_count(), 1);
        before.append(&mut after);
        let second = commit_of(before);
        assert_eq!(second.entries.len() as u64, proposals);
        // What the first led to is known only when it is applied.
        assert_eq!(second.derived.events.len(), usize::from(!is_early));
        engine.handle(at(3), committed(second, Ok(())));
        assert_eq!(
            engine.view().read().state.task_count() as u64,
            1 + proposals
        );
    }
}

#[test]
fn what_a_full_disk_did_not_take_of_the_read_side_is_written_later_and_in_order() {
    let (mut engine, first) = waited_for(MANY);
    let second = commit_of(engine.handle(at(2), committed(first, Ok(()))));
    for number in 100..100 + MANY {
        engine.handle(at(2), propose(number));
    }
    // It carries what the first led to, and what the second leads to comes up meanwhile.
    let third = commit_of(engine.handle(at(3), committed(second, Ok(()))));
    assert_eq!(third.derived.events.len(), 1);
    let outputs = engine.handle(at(4), committed(third, full()));
    let refused = answers(&outputs);
    assert_eq!(refused.len() as u64, MANY);
    assert!(
        refused
            .iter()
            .all(|(_, answer)| *answer == Err(ProposeError::StorageFull))
    );
    let later = commit_of(engine.handle(at(4 + DISK_FULL_RETRY_MS), Input::Tick));
    assert!(later.entries.is_empty());
    let indexes = later
        .derived
        .events
        .iter()
        .map(|(events, _)| events.index.0);
    assert_eq!(
        indexes.collect::<Vec<_>>(),
        (1..=1 + MANY).collect::<Vec<_>>()
    );
}

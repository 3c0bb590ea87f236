//! The engine from outside: what is answered when, and what a fault leads to.

mod admission;
mod clocks;
mod giving_back;
mod holds;
mod nodes;
mod overlap;
mod schedules;
mod standing;
mod triggers;

use super::*;
use crate::links::ToNode;
use crate::liveness::LeaseTimers;
use crate::ports::{Checkpoint, UtcCalendar};
use crate::task_token::TaskTokenKey;
use skep_model::ids::{RunId, TaskId};
use skep_model::run::RunSpec;
use skep_model::task::{NewTask, TaskSpec};
use skep_scheduler::Policy;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Counter(u64);

impl Entropy for Counter {
    fn id(&mut self) -> u128 {
        self.0 += 1;
        u128::from(self.0)
    }

    fn seed(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

fn nothing() -> Recovered {
    Recovered {
        checkpoint_index: skep_model::attempt::LogIndex(0),
        checkpoint_digest: [0; 32],
        rows: Vec::new(),
        entries: Vec::new(),
    }
}

fn engine(recovered: Recovered) -> Result<Engine, JournalError> {
    let options = EngineOptions {
        timers: LeaseTimers::default(),
        policy: Policy::default(),
        task_token_key: TaskTokenKey::new([1; 32]),
        server_version: "test".to_owned(),
        checkpoint_events: CHECKPOINT_EVENTS_DEFAULT,
        overlap_from: OVERLAP_FROM_DEFAULT,
    };
    let strategy = skep_scheduler::strategy("round-robin").unwrap();
    let parts = Parts {
        strategy,
        entropy: Box::new(Counter(0)),
        calendar: Box::new(UtcCalendar),
    };
    Engine::recover(recovered, options, parts, at(0))
}

fn at(ms: u64) -> Now {
    Now {
        wall: skep_model::time::UnixMillis(1_000 + ms),
        elapsed_ms: ms,
    }
}

fn submit(number: u128) -> Command {
    let spec = RunSpec {
        name: format!("run {number}"),
        labels: BTreeMap::new(),
        weight: 10,
        trace_parent: None,
        strategy: None,
    };
    let task = NewTask {
        id: TaskId::from_u128(number),
        spec: Arc::new(TaskSpec::noop("t")),
        needs: Vec::new(),
    };
    Command::SubmitRun {
        run: RunId::from_u128(number),
        spec: Arc::new(spec),
        tasks: vec![task],
        idempotency: None,
    }
}

fn propose(number: u64) -> Input {
    let command = submit(u128::from(number));
    Input::Propose {
        ticket: Ticket(number),
        actor: Actor::Coordinator,
        command,
    }
}

/// The one commit among the outputs.
#[track_caller]
fn commit_of(outputs: Vec<Output>) -> Commit {
    let mut commits = outputs.into_iter().filter_map(|output| match output {
        Output::Commit(commit) => Some(commit),
        _ => None,
    });
    let commit = commits.next().expect("a commit");
    assert!(commits.next().is_none(), "one commit at a time");
    commit
}

fn answers(outputs: &[Output]) -> Vec<(u64, Result<(), ProposeError>)> {
    let answer = |output: &Output| match output {
        Output::Answer(ticket, answer) => Some((ticket.0, answer.clone().map(drop))),
        _ => None,
    };
    outputs.iter().filter_map(answer).collect()
}

fn committed(commit: Commit, result: Result<(), JournalError>) -> Input {
    Input::Committed {
        commit,
        took_ms: 1,
        result,
    }
}

#[test]
fn a_proposal_is_answered_and_visible_only_after_its_commit_is_durable() {
    let mut engine = engine(nothing()).unwrap();
    let outputs = engine.handle(at(1), propose(1));
    assert_eq!(answers(&outputs), []);
    assert_eq!(engine.view().read().state.task_count(), 0);
    let outputs = engine.handle(at(2), committed(commit_of(outputs), Ok(())));
    assert_eq!(answers(&outputs), [(1, Ok(()))]);
    assert_eq!(engine.view().read().state.task_count(), 1);
}

#[test]
fn proposals_that_come_while_the_disk_works_share_the_next_commit() {
    let mut engine = engine(nothing()).unwrap();
    let first = commit_of(engine.handle(at(1), propose(1)));
    for number in 2..=5 {
        assert!(engine.handle(at(1), propose(number)).is_empty());
    }
    let second = commit_of(engine.handle(at(2), committed(first, Ok(()))));
    assert_eq!(second.entries.len(), 4);
    // What the first entry led to rides along.
    assert_eq!(second.derived.events.len(), 1);
}

#[test]
fn derived_rows_are_flushed_when_nothing_else_comes() {
    let mut engine = engine(nothing()).unwrap();
    let first = commit_of(engine.handle(at(1), propose(1)));
    engine.handle(at(2), committed(first, Ok(())));
    let wake = engine.next_wake(at(2)).expect("a planned flush");
    let flush = commit_of(engine.handle(at(wake), Input::Tick));
    assert!(flush.entries.is_empty() && flush.derived.events.len() == 1);
}

#[test]
fn a_full_disk_refuses_callers_and_the_engine_goes_on() {
    let mut engine = engine(nothing()).unwrap();
    let commit = commit_of(engine.handle(at(1), propose(1)));
    let full = Err(JournalError::DiskFull {
        detail: "test".to_owned(),
    });
    let outputs = engine.handle(at(2), committed(commit, full));
    assert_eq!(answers(&outputs), [(1, Err(ProposeError::StorageFull))]);
    engine.handle(at(3), propose(2));
    let retried = commit_of(engine.handle(at(2 + DISK_FULL_RETRY_MS), Input::Tick));
    assert_eq!(retried.entries[0].0.0, 1, "the index was not used");
    let outputs = engine.handle(at(2_000), committed(retried, Ok(())));
    assert_eq!(answers(&outputs), [(2, Ok(()))]);
}

#[test]
fn a_failed_sync_halts_and_nobody_is_told_that_it_worked() {
    let mut engine = engine(nothing()).unwrap();
    let commit = commit_of(engine.handle(at(1), propose(1)));
    let failed = Err(JournalError::NotDurable {
        detail: "test".to_owned(),
    });
    let outputs = engine.handle(at(2), committed(commit, failed));
    assert_eq!(answers(&outputs), [(1, Err(ProposeError::Stopped))]);
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Halt(_)))
    );
}

#[test]
fn a_stored_digest_that_does_not_match_stops_the_start() {
    let entry = LogEntry {
        at: skep_model::time::UnixMillis(1),
        seed: 1,
        actor: Actor::Coordinator,
        command: submit(1),
    };
    let index = skep_model::attempt::LogIndex(1);
    let recovered = Recovered {
        entries: vec![(index, entry, Some([9; 32]))],
        ..nothing()
    };
    let error = engine(recovered).expect_err("the digest is wrong");
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
}

#[test]
fn a_clean_stop_writes_a_checkpoint_and_a_restart_from_it_has_all() {
    let mut engine = engine(nothing()).unwrap();
    let first = commit_of(engine.handle(at(1), propose(1)));
    engine.handle(at(2), committed(first, Ok(())));
    let last = commit_of(engine.handle(at(3), Input::Shutdown));
    let Some(Checkpoint {
        index,
        digest,
        changes,
    }) = &last.derived.checkpoint
    else {
        panic!("{last:?}");
    };
    let rows = changes.iter().filter_map(|change| match change {
        skep_model::row::RowChange::Put(_, row) => Some(row.clone()),
        skep_model::row::RowChange::Delete(_) => None,
    });
    let recovered = Recovered {
        checkpoint_index: *index,
        checkpoint_digest: *digest,
        rows: rows.collect(),
        entries: Vec::new(),
    };
    let again = super::tests::engine(recovered).unwrap();
    assert_eq!(again.view().read().state.task_count(), 1);
    let outputs = engine.handle(at(4), committed(last, Ok(())));
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Stopped))
    );
}

#[test]
fn too_many_waiting_proposals_are_turned_away_with_a_time_to_come_back() {
    let mut engine = engine(nothing()).unwrap();
    engine.handle(at(1), propose(1));
    let max = skep_model::limits::PROPOSALS_QUEUED_MAX as u64;
    for number in 2..=max + 1 {
        assert_eq!(answers(&engine.handle(at(1), propose(number))), []);
    }
    let outputs = engine.handle(at(1), propose(max + 2));
    let [(_, Err(ProposeError::Overloaded { retry_after_ms }))] = answers(&outputs)[..] else {
        panic!("{outputs:?}");
    };
    assert!(retry_after_ms > 0);
    assert_eq!(engine.stats().proposals_refused, 1);
}

#[test]
fn a_stop_on_a_full_disk_ends_without_the_last_checkpoint() {
    let mut engine = engine(nothing()).unwrap();
    let first = commit_of(engine.handle(at(1), propose(1)));
    engine.handle(at(2), committed(first, Ok(())));
    let last = commit_of(engine.handle(at(3), Input::Shutdown));
    let full = Err(JournalError::DiskFull {
        detail: "test".to_owned(),
    });
    let outputs = engine.handle(at(4), committed(last, full));
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Stopped))
    );
}

#[test]
fn time_in_the_log_goes_on_after_a_jump_of_the_wall_clock_that_was_corrected() {
    const TEN_HOURS: u64 = 36_000_000;
    let mut engine = engine(nothing()).unwrap();
    let jumped = Now {
        wall: at(10).wall.plus(TEN_HOURS),
        elapsed_ms: 10,
    };
    let ahead = commit_of(engine.handle(jumped, propose(1))).entries[0].1.at;
    assert_eq!(ahead, jumped.wall);
    // The wall clock is right again; the log's time went on by what really passed.
    let corrected = engine.log_time(at(1_010));
    assert_eq!(corrected, ahead.plus(1_000));
}

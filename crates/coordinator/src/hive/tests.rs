//! The hive's threads: what their end leads to.

use super::*;
use crate::engine::{CHECKPOINT_EVENTS_DEFAULT, EngineOptions, Now, Parts};
use crate::liveness::LeaseTimers;
use crate::ports::{Commit, Entropy, JournalError, Recovered, UtcCalendar};
use crate::task_token::TaskTokenKey;
use skep_model::attempt::LogIndex;
use skep_model::time::UnixMillis;
use std::time::Duration;

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A journal whose thread dies in its first upkeep.
struct Doomed;

impl Journal for Doomed {
    fn commit(&mut self, _: &Commit) -> Result<(), JournalError> {
        Ok(())
    }

    fn idle(&mut self) -> Result<bool, JournalError> {
        panic!("this test ends the journal's thread");
    }
}

struct LateClock;

impl Clock for LateClock {
    fn wall(&self) -> UnixMillis {
        UnixMillis(1_000_000)
    }

    fn elapsed_ms(&self) -> u64 {
        1_000_000
    }
}

#[derive(Debug)]
struct One;

impl Entropy for One {
    fn id(&mut self) -> u128 {
        1
    }

    fn seed(&mut self) -> u64 {
        1
    }
}

fn engine() -> Engine {
    let recovered = Recovered {
        checkpoint_index: LogIndex(0),
        checkpoint_digest: [0; 32],
        rows: Vec::new(),
        entries: Vec::new(),
    };
    let options = EngineOptions {
        timers: LeaseTimers::default(),
        policy: Policy::default(),
        task_token_key: TaskTokenKey::new([1; 32]),
        server_version: "test".to_owned(),
        checkpoint_events: CHECKPOINT_EVENTS_DEFAULT,
        overlap_from: crate::engine::OVERLAP_FROM_DEFAULT,
    };
    let parts = Parts {
        strategy: skep_scheduler::strategy("round-robin").unwrap(),
        entropy: Box::new(One),
        calendar: Box::new(UtcCalendar),
    };
    let now = Now {
        wall: LateClock.wall(),
        elapsed_ms: LateClock.elapsed_ms(),
    };
    Engine::recover(recovered, options, parts, now).unwrap()
}

#[tokio::test]
async fn a_lost_journal_thread_halts_the_hive_and_nothing_is_acknowledged_any_more() {
    let (hive, threads) = Hive::start(
        engine(),
        Box::new(Doomed),
        Arc::new(LateClock),
        Policy::default(),
    )
    .unwrap();
    let ended = tokio::time::timeout(PATIENCE, hive.ended()).await.unwrap();
    let Ended::Halted(reason) = ended else {
        panic!("{ended:?}");
    };
    assert!(reason.contains("journal"), "{reason}");
    let answer = hive.propose(Actor::Coordinator, Command::FireTimers).await;
    assert_eq!(answer.map(drop), Err(ProposeError::Stopped));
    drop(threads);
}

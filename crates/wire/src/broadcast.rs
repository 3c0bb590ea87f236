//! One question to many instances, one answer from each: gathers them until all are there or the
//! deadline passed. What is missing then is an entry that says so and may be tried again. The
//! coordinator uses it for orders to many nodes (`POST /instances/broadcast`).

use crate::bounds::BROADCAST_INSTANCES_MAX;
use serde::Serialize;
use std::collections::BTreeMap;

/// The word of the contract for an instance that did not answer.
pub const BROADCAST_FAILED: &str = "BROADCAST_FAILED";

/// Why there is no answer of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BroadcastFailure {
    /// [`BROADCAST_FAILED`].
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// Whether asking again may help.
    pub retryable: bool,
}

impl BroadcastFailure {
    fn new(message: impl Into<String>, retryable: bool) -> Self {
        Self {
            code: BROADCAST_FAILED,
            message: message.into(),
            retryable,
        }
    }
}

/// More instances than one broadcast may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a broadcast to `{instances}` instances is more than BROADCAST_INSTANCES_MAX \
     `{BROADCAST_INSTANCES_MAX}`: split it"
)]
pub struct TooManyInstances {
    /// How many were named.
    pub instances: usize,
}

/// What came of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gathered {
    /// It was taken in.
    Taken,
    /// The instance has answered or failed already; the first word counts.
    Repeated,
    /// The instance was not asked.
    NotAsked,
    /// It came after the deadline.
    TooLate,
}

/// The answers of a broadcast, by instance.
#[derive(Debug, Clone)]
pub struct Broadcast<I, A> {
    deadline_ms: u64,
    entries: BTreeMap<I, Option<Result<A, BroadcastFailure>>>,
    missing: usize,
}

impl<I: Ord, A> Broadcast<I, A> {
    /// Nothing came in yet. An instance that is named twice is asked once.
    ///
    /// # Errors
    /// There are too many instances.
    pub fn new(
        instances: impl IntoIterator<Item = I>,
        deadline_ms: u64,
    ) -> Result<Self, TooManyInstances> {
        let entries: BTreeMap<I, _> = instances
            .into_iter()
            .map(|instance| (instance, None))
            .collect();
        let instances = entries.len();
        if instances > BROADCAST_INSTANCES_MAX {
            return Err(TooManyInstances { instances });
        }
        Ok(Self {
            deadline_ms,
            missing: instances,
            entries,
        })
    }

    /// Those that did not answer yet.
    pub fn waits_for(&self) -> impl Iterator<Item = &I> + '_ {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.is_none())
            .map(|(instance, _)| instance)
    }

    /// When it is over, whatever came in; none once everything is there.
    pub const fn next_timer(&self) -> Option<u64> {
        if self.missing == 0 {
            None
        } else {
            Some(self.deadline_ms)
        }
    }

    /// An instance answered.
    pub fn answered(&mut self, now_ms: u64, instance: &I, answer: A) -> Gathered {
        self.enter(now_ms, instance, Ok(answer))
    }

    /// An instance refused, or cannot be reached.
    pub fn failed(
        &mut self,
        now_ms: u64,
        instance: &I,
        message: &str,
        retryable: bool,
    ) -> Gathered {
        let failure = BroadcastFailure::new(message, retryable);
        self.enter(now_ms, instance, Err(failure))
    }

    fn enter(&mut self, now_ms: u64, instance: &I, entry: Result<A, BroadcastFailure>) -> Gathered {
        match self.entries.get_mut(instance) {
            None => Gathered::NotAsked,
            Some(Some(_)) => Gathered::Repeated,
            Some(None) if now_ms > self.deadline_ms => Gathered::TooLate,
            Some(place) => {
                *place = Some(entry);
                self.missing -= 1;
                Gathered::Taken
            }
        }
    }

    /// Whether nothing more can come in.
    pub const fn is_over(&self, now_ms: u64) -> bool {
        self.missing == 0 || now_ms > self.deadline_ms
    }

    /// One entry for each instance. Those that said nothing did not answer in time.
    pub fn finish(self) -> BTreeMap<I, Result<A, BroadcastFailure>> {
        let silent = || BroadcastFailure::new("no answer came before the deadline", true);
        self.entries
            .into_iter()
            .map(|(instance, entry)| (instance, entry.unwrap_or_else(|| Err(silent()))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_has_one_entry_and_the_first_word_counts() {
        let mut broadcast = Broadcast::new(["a", "b", "c", "b"], 100).unwrap();
        assert_eq!(broadcast.next_timer(), Some(100));
        assert_eq!(broadcast.answered(1, &"a", 7), Gathered::Taken);
        assert_eq!(broadcast.answered(1, &"a", 8), Gathered::Repeated);
        assert_eq!(broadcast.answered(1, &"x", 9), Gathered::NotAsked);
        assert_eq!(broadcast.failed(2, &"b", "gone", false), Gathered::Taken);
        assert_eq!(broadcast.waits_for().collect::<Vec<_>>(), [&"c"]);
        assert!(!broadcast.is_over(100) && broadcast.is_over(101));
        assert_eq!(broadcast.answered(101, &"c", 9), Gathered::TooLate);
        let entries = broadcast.finish();
        assert_eq!(entries.len(), 3);
        assert_eq!(entries["a"], Ok(7));
        for (silent, retryable) in [("b", false), ("c", true)] {
            let failure = entries[silent].as_ref().unwrap_err();
            assert_eq!(failure.code, "BROADCAST_FAILED");
            assert_eq!(failure.retryable, retryable, "{silent}");
        }
    }

    #[test]
    fn it_is_over_at_once_when_all_answered() {
        let mut broadcast = Broadcast::new([1, 2], 100).unwrap();
        broadcast.answered(1, &1, ());
        broadcast.answered(1, &2, ());
        assert!(broadcast.is_over(1) && broadcast.next_timer().is_none());
    }

    #[test]
    fn the_number_of_instances_is_bounded() {
        let instances = 0..=BROADCAST_INSTANCES_MAX;
        assert!(Broadcast::<usize, ()>::new(instances, 1).is_err());
    }
}

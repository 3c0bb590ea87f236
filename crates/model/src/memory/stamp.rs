//! When and after what a write from elsewhere was made.

use crate::ids::ReplicaId;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A hybrid logical clock: time of day, made to rise from a cause to its effects. Compared from
/// the first field to the last, so that no two writes are equal.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct HybridTime {
    /// The largest time of day that the writer knew of.
    pub wall: UnixMillis,
    /// Tells writes of one millisecond apart.
    pub counter: u32,
    /// The writer.
    pub replica: ReplicaId,
}

impl HybridTime {
    /// The time without the writer. Each log calls itself [`ReplicaId::HOME`], so only this is the same
    /// wherever it is compared.
    #[must_use]
    pub const fn moment(self) -> (UnixMillis, u32) {
        (self.wall, self.counter)
    }

    /// The time of a write at `now` by `replica`, after one at this time.
    #[must_use]
    pub fn tick(self, now: UnixMillis, replica: ReplicaId) -> Self {
        let (wall, counter) = if now > self.wall {
            (now, 0)
        } else {
            match self.counter.checked_add(1) {
                Some(counter) => (self.wall, counter),
                None => (self.wall.plus(1), 0),
            }
        };
        Self {
            wall,
            counter,
            replica,
        }
    }
}

/// How two vector clocks stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Causality {
    /// Both saw the same writes.
    Equal,
    /// The other saw everything that this one saw, and more.
    Before,
    /// This one saw everything that the other saw, and more.
    After,
    /// Each saw something that the other did not see.
    Concurrent,
}

/// How many writes of each replica the writer had seen, its own write included.
///
/// For this log, [`ReplicaId::HOME`], the number is the version of the entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct VectorClock(pub BTreeMap<ReplicaId, u64>);

impl VectorClock {
    /// How many writes of a replica were seen.
    pub fn seen(&self, replica: ReplicaId) -> u64 {
        self.0.get(&replica).copied().unwrap_or(0)
    }

    /// How many replicas besides this log it names; at most
    /// [`REPLICAS_PER_CLOCK_MAX`](crate::limits::REPLICAS_PER_CLOCK_MAX).
    pub fn elsewhere(&self) -> usize {
        self.0.len() - usize::from(self.0.contains_key(&ReplicaId::HOME))
    }

    /// How this clock stands to the other.
    pub fn compare(&self, other: &Self) -> Causality {
        let behind = |a: &Self, b: &Self| a.0.iter().any(|(id, count)| *count > b.seen(*id));
        match (behind(self, other), behind(other, self)) {
            (false, false) => Causality::Equal,
            (false, true) => Causality::Before,
            (true, false) => Causality::After,
            (true, true) => Causality::Concurrent,
        }
    }

    /// Sees everything that the other saw.
    pub fn merge(&mut self, other: &Self) {
        for (replica, count) in &other.0 {
            let seen = self.0.entry(*replica).or_insert(0);
            *seen = (*seen).max(*count);
        }
    }
}

/// What a write carries that was made by a disconnected node, or in another swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MemoryStamp {
    /// When it was made.
    pub time: HybridTime,
    /// After what it was made.
    pub clock: VectorClock,
}

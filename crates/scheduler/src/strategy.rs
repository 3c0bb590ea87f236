//! The strategies by name.

use crate::candidates::{ByScore, InTurn};
use crate::policy::Policy;
use crate::round;
use crate::snapshot::Snapshot;
use skep_model::command::Grant;
use std::fmt;

/// A way to choose among the agents that may run a task.
pub trait Strategy: fmt::Debug {
    /// Its name in plans and settings.
    fn name(&self) -> &'static str;

    /// Grants that fit the snapshot, in the order in which tasks are to be served.
    fn place(&self, snapshot: &Snapshot<'_>, policy: &Policy) -> Vec<Grant>;
}

/// Fitting agents in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoundRobin;

/// The fitting agent with the best score: proficiency, past results, load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilityWeighted;

impl Strategy for RoundRobin {
    fn name(&self) -> &'static str {
        "round-robin"
    }

    fn place(&self, snapshot: &Snapshot<'_>, policy: &Policy) -> Vec<Grant> {
        let agents = snapshot.agents.len().max(1) as u64;
        round::run::<InTurn>(snapshot, policy, (policy.cursor % agents) as usize)
    }
}

impl Strategy for CapabilityWeighted {
    fn name(&self) -> &'static str {
        "capability-weighted"
    }

    fn place(&self, snapshot: &Snapshot<'_>, policy: &Policy) -> Vec<Grant> {
        round::run::<ByScore>(snapshot, policy, ())
    }
}

/// The names of all strategies; the first is the default.
pub const STRATEGIES: [&str; 2] = ["capability-weighted", "round-robin"];

/// A name that no strategy has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a strategy: use capability-weighted or round-robin")]
pub struct UnknownStrategy {
    name: String,
}

/// The strategy with this name.
pub fn strategy(name: &str) -> Result<Box<dyn Strategy + Send + Sync>, UnknownStrategy> {
    match name {
        "capability-weighted" => Ok(Box::new(CapabilityWeighted)),
        "round-robin" => Ok(Box::new(RoundRobin)),
        _ => Err(UnknownStrategy {
            name: name.to_owned(),
        }),
    }
}

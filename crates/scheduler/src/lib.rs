//! Proposes which agent runs which ready task, and explains why.
//!
//! Borrow a [`Snapshot`] from the state, pick a [`strategy`], and call [`Strategy::place`]: the
//! grants it returns fit the snapshot, but the core checks each again when it applies it.
//! [`explain`] answers for one task why each agent fits or not.
//!
//! The same snapshot and policy give the same grants on every machine: arithmetic is on
//! integers, ties are broken by position, and no collection with a random order is used.
//!
//! This crate may not: decide (the core does), read a clock, draw randomness, or do I/O.

mod candidates;
mod capacity;
mod explain;
mod fit;
mod order;
mod performance;
mod policy;
mod round;
mod score;
mod snapshot;
mod strategy;

pub use explain::{AgentExplanation, Explanation, Verdict, explain};
pub use fit::{Rejection, ResourceKind};
pub use policy::{Policy, Weights};
pub use score::ScoreParts;
pub use snapshot::{AgentView, NodeView, QueueView, Snapshot};
pub use strategy::{
    CapabilityWeighted, RoundRobin, STRATEGIES, Strategy, UnknownStrategy, strategy,
};

#[cfg(test)]
mod explanations;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

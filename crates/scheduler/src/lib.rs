//! Proposes which agent runs which ready task, and explains why.
//!
//! Borrow a [`Snapshot`] from the state, pick a [`strategy`], and call [`Strategy::place`]: the
//! grants it returns fit the snapshot, but the core checks each again when it applies it.
//! [`explain`] answers for one task why each agent fits or not. A [`Breaker`] for each node, fed
//! by whoever sees how attempts end, tells the snapshot which nodes to leave alone.
//!
//! The same snapshot and policy give the same grants on every machine: arithmetic is on
//! integers, ties are broken by position, and no collection with a random order is used.
//!
//! This crate may not: decide (the core does), read a clock, draw randomness, or do I/O.

mod breaker;
mod by_score;
mod candidates;
mod capacity;
mod explain;
mod field;
mod fit;
mod in_turn;
mod optimal;
mod order;
mod performance;
mod policy;
mod power_of_two;
mod profiles;
mod proximity;
mod round;
mod score;
mod snapshot;
mod standing_still;
mod strategy;

pub use breaker::{
    AttemptEnd, Breaker, BreakerView, CONSUMER_FAILURES_MAX, EndedAttempt, FAILURES_MAX, OPEN_MS,
    TRIALS_WANTED, failures_max,
};
pub use explain::{AgentExplanation, Explanation, Question, Verdict, explain};
pub use fit::{Rejection, ResourceKind};
pub use optimal::{OPTIMAL_SLOTS_MAX, OPTIMAL_TASKS_MAX};
pub use performance::mean_ms;
pub use policy::{Policy, Weights};
pub use score::ScoreParts;
pub use snapshot::{AgentView, HOLDERS_MAX, HeldInput, NodeView, QueueView, Snapshot, TaskInputs};
pub use standing_still::{Pace, StandingStill};
pub use strategy::{
    CapabilityWeighted, GeographicAffinity, Optimal, PowerOfTwoChoices, RoundRobin, STRATEGIES,
    Strategy, UnknownStrategy, strategy,
};

#[cfg(test)]
mod explanations;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod nearness_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

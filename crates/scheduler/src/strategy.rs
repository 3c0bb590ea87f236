//! The strategies by name.

use crate::by_score::ByScore;
use crate::explain::{Explanation, Question, explain};
use crate::in_turn::InTurn;
use crate::policy::{Policy, Weights};
use crate::power_of_two::PowerOfTwo;
use crate::snapshot::Snapshot;
use crate::{optimal, round};
use skep_model::command::Grant;
use std::fmt;

/// A way to choose among the agents that may run a task.
pub trait Strategy: fmt::Debug {
    /// Its name in plans and settings.
    fn name(&self) -> &'static str;

    /// Grants that fit the snapshot, in the order in which tasks are to be served.
    fn place(&self, snapshot: &Snapshot<'_>, policy: &Policy) -> Vec<Grant>;

    /// How much each part of a score counts for it.
    fn weights(&self, policy: &Policy) -> Weights {
        policy.weights
    }

    /// What a person has to know about how it would place now, when that is not as usual.
    fn remark(&self, _: &Snapshot<'_>) -> Option<String> {
        None
    }

    /// Why each agent could or could not run such a task now, as this strategy sees it.
    fn explain(
        &self,
        snapshot: &Snapshot<'_>,
        question: &Question<'_>,
        policy: &Policy,
    ) -> Explanation {
        let policy = Policy {
            weights: self.weights(policy),
            ..*policy
        };
        let mut explanation = explain(snapshot, question, &policy);
        if let Some(remark) = self.remark(snapshot) {
            explanation.summary = format!("{} ({remark})", explanation.summary);
        }
        explanation
    }
}

/// Fitting agents in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoundRobin;

/// The fitting agent with the best score: proficiency, past results, load, nearness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilityWeighted;

/// The fitting agent with the best score, where nearness counts most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GeographicAffinity;

/// Many tasks at once, so that their scores add up to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Optimal;

/// The better of two agents drawn by chance, for very many agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PowerOfTwoChoices;

impl Strategy for RoundRobin {
    fn name(&self) -> &'static str {
        "round-robin"
    }

    fn place(&self, snapshot: &Snapshot<'_>, policy: &Policy) -> Vec<Grant> {
        round::run::<InTurn>(snapshot, policy)
    }
}

impl Strategy for CapabilityWeighted {
    fn name(&self) -> &'static str {
        "capability-weighted"
    }

    fn place(&self, snapshot: &Snapshot<'_>, policy: &Policy) -> Vec<Grant> {
        round::run::<ByScore>(snapshot, policy)
    }
}

impl Strategy for GeographicAffinity {
    fn name(&self) -> &'static str {
        "geographic-affinity"
    }

    fn place(&self, snapshot: &Snapshot<'_>, policy: &Policy) -> Vec<Grant> {
        let policy = Policy {
            weights: self.weights(policy),
            ..*policy
        };
        round::run::<ByScore>(snapshot, &policy)
    }

    fn weights(&self, _: &Policy) -> Weights {
        Weights::PROXIMITY_FIRST
    }
}

impl Strategy for Optimal {
    fn name(&self) -> &'static str {
        "optimal"
    }

    fn place(&self, snapshot: &Snapshot<'_>, policy: &Policy) -> Vec<Grant> {
        optimal::run(snapshot, policy)
    }

    fn remark(&self, snapshot: &Snapshot<'_>) -> Option<String> {
        optimal::too_large(snapshot)
    }
}

impl Strategy for PowerOfTwoChoices {
    fn name(&self) -> &'static str {
        "power-of-two"
    }

    fn place(&self, snapshot: &Snapshot<'_>, policy: &Policy) -> Vec<Grant> {
        round::run::<PowerOfTwo>(snapshot, policy)
    }
}

/// The names of all strategies; the first is the default.
pub const STRATEGIES: [&str; 5] = [
    "capability-weighted",
    "round-robin",
    "geographic-affinity",
    "optimal",
    "power-of-two",
];

/// A name that no strategy has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a strategy: use {}", STRATEGIES.join(", "))]
pub struct UnknownStrategy {
    name: String,
}

/// The strategy with this name.
pub fn strategy(name: &str) -> Result<Box<dyn Strategy + Send + Sync>, UnknownStrategy> {
    let known: [Box<dyn Strategy + Send + Sync>; STRATEGIES.len()] = [
        Box::new(CapabilityWeighted),
        Box::new(RoundRobin),
        Box::new(GeographicAffinity),
        Box::new(Optimal),
        Box::new(PowerOfTwoChoices),
    ];
    let found = known.into_iter().find(|strategy| strategy.name() == name);
    found.ok_or_else(|| UnknownStrategy {
        name: name.to_owned(),
    })
}

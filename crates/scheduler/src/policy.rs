//! What the operator decides about placing: bounds and weights.

use skep_model::command::Grant;
use skep_model::ids::AgentId;
use skep_model::limits;

/// Bounds and weights of one round of placing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Grants in one round.
    pub grants_max: usize,
    /// How much each part of a score counts.
    pub weights: Weights,
    /// Where round robin goes on: after the agent of the last grant. The caller notes it after
    /// each round.
    pub after: Option<AgentId>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            grants_max: limits::GRANTS_PER_ROUND_MAX,
            weights: Weights::default(),
            after: None,
        }
    }
}

impl Policy {
    /// Notes what a round granted; the next one goes on from there.
    pub fn granted(&mut self, grants: &[Grant]) {
        self.after = grants.last().map(|grant| grant.agent).or(self.after);
    }
}

/// Percentages of a score; 100 in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// Proficiency in what the task asks for.
    pub capability: u16,
    /// Share of attempts that succeeded, and their speed.
    pub performance: u16,
    /// Free share of agent and node.
    pub load: u16,
    /// Nearness to the coordinator, the preferred region and the task's inputs.
    pub proximity: u16,
    /// Price of the agent. Nothing measures it: the part is the same for all.
    pub cost: u16,
}

impl Weights {
    /// Those of `geographic-affinity`: nearness first, the others as far as they tell near nodes
    /// apart.
    pub const PROXIMITY_FIRST: Self = Self {
        capability: 15,
        performance: 10,
        load: 10,
        proximity: 60,
        cost: 5,
    };
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            capability: 40,
            performance: 25,
            load: 20,
            proximity: 10,
            cost: 5,
        }
    }
}

//! What is preferred: the score of an agent that may run a task.

use crate::capacity::Capacity;
use crate::fit;
use crate::policy::Weights;
use crate::snapshot::{AgentView, NodeView, Snapshot};
use skep_model::requirements::{AffinitySense, AffinityStrength, Proficiency, Requirements};

/// Proximity and cost of every agent: nothing measures them yet, so they must not tip a choice.
const NOT_MEASURED: u32 = 500;
/// Thousandths of a score that one point of affinity weight adds or takes. A rule of weight 25
/// counts as much as performance does by default, one of weight 100 as much as all parts together.
const PERMILLE_PER_AFFINITY_POINT: i32 = 10;

/// The parts of a score, 0 to 1000 each, before weighting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoreParts {
    /// Mean proficiency in what the task asks for: 250 basic, 1000 specialist, and 1000 for all
    /// when it asks for nothing.
    pub capability: u32,
    /// Share of attempts that succeeded, and their speed.
    pub performance: u32,
    /// The scarcest free share of agent slots, node slots, processor and memory.
    pub load: u32,
    /// 500: not measured yet.
    pub proximity: u32,
    /// 500: not measured yet.
    pub cost: u32,
    /// What weighted affinity rules add or take, in thousandths of the whole score.
    pub affinity: i32,
}

impl ScoreParts {
    /// Everything but the load, which changes within a round.
    pub(crate) fn fixed(
        agent: &AgentView<'_>,
        node: &NodeView<'_>,
        wanted: &Requirements,
        performance: u32,
    ) -> Self {
        Self {
            capability: capability(agent, wanted),
            performance,
            load: 0,
            proximity: NOT_MEASURED,
            cost: NOT_MEASURED,
            affinity: affinity(node, wanted),
        }
    }

    /// The score in hundredths of thousandths: finer than shown, so that small differences in
    /// load still order agents.
    pub(crate) fn fine(&self, weights: &Weights) -> i64 {
        let part = |weight: u16, value: u32| i64::from(weight) * i64::from(value);
        part(weights.capability, self.capability)
            + part(weights.performance, self.performance)
            + part(weights.load, self.load)
            + part(weights.proximity, self.proximity)
            + part(weights.cost, self.cost)
            + i64::from(self.affinity) * 100
    }

    /// The score in thousandths, as shown.
    pub fn score(&self, weights: &Weights) -> i64 {
        self.fine(weights) / 100
    }
}

fn capability(agent: &AgentView<'_>, wanted: &Requirements) -> u32 {
    let level = |name: &String| match agent.capabilities.get(name) {
        None => 0,
        Some(Proficiency::Basic) => 250,
        Some(Proficiency::Intermediate) => 500,
        Some(Proficiency::Expert) => 750,
        Some(Proficiency::Specialist) => 1_000,
    };
    let sum: u64 = wanted.capabilities.keys().map(level).sum();
    sum.checked_div(wanted.capabilities.len() as u64)
        .map_or(1_000, |mean| mean as u32)
}

fn affinity(node: &NodeView<'_>, wanted: &Requirements) -> i32 {
    let points = wanted
        .affinity
        .iter()
        .filter(|rule| fit::matches(rule, node.labels))
        .map(|rule| match (rule.strength, rule.sense) {
            (AffinityStrength::Required, _) => 0,
            (AffinityStrength::Weight(points), AffinitySense::Attract) => i32::from(points),
            (AffinityStrength::Weight(points), AffinitySense::Repel) => -i32::from(points),
        });
    points
        .map(|points| points * PERMILLE_PER_AFFINITY_POINT)
        .fold(0, i32::saturating_add)
}

/// The scarcest free share of agent and node. Only falls within a round.
pub(crate) fn load(snapshot: &Snapshot<'_>, capacity: &Capacity, agent: usize) -> u32 {
    let view = &snapshot.agents[agent];
    let node = &snapshot.nodes[view.node];
    let free = capacity.node_free(view.node);
    free_share(
        u64::from(capacity.agent_slots(agent)),
        u64::from(view.slots),
    )
    .min(free_share(
        u64::from(capacity.node_slots(view.node)),
        u64::from(node.slots),
    ))
    .min(free_share(free.cpu_millis, node.total.cpu_millis))
    .min(free_share(free.memory_bytes, node.total.memory_bytes))
}

/// Thousandths of `total` that are free; all of it when there is nothing to use up.
fn free_share(free: u64, total: u64) -> u32 {
    match total {
        // Nothing is used up, or there is nothing to use up.
        total if free >= total => 1_000,
        // Beyond this a product with 1000 could overflow; the quotient is as exact as needed.
        total if total > u64::MAX / 1_000 => (free / (total / 1_000)).min(1_000) as u32,
        total => (free * 1_000 / total) as u32,
    }
}

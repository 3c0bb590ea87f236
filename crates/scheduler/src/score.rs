//! What is preferred: the score of an agent that may run a task.

use crate::capacity::Capacity;
use crate::fit;
use crate::policy::Weights;
use crate::proximity::{self, NOT_MEASURED};
use crate::snapshot::{AgentView, NodeView, Snapshot};
use skep_model::requirements::{
    AffinityRule, AffinitySense, AffinityStrength, Proficiency, Requirements,
};

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
    /// The scarcest free share of agent slots, node slots, processor and memory, and of what the
    /// node says it has left.
    pub load: u32,
    /// Nearness to the coordinator and to the task's inputs: 1000 at no distance, 500 at 50 ms,
    /// and 500 when nothing was measured.
    pub proximity: u32,
    /// 500: nothing measures it.
    pub cost: u32,
    /// What weighted affinity rules add or take, in thousandths of the whole score.
    pub affinity: i32,
}

/// What one agent is asked about, beside the requirements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measures {
    pub(crate) performance: u32,
    pub(crate) load: u32,
    /// How much of the task's inputs lies on the node, in thousandths.
    pub(crate) local_permille: u32,
}

/// The part of a fine score that is the same for all signatures, without the load.
pub(crate) fn common(node: &NodeView<'_>, performance: u32, weights: &Weights) -> i64 {
    let proximity = proximity::measured(node).unwrap_or(NOT_MEASURED);
    weighted(weights.performance, performance)
        + weighted(weights.proximity, proximity)
        + weighted(weights.cost, NOT_MEASURED)
}

/// The part of a fine score that depends on the signature. Together with [`common`] and the load
/// it is what [`ScoreParts::fine`] gives.
pub(crate) fn extra(
    agent: &AgentView<'_>,
    node: &NodeView<'_>,
    wanted: &Requirements,
    weights: &Weights,
) -> i64 {
    let levels = levels(agent, wanted);
    extra_of(levels, wanted.affinity.iter(), node, wanted, weights)
}

/// The same, of proficiencies and rules that were looked up before.
pub(crate) fn extra_of<'w>(
    levels: impl Iterator<Item = Option<Proficiency>>,
    rules: impl Iterator<Item = &'w AffinityRule>,
    node: &NodeView<'_>,
    wanted: &Requirements,
    weights: &Weights,
) -> i64 {
    let by_region = match proximity::measured(node) {
        Some(_) => 0,
        None => {
            weighted(weights.proximity, proximity::by_region(node.region, wanted))
                - weighted(weights.proximity, NOT_MEASURED)
        }
    };
    weighted(weights.capability, capability(levels))
        + i64::from(affinity(node, rules)) * 100
        + by_region
}

/// What inputs that lie on the node add to a fine score.
pub(crate) fn input_bonus(
    node: &NodeView<'_>,
    wanted: &Requirements,
    local_permille: u32,
    weights: &Weights,
) -> i64 {
    let without = proximity::of_node(node, wanted);
    let with = proximity::with_inputs(without, local_permille);
    weighted(weights.proximity, with - without)
}

fn weighted(weight: u16, value: u32) -> i64 {
    i64::from(weight) * i64::from(value)
}

impl ScoreParts {
    pub(crate) fn of(
        agent: &AgentView<'_>,
        node: &NodeView<'_>,
        wanted: &Requirements,
        measures: Measures,
    ) -> Self {
        let proximity = proximity::of_node(node, wanted);
        Self {
            capability: capability(levels(agent, wanted)),
            performance: measures.performance,
            load: measures.load,
            proximity: proximity::with_inputs(proximity, measures.local_permille),
            cost: NOT_MEASURED,
            affinity: affinity(node, wanted.affinity.iter()),
        }
    }

    /// The score in hundredths of thousandths: finer than shown, so that small differences in
    /// load still order agents.
    pub(crate) fn fine(&self, weights: &Weights) -> i64 {
        weighted(weights.capability, self.capability)
            + weighted(weights.performance, self.performance)
            + weighted(weights.load, self.load)
            + weighted(weights.proximity, self.proximity)
            + weighted(weights.cost, self.cost)
            + i64::from(self.affinity) * 100
    }

    /// The score in thousandths, as shown.
    pub fn score(&self, weights: &Weights) -> i64 {
        self.fine(weights) / 100
    }
}

/// The agent's proficiency in each capability that is asked for.
fn levels(
    agent: &AgentView<'_>,
    wanted: &Requirements,
) -> impl Iterator<Item = Option<Proficiency>> {
    let names = wanted.capabilities.keys();
    names.map(|name| agent.capabilities.get(name).copied())
}

fn capability(levels: impl Iterator<Item = Option<Proficiency>>) -> u32 {
    let (mut sum, mut count) = (0_u32, 0_u32);
    for level in levels {
        count += 1;
        sum += match level {
            None => 0,
            Some(Proficiency::Basic) => 250,
            Some(Proficiency::Intermediate) => 500,
            Some(Proficiency::Expert) => 750,
            Some(Proficiency::Specialist) => 1_000,
        };
    }
    sum.checked_div(count).unwrap_or(1_000)
}

fn affinity<'w>(node: &NodeView<'_>, rules: impl Iterator<Item = &'w AffinityRule>) -> i32 {
    rules
        .filter(|rule| fit::matches(rule, node.labels))
        .map(|rule| match (rule.strength, rule.sense) {
            (AffinityStrength::Required, _) => 0,
            (AffinityStrength::Weight(points), AffinitySense::Attract) => i32::from(points),
            (AffinityStrength::Weight(points), AffinitySense::Repel) => -i32::from(points),
        })
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
    .min(1_000_u32.saturating_sub(node.load_permille.unwrap_or(0)))
}

/// Thousandths of `total` that are free; all of it when there is nothing to use up.
pub(crate) fn free_share(free: u64, total: u64) -> u32 {
    match total {
        // Nothing is used up, or there is nothing to use up.
        total if free >= total => 1_000,
        // Beyond this a product with 1000 could overflow; the quotient is as exact as needed.
        total if total > u64::MAX / 1_000 => (free / (total / 1_000)).min(1_000) as u32,
        total => (free * 1_000 / total) as u32,
    }
}

//! The agents that may run tasks of one requirement signature, best first.

use crate::capacity::Capacity;
use crate::policy::Policy;
use crate::round::Field;
use crate::score::{ScoreParts, load};
use skep_model::ids::NodeId;
use skep_model::requirements::{Requirements, Resources};
use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeSet, BinaryHeap};

/// How a strategy keeps and picks the fitting agents of one signature.
pub(crate) trait Candidates {
    /// What the strategy carries from grant to grant over all signatures.
    type Course;

    /// Takes the fitting agents of one signature, by position.
    fn new(field: &Field<'_, '_>, wanted: &Requirements, fitting: Vec<usize>) -> Self;

    /// The agent for one task, or none when nothing fits any more. Nodes in `failed` come last.
    fn choose(
        &mut self,
        field: &Field<'_, '_>,
        course: &mut Self::Course,
        wanted: &Resources,
        failed: &[NodeId],
    ) -> Option<usize>;
}

/// By score. The part of the load only falls within a round, so a stored score is never too low:
/// the best one is checked when it is used, and the others stay as they are.
#[derive(Debug)]
pub(crate) struct ByScore {
    heap: BinaryHeap<Scored>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Scored {
    score: i64,
    /// Among equals the first agent wins.
    agent: Reverse<usize>,
    /// The score without the load.
    fixed: i64,
}

impl Scored {
    fn now(&self, field: &Field<'_, '_>) -> i64 {
        self.fixed + load_score(field.load_now(self.agent.0), field.policy)
    }
}

fn load_score(load: u32, policy: &Policy) -> i64 {
    i64::from(policy.weights.load) * i64::from(load)
}

impl ByScore {
    /// The best candidate that has room, with its present score.
    fn best(&mut self, field: &Field<'_, '_>, wanted: &Resources) -> Option<PeekMut<'_, Scored>> {
        loop {
            let mut best = self.heap.peek_mut()?;
            let agent = best.agent.0;
            if !field.has_room(agent, wanted) {
                PeekMut::pop(best);
                continue;
            }
            let score = best.now(field);
            if score == best.score {
                break;
            }
            best.score = score;
        }
        self.heap.peek_mut()
    }

    fn choose_avoiding(
        &mut self,
        field: &Field<'_, '_>,
        wanted: &Resources,
        failed: &[NodeId],
    ) -> Option<usize> {
        let mut avoided = Vec::new();
        let mut chosen = None;
        while let Some(best) = self.best(field, wanted) {
            let agent = best.agent.0;
            if !failed.contains(&field.node_of(agent)) {
                chosen = Some(agent);
                break;
            }
            avoided.push(PeekMut::pop(best));
        }
        let last_resort = avoided.first().map(|scored| scored.agent.0);
        self.heap.extend(avoided);
        chosen.or(last_resort)
    }
}

impl Candidates for ByScore {
    type Course = ();

    fn new(field: &Field<'_, '_>, wanted: &Requirements, fitting: Vec<usize>) -> Self {
        let scored = fitting.into_iter().map(|position| {
            let agent = &field.snapshot.agents[position];
            let node = &field.snapshot.nodes[agent.node];
            let parts = ScoreParts::fixed(agent, node, wanted, field.performance[position]);
            let fixed = parts.fine(&field.policy.weights);
            let score = fixed + load_score(field.load_now(position), field.policy);
            Scored {
                score,
                agent: Reverse(position),
                fixed,
            }
        });
        Self {
            heap: scored.collect(),
        }
    }

    fn choose(
        &mut self,
        field: &Field<'_, '_>,
        (): &mut (),
        wanted: &Resources,
        failed: &[NodeId],
    ) -> Option<usize> {
        if failed.is_empty() {
            return self.best(field, wanted).map(|best| best.agent.0);
        }
        self.choose_avoiding(field, wanted, failed)
    }
}

/// In turn: the next fitting agent after the one that was granted last.
#[derive(Debug)]
pub(crate) struct InTurn {
    agents: BTreeSet<usize>,
}

impl InTurn {
    fn find(
        &self,
        field: &Field<'_, '_>,
        start: usize,
        wanted: &Resources,
        failed: &[NodeId],
    ) -> Option<usize> {
        let ring = self
            .agents
            .range(start..)
            .chain(self.agents.range(..start))
            .copied();
        let mut last_resort = None;
        for agent in ring.filter(|agent| field.has_room(*agent, wanted)) {
            if !failed.contains(&field.node_of(agent)) {
                return Some(agent);
            }
            last_resort = last_resort.or(Some(agent));
        }
        last_resort
    }
}

impl Candidates for InTurn {
    /// Position of the agent whose turn it is.
    type Course = usize;

    fn new(_: &Field<'_, '_>, _: &Requirements, fitting: Vec<usize>) -> Self {
        Self {
            agents: fitting.into_iter().collect(),
        }
    }

    fn choose(
        &mut self,
        field: &Field<'_, '_>,
        course: &mut usize,
        wanted: &Resources,
        failed: &[NodeId],
    ) -> Option<usize> {
        let chosen = self.find(field, *course, wanted, failed);
        if let Some(agent) = chosen {
            // Agents that were passed over because they are full stay full in this round.
            self.drop_full(field, *course, agent, wanted);
            *course = agent + 1;
        }
        chosen
    }
}

impl InTurn {
    fn drop_full(&mut self, field: &Field<'_, '_>, start: usize, end: usize, wanted: &Resources) {
        let passed = |from: usize, to: usize| self.agents.range(from..to).copied();
        let full: Vec<usize> = if start <= end {
            passed(start, end)
                .filter(|agent| !field.has_room(*agent, wanted))
                .collect()
        } else {
            let both = passed(start, usize::MAX).chain(passed(0, end));
            both.filter(|agent| !field.has_room(*agent, wanted))
                .collect()
        };
        for agent in full {
            self.agents.remove(&agent);
        }
    }
}

impl Field<'_, '_> {
    fn load_now(&self, agent: usize) -> u32 {
        load(self.snapshot, &self.capacity, agent)
    }

    fn has_room(&self, agent: usize, wanted: &Resources) -> bool {
        Capacity::has_room(
            &self.capacity,
            agent,
            self.snapshot.agents[agent].node,
            wanted,
        )
    }

    fn node_of(&self, agent: usize) -> NodeId {
        self.snapshot.nodes[self.snapshot.agents[agent].node].id
    }
}

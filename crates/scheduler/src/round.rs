//! One round of placing: serve the queues in order until room, tasks or the bound are used up.

use crate::candidates::Candidates;
use crate::capacity::{Capacity, is_open};
use crate::fit::fits;
use crate::order::{Order, Served};
use crate::performance::Baseline;
use crate::policy::Policy;
use crate::snapshot::Snapshot;
use skep_model::command::Grant;
use skep_model::requirements::Requirements;
use std::collections::BTreeMap;

/// What candidates are judged against: the snapshot, and what this round has used of it.
#[derive(Debug)]
pub(crate) struct Field<'s, 'a> {
    pub(crate) snapshot: &'s Snapshot<'a>,
    pub(crate) policy: &'s Policy,
    pub(crate) capacity: Capacity,
    /// Performance of each agent: worked out once, because every signature asks for it.
    pub(crate) performance: Vec<u32>,
    /// Agents that could take anything at all when the round began.
    open_agents: Vec<usize>,
}

impl<'s, 'a> Field<'s, 'a> {
    fn of(snapshot: &'s Snapshot<'a>, policy: &'s Policy) -> Self {
        let is_open = |position: &usize| {
            let agent = &snapshot.agents[*position];
            snapshot
                .nodes
                .get(agent.node)
                .is_some_and(|node| is_open(agent, node))
        };
        let open_agents: Vec<usize> = (0..snapshot.agents.len()).filter(is_open).collect();
        let baseline = Baseline::of(&snapshot.agents);
        let mut performance = vec![0; snapshot.agents.len()];
        for position in &open_agents {
            performance[*position] = baseline.performance(&snapshot.agents[*position]);
        }
        Self {
            snapshot,
            policy,
            capacity: Capacity::of(snapshot),
            performance,
            open_agents,
        }
    }

    fn fitting(&self, wanted: &Requirements) -> Vec<usize> {
        let may_run = |position: &usize| {
            let agent = &self.snapshot.agents[*position];
            fits(agent, &self.snapshot.nodes[agent.node], wanted)
        };
        self.open_agents.iter().copied().filter(may_run).collect()
    }
}

/// The signature of each queue, as a small number. Queues of one signature usually follow each
/// other and borrow the same value, so most are told apart by their address alone.
fn signatures(snapshot: &Snapshot<'_>) -> (Vec<usize>, usize) {
    let mut numbers: BTreeMap<&Requirements, usize> = BTreeMap::new();
    let mut of_queues = Vec::with_capacity(snapshot.queues.len());
    let mut last: Option<(&Requirements, usize)> = None;
    for queue in &snapshot.queues {
        let number = match last {
            Some((same, number)) if std::ptr::eq(same, queue.requirements) => number,
            _ => {
                let next = numbers.len();
                *numbers.entry(queue.requirements).or_insert(next)
            }
        };
        last = Some((queue.requirements, number));
        of_queues.push(number);
    }
    (of_queues, numbers.len())
}

/// Places tasks with the candidates of one strategy.
pub(crate) fn run<C: Candidates>(
    snapshot: &Snapshot<'_>,
    policy: &Policy,
    mut course: C::Course,
) -> Vec<Grant> {
    let mut field = Field::of(snapshot, policy);
    let mut grants = Vec::new();
    if field.capacity.is_used_up() {
        return grants;
    }
    let (signature_of, signature_count) = signatures(snapshot);
    let mut candidates: Vec<Option<C>> = std::iter::repeat_with(|| None)
        .take(signature_count)
        .collect();
    let mut order = Order::of(snapshot);
    while grants.len() < policy.grants_max && !field.capacity.is_used_up() {
        let Some((queue, key)) = order.next() else {
            break;
        };
        let wanted = snapshot.queues[queue].requirements;
        let of_signature = candidates[signature_of[queue]]
            .get_or_insert_with(|| C::new(&field, wanted, field.fitting(wanted)));
        let failed = (snapshot.failed_on)(key.task);
        let Some(agent) = of_signature.choose(&field, &mut course, &wanted.resources, failed)
        else {
            order.advance(Served::QueueUnfit);
            continue;
        };
        let view = &snapshot.agents[agent];
        field.capacity.take(agent, view.node, &wanted.resources);
        grants.push(Grant {
            task: key.task,
            agent: view.id,
        });
        order.advance(Served::Granted);
    }
    grants
}

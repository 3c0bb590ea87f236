//! The state as the scheduler sees it.

use crate::view::View;
use skep_core::{NodeUse, State};
use skep_model::agent::AgentRecord;
use skep_model::ids::{NodeId, TaskId};
use skep_model::node::{NodeRecord, NodeState};
use skep_model::requirements::Requirements;
use skep_model::time::UnixMillis;
use skep_scheduler::{
    AgentView, BreakerView, Explanation, NodeView, Policy, Question, QueueView, Snapshot,
    TaskInputs, explain, strategy,
};
use skep_wire::payload::NodeMetrics;
use std::collections::{BTreeMap, btree_map, btree_set};
use std::iter::Peekable;
use std::ops::Bound;

/// Nodes that failed this task, oldest first.
pub(crate) fn failed_on(state: &State, task: TaskId) -> &[NodeId] {
    state.task(task).map_or(&[], |record| &record.failed_on)
}

/// What is looked up for single tasks.
pub(crate) struct Lookups<'a> {
    pub(crate) failed_on: &'a dyn Fn(TaskId) -> &'a [NodeId],
    pub(crate) inputs: &'a dyn Fn(TaskId) -> TaskInputs<'a>,
}

/// What a decision needs: borrows nodes that could take work now, with their agents, and the
/// queues. Begins after the node that is named, goes round, and takes [`NODES_PER_DECISION_MAX`]
/// at most. Costs one step for each of them and each queue, never one for each task or each node
/// that exists.
pub(crate) fn open_snapshot<'a>(
    view: &'a View,
    after: Option<NodeId>,
    now: UnixMillis,
    lookups: &Lookups<'a>,
) -> Snapshot<'a> {
    let state = &view.state;
    let (mut nodes, mut agents) = (Vec::new(), Vec::new());
    let rounds = [
        (
            after.map_or(Bound::Unbounded, Bound::Excluded),
            Bound::Unbounded,
        ),
        (Bound::Unbounded, after.map_or(EMPTY, Bound::Included)),
    ];
    for range in rounds {
        let mut told = Told::of(view, now, range.0);
        for open in state.open_nodes(range) {
            if nodes.len() == NODES_PER_DECISION_MAX {
                break;
            }
            let node = told.node_view(open.record, open.labels, &open.used);
            let takes_work = node.state == NodeState::Ready && node.slots_free > 0;
            if !takes_work || matches!(node.breaker, BreakerView::Open { .. }) {
                continue;
            }
            let place = nodes.len();
            nodes.push(node);
            let residents = open.agents.iter().filter_map(|agent| state.agent(*agent));
            let residents = residents.map(|record| agent_view(state, record, place));
            agents.extend(residents.filter(|agent| agent.slots_free > 0 && !agent.paused));
        }
    }
    agents.sort_unstable_by_key(|agent| agent.id);
    assemble(state, nodes, agents, lookups)
}

/// Borrows all nodes, agents and queues, to explain a decision.
fn whole_snapshot<'a>(view: &'a View, now: UnixMillis, lookups: &Lookups<'a>) -> Snapshot<'a> {
    let state = &view.state;
    let mut told = Told::of(view, now, Bound::Unbounded);
    let (mut places, mut nodes) = (BTreeMap::new(), Vec::new());
    for record in state.nodes() {
        let labels = state.node_labels(record.id);
        let labels = labels.unwrap_or(&record.facts.labels);
        places.insert(record.id, nodes.len());
        nodes.push(told.node_view(record, labels, &state.node_use(record.id)));
    }
    let agents = state.agents().filter_map(|record| {
        let place = *places.get(&record.spec.node)?;
        Some(agent_view(state, record, place))
    });
    let agents = agents.collect();
    assemble(state, nodes, agents, lookups)
}

/// What nodes told and what was observed of them, looked up in the order of their ids.
struct Told<'a> {
    view: &'a View,
    now: UnixMillis,
    connected: InStep<btree_set::Range<'a, NodeId>>,
    overloaded: InStep<btree_set::Range<'a, NodeId>>,
    metrics: InStep<btree_map::Range<'a, NodeId, NodeMetrics>>,
}

impl<'a> Told<'a> {
    /// Of nodes from this one on.
    fn of(view: &'a View, now: UnixMillis, first: Bound<NodeId>) -> Self {
        let range = (first, Bound::Unbounded);
        Self {
            view,
            now,
            connected: InStep(view.connected.range(range).peekable()),
            overloaded: InStep(view.overloaded.range(range).peekable()),
            metrics: InStep(view.metrics.range(range).peekable()),
        }
    }

    /// The ids have to rise from call to call.
    fn node_view(
        &mut self,
        record: &'a NodeRecord,
        labels: &'a BTreeMap<String, String>,
        used: &NodeUse,
    ) -> NodeView<'a> {
        let id = record.id;
        let measured = self.metrics.find(id, |(node, _)| **node);
        let measured = measured.map(|(_, metrics)| metrics);
        let is_connected = self.connected.find(id, |node| **node).is_some();
        let is_overloaded = self.overloaded.find(id, |node| **node).is_some();
        let facts = &record.facts;
        NodeView {
            id,
            name: &facts.name,
            state: match record.state {
                // A node that is not connected gets nothing, whatever the log calls it.
                NodeState::Ready if !is_connected => NodeState::Joining,
                state => state,
            },
            performer: record.performer(),
            labels,
            isolation: facts.isolation,
            total: facts.resources,
            free: facts.resources.minus(&used.resources),
            slots: facts.slots,
            slots_free: if is_overloaded {
                0
            } else {
                facts.slots.saturating_sub(used.attempts)
            },
            region: record.region(),
            rtt_ms: measured.and_then(|metrics| metrics.rtt_ms),
            throughput_bytes_s: measured.and_then(|metrics| metrics.upload_bytes_s),
            load_permille: measured.map(|metrics| metrics.load_permille),
            breaker: self.view.breakers.view(id, self.now),
        }
    }
}

/// Walks beside another walk over rising ids: all lookups together cost one pass.
struct InStep<I: Iterator>(Peekable<I>);

impl<I: Iterator> InStep<I> {
    fn find(&mut self, id: NodeId, key: impl Fn(&I::Item) -> NodeId) -> Option<I::Item> {
        while self.0.next_if(|item| key(item) < id).is_some() {}
        self.0.next_if(|item| key(item) == id)
    }
}

fn agent_view<'a>(state: &State, record: &'a AgentRecord, node: usize) -> AgentView<'a> {
    let spec = &record.spec;
    AgentView {
        id: record.id,
        name: &spec.name,
        node,
        capabilities: &spec.capabilities,
        slots: spec.slots,
        slots_free: spec.slots.saturating_sub(state.agent_load(record.id)),
        paused: record.paused,
        succeeded: record.succeeded,
        failed: record.failed,
        busy_ms: record.busy_ms,
    }
}

fn assemble<'a>(
    state: &'a State,
    nodes: Vec<NodeView<'a>>,
    agents: Vec<AgentView<'a>>,
    lookups: &Lookups<'a>,
) -> Snapshot<'a> {
    let queues = state.ready_queues().map(|queue| {
        let run = queue.run.and_then(|run| state.run(run));
        QueueView {
            requirements: queue.requirements,
            run: queue.run,
            weight: run.map_or(RUNLESS_WEIGHT, |run| run.spec.weight),
            held_by_run: run.map_or(0, |run| run.counts.held()),
            priority: queue.priority,
            tasks: queue.tasks,
        }
    });
    Snapshot {
        now: state.now(),
        mean_ms: state.experience().mean_ms(),
        nodes,
        agents,
        queues: queues.collect(),
        failed_on: lookups.failed_on,
        inputs: lookups.inputs,
    }
}

/// For each agent, why it could or could not run the task, as the strategy of its run sees it;
/// `None` when the task is not live.
pub fn explain_task(
    view: &View,
    task: TaskId,
    policy: &Policy,
    now: UnixMillis,
) -> Option<Explanation> {
    let record = view.state.task(task)?;
    let run = record.run.and_then(|run| view.state.run(run));
    let name = run.and_then(|run| run.spec.strategy.as_deref());
    let strategy = name.and_then(|name| strategy(name).ok());
    let failed_on = |task: TaskId| failed_on(&view.state, task);
    let inputs = |task: TaskId| view.holdings.inputs(task);
    let lookups = Lookups {
        failed_on: &failed_on,
        inputs: &inputs,
    };
    let snapshot = whole_snapshot(view, now, &lookups);
    let question = Question {
        failed_on: &record.failed_on,
        ..Question::about(&record.spec.requirements)
    };
    Some(match strategy {
        Some(strategy) => strategy.explain(&snapshot, &question, policy),
        None => explain(&snapshot, &question, policy),
    })
}

/// For each agent, why it could or could not run a task with these requirements.
pub fn explain_requirements(
    view: &View,
    requirements: &Requirements,
    failed: &[NodeId],
    policy: &Policy,
    now: UnixMillis,
) -> Explanation {
    let failed_on = |task: TaskId| failed_on(&view.state, task);
    let question = Question {
        failed_on: failed,
        ..Question::about(requirements)
    };
    let lookups = Lookups {
        failed_on: &failed_on,
        inputs: &|_| TaskInputs::NONE,
    };
    explain(&whole_snapshot(view, now, &lookups), &question, policy)
}

/// Nodes that one decision looks at. Where more have room, each decision begins where the one before
/// ended: what is best among so many is good enough, and a decision never takes longer than that.
pub(crate) const NODES_PER_DECISION_MAX: usize = 1_024;

/// No node lies before the smallest id.
const EMPTY: Bound<NodeId> = Bound::Excluded(NodeId::from_u128(0));

/// Share of the swarm for tasks without a run: that of a usual run.
const RUNLESS_WEIGHT: u8 = 10;

#[cfg(test)]
mod tests;

//! The state as the scheduler sees it.

use crate::view::View;
use skep_core::State;
use skep_model::ids::{NodeId, TaskId};
use skep_model::node::{NodeRecord, NodeState};
use skep_model::requirements::Requirements;
use skep_model::time::UnixMillis;
use skep_scheduler::{
    AgentView, Explanation, NodeView, Policy, Question, QueueView, Snapshot, TaskInputs, explain,
    strategy,
};
use std::collections::BTreeMap;

/// Nodes that failed this task, oldest first.
pub(crate) fn failed_on(state: &State, task: TaskId) -> &[NodeId] {
    state.task(task).map_or(&[], |record| &record.failed_on)
}

/// What is looked up for single tasks.
pub(crate) struct Lookups<'a> {
    pub(crate) failed_on: &'a dyn Fn(TaskId) -> &'a [NodeId],
    pub(crate) inputs: &'a dyn Fn(TaskId) -> TaskInputs<'a>,
}

/// Borrows nodes, agents and queues from the state. Costs one step per node, agent and queue,
/// never per task.
pub(crate) fn snapshot<'a>(view: &'a View, now: UnixMillis, lookups: &Lookups<'a>) -> Snapshot<'a> {
    let state = &view.state;
    let mut positions = BTreeMap::new();
    let mut nodes = Vec::new();
    for record in state.nodes() {
        let used = state.node_use(record.id);
        let measured = view.metrics.get(&record.id);
        positions.insert(record.id, nodes.len());
        nodes.push(NodeView {
            id: record.id,
            name: &record.facts.name,
            state: present_state(record, view),
            labels: &record.facts.labels,
            isolation: record.facts.isolation,
            total: record.facts.resources,
            free: record.facts.resources.minus(&used.resources),
            slots: record.facts.slots,
            slots_free: if view.overloaded.contains(&record.id) {
                0
            } else {
                record.facts.slots.saturating_sub(used.attempts)
            },
            region: record.region(),
            rtt_ms: measured.and_then(|metrics| metrics.rtt_ms),
            throughput_bytes_s: measured.and_then(|metrics| metrics.upload_bytes_s),
            load_permille: measured.map(|metrics| metrics.load_permille),
            breaker: view.breakers.view(record.id, now),
        });
    }
    let agents = state.agents().filter_map(|record| {
        Some(AgentView {
            id: record.id,
            name: &record.spec.name,
            node: *positions.get(&record.spec.node)?,
            capabilities: &record.spec.capabilities,
            slots: record.spec.slots,
            slots_free: record
                .spec
                .slots
                .saturating_sub(state.agent_load(record.id)),
            paused: record.paused,
            succeeded: record.succeeded,
            failed: record.failed,
            busy_ms: record.busy_ms,
        })
    });
    let agents = agents.collect();
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
    let queues = queues.collect();
    Snapshot {
        now: state.now(),
        nodes,
        agents,
        queues,
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
    let snapshot = snapshot(view, now, &lookups);
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
    explain(&snapshot(view, now, &lookups), &question, policy)
}

/// A node that is not connected gets nothing, whatever the log calls it.
fn present_state(record: &NodeRecord, view: &View) -> NodeState {
    match record.state {
        NodeState::Ready if !view.connected.contains(&record.id) => NodeState::Joining,
        state => state,
    }
}

/// Share of the swarm for tasks without a run: that of a usual run.
const RUNLESS_WEIGHT: u8 = 10;

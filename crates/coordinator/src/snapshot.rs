//! The state as the scheduler sees it.

use crate::view::View;
use skep_core::State;
use skep_model::ids::{NodeId, TaskId};
use skep_model::node::{NodeRecord, NodeState};
use skep_model::requirements::Requirements;
use skep_scheduler::{AgentView, Explanation, NodeView, Policy, QueueView, Snapshot, explain};
use std::collections::BTreeMap;

/// Nodes that failed this task, oldest first.
pub(crate) fn failed_on(state: &State, task: TaskId) -> &[NodeId] {
    state.task(task).map_or(&[], |record| &record.failed_on)
}

/// Borrows nodes, agents and queues from the state. Costs one step per node, agent and queue,
/// never per task.
pub(crate) fn snapshot<'a>(
    view: &'a View,
    failed_on: &'a dyn Fn(TaskId) -> &'a [NodeId],
) -> Snapshot<'a> {
    let state = &view.state;
    let mut positions = BTreeMap::new();
    let mut nodes = Vec::new();
    for record in state.nodes() {
        let used = state.node_use(record.id);
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
            slots_free: record.facts.slots.saturating_sub(used.attempts),
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
        failed_on,
    }
}

/// For each agent, why it could or could not run the task; `None` when the task is not live.
pub fn explain_task(view: &View, task: TaskId, policy: &Policy) -> Option<Explanation> {
    let record = view.state.task(task)?;
    Some(explain_requirements(
        view,
        &record.spec.requirements,
        &record.failed_on,
        policy,
    ))
}

/// For each agent, why it could or could not run a task with these requirements.
pub fn explain_requirements(
    view: &View,
    requirements: &Requirements,
    failed: &[NodeId],
    policy: &Policy,
) -> Explanation {
    let failed_on = |task: TaskId| failed_on(&view.state, task);
    explain(&snapshot(view, &failed_on), requirements, failed, policy)
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

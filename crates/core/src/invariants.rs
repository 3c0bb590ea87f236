//! Relations that always hold between entries, each a named predicate over the whole state.

mod id;

pub use id::{InvariantId, Violation};

use crate::memory::{
    memory_indexes_match_entries, memory_versions_were_given, namespaces_have_reasons,
};
use crate::open_nodes::open_nodes_match_nodes;
use crate::schedules::schedule_indexes_match_records;
use crate::state::{NodeUse, State, queue_priority};
use crate::triggers::{trigger_indexes_match_records, triggers_account_for_events};
use crate::waiting::Waiting;
use skep_model::ids::{AgentId, NodeId, TaskId};
use skep_model::node::NodeState;
use skep_model::run::TaskCounts;
use skep_model::task::{Delivery, TaskState};
use std::collections::{BTreeMap, BTreeSet};

type Predicate = fn(&State) -> Result<(), String>;

const INVARIANTS: [(InvariantId, Predicate); 24] = [
    (InvariantId::OnlyLiveRecords, only_live_records),
    (InvariantId::CountsMatchTasks, counts_match_tasks),
    (InvariantId::RunsMatchTasks, runs_match_tasks),
    (InvariantId::QueuesMatchTasks, queues_match_tasks),
    (InvariantId::TimersMatchTasks, timers_match_tasks),
    (InvariantId::SignaturesMatchTasks, signatures_match_tasks),
    (InvariantId::LeasesAreHeld, leases_are_held),
    (InvariantId::UseMatchesLeases, use_matches_leases),
    (
        InvariantId::WorkIsWithItsPerformers,
        work_is_with_its_performers,
    ),
    (InvariantId::UseWithinCapacity, use_within_capacity),
    (InvariantId::OnlyWaitingTasksWait, only_waiting_tasks_wait),
    (InvariantId::ChildrenMatchNeeds, children_match_needs),
    (InvariantId::AtMostOnceIsOnce, at_most_once_is_once),
    (InvariantId::FencesRise, fences_rise),
    (InvariantId::NamesMatchRecords, names_match_records),
    (InvariantId::AgentsMatchNodes, agents_match_nodes),
    (InvariantId::ExpiriesMatchKeys, expiries_match_keys),
    (InvariantId::OpenNodesMatchNodes, open_nodes_match_nodes),
    (
        InvariantId::MemoryIndexesMatchEntries,
        memory_indexes_match_entries,
    ),
    (
        InvariantId::MemoryVersionsWereGiven,
        memory_versions_were_given,
    ),
    (InvariantId::NamespacesHaveReasons, namespaces_have_reasons),
    (
        InvariantId::ScheduleIndexesMatchRecords,
        schedule_indexes_match_records,
    ),
    (
        InvariantId::TriggerIndexesMatchRecords,
        trigger_indexes_match_records,
    ),
    (
        InvariantId::TriggersAccountForEvents,
        triggers_account_for_events,
    ),
];

impl State {
    /// Checks every invariant by computing it anew; the first that does not hold is the answer.
    pub fn check(&self) -> Result<(), Violation> {
        for (invariant, holds) in INVARIANTS {
            holds(self).map_err(|detail| Violation { invariant, detail })?;
        }
        Ok(())
    }
}

pub(crate) fn ensure(holds: bool, detail: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(detail()) }
}

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    kept: &T,
    real: &T,
) -> Result<(), String> {
    ensure(kept == real, || {
        format!("{what}: {kept:?} is kept, {real:?} is real")
    })
}

fn only_live_records(state: &State) -> Result<(), String> {
    for task in state.tasks() {
        ensure(!task.state.is_final(), || {
            format!("{} is {}", task.id, task.state)
        })?;
    }
    for run in state.runs() {
        ensure(!run.state.is_final(), || {
            format!("{} is {}", run.id, run.state)
        })?;
    }
    Ok(())
}

fn counts_match_tasks(state: &State) -> Result<(), String> {
    let mut real = TaskCounts::default();
    for task in state.tasks() {
        *real.of_mut(task.state) += 1;
    }
    same("counts", &state.counts, &real)
}

fn runs_match_tasks(state: &State) -> Result<(), String> {
    let mut real: BTreeMap<_, (TaskCounts, BTreeSet<TaskId>)> = BTreeMap::new();
    for task in state.tasks() {
        let Some(run) = task.run else { continue };
        let (counts, tasks) = real.entry(run).or_default();
        *counts.of_mut(task.state) += 1;
        tasks.insert(task.id);
    }
    let known: BTreeSet<_> = state.runs.keys().copied().collect();
    same("runs with tasks", &known, &real.keys().copied().collect())?;
    for (run, (counts, tasks)) in real {
        let slot = &state.runs[&run];
        same("tasks of a run", &slot.tasks, &tasks)?;
        let mut kept = slot.record.counts;
        for state in TaskState::ALL.into_iter().filter(|state| state.is_final()) {
            *kept.of_mut(state) = 0;
        }
        same("live counts of a run", &kept, &counts)?;
    }
    Ok(())
}

fn rebuilt_waiting(state: &State) -> Waiting {
    let mut waiting = Waiting::default();
    for slot in state.tasks.values() {
        waiting.add(slot);
    }
    waiting
}

fn queues_match_tasks(state: &State) -> Result<(), String> {
    let real = rebuilt_waiting(state);
    same("queues", &state.waiting.queues, &real.queues)?;
    for (requirements, signature) in state.signatures.iter() {
        for queue in state.waiting.queues.of_signature(requirements, signature) {
            for key in queue.tasks {
                let task = state.task(key.task);
                let right = task.is_some_and(|task| {
                    task.state == TaskState::Ready
                        && task.spec.requirements == *queue.requirements
                        && task.run == queue.run
                        && queue_priority(task.spec.priority, task.had_needs) == queue.priority
                });
                ensure(right, || format!("{} is in a wrong queue", key.task))?;
            }
        }
    }
    Ok(())
}

fn timers_match_tasks(state: &State) -> Result<(), String> {
    same(
        "timers",
        &state.waiting.timers,
        &rebuilt_waiting(state).timers,
    )
}

fn signatures_match_tasks(state: &State) -> Result<(), String> {
    let mut real = BTreeMap::new();
    for slot in state.tasks.values() {
        *real.entry(slot.signature).or_insert(0) += 1;
        let kept = state.signatures.get(slot.signature);
        same("requirements", &kept, &Some(&slot.record.spec.requirements))?;
    }
    same("number of signatures", &state.signatures.len(), &real.len())?;
    for (signature, tasks) in real {
        same(
            "tasks of a signature",
            &state.signatures.tasks_of(signature),
            &tasks,
        )?;
    }
    Ok(())
}

fn leases_are_held(state: &State) -> Result<(), String> {
    for task in state.tasks() {
        let agrees = task.state.is_held() == task.lease.is_some();
        ensure(agrees, || {
            format!("{} is {}: {:?}", task.id, task.state, task.lease)
        })?;
    }
    Ok(())
}

fn use_matches_leases(state: &State) -> Result<(), String> {
    let mut held: BTreeMap<NodeId, BTreeSet<TaskId>> = BTreeMap::new();
    let mut used: BTreeMap<NodeId, NodeUse> = BTreeMap::new();
    let mut loads: BTreeMap<AgentId, u32> = BTreeMap::new();
    for task in state.tasks() {
        let Some(lease) = &task.lease else { continue };
        held.entry(lease.node).or_default().insert(task.id);
        let used = used.entry(lease.node).or_default();
        used.attempts += 1;
        used.resources = used.resources.plus(&task.spec.requirements.resources);
        *loads.entry(lease.agent).or_insert(0) += 1;
    }
    same("loads", &state.loads, &loads)?;
    for (node, slot) in &state.nodes {
        same(
            "held tasks",
            &slot.held,
            &held.remove(node).unwrap_or_default(),
        )?;
        same("use", &slot.used, &used.remove(node).unwrap_or_default())?;
    }
    same("leases on unknown nodes", &held, &BTreeMap::new())
}

fn work_is_with_its_performers(state: &State) -> Result<(), String> {
    for task in state.tasks() {
        let performer = task.spec.work.performer();
        let node = task.lease.as_ref().and_then(|lease| state.node(lease.node));
        let wanted = task.spec.requirements.performer;
        let fits = performer == wanted && node.is_none_or(|node| node.performer() == performer);
        ensure(fits, || {
            format!("{} for {performer:?} is with {:?}", task.id, task.lease)
        })?;
    }
    Ok(())
}

fn use_within_capacity(state: &State) -> Result<(), String> {
    for (node, slot) in &state.nodes {
        let fits = slot.used.attempts <= slot.ceiling.attempts
            && slot.ceiling.resources.covers(&slot.used.resources);
        ensure(fits, || {
            format!("{node}: {:?} of {:?}", slot.used, slot.ceiling)
        })?;
    }
    for (agent, slot) in &state.agents {
        let load = state.agent_load(*agent);
        ensure(load <= slot.ceiling, || {
            format!("{agent}: {load} of {}", slot.ceiling)
        })?;
    }
    Ok(())
}

fn only_waiting_tasks_wait(state: &State) -> Result<(), String> {
    for task in state.tasks() {
        let may_wait = matches!(task.state, TaskState::Pending | TaskState::Paused);
        let waits = !task.waits_for.is_empty();
        ensure(may_wait || !waits, || {
            format!("{} is {} and waits", task.id, task.state)
        })?;
        let has_reason = waits || task.not_before.is_some();
        let idle = task.state == TaskState::Pending && !has_reason;
        ensure(!idle, || {
            format!("{} is pending and waits for nothing", task.id)
        })?;
        for need in &task.waits_for {
            let same_run = state.task(*need).is_some_and(|need| need.run == task.run);
            ensure(same_run, || format!("{} waits for {need}", task.id))?;
        }
        let ordered = task.waits_for.is_sorted_by(|a, b| a < b);
        ensure(ordered, || format!("{} waits in disorder", task.id))?;
    }
    Ok(())
}

fn children_match_needs(state: &State) -> Result<(), String> {
    let mut real: BTreeMap<TaskId, BTreeSet<TaskId>> = BTreeMap::new();
    for task in state.tasks() {
        for need in &task.waits_for {
            real.entry(*need).or_default().insert(task.id);
        }
    }
    for (task, slot) in &state.tasks {
        same(
            "children",
            &slot.children,
            &real.remove(task).unwrap_or_default(),
        )?;
    }
    Ok(())
}

fn at_most_once_is_once(state: &State) -> Result<(), String> {
    for task in state.tasks() {
        let counted = task.attempts_counted();
        let once = task.spec.delivery != Delivery::AtMostOnce || counted <= 1;
        ensure(once, || format!("{} may have run {counted} times", task.id))?;
    }
    Ok(())
}

fn fences_rise(state: &State) -> Result<(), String> {
    for task in state.tasks() {
        let ended = task.ended_attempts.iter().map(|attempt| attempt.fence);
        let current = task.lease.as_ref().map(|lease| lease.fence);
        let fences: Vec<_> = ended.chain(current).collect();
        let rising = fences.is_sorted_by(|a, b| a < b);
        ensure(rising, || format!("{}: {fences:?}", task.id))?;
        same("attempts", &(task.attempts as usize), &fences.len())?;
    }
    Ok(())
}

fn names_match_records(state: &State) -> Result<(), String> {
    let present = |node: NodeId| {
        state
            .node(node)
            .is_some_and(|node| node.state != NodeState::Left)
    };
    let nodes = state.nodes().filter(|node| present(node.id));
    let nodes: Vec<_> = nodes
        .map(|node| (node.facts.name.clone(), node.id))
        .collect();
    same(
        "number of node names",
        &state.node_names.len(),
        &nodes.len(),
    )?;
    same(
        "node names",
        &state.node_names,
        &nodes.into_iter().collect(),
    )?;
    let agents = state
        .agents()
        .filter(|agent| !agent.comes_with_node || present(agent.spec.node));
    let agents: Vec<_> = agents
        .map(|agent| (agent.spec.name.clone(), agent.id))
        .collect();
    same(
        "number of agent names",
        &state.agent_names.len(),
        &agents.len(),
    )?;
    same(
        "agent names",
        &state.agent_names,
        &agents.into_iter().collect(),
    )?;
    let tokens: BTreeMap<_, _> = state.tokens().map(|token| (token.hash, token.id)).collect();
    same("number of tokens", &state.tokens.len(), &tokens.len())?;
    same("token secrets", &state.token_hashes, &tokens)?;
    let keys: BTreeMap<_, _> = state.enrolments().map(|one| (one.key, one.node)).collect();
    same(
        "number of joined machines",
        &state.enrolments.len(),
        &keys.len(),
    )?;
    same("keys of joined machines", &state.node_keys, &keys)
}

fn agents_match_nodes(state: &State) -> Result<(), String> {
    let parked = state
        .nodes()
        .filter_map(|node| Some((node.parked?.until, node.id)));
    same("parked nodes", &state.parked, &parked.collect())?;
    let mut real: BTreeMap<NodeId, BTreeSet<AgentId>> = BTreeMap::new();
    for agent in state.agents() {
        real.entry(agent.spec.node).or_default().insert(agent.id);
    }
    for (node, slot) in &state.nodes {
        same(
            "agents",
            &slot.agents,
            &real.remove(node).unwrap_or_default(),
        )?;
        let own = state
            .agents_of_node(*node)
            .filter(|agent| agent.comes_with_node);
        same("own agents of a node", &own.count(), &1)?;
    }
    same("agents on unknown nodes", &real, &BTreeMap::new())
}

fn expiries_match_keys(state: &State) -> Result<(), String> {
    let table = &state.idempotency;
    let real = table.records.iter();
    let real: BTreeSet<_> = real
        .map(|(key, record)| (record.expires_at, key.clone()))
        .collect();
    same("expiries", &table.expiries, &real)
}

#[cfg(test)]
mod tests;

//! Each invariant notices a state that was damaged on purpose.

use super::{INVARIANTS, InvariantId};
use crate::State;
use crate::memory::NamespaceSlot;
use crate::script::World;
use crate::waiting::Waiting;
use skep_model::command::Actor;
use skep_model::ids::{AgentId, NodeId, RunId, ScheduleId, TaskId, TriggerId};
use skep_model::memory::{MemoryVersion, Namespace};
use skep_model::requirements::Requirements;
use skep_model::run::RunState;
use skep_model::session::{HeartbeatMode, SessionFacts};
use skep_model::task::{Delivery, TaskRecord, TaskState};
use skep_model::time::UnixMillis;
use std::sync::Arc;

/// Task 1 is held, 2 waits for it, 3 is ready, 4 waits for its retry, 5 has a deadline.
const SCRIPT: &str = "node 1; confirm 1; agent 2 on=1; token 1; task 1; task 2 needs=1; task 3; \
     task 4; task 5 deadline=99; run 1 key=a; grant 1:1 4:2; report 4 exit; \
     put k; put k2 ttl=1000; task 0; schedule 1 first=5; task 0; \
     trigger 1 on=memory:namespace=swarm; put k3; put k4";

type Damage = fn(&mut State);

fn record(state: &mut State, task: u128) -> &mut TaskRecord {
    let slot = state.tasks.get_mut(&TaskId::from_u128(task)).unwrap();
    &mut slot.record
}

fn swarm(state: &mut State) -> &mut NamespaceSlot {
    state.memory.namespaces.get_mut(Namespace::SWARM).unwrap()
}

const DAMAGES: [(InvariantId, Damage); 34] = [
    (InvariantId::OnlyLiveRecords, |state| {
        record(state, 3).state = TaskState::Failed;
    }),
    (InvariantId::OnlyLiveRecords, |state| {
        let run = state.runs.get_mut(&RunId::from_u128(1)).unwrap();
        run.record.state = RunState::Failed;
    }),
    (InvariantId::WorkIsWithItsPerformers, |state| {
        let node = state.nodes.get_mut(&NodeId::from_u128(1)).unwrap();
        node.record.session = Some(Box::new(SessionFacts {
            owner: Actor::Coordinator,
            heartbeat: HeartbeatMode::Calls,
            client: "test".to_owned(),
        }));
    }),
    (InvariantId::CountsMatchTasks, |state| {
        state.counts.ready += 1;
    }),
    (InvariantId::RunsMatchTasks, |state| {
        let run = state.runs.get_mut(&RunId::from_u128(1)).unwrap();
        run.record.counts.ready -= 1;
    }),
    (InvariantId::RunsMatchTasks, |state| {
        let run = state.runs.get_mut(&RunId::from_u128(1)).unwrap();
        run.tasks.pop_first();
    }),
    (InvariantId::QueuesMatchTasks, |state| {
        state.waiting.queues = Waiting::default().queues;
    }),
    (InvariantId::QueuesMatchTasks, |state| {
        record(state, 3).ready_at = UnixMillis(7);
    }),
    (InvariantId::QueuesMatchTasks, |state| {
        Arc::make_mut(&mut record(state, 3).spec).priority.base = 9;
    }),
    (InvariantId::TimersMatchTasks, |state| {
        record(state, 4).not_before = Some(UnixMillis(7));
    }),
    (InvariantId::TimersMatchTasks, |state| {
        state.waiting.timers = Waiting::default().timers;
    }),
    (InvariantId::SignaturesMatchTasks, |state| {
        state.signatures.acquire(&Requirements::default());
    }),
    (InvariantId::LeasesAreHeld, |state| {
        record(state, 1).lease = None;
    }),
    (InvariantId::UseMatchesLeases, |state| state.loads.clear()),
    (InvariantId::UseMatchesLeases, |state| {
        let node = state.nodes.get_mut(&NodeId::from_u128(1)).unwrap();
        node.used.resources.cpu_millis += 1;
    }),
    (InvariantId::UseWithinCapacity, |state| {
        let node = state.nodes.get_mut(&NodeId::from_u128(1)).unwrap();
        node.ceiling.attempts = 0;
    }),
    (InvariantId::UseWithinCapacity, |state| {
        let agent = state.agents.get_mut(&AgentId::from_u128(1)).unwrap();
        agent.ceiling = 0;
    }),
    (InvariantId::OnlyWaitingTasksWait, |state| {
        record(state, 3).waits_for.push(TaskId::from_u128(1));
    }),
    (InvariantId::OnlyWaitingTasksWait, |state| {
        record(state, 2).waits_for.clear();
    }),
    (InvariantId::ChildrenMatchNeeds, |state| {
        let parent = state.tasks.get_mut(&TaskId::from_u128(1)).unwrap();
        parent.children.clear();
    }),
    (InvariantId::AtMostOnceIsOnce, |state| {
        let task = record(state, 1);
        task.attempts = 2;
        Arc::make_mut(&mut task.spec).delivery = Delivery::AtMostOnce;
    }),
    (InvariantId::FencesRise, |state| {
        let ended = record(state, 4).ended_attempts[0].clone();
        record(state, 4).ended_attempts.push(ended);
    }),
    (InvariantId::NamesMatchRecords, |state| {
        state.node_names.clear();
    }),
    (InvariantId::ExpiriesMatchKeys, |state| {
        state.idempotency.expiries.clear();
    }),
    (InvariantId::OpenNodesMatchNodes, |state| {
        state.open_nodes.clear();
    }),
    (InvariantId::OpenNodesMatchNodes, |state| {
        state.experience.busy_ms += 1;
    }),
    (InvariantId::MemoryIndexesMatchEntries, |state| {
        state.memory.entries += 1;
    }),
    (InvariantId::MemoryIndexesMatchEntries, |state| {
        state.memory.expiries.clear();
    }),
    (InvariantId::MemoryIndexesMatchEntries, |state| {
        swarm(state).totals.bytes += 1;
    }),
    (InvariantId::MemoryVersionsWereGiven, |state| {
        swarm(state).record.last_version = MemoryVersion(1);
    }),
    (InvariantId::NamespacesHaveReasons, |state| {
        state.memory.slot_mut(&"empty".parse().unwrap());
    }),
    (InvariantId::ScheduleIndexesMatchRecords, |state| {
        let id = ScheduleId::from_u128(1);
        state.schedules.record_mut(id).unwrap().next = None;
    }),
    (InvariantId::TriggerIndexesMatchRecords, |state| {
        let id = TriggerId::from_u128(1);
        state.triggers.damaged(id).unwrap().paused = true;
    }),
    (InvariantId::TriggersAccountForEvents, |state| {
        let id = TriggerId::from_u128(1);
        state.triggers.edit(id, |record| {
            record.pending.pop_front();
        });
    }),
];

#[test]
fn an_undamaged_state_satisfies_all() {
    assert_eq!(World::after(SCRIPT).state.check(), Ok(()));
}

#[test]
fn each_damage_is_noticed_by_the_invariant_it_breaks() {
    for (position, (invariant, damage)) in DAMAGES.into_iter().enumerate() {
        let mut state = World::after(SCRIPT).state;
        damage(&mut state);
        let violation = state.check().unwrap_err();
        assert_eq!(
            violation.invariant, invariant,
            "damage {position}: {violation}"
        );
    }
}

#[test]
fn an_agent_that_its_node_does_not_know_is_noticed() {
    let mut state = World::after(SCRIPT).state;
    let node = state.nodes.get_mut(&NodeId::from_u128(1)).unwrap();
    node.agents.remove(&AgentId::from_u128(2));
    assert_eq!(
        state.check().unwrap_err().invariant,
        InvariantId::AgentsMatchNodes
    );
}

#[test]
fn every_invariant_is_damaged_by_some_test() {
    for (invariant, _) in INVARIANTS {
        let damaged = DAMAGES.iter().any(|(id, _)| *id == invariant);
        assert!(
            damaged || invariant == InvariantId::AgentsMatchNodes,
            "{invariant:?}"
        );
    }
}

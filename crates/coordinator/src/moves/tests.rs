//! Two nodes in virtual time: one is parked, and the other has room or not.

use super::*;
use crate::observed::facts;
use skep_model::attempt::LogIndex;
use skep_model::command::{Actor, Command, LogEntry, Phase, Progress};
use skep_model::event::EntryEvents;
use skep_model::ids::{InstanceId, NodeId};
use skep_model::task::{Delivery, NewTask, TaskSpec};
use skep_scheduler::{Policy, strategy};
use std::sync::Arc;

const MINUTES: u64 = 60_000;
const LAPTOP: NodeId = NodeId::from_u128(1);
const WORKER: AgentId = AgentId::from_u128(2);
const TASK: TaskId = TaskId::from_u128(1);

/// A laptop that runs a task, and a server with as many slots.
struct Swarm {
    view: View,
    moves: Moves,
    now_ms: u64,
    entries: u64,
}

impl Swarm {
    fn new(delivery: Delivery) -> Self {
        let mut swarm = Self {
            view: View::default(),
            moves: Moves::default(),
            now_ms: 0,
            entries: 0,
        };
        swarm.joins(1);
        let spec = TaskSpec {
            delivery,
            ..TaskSpec::noop("t")
        };
        swarm.apply(Command::SubmitTasks {
            run: None,
            tasks: vec![NewTask {
                id: TASK,
                spec: Arc::new(spec),
                needs: Vec::new(),
            }],
            idempotency: None,
        });
        let agent = AgentId::from_u128(1);
        swarm.apply(Command::GrantLeases(vec![Grant { task: TASK, agent }]));
        let fence = swarm.lease().fence;
        swarm.apply(Command::ReportProgress {
            node: LAPTOP,
            items: vec![Progress {
                task: TASK,
                fence,
                phase: Phase::Running,
            }],
        });
        swarm
    }

    fn lease(&self) -> Lease {
        let record = self.view.state.task(TASK).unwrap();
        record.lease.clone().unwrap()
    }

    fn joins(&mut self, number: u128) {
        let (node, instance) = (NodeId::from_u128(number), InstanceId::from_u128(number));
        self.apply(Command::RegisterNode {
            node,
            instance,
            starts: 1,
            agent: AgentId::from_u128(number),
            facts: Box::new(facts(format!("n{number}"), 1)),
        });
        self.apply(Command::ConfirmNode {
            node,
            instance,
            lost: Vec::new(),
        });
        self.view.connected.insert(node);
    }

    fn apply(&mut self, command: Command) {
        self.entries += 1;
        let (index, at) = (LogIndex(self.entries), UnixMillis(self.now_ms));
        let actor = Actor::Coordinator;
        let entry = LogEntry {
            at,
            seed: self.entries,
            actor,
            command,
        };
        let events = self.view.state.apply(index, &entry).events;
        let events = Arc::new(EntryEvents {
            index,
            at,
            actor,
            events,
        });
        self.moves.note(&Reaction {
            state: &self.view.state,
            events: &events,
        });
    }

    fn park(&mut self, for_ms: u64) {
        let node = LAPTOP;
        self.apply(Command::ParkNode { node, for_ms });
    }

    fn stands_still(&mut self) {
        let since = self.view.state.node(LAPTOP).unwrap().hold.since;
        self.apply(Command::ConfirmHold {
            node: LAPTOP,
            instance: InstanceId::from_u128(1),
            since,
        });
    }

    /// Who gets the task instead, if it is moved now.
    fn looks(&mut self) -> Option<AgentId> {
        let strategy = strategy("round-robin").unwrap();
        let place = |snapshot: &Snapshot<'_>| strategy.place(snapshot, &Policy::default());
        let now = (self.now_ms, UnixMillis(self.now_ms));
        let moves = self.moves.look(&self.view, now, place);
        moves.first().map(|found| found.agent)
    }
}

#[test]
fn what_ran_for_a_shorter_time_than_it_would_wait_is_moved() {
    let rows = [
        // (ran, parked for, delivery, moved), minutes
        (5, 30, Delivery::AtLeastOnce, true),
        (40, 30, Delivery::AtLeastOnce, false),
        (5, 30, Delivery::AtMostOnce, false),
    ];
    for (ran, parked, delivery, is_moved) in rows {
        let mut swarm = Swarm::new(delivery);
        swarm.joins(2);
        swarm.now_ms = ran * MINUTES;
        swarm.park(parked * MINUTES);
        assert_eq!(swarm.looks(), None, "it may still run");
        swarm.stands_still();
        swarm.now_ms += LOOK_EVERY_MS;
        let found = swarm.looks();
        assert_eq!(found.is_some(), is_moved, "{ran} {parked} {delivery:?}");
    }
}

#[test]
fn it_is_looked_again_when_the_announced_time_changes_and_when_room_appears() {
    let mut swarm = Swarm::new(Delivery::AtLeastOnce);
    swarm.now_ms = 10 * MINUTES;
    swarm.park(5 * MINUTES);
    swarm.stands_still();
    swarm.joins(2);
    assert_eq!(swarm.looks(), None, "it goes on soon");
    assert_eq!(swarm.moves.next_look(), None, "nothing changed since");
    swarm.now_ms += LOOK_EVERY_MS;
    swarm.park(60 * MINUTES);
    assert_eq!(swarm.looks(), Some(WORKER));

    let mut swarm = Swarm::new(Delivery::AtLeastOnce);
    swarm.park(60 * MINUTES);
    swarm.stands_still();
    assert_eq!(swarm.looks(), None, "no other node");
    swarm.joins(2);
    assert_eq!(swarm.looks(), None, "once a second");
    swarm.now_ms = swarm.moves.next_look().unwrap();
    assert_eq!(swarm.looks(), Some(WORKER));
    assert_eq!(
        swarm.moves.next_look(),
        None,
        "what was found is not applied yet"
    );
}

#[test]
fn a_swarm_in_which_nobody_is_parked_is_not_looked_at() {
    let mut swarm = Swarm::new(Delivery::AtLeastOnce);
    swarm.joins(2);
    assert_eq!(swarm.moves.next_look(), None);
    swarm.park(60 * MINUTES);
    assert!(swarm.moves.next_look().is_some());
    swarm.apply(Command::UnparkNode(LAPTOP));
    assert_eq!(swarm.moves.next_look(), None);
}

//! How long a node that cannot be heard keeps its work, under each policy, and who knows of it.

use super::nodes::{MINUTES, NODE, Swarm, facts};
use super::*;
use skep_model::hold::{DisconnectSetting, OnDisconnect};
use skep_model::limits::KILL_GRACE_MS;
use skep_model::node::{NodeClass, NodeState};
use skep_model::task::TaskState;
use skep_wire::{KillReason, NodeInput};

/// Longer than any heartbeat with its jitter.
const HEARTBEAT_MS: u64 = 20_000;

impl Swarm {
    pub(super) fn under(class: NodeClass, policy: Option<OnDisconnect>) -> Self {
        let mut said = facts(class);
        said.on_disconnect = policy;
        Self::of(said)
    }

    /// The node and the coordinator cannot reach each other any more.
    fn cut_off(&mut self) {
        self.reachable = false;
        let lost = self.lose_connection();
        self.link_closed(lost);
    }

    fn set(&mut self, policy: OnDisconnect) {
        self.order(Command::SetNode {
            node: NODE,
            labels: None,
            region: None,
            on_disconnect: Some(DisconnectSetting::Fixed(policy)),
        });
    }

    fn order(&mut self, command: Command) {
        self.engine(Input::Propose {
            ticket: Ticket(79),
            actor: Actor::Coordinator,
            command,
        });
    }

    /// Whether the log has it parked, and knows that its attempts stand still.
    fn parked(&self) -> Option<bool> {
        let view = self.engine.view();
        let view = view.read();
        let parked = view.state.node(NODE).unwrap().parked;
        parked.map(|parked| parked.stands_still)
    }

    fn reconnect(&mut self) {
        self.reachable = true;
        self.pass(10_000);
        assert!(self.node.is_live());
    }

    fn bound(&self) -> OnDisconnect {
        let view = self.engine.view();
        let view = view.read();
        view.state.node(NODE).unwrap().hold.bound.policy
    }

    /// When the node stopped its work and when it was given to others, counted from now; looked
    /// for during this time.
    fn stops_and_is_lost(&mut self, within_ms: u64) -> (Option<u64>, Option<u64>) {
        let since = self.now;
        let (mut stopped, mut lost) = (None, None);
        while self.now < since + within_ms && lost.is_none() {
            self.pass(100);
            let passed = self.now - since;
            if self.killed == [KillReason::SelfFenced] {
                stopped = stopped.or(Some(passed));
            }
            if self.node_state() == NodeState::Lost {
                lost = Some(passed);
            }
        }
        (stopped, lost)
    }
}

#[test]
fn the_policy_says_when_a_silent_node_stops_and_its_work_goes_to_others() {
    use NodeClass::{Consumer, Server};
    let (wait, grace) = (10 * MINUTES, 15_000);
    let rows = [
        (Server, None, 21_000, 35_000),
        (Server, Some(OnDisconnect::Wait), wait - 9_000, wait + 5_000),
        (Consumer, None, wait - 27_000, wait + grace),
        (Consumer, Some(OnDisconnect::Replace), 63_000, 105_000),
    ];
    for (class, policy, stops_by, lost_by) in rows {
        let mut swarm = Swarm::under(class, policy);
        swarm.pass(HEARTBEAT_MS);
        swarm.cut_off();
        let (stopped, lost) = swarm.stops_and_is_lost(11 * MINUTES);
        let (stopped, lost) = (stopped.unwrap(), lost.unwrap());
        let near = |at: u64, by: u64| at <= by + 200 && at + HEARTBEAT_MS > by;
        assert!(near(stopped, stops_by), "{class:?} {policy:?}: {stopped}");
        assert!(near(lost, lost_by), "{class:?} {policy:?}: {lost}");
        assert!(stopped + KILL_GRACE_MS < lost, "{class:?} {policy:?}");
    }
}

#[test]
fn work_that_is_kept_for_its_node_waits_until_somebody_removes_the_node() {
    let mut swarm = Swarm::under(NodeClass::Server, Some(OnDisconnect::Keep));
    swarm.cut_off();
    assert_eq!(swarm.stops_and_is_lost(60 * MINUTES), (None, None));
    assert_eq!(swarm.node_state(), NodeState::Suspect);
    swarm.order(Command::RemoveNode(NODE));
    swarm.pass(200);
    let view = swarm.engine.view();
    let view = view.read();
    assert!(view.state.node(NODE).is_none());
    assert_eq!(view.state.ready_count(), 1, "others may have it");
}

#[test]
fn a_shorter_hold_counts_only_once_the_node_has_said_that_it_knows_it() {
    let mut swarm = Swarm::of_class(NodeClass::Consumer);
    swarm.cut_off();
    swarm.set(OnDisconnect::Replace);
    let (stopped, lost) = swarm.stops_and_is_lost(11 * MINUTES);
    assert!(stopped.is_some_and(|at| at > 9 * MINUTES), "{stopped:?}");
    assert!(lost.is_some_and(|at| at > 10 * MINUTES), "{lost:?}");

    let mut swarm = Swarm::of_class(NodeClass::Consumer);
    swarm.held = Some(Vec::new());
    swarm.set(OnDisconnect::Replace);
    assert_eq!(swarm.bound(), OnDisconnect::Wait);
    swarm.pass(100);
    assert_eq!(swarm.bound(), OnDisconnect::Wait);
    swarm.release();
    assert_eq!(swarm.bound(), OnDisconnect::Replace);
    swarm.cut_off();
    let (stopped, lost) = swarm.stops_and_is_lost(11 * MINUTES);
    assert!(stopped.is_some_and(|at| at < 64_000), "{stopped:?}");
    assert!(lost.is_some_and(|at| at < 106_000), "{lost:?}");
}

#[test]
fn a_longer_hold_that_the_node_has_not_heard_of_does_not_keep_it_from_stopping() {
    let mut swarm = Swarm::of_class(NodeClass::Server);
    swarm.cut_off();
    swarm.set(OnDisconnect::Keep);
    let (stopped, lost) = swarm.stops_and_is_lost(MINUTES);
    assert!(stopped.is_some_and(|at| at < 22_000), "{stopped:?}");
    assert_eq!(lost, None);
    swarm.reachable = true;
    swarm.pass(HEARTBEAT_MS);
    assert!(swarm.node.is_live());
    assert_eq!(swarm.bound(), OnDisconnect::Keep);
}

#[test]
fn after_a_restart_of_the_coordinator_every_node_has_its_whole_hold_again() {
    let mut swarm = Swarm::of_class(NodeClass::Consumer);
    swarm.cut_off();
    swarm.set(OnDisconnect::Replace);
    let view = swarm.engine.view();
    let view = view.read();
    let timers = LeaseTimers::default();
    let restarted_at = 5 * MINUTES;
    let mut liveness = crate::liveness::Liveness::start(timers, &view.state, restarted_at);
    let given_up = |liveness: &mut crate::liveness::Liveness, at| {
        let due = liveness.due(&view.state, at);
        due.contains(&(NODE, Command::LoseNode(NODE)))
    };
    let hold_ms = timers.disconnect_wait_ms + timers.consumer.grace_ms;
    liveness.due(&view.state, restarted_at + MINUTES);
    liveness.settled(NODE);
    assert!(!given_up(&mut liveness, restarted_at + hold_ms - 1));
    liveness.settled(NODE);
    assert!(given_up(&mut liveness, restarted_at + hold_ms));
}

const PARKED: Command = Command::ParkNode {
    node: NODE,
    for_ms: 30 * MINUTES,
};

#[test]
fn the_work_of_a_parked_node_waits_for_the_announced_time_and_then_as_its_policy_says() {
    let mut swarm = Swarm::of_class(NodeClass::Server);
    swarm.order(PARKED);
    assert_eq!(swarm.parked(), Some(true));
    assert!(swarm.stands_still);
    assert_eq!(swarm.node_state(), NodeState::Draining, "nothing new");
    swarm.cut_off();
    assert_eq!(swarm.stops_and_is_lost(30 * MINUTES - 1_000), (None, None));
    assert_eq!(swarm.parked(), Some(true));
    swarm.pass(2_000);
    assert_eq!(swarm.parked(), None, "the announced time is over");
    let (stopped, lost) = swarm.stops_and_is_lost(MINUTES);
    assert!(stopped.is_some_and(|at| at < 21_000), "{stopped:?}");
    assert!(lost.is_some_and(|at| at > 30_000), "{lost:?}");
}

#[test]
fn a_machine_that_wakes_up_earlier_stands_still_until_it_is_told_to_go_on() {
    for told_before in [false, true] {
        let mut swarm = Swarm::of_class(NodeClass::Server);
        swarm.order(PARKED);
        swarm.cut_off();
        swarm.pass(10 * MINUTES);
        if told_before {
            swarm.order(Command::UnparkNode(NODE));
            swarm.pass(1_000);
            assert!(swarm.stands_still, "nobody could tell it");
            swarm.reconnect();
        } else {
            swarm.reconnect();
            assert_eq!(swarm.parked(), Some(true));
            assert!(swarm.stands_still);
            swarm.order(Command::UnparkNode(NODE));
        }
        assert!(!swarm.stands_still);
        assert_eq!(swarm.parked(), None);
        swarm.finish_work();
        swarm.pass(1_000);
        assert_eq!(swarm.ended, Some(TaskState::Succeeded));
        assert_eq!((swarm.started.len(), swarm.killed.len()), (1, 0));
    }
}

#[test]
fn an_attempt_that_was_cancelled_while_it_stood_still_is_stopped_and_does_not_go_on_first() {
    let mut swarm = Swarm::of_class(NodeClass::Server);
    swarm.order(PARKED);
    swarm.cut_off();
    swarm.order(Command::UnparkNode(NODE));
    let task = swarm.started[0].task;
    swarm.order(Command::CancelTask(task));
    assert_eq!(swarm.ended, Some(TaskState::Cancelled));
    swarm.reconnect();
    assert_eq!(swarm.killed, [KillReason::Revoked]);
    assert!(!swarm.stands_still, "what comes next may run");
}

#[test]
fn a_node_that_goes_on_before_its_time_is_given_up_like_any_other_once_it_knows_it() {
    let mut swarm = Swarm::of_class(NodeClass::Server);
    swarm.order(PARKED);
    swarm.order(Command::UnparkNode(NODE));
    swarm.pass(1_000);
    swarm.cut_off();
    let (stopped, lost) = swarm.stops_and_is_lost(MINUTES);
    assert!(stopped.is_some() && lost.is_some(), "{stopped:?} {lost:?}");
}

#[test]
fn the_owner_parks_a_machine_and_the_coordinator_learns_it_now_or_later() {
    for reachable in [true, false] {
        let mut swarm = Swarm::of_class(NodeClass::Server);
        if !reachable {
            swarm.cut_off();
        }
        swarm.node(NodeInput::Park(Some(30 * MINUTES)));
        assert!(swarm.stands_still);
        if !reachable {
            assert_eq!(swarm.parked(), None);
            swarm.reconnect();
            assert!(swarm.stands_still);
        }
        assert_eq!(swarm.parked(), Some(true));
        swarm.cut_off();
        assert_eq!(swarm.stops_and_is_lost(20 * MINUTES), (None, None));
        swarm.node(NodeInput::Park(None));
        assert!(swarm.stands_still, "nobody has said what is still its own");
        swarm.reconnect();
        assert!(!swarm.stands_still);
        assert_eq!(swarm.parked(), None);
        swarm.finish_work();
        swarm.pass(1_000);
        assert_eq!(swarm.ended, Some(TaskState::Succeeded));
        assert_eq!((swarm.started.len(), swarm.killed.len()), (1, 0));
    }
}

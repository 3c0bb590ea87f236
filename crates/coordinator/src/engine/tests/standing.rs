//! Nodes that stop, go away, are patient, or fail: what they are given, and what becomes of it.

use super::nodes::{MINUTES, NODE, Swarm};
use super::*;
use skep_model::event::Event;
use skep_model::hold::OnDisconnect;
use skep_model::limits::{
    CONSUMER_LEASE_GRACE_MS, CONSUMER_LEASE_MS, CONSUMER_SUSPECT_AFTER_MS, SUSPECT_AFTER_MS,
};
use skep_model::node::{NodeClass, NodeState};
use skep_model::task::{AttemptEnd, Delivery, HandBack};
use skep_scheduler::{BreakerView, FAILURES_MAX, OPEN_MS};
use skep_wire::payload::NodeMetrics;
use skep_wire::{KillReason, NodeInput};

fn once(number: u64) -> Input {
    let mut command = submit(u128::from(number));
    if let Command::SubmitRun { tasks, .. } = &mut command {
        let spec = Arc::make_mut(&mut tasks[0].spec);
        spec.delivery = Delivery::AtMostOnce;
    }
    Input::Propose {
        ticket: Ticket(number),
        actor: Actor::Coordinator,
        command,
    }
}

impl Swarm {
    fn hand_backs(&self) -> Vec<HandBack> {
        let reason = |event: &Event| match event {
            Event::AttemptEnded {
                ended: AttemptEnd::NeverStarted(reason),
                ..
            } => Some(*reason),
            _ => None,
        };
        self.events.iter().filter_map(reason).collect()
    }

    fn task_state(&self, number: u128) -> skep_model::task::TaskState {
        let view = self.engine.view();
        let view = view.read();
        view.state.task(TaskId::from_u128(number)).unwrap().state
    }

    fn breaker(&self) -> BreakerView {
        let view = self.engine.view();
        let view = view.read();
        view.breakers.view(NODE, at(self.now).wall)
    }

    /// The node's own word for its one attempt having failed.
    fn fail_work(&mut self) {
        let key = *self.started.last().unwrap();
        let report = skep_model::attempt::AttemptReport {
            task: key.task,
            fence: key.fence,
            outcome: skep_model::attempt::Outcome::Error {
                code: "supervisor_failed".to_owned(),
                message: String::new(),
            },
            exit_code: None,
            duration_ms: 5,
            usage: skep_model::attempt::ResourceUse::default(),
            isolation: None,
            artifacts: Vec::new(),
            gates: Vec::new(),
            account: None,
        };
        self.node(NodeInput::Finished(Box::new(report)));
    }
}

#[test]
fn a_node_that_is_told_to_stop_is_given_nothing_more_and_leaves_when_its_work_is_handed_in() {
    let mut swarm = Swarm::of_class(NodeClass::Server);
    swarm.node(NodeInput::Shutdown);
    assert_eq!(swarm.killed, [KillReason::Shutdown]);
    assert_eq!(swarm.node_state(), NodeState::Draining);
    swarm.engine(once(2));
    swarm.finish_work();
    swarm.pass(100);
    assert!(swarm.is_over);
    assert_eq!(swarm.node_state(), NodeState::Left);
    assert_eq!(swarm.task_state(2), skep_model::task::TaskState::Ready);
    assert_eq!(swarm.started.len(), 1);
}

#[test]
fn what_reaches_a_node_that_stops_goes_back_unspent_also_when_it_may_run_once_only() {
    let mut swarm = Swarm::of_class(NodeClass::Server);
    // The announcement is on its way while the grant of the second task is, too.
    swarm.finish_work();
    swarm.held = Some(Vec::new());
    swarm.node(NodeInput::Shutdown);
    swarm.engine(once(2));
    assert_eq!(swarm.hand_backs(), [], "the node has not answered yet");
    swarm.release();
    assert_eq!(swarm.hand_backs(), [HandBack::Stopping]);
    assert_eq!(swarm.task_state(2), skep_model::task::TaskState::Ready);
    let view = swarm.engine.view();
    let view = view.read();
    let record = view.state.task(TaskId::from_u128(2)).unwrap();
    assert_eq!((record.attempts, record.attempts_counted()), (1, 0));
}

#[test]
fn a_node_that_is_away_finishes_its_work_and_is_given_more_when_it_is_back() {
    let mut swarm = Swarm::of_class(NodeClass::Server);
    swarm.node(NodeInput::Away(Some("x".repeat(1_000))));
    assert_eq!(swarm.node_state(), NodeState::Draining);
    swarm.engine(propose(2));
    swarm.finish_work();
    swarm.pass(1_000);
    assert_eq!((swarm.started.len(), swarm.killed.len()), (1, 0));
    let away = {
        let view = swarm.engine.view();
        let view = view.read();
        view.state.node(NODE).unwrap().away.clone()
    };
    let longest = skep_model::limits::AWAY_REASON_LENGTH_MAX;
    assert_eq!(away.map(|reason| reason.len()), Some(longest));
    swarm.node(NodeInput::Away(None));
    swarm.pass(100);
    assert_eq!(swarm.node_state(), NodeState::Ready);
    assert_eq!(swarm.started.len(), 2);
}

#[test]
fn the_swarm_is_as_patient_with_a_node_as_its_class_says() {
    for (class, suspect_after) in [
        (NodeClass::Server, SUSPECT_AFTER_MS),
        (NodeClass::Consumer, CONSUMER_SUSPECT_AFTER_MS),
    ] {
        let mut swarm = Swarm::of_class(class);
        // Its last heartbeat is at most one interval old.
        swarm.pass(2 * MINUTES);
        assert_eq!(swarm.node_state(), NodeState::Ready, "{class:?}");
        swarm.reachable = false;
        let lost = swarm.lose_connection();
        swarm.link_closed(lost);
        let heartbeat = suspect_after / 3 * 12 / 10;
        swarm.pass(suspect_after - heartbeat - 1_000);
        assert_eq!(swarm.node_state(), NodeState::Ready, "{class:?}");
        swarm.pass(heartbeat + 2_000);
        assert_eq!(swarm.node_state(), NodeState::Suspect, "{class:?}");
    }
}

#[test]
fn a_consumer_machine_stops_its_work_before_it_is_given_up_and_both_late() {
    let mut swarm = Swarm::under(NodeClass::Consumer, Some(OnDisconnect::Replace));
    swarm.pass(2 * MINUTES);
    swarm.reachable = false;
    let lost = swarm.lose_connection();
    swarm.link_closed(lost);
    swarm.pass(40_000);
    assert_eq!(swarm.killed, [], "a server would have stopped long ago");
    swarm.pass(CONSUMER_LEASE_MS * 7 / 10 - 40_000);
    assert_eq!(swarm.killed, [KillReason::SelfFenced]);
    assert_ne!(swarm.node_state(), NodeState::Lost);
    swarm.pass(CONSUMER_LEASE_MS + CONSUMER_LEASE_GRACE_MS);
    assert_eq!(swarm.node_state(), NodeState::Lost);
}

#[test]
fn a_lease_is_shown_as_long_as_it_lasts() {
    let mut swarm = Swarm::under(NodeClass::Consumer, Some(OnDisconnect::Replace));
    swarm.pass(MINUTES);
    let leases = swarm.engine.view().read().leases.clone();
    let left = leases.left_ms(NODE, swarm.now).unwrap();
    assert!((70_000..=CONSUMER_LEASE_MS).contains(&left), "{left}");
    swarm.reachable = false;
    let lost = swarm.lose_connection();
    swarm.link_closed(lost);
    swarm.pass(CONSUMER_LEASE_MS);
    assert_eq!(leases.left_ms(NODE, swarm.now), Some(0));
    swarm.pass(CONSUMER_LEASE_GRACE_MS + 1_000);
    assert_eq!(leases.left_ms(NODE, swarm.now), None, "it was given up");
}

#[test]
fn a_node_whose_attempts_fail_by_its_fault_is_left_alone_and_then_tried_again() {
    let mut swarm = Swarm::of_class(NodeClass::Server);
    swarm.finish_work();
    for number in 2..=u64::from(FAILURES_MAX) + 1 {
        assert_eq!(swarm.breaker(), BreakerView::Closed);
        swarm.engine(once(number));
        swarm.fail_work();
        swarm.pass(100);
    }
    let started = swarm.started.len();
    assert_eq!(started as u64, u64::from(FAILURES_MAX) + 1);
    assert!(
        matches!(swarm.breaker(), BreakerView::Open { .. }),
        "{:?}",
        swarm.breaker()
    );
    swarm.engine(once(99));
    swarm.pass(OPEN_MS / 2);
    assert_eq!(swarm.started.len(), started, "the breaker is open");
    // Nothing happens but that time passes.
    swarm.pass(OPEN_MS);
    assert_eq!(swarm.started.len(), started + 1, "it is tried out");
}

#[test]
fn what_a_node_measures_of_its_link_is_seen_by_whoever_places_work() {
    let mut swarm = Swarm::of_class(NodeClass::Server);
    swarm.pass(20_000);
    swarm.node(NodeInput::Metrics(NodeMetrics {
        load_permille: 250,
        upload_bytes_s: Some(1_000),
        ..NodeMetrics::default()
    }));
    let view = swarm.engine.view();
    let view = view.read();
    let metrics = view.metrics[&NODE];
    assert_eq!(metrics.load_permille, 250);
    assert_eq!(metrics.upload_bytes_s, Some(1_000));
    assert_eq!(metrics.rtt_ms, Some(0), "everything here is at once");
}

//! What applied entries do to the breakers of nodes.

use super::*;
use crate::observed::{Observed, node, task};
use skep_model::command::{Command, HandedBack};
use skep_model::ids::InstanceId;
use skep_model::task::TaskSpec;
use skep_scheduler::{FAILURES_MAX, OPEN_MS, failures_max};

const FIRST: u128 = 1;
const SECOND: u128 = 2;

/// A task that is tried again at once, as often as one likes.
fn patient() -> TaskSpec {
    let mut spec = TaskSpec::noop("t");
    spec.retry.attempts_max = 100;
    spec.retry.backoff_initial_ms = 0;
    spec
}

fn error(code: &str) -> Outcome {
    Outcome::Error {
        code: code.to_owned(),
        message: String::new(),
    }
}

impl Observed {
    fn breaker(&self, number: u128) -> BreakerView {
        self.view.breakers.view(node(number), UnixMillis(self.at))
    }

    /// The node gets a new task and this becomes of it.
    fn attempt(&mut self, number: u128, on: u128, outcome: Outcome) {
        self.submit(number, patient(), &[]);
        self.grant(number, on);
        self.report(number, outcome, 0);
    }

    fn hand_back(&mut self, number: u128, by: u128, reason: HandBack) {
        let fence = self.fence(number);
        self.apply(Command::HandBackGrants {
            node: node(by),
            grants: vec![HandedBack {
                task: task(number),
                fence,
                reason,
            }],
        });
    }
}

fn is_open(view: BreakerView) -> bool {
    matches!(view, BreakerView::Open { .. })
}

#[test]
fn faults_of_a_node_in_a_row_open_its_breaker_and_no_other() {
    let mut swarm = Observed::with_nodes(2);
    for number in 0..u128::from(FAILURES_MAX) {
        assert_eq!(swarm.breaker(FIRST), BreakerView::Closed);
        swarm.attempt(100 + number, FIRST, error("supervisor_failed"));
    }
    assert!(is_open(swarm.breaker(FIRST)), "{:?}", swarm.breaker(FIRST));
    assert_eq!(swarm.breaker(SECOND), BreakerView::Closed);
    let due = swarm.view.breakers.next_retry(UnixMillis(0)).unwrap();
    assert_eq!(due, UnixMillis(swarm.at + OPEN_MS));
    assert_eq!(swarm.view.breakers.next_retry(due), None);
    swarm.at += OPEN_MS;
    assert_eq!(swarm.breaker(FIRST), BreakerView::HalfOpen { room: 1 });
    swarm.attempt(200, FIRST, Outcome::Completed);
    swarm.submit(201, patient(), &[]);
    swarm.grant(201, FIRST);
    assert_eq!(swarm.breaker(FIRST), BreakerView::HalfOpen { room: 0 });
}

#[test]
fn a_consumer_machine_is_left_alone_sooner_than_a_server() {
    for class in [NodeClass::Server, NodeClass::Consumer] {
        let mut swarm = Observed::with_nodes_of(class, 1);
        for number in 0..u128::from(failures_max(class)) {
            assert_eq!(swarm.breaker(FIRST), BreakerView::Closed, "{class:?}");
            swarm.attempt(100 + number, FIRST, error("supervisor_failed"));
        }
        let due = swarm.view.breakers.next_retry(UnixMillis(0));
        assert_eq!(due, Some(UnixMillis(swarm.at + OPEN_MS)), "{class:?}");
    }
    assert_eq!(failures_max(NodeClass::Consumer), 3);
}

#[test]
fn a_success_in_between_and_failures_of_tasks_open_nothing() {
    let mut swarm = Observed::with_nodes(1);
    for number in 0..20 {
        let outcome = match number % 4 {
            3 => Outcome::Completed,
            _ => error("directory_failed"),
        };
        swarm.attempt(100 + number, FIRST, outcome);
        swarm.attempt(200 + number, FIRST, Outcome::Exited { code: 1 });
    }
    assert_eq!(swarm.breaker(FIRST), BreakerView::Closed);
}

#[test]
fn a_lost_node_fails_once_however_much_it_ran() {
    let mut swarm = Observed::with_nodes(1);
    for number in 0..10 {
        swarm.submit(100 + number, patient(), &[]);
    }
    for round in 0..FAILURES_MAX {
        assert_eq!(swarm.breaker(FIRST), BreakerView::Closed, "round {round}");
        for number in 0..10 {
            swarm.grant(100 + number, FIRST);
        }
        swarm.apply(Command::LoseNode(node(FIRST)));
        swarm.node_starts(FIRST);
    }
    assert!(is_open(swarm.breaker(FIRST)), "{:?}", swarm.breaker(FIRST));
}

#[test]
fn what_fails_here_and_succeeds_there_was_this_nodes_fault() {
    let mut swarm = Observed::with_nodes(2);
    for number in 0..u128::from(FAILURES_MAX) {
        swarm.attempt(100 + number, FIRST, Outcome::Exited { code: 1 });
        swarm.attempt_again(100 + number, FIRST, Outcome::TimedOut);
        assert_eq!(swarm.breaker(FIRST), BreakerView::Closed);
        swarm.attempt_again(100 + number, SECOND, Outcome::Completed);
    }
    assert!(is_open(swarm.breaker(FIRST)), "{:?}", swarm.breaker(FIRST));
    assert_eq!(swarm.breaker(SECOND), BreakerView::Closed);
}

impl Observed {
    fn attempt_again(&mut self, number: u128, on: u128, outcome: Outcome) {
        self.grant(number, on);
        self.report(number, outcome, 0);
    }
}

#[test]
fn a_node_that_hands_back_what_it_should_take_is_left_alone_and_one_that_stops_is_not_blamed() {
    for (reason, opens) in [(HandBack::NoSlot, true), (HandBack::Stopping, false)] {
        let mut swarm = Observed::with_nodes(1);
        for number in 0..u128::from(FAILURES_MAX) {
            swarm.submit(100 + number, patient(), &[]);
            swarm.grant(100 + number, FIRST);
            swarm.hand_back(100 + number, FIRST, reason);
        }
        assert_eq!(is_open(swarm.breaker(FIRST)), opens, "{reason:?}");
    }
}

#[test]
fn a_trial_that_is_cancelled_makes_room_for_the_next() {
    let mut swarm = Observed::with_nodes(1);
    for number in 0..u128::from(FAILURES_MAX) {
        swarm.attempt(100 + number, FIRST, error("input_failed"));
    }
    swarm.at += OPEN_MS;
    swarm.submit(200, patient(), &[]);
    swarm.grant(200, FIRST);
    assert_eq!(swarm.breaker(FIRST), BreakerView::HalfOpen { room: 0 });
    swarm.apply(Command::CancelTask(task(200)));
    assert_eq!(swarm.breaker(FIRST), BreakerView::HalfOpen { room: 1 });
}

#[test]
fn a_removed_node_leaves_no_breaker() {
    let mut swarm = Observed::with_nodes(1);
    swarm.attempt(100, FIRST, error("input_failed"));
    assert_eq!(swarm.view.breakers.by_node.len(), 1);
    swarm.apply(Command::NodeLeft {
        node: node(FIRST),
        instance: InstanceId::from_u128(FIRST),
    });
    swarm.apply(Command::RemoveNode(node(FIRST)));
    assert_eq!(swarm.view.breakers.by_node.len(), 0);
}

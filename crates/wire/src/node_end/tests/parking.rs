//! Whose the work is while nobody hears the node, and attempts that stand still.

use super::*;
use crate::payload::{HoldTerms, Welcome};

#[test]
fn the_coordinator_says_how_long_the_work_is_the_nodes_own_and_heartbeats_repeat_it() {
    let terms = |number, hold_ms| {
        Some(HoldTerms {
            number,
            hold_ms,
            parked: false,
        })
    };
    let mut rig = Rig::new(1, Vec::new());
    rig.greet();
    let first = Welcome {
        hold: terms(4, 60_000),
        ..welcome()
    };
    rig.answer("mcpx.orchestrate.session.start", &first);
    rig.answer("mcpx.coordinate.state.sync", &SyncVerdicts::default());
    rig.assign(&[key(1, 1)]);
    let at = rig.node.next_timer().unwrap();
    rig.tick_at(at);
    assert_eq!(rig.sent("mcpx.health.check")["params"]["terms"], 4);
    // Shorter than the lease is never meant.
    rig.hear(&CoordinatorCall::Status(StatusUpdate {
        draining: false,
        hold: terms(9, 1),
    }));
    let at = rig.node.next_timer().unwrap();
    rig.tick_at(at);
    assert_eq!(rig.sent("mcpx.health.check")["params"]["terms"], 9);
    rig.hear(&CoordinatorCall::Status(StatusUpdate {
        draining: false,
        hold: terms(12, 60_000),
    }));
    rig.input(NodeInput::Disconnected);
    let stops = |seen: Vec<String>| seen.contains(&"kill 1@1 SelfFenced".to_owned());
    // The hello at 0 was answered last; three seconds before the hold ends the work stops.
    assert!(!stops(rig.tick_at(56_999)));
    assert!(stops(rig.tick_at(57_000)));
}

#[test]
fn a_parked_node_says_when_its_attempts_stand_still_and_lets_them_go_on_only_in_a_live_session() {
    let terms = |number, parked| HoldTerms {
        number,
        hold_ms: 600_000,
        parked,
    };
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    let status = |number, parked| {
        CoordinatorCall::Status(StatusUpdate {
            draining: false,
            hold: Some(terms(number, parked)),
        })
    };
    assert_eq!(
        rig.hear(&status(4, true)),
        ["freeze", "send mcpx.health.check"]
    );
    assert_eq!(rig.sent("mcpx.health.check")["params"].get("terms"), None);
    assert_eq!(rig.hear(&status(5, true)), ["send mcpx.health.check"]);
    assert_eq!(rig.input(NodeInput::Frozen), ["send mcpx.health.check"]);
    assert_eq!(rig.sent("mcpx.health.check")["params"]["terms"], 5);
    rig.input(NodeInput::Disconnected);
    rig.greet();
    let unparked = Welcome {
        hold: Some(terms(9, false)),
        ..welcome()
    };
    let outputs = rig.answer("mcpx.orchestrate.session.start", &unparked);
    assert!(!outputs.contains(&"thaw".to_owned()), "{outputs:?}");
    let kill = SyncVerdicts {
        items: vec![VerdictItem {
            task: key(1, 1).task,
            fence: key(1, 1).fence,
            verdict: Verdict::Kill,
        }],
    };
    let outputs = rig.answer("mcpx.coordinate.state.sync", &kill);
    assert_eq!(outputs, ["kill 1@1 Revoked", "thaw"]);
    assert_eq!(
        rig.hear(&status(11, true)),
        ["freeze", "send mcpx.health.check"]
    );
    assert_eq!(
        rig.hear(&status(12, false)),
        ["thaw", "send mcpx.health.check"]
    );
}

/// Terms under which work is held for ten minutes.
fn parked_terms(number: u64, parked: bool) -> HoldTerms {
    HoldTerms {
        number,
        hold_ms: 600_000,
        parked,
    }
}

fn says_parked(number: u64, parked: bool) -> CoordinatorCall {
    CoordinatorCall::Status(StatusUpdate {
        draining: false,
        hold: Some(parked_terms(number, parked)),
    })
}

impl Rig {
    /// A new session in which the coordinator does not know that the node is parked, and leaves it
    /// its attempt. What the node did when it went live.
    fn comes_back(&mut self) -> Vec<String> {
        self.greet();
        let unknowing = Welcome {
            hold: Some(parked_terms(3, false)),
            ..welcome()
        };
        let outputs = self.answer("mcpx.orchestrate.session.start", &unknowing);
        assert!(!outputs.contains(&"thaw".to_owned()), "{outputs:?}");
        let keep = SyncVerdicts {
            items: vec![VerdictItem {
                task: key(1, 1).task,
                fence: key(1, 1).fence,
                verdict: Verdict::Keep,
            }],
        };
        self.answer("mcpx.coordinate.state.sync", &keep)
    }
}

#[test]
fn what_the_owner_wants_holds_without_a_session_and_is_told_in_the_next_one() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    rig.input(NodeInput::Disconnected);
    assert_eq!(rig.input(NodeInput::Park(Some(600_000))), ["freeze"]);
    rig.input(NodeInput::Frozen);
    assert_eq!(rig.comes_back(), ["send mcpx.status.update"]);
    let told = rig.sent("mcpx.status.update")["params"]["parked"].as_u64();
    assert!(told.is_some_and(|ms| ms <= 600_000), "{told:?}");
    assert_eq!(rig.hear(&says_parked(4, true)), ["send mcpx.health.check"]);
    assert_eq!(rig.sent("mcpx.health.check")["params"]["terms"], 4);
    assert_eq!(
        rig.input(NodeInput::Park(None)),
        ["send mcpx.status.update"],
        "it goes on by the word of the coordinator"
    );
    let told = rig.sent("mcpx.status.update");
    let parked = told["params"].get("parked");
    assert!(parked.is_some_and(serde_json::Value::is_null));
    assert_eq!(
        rig.hear(&says_parked(5, false)),
        ["thaw", "send mcpx.health.check"]
    );
}

#[test]
fn who_wakes_up_before_the_coordinator_was_told_goes_on_in_the_next_session() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    rig.input(NodeInput::Disconnected);
    rig.input(NodeInput::Park(Some(600_000)));
    rig.input(NodeInput::Frozen);
    let outputs = rig.input(NodeInput::Park(None));
    assert!(outputs.is_empty(), "{outputs:?}");
    assert_eq!(rig.comes_back(), ["thaw"]);
    assert_eq!(rig.input(NodeInput::Park(None)), Vec::<String>::new());
}

#[test]
fn a_coordinator_that_never_parks_does_not_keep_the_attempts_from_going_on() {
    let mut rig = Rig::live(1);
    rig.assign(&[key(1, 1)]);
    assert_eq!(
        rig.input(NodeInput::Park(Some(600_000))),
        ["freeze", "send mcpx.status.update"]
    );
    rig.input(NodeInput::Frozen);
    assert_eq!(
        rig.input(NodeInput::Park(None)),
        ["send mcpx.status.update"]
    );
    let outputs = rig.tick_at(11_000);
    assert!(outputs.contains(&"thaw".to_owned()), "{outputs:?}");

    let mut rig = Rig::live(1);
    rig.input(NodeInput::Park(Some(1_000)));
    rig.input(NodeInput::Frozen);
    let outputs = rig.tick_at(2_000);
    assert!(outputs.contains(&"thaw".to_owned()), "its time is over");
}

//! Sessions in which the node offers more than text: credits, questions, giving work back.

use super::*;
use crate::bounds::{ASK_TIMEOUT_MS, ASKS_IN_FLIGHT_MAX};
use crate::codec::method;
use crate::framing::Framing;
use crate::payload::{
    BalanceRequest, Capabilities, Capability, Credit, MergeAnswer, MergeRequest, Meta, Negotiation,
    NodeRequest,
};

const WINDOW: Credit = Credit {
    items: 2,
    bytes: 1 << 20,
};

/// A live node that offered everything but binary frames, to a coordinator that answered with
/// `offers` and this grant for results.
fn live_with(slots: u32, offers: Capabilities, grant: Credit) -> Rig {
    let mut rig = Rig::new(slots, Vec::new());
    rig.node = rig.node.with_link(LinkOptions {
        assign_window: WINDOW,
        ..LinkOptions::NEAR
    });
    rig.tick_at(0);
    let at = rig.node.next_timer().unwrap();
    if !rig.last.contains(&NodeOutput::Connect) {
        rig.tick_at(at);
    }
    let expected = ["send mcpx.negotiate", "send mcpx.orchestrate.session.start"];
    assert_eq!(rig.input(NodeInput::Connected), expected);
    let hello = rig.last.clone();
    let negotiation = Negotiation::offering(offers, grant);
    rig.answer("mcpx.negotiate", &negotiation);
    rig.last = hello;
    rig.answer("mcpx.orchestrate.session.start", &welcome());
    rig.answer("mcpx.coordinate.state.sync", &SyncVerdicts::default());
    assert!(rig.node.is_live());
    rig
}

fn merge() -> NodeRequest {
    NodeRequest::Merge(MergeRequest {
        attempt: key(1, 1),
        shards: vec![key(2, 1).task],
    })
}

fn ask(rig: &mut Rig, token: u64) -> Vec<String> {
    rig.input(NodeInput::Ask {
        token,
        request: Box::new(merge()),
        key: Some("k".into()),
    })
}

const MERGES: Capabilities = Capabilities::NONE.with(Capability::ResultMerge);

#[test]
fn a_coordinator_that_does_not_negotiate_gets_text() {
    let mut rig = Rig::new(1, Vec::new());
    rig.node = rig.node.with_link(LinkOptions::FAR);
    rig.tick_at(0);
    rig.input(NodeInput::Connected);
    let hello = rig.last.clone();
    let id = RequestId::Number(rig.sent("mcpx.negotiate")["id"].as_u64().unwrap());
    let fault = Fault::new(FaultCode::MethodUnknown, "what?");
    assert!(
        rig.input(NodeInput::Text(encode_fault(Some(&id), &fault)))
            .is_empty()
    );
    rig.last = hello;
    let said = rig.answer("mcpx.orchestrate.session.start", &welcome());
    assert_eq!(said, ["send mcpx.coordinate.state.sync", "welcomed"]);
}

#[test]
fn after_the_agreement_frames_are_binary() {
    let mut rig = Rig::new(1, Vec::new());
    rig.node = rig.node.with_link(LinkOptions::FAR);
    rig.tick_at(0);
    rig.input(NodeInput::Connected);
    let hello = rig.last.clone();
    let agreed = LinkOptions::FAR.offers;
    rig.answer("mcpx.negotiate", &Negotiation::offering(agreed, WINDOW));
    rig.last = hello;
    let id = RequestId::Number(
        rig.sent("mcpx.orchestrate.session.start")["id"]
            .as_u64()
            .unwrap(),
    );
    let Frame::Binary(answer) = Framing::agreed(agreed).answer(&id, &welcome()) else {
        panic!("text");
    };
    let outputs = rig.node.handle(0, NodeInput::Binary(answer));
    assert!(
        matches!(&outputs[0], NodeOutput::Send(Frame::Binary(_))),
        "{outputs:?}"
    );
}

#[test]
fn a_binary_frame_without_agreement_is_refused() {
    let mut rig = Rig::live(1);
    let seen = rig.input(NodeInput::Binary(vec![1, 2, 3]));
    assert_eq!(seen, ["error encoding_not_agreed"]);
}

#[test]
fn a_question_is_answered_once() {
    let mut rig = live_with(1, MERGES, WINDOW);
    assert_eq!(ask(&mut rig, 7), ["send mcpx.distribute.result.merge"]);
    let sent = rig.sent("mcpx.distribute.result.merge");
    assert_eq!(sent["params"]["_meta"]["idempotencyKey"], "k");
    assert_eq!(sent["params"]["_meta"]["epoch"], 1);
    let answer = MergeAnswer::default();
    assert_eq!(
        rig.answer("mcpx.distribute.result.merge", &answer),
        ["answered 7"]
    );
}

#[test]
fn a_question_without_an_answer_fails_by_name() {
    let seen = ask(&mut Rig::new(1, Vec::new()), 1);
    assert_eq!(seen[0], "unanswered 1 NotLive");
    assert_eq!(ask(&mut Rig::live(1), 1), ["unanswered 1 NotServed"]);

    let mut rig = live_with(1, MERGES, WINDOW);
    ask(&mut rig, 1);
    let id = RequestId::Number(
        rig.sent("mcpx.distribute.result.merge")["id"]
            .as_u64()
            .unwrap(),
    );
    let fault = Fault::new(FaultCode::Busy, "wait");
    let seen = rig.input(NodeInput::Text(encode_fault(Some(&id), &fault)));
    assert_eq!(seen, ["unanswered 1 Refused"]);

    for token in 0..ASKS_IN_FLIGHT_MAX as u64 {
        assert_eq!(ask(&mut rig, token), ["send mcpx.distribute.result.merge"]);
    }
    assert_eq!(ask(&mut rig, 99), ["unanswered 99 Busy"]);
    let seen = rig.input(NodeInput::Disconnected);
    assert_eq!(seen.len(), ASKS_IN_FLIGHT_MAX);
    assert_eq!(seen[3], "unanswered 3 Lost");
}

#[test]
fn a_late_answer_to_a_given_up_question_does_no_harm() {
    let mut rig = live_with(1, MERGES, WINDOW);
    ask(&mut rig, 1);
    let asked = rig.last.clone();
    let seen = rig.pass_until(ASK_TIMEOUT_MS, true);
    assert!(
        seen.contains(&"unanswered 1 TimedOut".to_owned()),
        "{seen:?}"
    );
    rig.last = asked;
    let seen = rig.answer("mcpx.distribute.result.merge", &MergeAnswer::default());
    assert!(seen.is_empty(), "{seen:?}");
}

#[test]
fn what_was_not_started_is_given_back_and_not_taken_again() {
    let mut rig = live_with(1, Capabilities::NONE.with(Capability::LoadBalance), WINDOW);
    assert_eq!(rig.assign(&[key(1, 1)]), ["accepted"]);
    // The slot is still taken by a killed attempt; the next one waits.
    rig.hear(&CoordinatorCall::Verdicts(verdicts(&[(
        key(1, 1),
        Verdict::Kill,
    )])));
    assert_eq!(rig.assign(&[key(2, 2)]), ["accepted"]);
    let call = CoordinatorCall::Balance(BalanceRequest {
        attempts: Vec::new(),
        at_most: 5,
    });
    let id = RequestId::Number(9);
    rig.input(NodeInput::Text(call.encode(Some(&id))));
    let NodeOutput::Send(frame) = &rig.last[0] else {
        panic!("{:?}", rig.last);
    };
    let given_back = json_of(frame)["result"]["given_back"].clone();
    assert_eq!(given_back, serde_json::json!([key(2, 2)]));
    assert!(rig.finish(key(1, 1)).is_empty(), "nothing is left to start");
    assert_eq!(
        rig.assign(&[key(2, 2)])[0]["refused"]["code"],
        "already_ended"
    );
}

#[test]
fn a_node_that_offers_no_balance_says_so() {
    let mut rig = Rig::live(1);
    let call = CoordinatorCall::Balance(BalanceRequest::default());
    let seen = rig.input(NodeInput::Text(call.encode(Some(&RequestId::Number(9)))));
    assert_eq!(seen, ["error method_not_served"]);
}

#[test]
fn assignments_are_granted_as_they_are_answered_but_not_in_overload() {
    let offers = Capabilities::NONE
        .with(Capability::Credits)
        .with(Capability::LoadBalance);
    let mut rig = live_with(4, offers, WINDOW);
    rig.assign(&[key(1, 1), key(2, 2)]);
    let [NodeOutput::Send(answer), ..] = &rig.last[..] else {
        panic!("{:?}", rig.last)
    };
    let granted = &json_of(answer)["result"]["_meta"]["credit"];
    assert_eq!(granted["items"], 4);
    assert_eq!(
        rig.input(NodeInput::Overloaded(true)),
        ["send mcpx.distribute.load.balance"]
    );
    rig.assign(&[key(3, 3)]);
    let [NodeOutput::Send(answer), ..] = &rig.last[..] else {
        panic!("{:?}", rig.last)
    };
    assert_eq!(json_of(answer)["result"].get("_meta"), None);
    let seen = rig.input(NodeInput::Overloaded(false));
    assert_eq!(
        seen,
        [
            "send mcpx.distribute.load.balance",
            "send mcpx.status.update"
        ]
    );
    assert_eq!(
        rig.sent("mcpx.status.update")["params"]["_meta"]["credit"]["items"],
        5
    );
}

#[test]
fn assignments_beyond_the_grant_are_refused() {
    let mut rig = live_with(4, Capabilities::NONE.with(Capability::Credits), WINDOW);
    let items = (1..=3)
        .map(|task| {
            let written = serde_json::to_string(&offer(key(task, 1))).unwrap();
            serde_json::from_str(&written).unwrap()
        })
        .collect();
    let call = CoordinatorCall::Assign(AssignBatch { items });
    let seen = rig.input(NodeInput::Text(call.encode(Some(&RequestId::Number(77)))));
    assert_eq!(seen, ["error credit_exceeded"]);
}

/// A grant that no answer carries.
fn more(items: u64) -> String {
    let frame = Framing::TEXT.call_with(
        None,
        method::STATUS_UPDATE,
        &StatusUpdate {
            draining: false,
            hold: None,
        },
        &Meta::granting(Credit { items, ..WINDOW }),
    );
    frame.text().unwrap().to_owned()
}

#[test]
fn results_wait_for_credit() {
    let one = Credit { items: 1, ..WINDOW };
    let mut rig = live_with(2, Capabilities::NONE.with(Capability::Credits), one);
    rig.assign(&[key(1, 1), key(2, 2)]);
    rig.input(NodeInput::Started(key(1, 1)));
    rig.input(NodeInput::Started(key(2, 2)));
    rig.finish(key(1, 1));
    let batch = rig.spool_batch();
    rig.finish(key(2, 2));
    rig.input(NodeInput::Spooled { batch });
    let sent = rig.sent("mcpx.orchestrate.task.complete");
    assert_eq!(sent["params"]["reports"].as_array().unwrap().len(), 1);
    let batch = rig.spool_batch();
    assert!(
        rig.input(NodeInput::Spooled { batch }).is_empty(),
        "no credit is left"
    );
    let seen = rig.input(NodeInput::Text(more(2)));
    assert_eq!(
        seen,
        ["send mcpx.orchestrate.task.complete"],
        "and nothing about draining"
    );
}

#[test]
fn an_answer_that_grants_makes_room_for_the_next_results() {
    let one = Credit { items: 1, ..WINDOW };
    let mut rig = live_with(2, Capabilities::NONE.with(Capability::Credits), one);
    rig.run(key(1, 1));
    let id = rig.sent("mcpx.orchestrate.task.complete")["id"].clone();
    rig.run(key(2, 2));
    assert_eq!(words(&rig.last), Vec::<String>::new(), "no credit is left");
    let items = answers(&[(key(1, 1), ResultVerdict::Committed)]).items;
    let credit = Credit { items: 2, ..WINDOW };
    let result = serde_json::json!({"items": items, "_meta": {"credit": credit}});
    let answer = serde_json::json!({"jsonrpc": "2.0", "id": id, "result": result});
    let seen = rig.input(NodeInput::Text(answer.to_string()));
    assert_eq!(seen, ["unspool 1@1", "send mcpx.orchestrate.task.complete"]);
}

#[test]
fn overload_is_told_again_on_the_next_connection() {
    let offers = Capabilities::NONE.with(Capability::LoadBalance);
    let mut rig = live_with(1, offers, WINDOW);
    rig.input(NodeInput::Overloaded(true));
    rig.input(NodeInput::Disconnected);
    let at = rig.node.next_timer().unwrap();
    rig.tick_at(at);
    rig.input(NodeInput::Connected);
    let hello = rig.last.clone();
    rig.answer("mcpx.negotiate", &Negotiation::offering(offers, WINDOW));
    rig.last = hello;
    rig.answer("mcpx.orchestrate.session.start", &welcome());
    let seen = rig.answer("mcpx.coordinate.state.sync", &SyncVerdicts::default());
    assert_eq!(seen, ["send mcpx.distribute.load.balance"]);
}

//! What messages say about themselves: names, deadlines, epochs, groups.

use super::*;
use crate::framing::Framing;
use crate::payload::{
    Capability, GateAnswer, GateMessage, GateRequest, GateStanding, Meta, NodeAnswer, NodeRequest,
};
use skep_model::time::UnixMillis;

/// Serves questions about gates, and knows the time of the day.
fn options() -> CoordinatorOptions {
    CoordinatorOptions {
        offers: CoordinatorOptions::DEFAULTS
            .offers
            .with(Capability::QualityGate),
        unix_ms_at_zero: Some(1_000_000),
        ..CoordinatorOptions::DEFAULTS
    }
}

fn live_with(options: CoordinatorOptions) -> CoordinatorEnd {
    let mut end = CoordinatorEnd::new(options, 0);
    go_live(&mut end);
    end
}

fn question() -> NodeRequest {
    NodeRequest::Gate(GateRequest {
        attempt: key(1, 1),
        gate: GateMessage::Evaluate("tests".to_owned()),
    })
}

fn ask(end: &mut CoordinatorEnd, id: u64, meta: &Meta) -> Vec<CoordinatorOutput> {
    let id = RequestId::Number(id);
    let frame = question().frame(Framing::TEXT, Some(&id), Some(meta));
    end.on_frame(1, frame.as_ref())
}

fn named(message: &str, key: &str) -> Meta {
    Meta {
        message_id: Some(message.into()),
        idempotency_key: Some(key.into()),
        ..Meta::default()
    }
}

fn reply_of(outputs: &[CoordinatorOutput]) -> ReplyId {
    let [CoordinatorOutput::Event(FromNode::Ask { reply, .. })] = outputs else {
        panic!("{outputs:?}");
    };
    reply.clone()
}

const ANSWER: NodeAnswer = NodeAnswer::Gate(GateAnswer {
    standing: GateStanding::Passed,
});

#[test]
fn a_repeated_request_has_one_effect_and_the_same_answer() {
    let mut end = live_with(options());
    let reply = reply_of(&ask(&mut end, 10, &named("m", "k")));
    // While it is worked on, and after it was answered.
    assert!(ask(&mut end, 11, &named("m", "k")).is_empty());
    assert_eq!(
        words(&end.reply_ask(&reply, &ANSWER)),
        ["answer 10", "answer 11"]
    );
    let outputs = ask(&mut end, 12, &named("m2", "k"));
    assert_eq!(words(&outputs), ["answer 12"]);
    let [CoordinatorOutput::Send(frame)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert!(
        frame.text().unwrap().contains(r#""standing":"passed""#),
        "{frame:?}"
    );
    // Another key is another request.
    assert_eq!(words(&ask(&mut end, 13, &named("m3", "k3"))), ["event Ask"]);
}

#[test]
fn a_refusal_is_repeated_in_the_same_words() {
    let mut end = live_with(options());
    let reply = reply_of(&ask(&mut end, 10, &named("m", "k")));
    let fault = crate::fault::Fault::new(crate::fault::FaultCode::Busy, "later");
    assert_eq!(words(&end.refuse_ask(&reply, &fault)), ["error busy to 10"]);
    assert_eq!(
        words(&ask(&mut end, 11, &named("m", "k"))),
        ["error busy to 11"]
    );
}

#[test]
fn what_a_message_says_about_itself_is_checked() {
    let cases = [
        (
            Meta {
                deadline: Some(UnixMillis(1_000_000)),
                ..Meta::default()
            },
            "error deadline_exceeded to 10",
        ),
        (
            Meta {
                deadline: Some(UnixMillis(1_000_001)),
                ..Meta::default()
            },
            "event Ask",
        ),
        (
            Meta {
                epoch: Some(2),
                ..Meta::default()
            },
            "error epoch_stale to 10",
        ),
        (
            Meta {
                epoch: Some(1),
                ..Meta::default()
            },
            "event Ask",
        ),
        (named(&"m".repeat(129), "k"), "error invalid_params to 10"),
    ];
    for (meta, expected) in cases {
        let mut end = live_with(options());
        assert_eq!(words(&ask(&mut end, 10, &meta)), [expected], "{meta:?}");
    }
}

#[test]
fn a_message_id_with_another_key_is_refused() {
    let mut end = live_with(options());
    ask(&mut end, 10, &named("m", "k"));
    let outputs = ask(&mut end, 11, &named("m", "k2"));
    assert_eq!(words(&outputs), ["error message_id_reused to 11"]);
}

#[test]
fn groups_are_told_before_what_they_belong_to() {
    let mut end = live_with(options());
    let text = r#"{"jsonrpc":"2.0","method":"mcpx.status.update","params":{"items":[],
        "_meta":{"skep/orchestration":{"sessionId":"s"}}}}"#;
    let outputs = end.on_text(1, text);
    assert_eq!(words(&outputs), ["event Groups", "event Progress"]);
    let CoordinatorOutput::Event(FromNode::Groups { meta, method }) = &outputs[0] else {
        panic!("{outputs:?}");
    };
    let group = meta.orchestration.as_ref().unwrap();
    assert_eq!(
        (group.session_id.as_str(), *method),
        ("s", method::STATUS_UPDATE)
    );
}

#[test]
fn questions_are_refused_unless_they_are_offered() {
    let mut end = live();
    let expected = ["error method_not_served to 10"];
    for _ in 0..=BAD_MESSAGES_MAX {
        assert_eq!(words(&ask(&mut end, 10, &Meta::default())), expected);
    }
    assert!(end.is_live(), "it is not a fault to ask");
}

#[test]
fn questions_are_bounded_and_answered_once() {
    let mut end = live_with(options());
    let reply = reply_of(&ask(&mut end, 1_000, &Meta::default()));
    for id in 1..crate::bounds::ASKS_IN_FLIGHT_MAX as u64 {
        assert_eq!(
            words(&ask(&mut end, 1_000 + id, &Meta::default())),
            ["event Ask"]
        );
    }
    assert_eq!(
        words(&ask(&mut end, 9, &Meta::default())),
        ["error busy to 9"]
    );
    assert_eq!(words(&end.reply_ask(&reply, &ANSWER)), ["answer 1000"]);
    assert!(end.reply_ask(&reply, &ANSWER).is_empty());
}

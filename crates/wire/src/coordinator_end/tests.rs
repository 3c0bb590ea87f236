//! Scripts for the coordinator's end.

mod assign;
mod envelope;
mod negotiated;

use super::*;
use crate::bounds::{
    ASSIGN_REQUESTS_UNANSWERED_MAX, HANDSHAKE_TIMEOUT_MS, RESULT_REQUESTS_PENDING_MAX,
};
use crate::codec::{Calls, encode_answer, encode_fault, method};
use crate::fixtures::{hello, key, offer, report, welcome};
use crate::payload::{
    AssignAnswer, AssignAnswers, AssignRefusal, Assigned, Goodbye, Heartbeat, NodeMetrics, Offer,
    ProgressBatch, ResultAnswers, ResultBatch, SyncReport, SyncVerdicts,
};
use serde_json::Value;
use skep_model::limits::ITEMS_PER_FRAME_MAX;
use std::sync::Arc;

fn new_end() -> CoordinatorEnd {
    CoordinatorEnd::new(CoordinatorOptions::DEFAULTS, 0)
}

#[track_caller]
fn say(end: &mut CoordinatorEnd, id: u64, call: &NodeCall) -> Vec<CoordinatorOutput> {
    end.on_text(1, &call.encode(Some(&RequestId::Number(id))))
}

fn hello_call() -> NodeCall {
    NodeCall::Hello(Box::new(hello()))
}

fn results_call() -> NodeCall {
    let reports = vec![report(key(1, 1))];
    NodeCall::Results(ResultBatch {
        reports,
        meta: None,
    })
}

/// An end whose session is live; ids 1 and 2 are used up.
fn live() -> CoordinatorEnd {
    let mut end = new_end();
    go_live(&mut end);
    end
}

fn go_live(end: &mut CoordinatorEnd) {
    say(end, 1, &hello_call());
    end.reply_hello(&welcome());
    let outputs = say(end, 2, &NodeCall::Sync(SyncReport::default()));
    let [CoordinatorOutput::Event(FromNode::SyncReport { reply, .. })] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    end.reply_sync(reply, &SyncVerdicts::default());
    assert!(end.is_live());
}

/// Outputs as short words: what was sent, what happened, how it closed.
fn words(outputs: &[CoordinatorOutput]) -> Vec<String> {
    outputs
        .iter()
        .map(|output| match output {
            CoordinatorOutput::Send(frame) => {
                let frame: Value = serde_json::from_str(frame.text().unwrap()).unwrap();
                match (&frame["method"], &frame["error"]["data"]["code"]) {
                    (Value::String(method), _) => format!("send {method}"),
                    (_, Value::String(code)) => format!("error {code} to {}", frame["id"]),
                    _ => format!("answer {}", frame["id"]),
                }
            }
            CoordinatorOutput::Event(event) => {
                let shown = format!("{event:?}");
                let end = shown.find([' ', '(', '{']).unwrap_or(shown.len());
                format!("event {}", &shown[..end])
            }
            CoordinatorOutput::Close { code, .. } => format!("close {code:?}"),
        })
        .collect()
}

type Words = &'static [&'static str];

/// What each call leads to: before the hello, while deciding, after the welcome, while
/// comparing, live.
fn admissions() -> Vec<(NodeCall, [Words; 5])> {
    let sync = NodeCall::Sync(SyncReport::default());
    let beat = NodeCall::Heartbeat(Heartbeat {
        sequence: 1,
        terms: None,
    });
    let out_of_order: Words = &["error out_of_order to 7"];
    let beaten: Words = &["answer 7", "event Heartbeat"];
    vec![
        (
            hello_call(),
            [
                &["event Hello"],
                out_of_order,
                out_of_order,
                out_of_order,
                out_of_order,
            ],
        ),
        (
            sync,
            [
                out_of_order,
                out_of_order,
                &["event SyncReport"],
                out_of_order,
                out_of_order,
            ],
        ),
        (beat, [out_of_order, out_of_order, beaten, beaten, beaten]),
        (
            results_call(),
            [
                out_of_order,
                out_of_order,
                out_of_order,
                out_of_order,
                &["event Results"],
            ],
        ),
        (
            NodeCall::Metrics(NodeMetrics::default()),
            [
                out_of_order,
                out_of_order,
                out_of_order,
                out_of_order,
                &["event Metrics"],
            ],
        ),
        (
            NodeCall::Progress(ProgressBatch::default()),
            [
                out_of_order,
                out_of_order,
                out_of_order,
                out_of_order,
                &["event Progress"],
            ],
        ),
    ]
}

#[test]
fn every_call_is_admitted_at_its_stage_only() {
    for (call, expected) in admissions() {
        for (stage, expected) in expected.into_iter().enumerate() {
            let mut end = new_end();
            if stage >= 1 {
                say(&mut end, 1, &hello_call());
            }
            if stage >= 2 {
                end.reply_hello(&welcome());
            }
            if stage >= 3 {
                say(&mut end, 2, &NodeCall::Sync(SyncReport::default()));
            }
            if stage >= 4 {
                let reply = ReplyId(RequestId::Number(2));
                end.reply_sync(&reply, &SyncVerdicts::default());
            }
            let outputs = say(&mut end, 7, &call);
            assert_eq!(words(&outputs), expected, "{} at {stage}", call.method());
        }
    }
}

#[test]
fn another_major_version_is_refused_and_the_connection_closed() {
    for (protocol, expected) in [
        ("1.0", vec!["event Hello"]),
        ("1.9", vec!["event Hello"]),
        (
            "2.0",
            vec!["error version_unsupported to 1", "close Protocol"],
        ),
        ("", vec!["error version_unsupported to 1", "close Protocol"]),
    ] {
        let mut said = hello();
        protocol.clone_into(&mut said.protocol);
        let outputs = say(&mut new_end(), 1, &NodeCall::Hello(Box::new(said)));
        assert_eq!(words(&outputs), expected, "{protocol}");
    }
}

#[test]
fn a_refused_hello_is_answered_and_closes() {
    for (code, expected) in [
        (EndCode::Replaced, ["error replaced to 1", "close Replaced"]),
        (EndCode::Removed, ["error removed to 1", "close Removed"]),
        (
            EndCode::Shutdown,
            ["error shutdown to 1", "close GoingAway"],
        ),
        (EndCode::Protocol, ["error protocol to 1", "close Protocol"]),
    ] {
        let mut end = new_end();
        say(&mut end, 1, &hello_call());
        assert_eq!(words(&end.refuse_hello(code, "no")), expected);
        assert!(end.is_closed() && say(&mut end, 2, &hello_call()).is_empty());
    }
}

#[test]
fn the_handshake_is_bounded_in_time_and_a_live_session_in_silence() {
    let mut end = new_end();
    assert_eq!(end.next_timer(), Some(HANDSHAKE_TIMEOUT_MS));
    assert!(end.on_tick(HANDSHAKE_TIMEOUT_MS - 1).is_empty());
    assert_eq!(words(&end.on_tick(HANDSHAKE_TIMEOUT_MS)), ["close Timeout"]);
    assert_eq!(end.next_timer(), None);

    let mut end = live();
    let silence = CoordinatorOptions::DEFAULTS.silence_ms;
    assert_eq!(end.next_timer(), Some(1 + silence));
    assert!(end.on_tick(silence).is_empty());
    assert_eq!(words(&end.on_tick(silence + 1)), ["close Timeout"]);
}

#[test]
fn bad_messages_are_answered_until_there_are_too_many() {
    let mut end = live();
    for _ in 0..BAD_MESSAGES_MAX {
        assert_eq!(
            words(&end.on_text(1, "nonsense")),
            ["error parse_error to null"]
        );
    }
    let beat = NodeCall::Heartbeat(Heartbeat {
        sequence: 3,
        terms: None,
    });
    assert_eq!(
        words(&say(&mut end, 5, &beat)),
        ["answer 5", "event Heartbeat"]
    );
    let expected = [
        "error parse_error to null",
        "send mcpx.orchestrate.session.end",
        "close Protocol",
    ];
    assert_eq!(words(&end.on_text(1, "nonsense")), expected);
}

#[test]
fn unknown_methods_of_a_newer_node_never_close_the_connection() {
    let mut end = live();
    for _ in 0..=BAD_MESSAGES_MAX {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"mcpx.moon.phase"}"#;
        assert_eq!(words(&end.on_text(1, text)), ["error method_unknown to 1"]);
        let notification = r#"{"jsonrpc":"2.0","method":"mcpx.moon.phase"}"#;
        assert!(end.on_text(1, notification).is_empty());
    }
    assert!(end.is_live());
}

#[test]
fn results_are_answered_once_and_under_their_own_id() {
    let mut end = live();
    let outputs = end.on_text(
        1,
        &results_call().encode(Some(&RequestId::Text("r".into()))),
    );
    let [CoordinatorOutput::Event(FromNode::Results { reply, .. })] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    let answers = ResultAnswers::default();
    assert_eq!(words(&end.reply_results(reply, &answers)), ["answer \"r\""]);
    assert!(end.reply_results(reply, &answers).is_empty());
}

#[test]
fn result_requests_beyond_the_bound_are_told_to_wait() {
    let mut end = live();
    for id in 0..RESULT_REQUESTS_PENDING_MAX as u64 {
        assert_eq!(
            words(&say(&mut end, id, &results_call())),
            ["event Results"]
        );
    }
    assert_eq!(
        words(&say(&mut end, 99, &results_call())),
        ["error busy to 99"]
    );
}

#[test]
fn a_request_sent_as_a_notification_is_not_taken_in() {
    let mut end = live();
    assert!(end.on_text(1, &results_call().encode(None)).is_empty());
}

#[test]
fn a_goodbye_is_answered_told_and_closes() {
    let mut end = live();
    let goodbye = NodeCall::Goodbye(Goodbye {
        reason: "stops".to_owned(),
    });
    assert_eq!(
        words(&say(&mut end, 5, &goodbye)),
        ["answer 5", "event Goodbye", "close Normal"]
    );
    let mut end = new_end();
    assert_eq!(
        words(&end.on_text(1, &goodbye.encode(None))),
        ["close Normal"]
    );
}

#[test]
fn an_assignment_that_a_living_node_does_not_answer_ends_the_connection() {
    let mut end = live();
    end.assign(&[offer(key(1, 1))]);
    let heartbeat = NodeCall::Heartbeat(Heartbeat {
        sequence: 1,
        terms: None,
    });
    end.on_text(4_000, &heartbeat.encode(Some(&RequestId::Number(3))));
    assert_eq!(
        words(&end.on_tick(4_000 + ASSIGN_ANSWER_TIMEOUT_MS - 1)),
        Vec::<String>::new()
    );
    assert_eq!(
        words(&end.on_tick(4_000 + ASSIGN_ANSWER_TIMEOUT_MS)),
        ["close Timeout"]
    );
}

#[test]
fn an_answered_assignment_is_not_waited_for() {
    let mut end = live();
    end.assign(&[offer(key(1, 1))]);
    let heartbeat = NodeCall::Heartbeat(Heartbeat {
        sequence: 1,
        terms: None,
    });
    end.on_text(4_000, &heartbeat.encode(Some(&RequestId::Number(3))));
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"items":[]}}"#;
    end.on_text(5_000, answer);
    assert_eq!(
        words(&end.on_tick(4_000 + ASSIGN_ANSWER_TIMEOUT_MS)),
        Vec::<String>::new()
    );
}

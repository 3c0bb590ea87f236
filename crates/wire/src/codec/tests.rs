//! Tests of the codec: malformed frames by table, and what a reader takes in its stride.

mod contract;
mod round_trip;

use super::*;
use crate::fixtures::{hello, key, offer};
use crate::payload::{
    AssignAnswer, AssignAnswers, AssignRefusal, Assigned, Assignment, Heartbeat, ProgressBatch,
    ResultAnswer, ResultAnswers, ResultVerdict, TaskToken,
};
use skep_model::command::{Phase, Progress};
use skep_model::ids::RunId;
use skep_model::limits::ITEMS_PER_FRAME_MAX;
use skep_model::requirements::Resources;
use skep_model::time::UnixMillis;
use skep_model::work::Work;
use std::sync::Arc;

#[track_caller]
fn refused(text: &str) -> (i64, String, Option<RequestId>, bool) {
    let bad = decode::<NodeCall>(text).expect_err(text);
    let fault = bad.error.fault();
    let word = fault.data.expect("our faults have data").code;
    (fault.code, word, bad.id, bad.is_notification)
}

/// Text, number and word of the error it is answered with.
const MALFORMED: [(&str, i64, &str); 22] = [
    ("", -32_700, "parse_error"),
    ("{", -32_700, "parse_error"),
    ("nonsense", -32_700, "parse_error"),
    (r#"{"jsonrpc":"2.0","id":1}{}"#, -32_700, "parse_error"),
    ("[]", -32_600, "invalid_request"),
    ("7", -32_600, "invalid_request"),
    ("{}", -32_600, "invalid_request"),
    (r#"{"jsonrpc":"2.0"}"#, -32_600, "invalid_request"),
    (
        r#"{"jsonrpc":"1.0","id":1,"method":"mcpx.health.check","params":{"sequence":1}}"#,
        -32_600,
        "invalid_request",
    ),
    (
        r#"{"jsonrpc":"2.0","id":-1,"method":"m","params":{}}"#,
        -32_600,
        "invalid_request",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1.5,"method":"m","params":{}}"#,
        -32_600,
        "invalid_request",
    ),
    (
        r#"{"jsonrpc":"2.0","id":[],"method":"m","params":{}}"#,
        -32_600,
        "invalid_request",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#,
        -32_600,
        "invalid_request",
    ),
    (
        r#"{"jsonrpc":"2.0","result":{}}"#,
        -32_600,
        "invalid_request",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#,
        -32_600,
        "invalid_request",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#,
        -32_600,
        "invalid_request",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
        -32_601,
        "method_unknown",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"mcpx.orchestrate.task.assign","params":{"items":[]}}"#,
        -32_601,
        "method_unknown",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"mcpx.health.check"}"#,
        -32_602,
        "invalid_params",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"mcpx.health.check","params":[]}"#,
        -32_602,
        "invalid_params",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"mcpx.health.check","params":{"sequence":-1}}"#,
        -32_602,
        "invalid_params",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"mcpx.orchestrate.task.complete","params":{"reports":[{}]}}"#,
        -32_602,
        "invalid_params",
    ),
];

#[test]
fn malformed_frames_are_refused_under_stable_codes() {
    for (text, number, word) in MALFORMED {
        let (code, data, _, _) = refused(text);
        assert_eq!((code, data.as_str()), (number, word), "{text}");
    }
}

#[test]
fn a_frame_that_is_too_large_is_refused_unread() {
    let text = " ".repeat(FRAME_BYTES_MAX + 1);
    assert_eq!(refused(&text).1, "frame_too_large");
}

#[test]
fn a_request_id_that_is_too_long_is_refused() {
    let id = "x".repeat(REQUEST_ID_LENGTH_MAX + 1);
    let text = format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"m"}}"#);
    assert_eq!(refused(&text).1, "invalid_request");
}

#[test]
fn a_list_that_is_too_long_is_refused() {
    let item = Progress {
        task: key(1, 1).task,
        fence: key(1, 1).fence,
        phase: Phase::Running,
    };
    let items = vec![item; ITEMS_PER_FRAME_MAX + 1];
    let text = NodeCall::Progress(ProgressBatch {
        items,
        ..ProgressBatch::default()
    })
    .encode(None);
    assert_eq!(refused(&text).1, "too_many_items");
}

#[test]
fn a_refused_request_keeps_its_id_and_a_notification_is_told_apart() {
    let request = r#"{"jsonrpc":"2.0","id":"a-7","method":"nope"}"#;
    let id = Some(RequestId::Text("a-7".to_owned()));
    assert_eq!((refused(request).2, refused(request).3), (id, false));
    let notification = r#"{"jsonrpc":"2.0","method":"nope"}"#;
    assert_eq!(
        (refused(notification).2, refused(notification).3),
        (None, true)
    );
}

#[test]
fn unknown_fields_are_passed_over_and_groups_are_read() {
    let mut value = serde_json::to_value(hello()).unwrap();
    value["novelty"] = serde_json::json!([1]);
    value["_meta"] = serde_json::json!({
        "orchestration": {"sessionId": "x", "novelty": {}}, "later": 1,
    });
    let text = serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": method::SESSION_START, "params": value, "more": {},
    })
    .to_string();
    let Ok(Message::Call {
        call: NodeCall::Hello(read),
        ..
    }) = decode(&text)
    else {
        panic!("{text}");
    };
    let group = read.meta.unwrap().orchestration.unwrap();
    assert_eq!(group.session_id, "x");
}

#[test]
fn an_offer_is_written_as_the_assignment_it_is_read_as() {
    let mut offered = offer(key(3, 4));
    let spec = Arc::make_mut(&mut offered.spec);
    spec.deadline = Some(UnixMillis(77));
    spec.requirements.resources.cpu_millis = 500;
    spec.trace_parent = Some("00-a".to_owned());
    offered.run = Some(RunId::from_u128(8));
    offered.run_name = Some("nightly".into());
    let read: Assignment = serde_json::from_str(&serde_json::to_string(&offered).unwrap()).unwrap();
    let expected = Assignment {
        task: offered.task,
        run: offered.run,
        run_name: Some("nightly".to_owned()),
        name: "nothing".to_owned(),
        attempt: 1,
        fence: offered.fence,
        work: Work::Noop,
        isolation: offered.spec.requirements.isolation,
        resources: Resources {
            cpu_millis: 500,
            ..Resources::NONE
        },
        deadline: Some(UnixMillis(77)),
        trace_parent: Some("00-a".to_owned()),
        idempotency_key: "k".to_owned(),
        token: TaskToken::new("secret"),
        meta: None,
    };
    assert_eq!(read, expected);
    // Both forms write the same, so that no third form can creep in.
    let mut packed = (Vec::new(), Vec::new());
    packed::write(&mut packed.0, &offered);
    packed::write(&mut packed.1, &expected);
    assert_eq!(packed.0, packed.1);
    let texts = (
        serde_json::to_string(&offered),
        serde_json::to_string(&expected),
    );
    assert_eq!(texts.0.unwrap(), texts.1.unwrap());
}

#[test]
fn a_task_token_is_not_shown_by_debug() {
    assert!(!format!("{:?}", offer(key(1, 1))).contains("secret"));
}

#[test]
fn a_refusal_that_a_newer_node_knows_is_read_as_other() {
    let text = r#"{"refused":{"code":"moon_phase","message":"m"}}"#;
    let answer: AssignAnswer = serde_json::from_str(text).unwrap();
    let code = AssignRefusal::Other;
    assert_eq!(
        answer,
        AssignAnswer::Refused {
            code,
            message: "m".to_owned()
        }
    );
}

#[test]
fn answers_survive_their_text() {
    let id = RequestId::Number(4);
    let answers = AssignAnswers {
        items: vec![
            Assigned::new(key(1, 2), AssignAnswer::Accepted),
            Assigned::new(key(1, 3), AssignAnswer::Duplicate),
        ],
    };
    let text = encode_answer(&id, &answers);
    let Ok(Message::Answer {
        id: read_id,
        result,
    }) = decode::<NodeCall>(&text)
    else {
        panic!("{text}");
    };
    assert_eq!(read_id, id);
    assert_eq!(read_result(method::TASK_ASSIGN, result), Ok(answers));

    let refused = ResultVerdict::Refused {
        reason: "busy".to_owned(),
    };
    let results = ResultAnswers {
        items: vec![ResultAnswer::new(key(1, 2), refused)],
    };
    let text = encode_answer(&id, &results);
    let Ok(Message::Answer { result, .. }) = decode::<CoordinatorCall>(&text) else {
        panic!("{text}");
    };
    assert_eq!(read_result(method::TASK_COMPLETE, result), Ok(results));
    assert!(read_result::<Heartbeat>(method::HEALTH_CHECK, result).is_err());
}

#[test]
fn an_error_survives_its_text_and_has_a_known_code() {
    for code in crate::fault::FaultCode::ALL {
        let fault = Fault::new(code, "why");
        let text = encode_fault(Some(&RequestId::Number(1)), &fault);
        let Ok(Message::Fault { id, fault: read }) = decode::<NodeCall>(&text) else {
            panic!("{text}");
        };
        assert_eq!(
            (id, read.known_code()),
            (Some(RequestId::Number(1)), Some(code))
        );
        assert_eq!(read, fault);
    }
}

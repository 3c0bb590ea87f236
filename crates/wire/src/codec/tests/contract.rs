//! The text of each message, word for word: what other versions and implementations rely on.

use super::super::*;
use crate::fixtures::{hello, key, offer, report};
use serde_json::json;

/// Reads the text and writes it again: equal, so that neither side can drift.
#[track_caller]
fn stays<C: Calls>(text: &str) {
    match decode::<C>(text) {
        Ok(Message::Call { id, call }) => assert_eq!(call.encode(id.as_ref()), text),
        Ok(_) => panic!("not a call: {text}"),
        Err(bad) => panic!("{bad}: {text}"),
    }
}

#[test]
fn calls_of_a_node_are_written_as_promised() {
    let rows = [
        r#"{"jsonrpc":"2.0","id":1,"method":"mcpx.health.check","params":{"sequence":7}}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"mcpx.coordinate.state.sync","params":{"held":[{"task":"task_00000000000000000000000001","fence":{"epoch":1,"index":5},"phase":"accepted"}],"spooled":[{"task":"task_00000000000000000000000002","fence":{"epoch":1,"index":6}}]}}"#,
        r#"{"jsonrpc":"2.0","method":"mcpx.status.update","params":{"items":[{"task":"task_00000000000000000000000001","fence":{"epoch":1,"index":5},"phase":"running"}]}}"#,
        r#"{"jsonrpc":"2.0","method":"mcpx.metrics.report","params":{"load_permille":250,"memory_used_bytes":1024,"attempts":2}}"#,
        r#"{"jsonrpc":"2.0","id":3,"method":"mcpx.orchestrate.session.end","params":{"reason":"stops"}}"#,
    ];
    for text in rows {
        stays::<NodeCall>(text);
    }
}

#[test]
fn calls_of_a_coordinator_are_written_as_promised() {
    let rows = [
        r#"{"jsonrpc":"2.0","method":"mcpx.coordinate.state.sync","params":{"items":[{"task":"task_00000000000000000000000001","fence":{"epoch":1,"index":5},"verdict":"kill"}]}}"#,
        r#"{"jsonrpc":"2.0","method":"mcpx.status.update","params":{"draining":true}}"#,
        r#"{"jsonrpc":"2.0","method":"mcpx.orchestrate.session.end","params":{"code":"replaced","message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"mcpx.orchestrate.task.assign","params":{"items":[{"task":"task_00000000000000000000000001","name":"nothing","attempt":1,"fence":{"epoch":1,"index":5},"work":"noop","isolation":"s1","idempotency_key":"k","token":"secret"}]}}"#,
    ];
    for text in rows {
        stays::<CoordinatorCall>(text);
    }
    let written = serde_json::to_string(&offer(key(1, 5))).unwrap();
    assert!(rows[3].contains(&written), "{written}");
}

#[test]
fn a_hello_and_a_result_have_the_promised_fields() {
    let hello = serde_json::to_value(hello()).unwrap();
    let fields: Vec<&String> = hello.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["facts", "instance", "node", "protocol"]);
    let report = serde_json::to_value(report(key(1, 5))).unwrap();
    assert_eq!(report["outcome"], json!("completed"));
    assert_eq!(report["fence"], json!({"epoch": 1, "index": 5}));
}

#[test]
fn errors_are_written_as_promised() {
    let error = crate::fault::WireError::MethodUnknown {
        method: "x".to_owned(),
    };
    let text = encode_fault(Some(&RequestId::Number(1)), &error.fault());
    let expected = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"method `x` is unknown here","data":{"code":"method_unknown"}}}"#;
    assert_eq!(text, expected);
}

//! The text of each message, word for word: what other versions and implementations rely on.

use super::super::*;
use crate::fixtures::{hello, key, offer, report};
use crate::frame::Frame;
use crate::framing::Framing;
use crate::payload::{Capabilities, Capability, Heartbeat, Meta};
use serde_json::json;

/// Reads the text and writes it again: equal, so that neither side can drift.
#[track_caller]
fn stays<C: Calls>(text: &str) {
    match decode::<C>(text) {
        Ok(Message::Call { id, call, .. }) => assert_eq!(call.encode(id.as_ref()), text),
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
        r#"{"jsonrpc":"2.0","id":1,"method":"mcpx.negotiate","params":{"version":"1.0","capabilities":["frames.messagepack","flow.credits"],"extensions":{"orchestration":true,"coordination":true,"distribution":true},"credit":{"items":64,"bytes":8388608}}}"#,
        r#"{"jsonrpc":"2.0","id":4,"method":"mcpx.coordinate.dependency.resolve","params":{"task":"task_00000000000000000000000001","fence":{"epoch":1,"index":5},"wanted":["task_00000000000000000000000002"]}}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"mcpx.coordinate.quality.gate","params":{"task":"task_00000000000000000000000001","fence":{"epoch":1,"index":5},"gate":{"report":{"name":"tests","passed":true,"exit_code":0,"duration_ms":12,"output":"ok"}}}}"#,
        r#"{"jsonrpc":"2.0","id":6,"method":"mcpx.coordinate.quality.gate","params":{"task":"task_00000000000000000000000001","fence":{"epoch":1,"index":5},"gate":{"evaluate":"tests"}}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"mcpx.distribute.task.split","params":{"task":"task_00000000000000000000000001","fence":{"epoch":1,"index":5},"tasks":{"part":{"run":"true"}}}}"#,
        r#"{"jsonrpc":"2.0","id":8,"method":"mcpx.distribute.result.merge","params":{"task":"task_00000000000000000000000001","fence":{"epoch":1,"index":5},"shards":["task_00000000000000000000000002"]}}"#,
        r#"{"jsonrpc":"2.0","method":"mcpx.distribute.load.balance","params":{"overloaded":true,"waiting":3}}"#,
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
        r#"{"jsonrpc":"2.0","id":2,"method":"mcpx.distribute.load.balance","params":{"attempts":[{"task":"task_00000000000000000000000001","fence":{"epoch":1,"index":5}}],"at_most":4}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"mcpx.orchestrate.task.assign","params":{"items":[{"task":"task_00000000000000000000000001","name":"nothing","attempt":1,"fence":{"epoch":1,"index":5},"work":"noop","isolation":"s1","idempotency_key":"k","token":"secret"}]}}"#,
    ];
    for text in rows {
        stays::<CoordinatorCall>(text);
    }
    let written = serde_json::to_string(&offer(key(1, 5))).unwrap();
    assert!(rows[4].contains(&written), "{written}");
}

#[test]
fn a_hello_and_a_result_have_the_promised_fields() {
    let hello = serde_json::to_value(hello()).unwrap();
    let fields: Vec<&String> = hello.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["facts", "instance", "node", "protocol", "starts"]);
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

/// One binary frame, byte for byte.
#[test]
fn a_binary_frame_is_written_as_promised() {
    let packed = Capabilities::NONE.with(Capability::MessagePack);
    let framing = Framing::agreed(packed);
    let call = NodeCall::Heartbeat(Heartbeat {
        sequence: 7,
        terms: None,
    });
    let frame = call.frame(framing, Some(&RequestId::Number(1)));
    let expected =
        b"\x01\x83\xa2id\x01\xa6method\xb1mcpx.health.check\xa4part\xa6params\x81\xa8sequence\x07";
    assert_eq!(frame, Frame::Binary(expected.to_vec()));
}

#[test]
fn what_a_message_says_about_itself_is_written_as_promised() {
    let text = r#"{"orchestration":{"sessionId":"s","executionId":"e","parentTaskId":"p","coordinatorInstance":"c","sharedState":{"key":"k"},"qualityGates":[{"name":"tests","minimum":0.7,"blocking":true,"timeout":30000}],"timeout":5,"retryPolicy":{"maxAttempts":3,"backoff":"exponential","initialDelay":1,"maxDelay":2,"multiplier":2.5,"retryableErrors":["busy"]}},"coordination":{"dependencies":["d"],"synchronizationPoints":[{"id":"i","type":"barrier","participants":["a"],"timeout":1}],"rollbackStrategy":{"type":"compensating","triggers":["task_failure","manual"],"scope":"phase","actions":[{"undo":1}]},"progressReporting":{"enabled":true,"interval":1000}},"distribution":{"taskPartition":{"id":"t","type":"data-parallel","shard":0,"shards":4,"merge":"concatenate"},"loadBalancing":{"name":"round-robin"},"affinityRules":[{"type":"data-locality","scope":"eu","weight":0.5,"required":false}]},"messageId":"m","idempotencyKey":"k","deadline":9,"epoch":2,"credit":{"items":1,"bytes":2}}"#;
    let meta: Meta = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&meta).unwrap(), text);
}

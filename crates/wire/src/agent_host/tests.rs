//! Scripts for the coordinator's end of an attached agent's connection.

use super::*;
use crate::bounds::AGENT_REQUESTS_WAITING_MAX;
use crate::fixtures::{agent_hello, agent_task, agent_welcome, key};
use crate::payload::{
    AgentBeat, AgentEnded, AgentLook, AgentNote, AgentOutcome, AgentResult, AgentStatus,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use skep_model::limits::SESSION_OFFLINE_MS;
use skep_model::task::TaskState;

fn say(host: &mut AgentHost, id: u64, call: &AgentCall) -> Vec<AgentHostOutput> {
    host.on_text(1, &call.encode(Some(&RequestId::Number(id))))
}

fn new_host() -> AgentHost {
    AgentHost::new(AgentHostOptions::DEFAULTS, 0)
}

/// A host whose agent was welcomed and has nothing; id 1 is used up.
fn live() -> AgentHost {
    let mut host = new_host();
    say(&mut host, 1, &AgentCall::Hello(Box::new(agent_hello())));
    host.reply_hello(&agent_welcome(None));
    assert!(host.is_live());
    host
}

#[track_caller]
fn sent(outputs: &[AgentHostOutput], at: usize) -> Value {
    let Some(AgentHostOutput::Send(text)) = outputs.get(at) else {
        panic!("{outputs:?}");
    };
    serde_json::from_str(text).unwrap()
}

#[track_caller]
fn ask(outputs: &[AgentHostOutput]) -> AgentAsk {
    match outputs {
        [AgentHostOutput::Asks(ask)] => ask.clone(),
        _ => panic!("{outputs:?}"),
    }
}

#[track_caller]
fn word(outputs: &[AgentHostOutput]) -> String {
    let frame = sent(outputs, 0);
    frame["error"]["data"]["code"].as_str().unwrap().to_owned()
}

fn end_of(id: u128) -> AgentCall {
    let (task, fence) = (key(id, 1).task, key(id, 1).fence);
    AgentCall::Result(Box::new(AgentResult {
        task,
        fence,
        outcome: AgentOutcome::Completed {
            result: Some(json!({"tests": 3})),
            commit: None,
            artifacts: Vec::new(),
        },
    }))
}

#[test]
fn a_task_is_assigned_accepted_and_ended() {
    let mut host = live();
    assert!(host.asks_for_work(1));
    let pushed = host.holds(Some(Box::new(agent_task(key(7, 1)))));
    let frame = sent(&pushed, 0);
    assert_eq!(frame["method"], "mcpx.orchestrate.task.assign");
    assert_eq!(frame["params"]["fence"], key(7, 1).fence.to_string());
    assert!(!host.asks_for_work(1), "it has one");
    let accepted = host.on_text(2, r#"{"jsonrpc":"2.0","id":1,"result":{"accepted":true}}"#);
    let begin = ask(&accepted);
    assert_eq!(begin.request, AgentRequest::Begin(key(7, 1)));
    assert!(
        host.reply(&begin, &AgentAnswer::Said(Value::Null))
            .is_empty()
    );
    let end = ask(&say(&mut host, 2, &end_of(7)));
    // What changed while the request waits is not told: the answer says it.
    assert!(host.holds(None).is_empty());
    let ended = AgentEnded {
        task: key(7, 1).task,
        state: TaskState::Succeeded,
        repeated: false,
    };
    let answered = host.reply(&end, &AgentAnswer::Ended(ended));
    assert_eq!(sent(&answered, 0)["result"]["state"], "succeeded");
    assert!(host.holds(None).is_empty(), "nothing was taken back");
    assert!(host.asks_for_work(2));
}

#[test]
fn what_was_taken_back_is_revoked_and_its_late_acceptance_begins_nothing() {
    let mut host = live();
    host.holds(Some(Box::new(agent_task(key(7, 1)))));
    let revoked = host.holds(Some(Box::new(agent_task(key(7, 2)))));
    let frame = sent(&revoked, 0);
    assert_eq!(
        (&frame["method"], &frame["params"]["verdict"]),
        (&json!("mcpx.coordinate.state.sync"), &json!("kill"))
    );
    assert_eq!(
        sent(&revoked, 1)["params"]["fence"],
        key(7, 2).fence.to_string()
    );
    let late = host.on_text(2, r#"{"jsonrpc":"2.0","id":1,"result":{"accepted":true}}"#);
    assert!(late.is_empty(), "{late:?}");
    let refused = host.on_text(
        2,
        r#"{"jsonrpc":"2.0","id":2,"error":{"code":1,"message":"no"}}"#,
    );
    assert_eq!(ask(&refused).request, AgentRequest::Decline(key(7, 2)));
}

#[test]
fn methods_of_nodes_are_refused_by_name_and_are_no_fault() {
    let mut host = live();
    for round in 0..u64::from(BAD_MESSAGES_MAX) {
        for method in [
            "mcpx.metrics.report",
            "mcpx.distribute.load.balance",
            "mcpx.distribute.task.split",
            "mcpx.coordinate.quality.gate",
        ] {
            let frame = json!({"jsonrpc": "2.0", "id": 9 + round, "method": method, "params": {}});
            assert_eq!(
                word(&host.on_text(1, &frame.to_string())),
                "method_not_served"
            );
        }
    }
    let frame = json!({"jsonrpc": "2.0", "id": 8, "method": "mcpx.moon.phase", "params": {}});
    assert_eq!(word(&host.on_text(1, &frame.to_string())), "method_unknown");
    assert!(host.is_live());
}

#[test]
fn nothing_but_the_agreement_and_the_hello_is_taken_before_the_welcome() {
    let mut host = new_host();
    let beat = AgentCall::Beat(AgentBeat {
        sequence: 1,
        task: None,
    });
    assert_eq!(word(&say(&mut host, 1, &beat)), "out_of_order");
    let agreed = host.on_text(
        1,
        r#"{"jsonrpc":"2.0","id":2,"method":"mcpx.negotiate","params":{"version":"1.0",
        "role":"agent","capabilities":["frames.messagepack","result.merge","moon.phase"]}}"#,
    );
    assert_eq!(
        sent(&agreed, 0)["result"]["capabilities"],
        json!(["result.merge"])
    );
    let hello = say(&mut host, 3, &AgentCall::Hello(Box::new(agent_hello())));
    assert!(
        matches!(hello[..], [AgentHostOutput::Hello(_)]),
        "{hello:?}"
    );
    assert_eq!(word(&say(&mut host, 4, &beat)), "out_of_order");
    let refused = host.refuse_hello(&Fault::refusal("name_taken", "the name is taken"));
    assert_eq!(sent(&refused, 0)["error"]["data"]["code"], "name_taken");
    assert!(host.is_closed());
}

#[test]
fn a_node_on_the_connection_of_an_agent_is_told_so() {
    let mut host = new_host();
    let mut hello = agent_hello();
    hello.role = crate::payload::Role::Node;
    let refused = say(&mut host, 1, &AgentCall::Hello(Box::new(hello)));
    assert_eq!(word(&refused), "invalid_request");
}

#[test]
fn requests_that_wait_are_bounded_and_each_is_answered_once() {
    let mut host = live();
    let mut asks = Vec::new();
    for id in 0..AGENT_REQUESTS_WAITING_MAX as u64 {
        asks.push(ask(&say(
            &mut host,
            100 + id,
            &AgentCall::Look(AgentLook::default()),
        )));
    }
    let look = AgentCall::Look(AgentLook::default());
    assert_eq!(word(&say(&mut host, 99, &look)), "busy");
    assert!(!host.asks_for_work(1), "an answer may change what it has");
    for one in &asks {
        assert_eq!(host.reply(one, &AgentAnswer::Said(json!(1))).len(), 1);
        assert!(host.reply(one, &AgentAnswer::Said(json!(2))).is_empty());
    }
    assert!(host.asks_for_work(1));
}

#[test]
fn a_request_that_comes_again_under_its_key_is_done_once() {
    let mut host = live();
    let frame = |id: u64| {
        json!({"jsonrpc": "2.0", "id": id, "method": "mcpx.coordinate.state.sync",
            "params": {"_meta": {"idempotencyKey": "k"}}})
        .to_string()
    };
    let first = ask(&host.on_text(1, &frame(5)));
    assert!(host.on_text(1, &frame(6)).is_empty());
    let answers = host.reply(&first, &AgentAnswer::Said(json!({"n": 1})));
    assert_eq!(
        (
            sent(&answers, 0)["id"].clone(),
            sent(&answers, 1)["id"].clone()
        ),
        (json!(5), json!(6))
    );
    assert_eq!(sent(&host.on_text(1, &frame(7)), 0)["result"]["n"], 1);
}

#[test]
fn a_silent_agent_asks_for_nothing_and_is_let_go() {
    let mut host = live();
    assert!(host.asks_for_work(AGENT_ASKS_SILENCE_MS));
    assert!(!host.asks_for_work(AGENT_ASKS_SILENCE_MS + 2));
    assert!(host.on_tick(SESSION_OFFLINE_MS).is_empty());
    let closed = host.on_tick(SESSION_OFFLINE_MS + 1);
    assert!(matches!(
        closed[..],
        [AgentHostOutput::Close {
            code: CloseCode::Timeout,
            ..
        }]
    ));
}

#[test]
fn an_agent_that_wants_no_work_is_given_none() {
    let mut host = live();
    let status = AgentCall::Status(AgentStatus {
        wants_work: Some(false),
        working: None,
    });
    assert_eq!(sent(&say(&mut host, 2, &status), 0)["result"], json!({}));
    assert!(!host.asks_for_work(1));
}

#[test]
fn a_note_without_an_id_is_worked_on_and_not_answered() {
    let mut host = live();
    let note = AgentNote {
        task: key(7, 1).task,
        fence: key(7, 1).fence,
        note: Some("half of it".to_owned()),
    };
    let status = AgentStatus {
        wants_work: None,
        working: Some(note),
    };
    let outputs = host.on_text(1, &AgentCall::Status(status).encode(None));
    let noted = ask(&outputs);
    assert!(
        host.refuse(&noted, &Fault::refusal("fence_stale", "late"))
            .is_empty()
    );
    assert!(host.is_live());
}

#[test]
fn a_binary_frame_is_refused_by_name() {
    let mut host = live();
    assert_eq!(word(&host.on_binary(1)), "encoding_not_agreed");
}

proptest! {
    /// Whatever is said, the answer is bounded and nothing comes after the end.
    #[test]
    fn any_frames_are_survived(texts in proptest::collection::vec(any_text(), 0..60)) {
        let mut host = new_host();
        for (at, text) in texts.iter().enumerate() {
            let was_closed = host.is_closed();
            let outputs = host.on_text(at as u64, text);
            prop_assert!(!was_closed || outputs.is_empty());
            for output in outputs {
                match output {
                    AgentHostOutput::Hello(_) => {
                        host.reply_hello(&agent_welcome(None));
                    }
                    AgentHostOutput::Asks(ask) => {
                        let fault = Fault::refusal("fence_stale", "late");
                        let answers = host.refuse(&ask, &fault);
                        prop_assert!(answers.len() <= 1);
                    }
                    AgentHostOutput::Send(text) => {
                        prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
                    }
                    AgentHostOutput::Close { .. } => prop_assert!(host.is_closed()),
                }
            }
        }
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let method = prop_oneof![
        Just("mcpx.negotiate"),
        Just("mcpx.orchestrate.session.start"),
        Just("mcpx.orchestrate.session.end"),
        Just("mcpx.orchestrate.task.assign"),
        Just("mcpx.orchestrate.task.complete"),
        Just("mcpx.coordinate.state.sync"),
        Just("mcpx.health.check"),
        Just("mcpx.status.update"),
        Just("mcpx.metrics.report"),
    ];
    let task = key(7, 1).task.to_string();
    let params = prop_oneof![
        Just(json!({})),
        Just(json!({"version": "1.0", "protocol": "1.0", "role": "agent"})),
        Just(json!({"version": "2.0", "protocol": "9", "role": "agent"})),
        Just(json!({"sequence": 1, "task": task, "fence": "1.1", "outcome": "handed_back"})),
        Just(json!({"wants_work": true, "working": {"task": task, "fence": "1.1"}})),
        Just(json!({"task": 1, "fence": [], "sequence": -1, "role": 7})),
    ];
    let call = (any::<Option<u8>>(), method, params).prop_map(|(id, method, params)| {
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
    });
    let answer = any::<u8>().prop_map(|id| {
        json!({"jsonrpc": "2.0", "id": id, "result": {"accepted": id % 2 == 0}}).to_string()
    });
    prop_oneof![8 => call, 2 => answer, 1 => any::<String>()]
}

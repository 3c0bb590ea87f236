//! Scripts for an attached agent's end.

use super::*;
use crate::bounds::{AGENT_ANSWER_TIMEOUT_MS, RECONNECT_MAX_MS, RESULT_RETRY_MS};
use crate::codec::{HostCall, encode_answer, encode_fault};
use crate::fixtures::{agent_task, agent_welcome, key};
use crate::payload::{AgentRevoked, SessionEnd};
use serde_json::{Value, json};
use skep_model::task::TaskState;

fn new_end() -> AgentEnd {
    AgentEnd::new(AgentOptions {
        session: Map::new(),
        jitter_seed: 1,
    })
}

/// Connects, and is welcomed with this task.
fn welcome(end: &mut AgentEnd, now: u64, has: Option<AgentTask>) -> Vec<AgentOutput> {
    let begun = end.handle(now, AgentInput::Connected);
    let mut said = frames(&begun);
    let hello = said.pop().unwrap();
    answer(end, now, &said[0]["id"], &json!({}));
    assert_eq!(hello["method"], "mcpx.orchestrate.session.start");
    answer(end, now, &hello["id"], &json!(agent_welcome(has)))
}

fn live() -> AgentEnd {
    let mut end = new_end();
    assert_eq!(end.handle(0, AgentInput::Tick), [AgentOutput::Connect]);
    welcome(&mut end, 0, None);
    assert!(end.is_live());
    end
}

fn working() -> AgentEnd {
    let mut end = live();
    let given = tell(&mut end, 1, Some(7), &assign(key(7, 1)));
    assert!(matches!(given[1], AgentOutput::Work(_)), "{given:?}");
    assert_eq!(frames(&given)[0]["result"]["accepted"], true);
    end
}

fn frames(outputs: &[AgentOutput]) -> Vec<Value> {
    let texts = outputs.iter().filter_map(|output| match output {
        AgentOutput::Send(text) => Some(serde_json::from_str(text).unwrap()),
        _ => None,
    });
    texts.collect()
}

fn request_id(id: &Value) -> RequestId {
    serde_json::from_value(id.clone()).unwrap()
}

fn answer(end: &mut AgentEnd, now: u64, id: &Value, result: &Value) -> Vec<AgentOutput> {
    let text = encode_answer(&request_id(id), result);
    end.handle(now, AgentInput::Text(text))
}

fn assign(attempt: AttemptKey) -> HostCall {
    HostCall::Assign(Box::new(agent_task(attempt)))
}

fn tell(end: &mut AgentEnd, now: u64, id: Option<u64>, call: &HostCall) -> Vec<AgentOutput> {
    let id = id.map(RequestId::Number);
    end.handle(now, AgentInput::Text(call.encode(id.as_ref())))
}

fn done() -> AgentOutcome {
    AgentOutcome::Completed {
        result: Some(json!("two findings")),
        commit: None,
        artifacts: Vec::new(),
    }
}

fn ended(state: &str) -> Value {
    json!({"task": key(7, 1).task, "state": state})
}

#[test]
fn work_is_taken_noted_and_ended() {
    let mut end = working();
    let noted = end.handle(2, AgentInput::Note(key(7, 1), "half".to_owned()));
    let frame = &frames(&noted)[0];
    assert_eq!(frame["params"]["working"]["note"], "half");
    assert!(frame.get("id").is_none());
    let said = end.handle(3, AgentInput::Finish(key(7, 1), done()));
    let frame = &frames(&said)[0];
    assert_eq!(
        (&frame["params"]["outcome"], &frame["params"]["fence"]),
        (&json!("completed"), &json!(key(7, 1).fence.to_string()))
    );
    let settled = answer(&mut end, 4, &frame["id"], &ended("succeeded"));
    assert!(
        matches!(&settled[..], [AgentOutput::Ended(_, Ok(ended))] if ended.state == TaskState::Succeeded),
        "{settled:?}"
    );
    assert_eq!(end.has(), None);
}

#[test]
fn a_second_task_goes_back_and_the_same_one_is_not_begun_twice() {
    let mut end = working();
    let other = tell(&mut end, 2, Some(8), &assign(key(8, 1)));
    assert_eq!(frames(&other)[0]["result"]["accepted"], false);
    let same = tell(&mut end, 2, Some(9), &assign(key(7, 1)));
    assert_eq!(frames(&same)[0]["result"]["accepted"], true);
    assert_eq!(same.len(), 1);
}

#[test]
fn work_survives_a_lost_connection_and_is_dropped_when_it_is_another_ones() {
    let mut end = working();
    assert!(end.handle(10, AgentInput::Disconnected).is_empty());
    let retry = end.next_timer().unwrap();
    assert_eq!(end.handle(retry, AgentInput::Tick), [AgentOutput::Connect]);
    let resumed = welcome(&mut end, retry, Some(agent_task(key(7, 1))));
    // The answer to the assignment may have been lost: it is begun now.
    assert_eq!(
        frames(&resumed)[0]["params"]["working"]["task"],
        json!(key(7, 1).task)
    );
    assert_eq!(end.has(), Some((key(7, 1), true)));
    end.handle(retry, AgentInput::Disconnected);
    let retry = end.next_timer().unwrap();
    end.handle(retry, AgentInput::Tick);
    let resumed = welcome(&mut end, retry, None);
    assert!(
        resumed.contains(&AgentOutput::Drop(key(7, 1))),
        "{resumed:?}"
    );
    assert_eq!(end.has(), None);
}

#[test]
fn an_end_that_was_not_answered_is_said_again_and_then_the_next_work_begins() {
    let mut end = working();
    end.handle(3, AgentInput::Finish(key(7, 1), done()));
    end.handle(4, AgentInput::Disconnected);
    let retry = end.next_timer().unwrap();
    end.handle(retry, AgentInput::Tick);
    let resumed = welcome(&mut end, retry, Some(agent_task(key(8, 2))));
    let said = frames(&resumed).pop().unwrap();
    assert_eq!(said["params"]["fence"], key(7, 1).fence.to_string());
    let settled = answer(&mut end, retry, &said["id"], &ended("succeeded"));
    assert!(matches!(settled[0], AgentOutput::Ended(_, Ok(_))));
    assert!(matches!(&settled[1], AgentOutput::Work(task) if task.key() == key(8, 2)));
    assert_eq!(
        frames(&settled)[0]["params"]["working"]["task"],
        json!(key(8, 2).task)
    );
}

#[test]
fn a_refused_end_is_told_as_it_was_refused_and_a_passing_one_is_tried_again() {
    let mut end = working();
    let said = end.handle(3, AgentInput::Finish(key(7, 1), done()));
    let busy = Fault::refusal("overloaded", "later").retryable(true);
    let text = encode_fault(Some(&request_id(&frames(&said)[0]["id"])), &busy);
    assert!(end.handle(4, AgentInput::Text(text)).is_empty());
    assert!(end.next_timer().unwrap() <= 4 + RESULT_RETRY_MS);
    let said = end.handle(4 + RESULT_RETRY_MS, AgentInput::Tick);
    let stale = Fault::refusal("fence_stale", "the task was given to others");
    let text = encode_fault(Some(&request_id(&frames(&said)[0]["id"])), &stale);
    let settled = end.handle(6_000, AgentInput::Text(text));
    assert_eq!(settled, [AgentOutput::Ended(key(7, 1), Err(stale))]);
}

#[test]
fn revoked_work_is_dropped_and_its_end_is_not_said() {
    let mut end = working();
    let other = HostCall::Revoke(AgentRevoked::of(key(7, 2)));
    assert!(tell(&mut end, 2, None, &other).is_empty());
    let revoked = tell(
        &mut end,
        2,
        None,
        &HostCall::Revoke(AgentRevoked::of(key(7, 1))),
    );
    assert_eq!(revoked, [AgentOutput::Drop(key(7, 1))]);
    assert!(
        end.handle(3, AgentInput::Finish(key(7, 1), done()))
            .is_empty()
    );
}

#[test]
fn heartbeats_go_out_and_a_connection_that_does_not_answer_is_given_up() {
    let mut end = working();
    let at = end.next_timer().unwrap();
    assert!((40_000..=60_000).contains(&at), "{at}");
    let beat = end.handle(at, AgentInput::Tick);
    assert_eq!(frames(&beat)[0]["method"], "mcpx.health.check");
    assert_eq!(frames(&beat)[0]["params"]["task"], json!(key(7, 1).task));
    let given_up = end.handle(at + AGENT_ANSWER_TIMEOUT_MS, AgentInput::Tick);
    assert!(
        matches!(given_up[..], [AgentOutput::Disconnect(_)]),
        "{given_up:?}"
    );
    assert!(end.next_timer().unwrap() <= at + AGENT_ANSWER_TIMEOUT_MS + RECONNECT_MAX_MS);
    assert_eq!(end.has(), Some((key(7, 1), true)));
}

#[test]
fn who_was_replaced_stops_and_who_was_refused_says_why() {
    let mut end = working();
    let replaced = HostCall::End(SessionEnd {
        code: EndCode::Replaced,
        message: "another process".to_owned(),
    });
    let over = tell(&mut end, 2, None, &replaced);
    assert_eq!(over[0], AgentOutput::Drop(key(7, 1)));
    assert!(matches!(
        over[1],
        AgentOutput::Exit(AgentExit::Ended(EndCode::Replaced, _))
    ));
    assert!(end.is_over());
    let mut end = new_end();
    end.handle(0, AgentInput::Tick);
    let begun = end.handle(0, AgentInput::Connected);
    let id = request_id(&frames(&begun)[1]["id"]);
    let text = encode_fault(Some(&id), &Fault::refusal("name_taken", "somebody has it"));
    let over = end.handle(1, AgentInput::Text(text));
    let refused = AgentExit::Refused("`name_taken`: somebody has it".to_owned());
    assert_eq!(over, [AgentOutput::Exit(refused)]);
}

#[test]
fn who_leaves_says_so_and_waits_for_the_answer() {
    let mut end = working();
    let leaving = end.handle(2, AgentInput::Leave);
    assert_eq!(
        frames(&leaving)[0]["method"],
        "mcpx.orchestrate.session.end"
    );
    let late = assign(key(8, 1));
    assert_eq!(
        frames(&tell(&mut end, 2, Some(9), &late))[0]["result"]["accepted"],
        false
    );
    let over = answer(&mut end, 3, &frames(&leaving)[0]["id"], &json!({}));
    assert_eq!(
        over,
        [
            AgentOutput::Drop(key(7, 1)),
            AgentOutput::Exit(AgentExit::Left)
        ]
    );
}

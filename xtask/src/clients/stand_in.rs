//! A stand-in for the model behind the Anthropic Messages API: it makes the calls of a script, one
//! a turn, and ends. It listens on loopback only.

mod http;

use anyhow::{Context, Result};
use http::Request;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// One call of a tool. A text of the input that looks like `$2/run/id` is replaced by what is at that
/// place (a JSON pointer) in the result of the second call; `$/run/id` is of the call before.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) tool: &'static str,
    pub(super) input: Value,
}

/// What has happened.
#[derive(Debug, Clone, Default)]
pub(super) struct Course {
    /// Results of the calls, in their order; a text that is no JSON is one.
    pub(super) results: Vec<Value>,
    /// What went wrong. The script ends there.
    pub(super) faults: Vec<String>,
    /// Whether the script came to its end.
    pub(super) is_done: bool,
}

/// A running stand-in, for as long as this process lives.
#[derive(Debug)]
pub(super) struct StandIn {
    pub(super) address: SocketAddr,
    course: Arc<Mutex<Course>>,
}

impl StandIn {
    /// Listens on a free port. `prefix` stands before the names of the tools where they are
    /// offered.
    pub(super) fn start(prefix: &'static str, script: Vec<Call>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen on loopback")?;
        let address = listener.local_addr().context("ask for the port")?;
        let course = Arc::new(Mutex::new(Course::default()));
        let shared = Arc::clone(&course);
        let serve = move || {
            // One at a time: a session has one conversation.
            for stream in listener.incoming().flatten() {
                let answer = |request: &Request| answer(request, prefix, &script, &shared);
                // A client that goes away in the middle is no fault of the script.
                drop(http::serve_one(stream, answer));
            }
        };
        let thread = thread::Builder::new().name("stand-in".to_owned());
        thread.spawn(serve).context("start a thread")?;
        Ok(Self { address, course })
    }

    /// What has happened so far.
    pub(super) fn course(&self) -> Course {
        locked(&self.course).clone()
    }
}

fn locked(course: &Mutex<Course>) -> MutexGuard<'_, Course> {
    course.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body that answers a request, and its type.
fn answer(
    request: &Request,
    prefix: &str,
    script: &[Call],
    course: &Mutex<Course>,
) -> (String, &'static str) {
    const JSON: &str = "application/json";
    if request.path.contains("count_tokens") {
        return (json!({ "input_tokens": 100 }).to_string(), JSON);
    }
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let content = turn(&body, prefix, script, &mut locked(course));
    let message = json!({
        "id": "msg_stand_in", "type": "message", "role": "assistant",
        "model": body["model"],
        "stop_reason": if content["type"] == "tool_use" { "tool_use" } else { "end_turn" },
        "stop_sequence": null,
        "usage": { "input_tokens": 10, "output_tokens": 5 },
        "content": [content],
    });
    if body["stream"] == true {
        (streamed(&message), "text/event-stream")
    } else {
        (message.to_string(), JSON)
    }
}

/// The next thing that the model says.
fn turn(body: &Value, prefix: &str, script: &[Call], course: &mut Course) -> Value {
    let say = |text: &str| json!({ "type": "text", "text": text });
    let offered = body["tools"].as_array().map_or(&[][..], Vec::as_slice);
    if offered.is_empty() {
        // A request beside the conversation, such as for its title.
        return say("ok");
    }
    // All of them stand in the conversation, which may be sent more than once.
    let mut results = Vec::new();
    course.faults.clear();
    for result in results_in(body) {
        match result {
            Ok(result) => results.push(result),
            Err(fault) => course.faults.push(fault),
        }
    }
    course.results = results;
    if !course.faults.is_empty() {
        return say("I give up.");
    }
    let Some(call) = script.get(course.results.len()) else {
        course.is_done = true;
        return say("Done.");
    };
    let name = format!("{prefix}{}", call.tool);
    if !offered.iter().any(|tool| tool["name"] == name.as_str()) {
        course.faults.push(format!("`{name}` is not offered"));
        return say("I give up.");
    }
    json!({
        "type": "tool_use",
        "id": format!("toolu_{}_{}", std::process::id(), course.results.len()),
        "name": name,
        "input": filled(&call.input, &course.results),
    })
}

/// The results of tools in a conversation, in their order.
fn results_in(body: &Value) -> Vec<Result<Value, String>> {
    let messages = body["messages"].as_array().into_iter().flatten();
    let blocks = messages.flat_map(|message| message["content"].as_array().into_iter().flatten());
    let results = blocks.filter(|block| block["type"] == "tool_result");
    results.map(result_of).collect()
}

fn result_of(block: &Value) -> Result<Value, String> {
    let text: String = match &block["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    };
    if block["is_error"] == true {
        return Err(text);
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The input with places of results filled in.
fn filled(input: &Value, results: &[Value]) -> Value {
    match input {
        Value::String(text) => place_in(text, results).unwrap_or_else(|| input.clone()),
        Value::Array(items) => items.iter().map(|item| filled(item, results)).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| (key.clone(), filled(value, results)))
            .collect(),
        _ => input.clone(),
    }
}

/// What a text of the form `$NUMBER/PLACE` names; nothing when it has another form.
fn place_in(text: &str, results: &[Value]) -> Option<Value> {
    let (number, place) = text.strip_prefix('$')?.split_once('/')?;
    let result = if number.is_empty() {
        results.last()
    } else {
        results.get(number.parse::<usize>().ok()?.checked_sub(1)?)
    };
    let found = result.and_then(|result| result.pointer(&format!("/{place}")));
    Some(found.cloned().unwrap_or_default())
}

/// A message as the events that a stream of it has.
fn streamed(message: &Value) -> String {
    let content = &message["content"][0];
    let mut begin = message.clone();
    begin["content"] = json!([]);
    begin["stop_reason"] = Value::Null;
    let (start, delta) = if content["type"] == "text" {
        let delta = json!({ "type": "text_delta", "text": content["text"] });
        (json!({ "type": "text", "text": "" }), delta)
    } else {
        let mut start = content.clone();
        start["input"] = json!({});
        let input = content["input"].to_string();
        (
            start,
            json!({ "type": "input_json_delta", "partial_json": input }),
        )
    };
    let end = json!({ "stop_reason": message["stop_reason"], "stop_sequence": null });
    let events = [
        json!({ "type": "message_start", "message": begin }),
        json!({ "type": "content_block_start", "index": 0, "content_block": start }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": end, "usage": { "output_tokens": 5 } }),
        json!({ "type": "message_stop" }),
    ];
    let event = |event: &Value| {
        let kind = event["type"].as_str().unwrap_or_default();
        format!("event: {kind}\ndata: {event}\n\n")
    };
    events.iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(tool: &'static str, input: Value) -> Call {
        Call { tool, input }
    }

    fn asked(messages: Value) -> Value {
        let mut body = json!({ "tools": [{ "name": "p_a" }, { "name": "p_b" }] });
        body["messages"] = messages;
        body
    }

    fn conversation(results: &[&str], is_error: bool) -> Value {
        let message = |text: &&str| {
            json!({ "role": "user", "content": [
                { "type": "tool_result", "is_error": is_error, "content": text },
            ] })
        };
        asked(results.iter().map(message).collect())
    }

    #[test]
    fn a_script_is_followed_with_what_came_before() {
        let place = json!({ "id": "$/run/id", "n": 1 });
        let places = json!({ "first": ["$1/run/id"], "text": "$5 a/b" });
        let script = [call("a", json!({})), call("b", place), call("a", places)];
        let mut course = Course::default();
        let mut say =
            |results: &[&str]| turn(&conversation(results, false), "p_", &script, &mut course);
        let first = say(&[]);
        assert_eq!(
            (&first["name"], &first["input"]),
            (&json!("p_a"), &json!({}))
        );
        let run = r#"{"run":{"id":"run_1"}}"#;
        // Sent twice, it is answered twice the same.
        for _ in 0..2 {
            assert_eq!(say(&[run])["input"], json!({ "id": "run_1", "n": 1 }));
        }
        let third = say(&[run, "plain"]);
        let expected = json!({ "first": ["run_1"], "text": "$5 a/b" });
        assert_eq!(third["input"], expected);
        assert_eq!(say(&[run, "plain", "{}"])["type"], "text");
        assert!(course.is_done && course.faults.is_empty());
        assert_eq!(course.results[1], "plain");
    }

    #[test]
    fn a_failed_call_and_a_missing_tool_end_the_script() {
        let script = [call("a", json!({})), call("c", json!({}))];
        for (is_error, fault) in [(true, "{}"), (false, "`p_c` is not offered")] {
            let mut course = Course::default();
            let body = conversation(&["{}"], is_error);
            assert_eq!(turn(&body, "p_", &script, &mut course)["type"], "text");
            assert_eq!(
                (course.faults, course.is_done),
                (vec![fault.to_owned()], false)
            );
        }
    }

    #[test]
    fn a_request_beside_the_conversation_uses_up_no_call() {
        let mut course = Course::default();
        let said = turn(
            &json!({ "messages": [] }),
            "",
            &[call("a", json!({}))],
            &mut course,
        );
        assert_eq!(
            (said["type"].as_str(), course.is_done),
            (Some("text"), false)
        );
    }
}

//! Work that outlives the call that started it, over the Model Context Protocol: tasks, waits,
//! progress, and resources that are followed.

use crate::hive::{TestHive, wait_until};
use crate::mcp_client::Http;
use crate::mcp_message::{gated, modern, modern_with_tasks};
use serde_json::{Value, json};

#[test]
fn a_submission_is_an_mcp_task_for_those_who_know_tasks() {
    let hive = TestHive::start(1);
    let http = Http::of(&hive);
    let (arguments, open) = gated(&hive);
    let started = http
        .tool(modern_with_tasks, "skep_runs_submit", arguments)
        .result();
    assert_eq!(
        (&started["resultType"], &started["status"]),
        (&json!("task"), &json!("working"))
    );
    let id = started["taskId"].as_str().unwrap().to_owned();
    let get = || http.post(&modern_with_tasks("tasks/get", json!({ "taskId": id })));
    let shown = hive.skep(&["--json", "run", "show", &id]).expect(0).json();
    assert_eq!(shown["run"]["name"], "gated");
    assert_eq!(get().result()["status"], "working");
    open();
    wait_until("the end of the task", || {
        let task = get().result();
        if task["status"] == "completed" {
            Ok(())
        } else {
            Err(task.to_string())
        }
    });
    let result = &get().result()["result"];
    assert_eq!(result["isError"], false);
    assert_eq!(result["structuredContent"]["run"]["state"], "succeeded");
    // What has ended is not cancelled any more.
    http.post(&modern_with_tasks("tasks/cancel", json!({ "taskId": id })))
        .result();
    assert_eq!(get().result()["status"], "completed");

    let failing = json!({ "name": "t", "run": "exit 3", "retries": 0 });
    let failing = http
        .tool(modern_with_tasks, "skep_tasks_submit", failing)
        .result();
    let id = failing["taskId"].as_str().unwrap();
    hive.skep(&["wait", id, "--for", "failed", "--timeout", "60"])
        .expect(0);
    let task = http
        .post(&modern_with_tasks("tasks/get", json!({ "taskId": id })))
        .result();
    assert_eq!(task["status"], "completed");
    assert_eq!(task["result"]["isError"], true);

    let unknown = json!({ "taskId": "task_00000000000000000000000000000001" });
    let unknown = http.post(&modern_with_tasks("tasks/get", unknown));
    assert_eq!(unknown.error()["code"], -32_602);
}

#[test]
fn only_an_explicit_cancellation_cancels_work() {
    let hive = TestHive::start(1);
    let http = Http::of(&hive);
    let (arguments, open) = gated(&hive);
    let submitted = http.tool(modern, "skep_runs_submit", arguments).done();
    let run = submitted["run"]["id"].as_str().unwrap();
    // A wait whose connection is closed, and one that is over.
    let wait = json!({ "name": "skep_wait", "arguments": { "id": run } });
    let mut wait = modern("tools/call", wait);
    wait.body["params"]["_meta"]["progressToken"] = json!(1);
    let mut stream = http.open(&wait);
    assert_eq!(stream.message()["method"], "notifications/progress");
    drop(stream);
    let short = http
        .tool(modern, "skep_wait", json!({ "id": run, "timeout_s": 0 }))
        .done();
    assert_eq!(short["final"], false);
    open();
    let ended = http.tool(modern, "skep_wait", json!({ "id": run })).done();
    assert_eq!(ended["state"], "succeeded");

    let slow = json!({ "name": "slow", "run": "sleep 600" });
    let slow = http
        .tool(modern_with_tasks, "skep_tasks_submit", slow)
        .result();
    let id = slow["taskId"].as_str().unwrap();
    http.post(&modern_with_tasks("tasks/cancel", json!({ "taskId": id })))
        .result();
    hive.skep(&["wait", id, "--for", "cancelled", "--timeout", "60"])
        .expect(0);
    let task = http
        .post(&modern_with_tasks("tasks/get", json!({ "taskId": id })))
        .result();
    assert_eq!(task["status"], "cancelled");
}

#[test]
fn a_wait_tells_of_progress_before_its_answer() {
    let hive = TestHive::start(1);
    let http = Http::of(&hive);
    let (arguments, open) = gated(&hive);
    let submitted = http.tool(modern, "skep_runs_submit", arguments).done();
    let run = submitted["run"]["id"].as_str().unwrap();
    let mut wait = modern(
        "tools/call",
        json!({ "name": "skep_wait", "arguments": { "id": run } }),
    );
    wait.body["params"]["_meta"]["progressToken"] = json!("p1");
    let mut stream = http.open(&wait);
    let first = stream.message();
    assert_eq!(first["method"], "notifications/progress", "{first}");
    assert_eq!(first["params"]["progressToken"], "p1");
    open();
    let last = loop {
        let message = stream.message();
        if message.get("result").is_some() {
            break message;
        }
        assert_eq!(message["method"], "notifications/progress");
    };
    assert_eq!(last["result"]["structuredContent"]["state"], "succeeded");
}

#[test]
fn resources_are_listed_read_and_followed() {
    let hive = TestHive::start(1);
    let http = Http::of(&hive);
    let (arguments, open) = gated(&hive);
    let submitted = http.tool(modern, "skep_runs_submit", arguments).done();
    let run = format!("skep://run/{}", submitted["run"]["id"].as_str().unwrap());
    let task = format!(
        "skep://task/{}",
        submitted["tasks"]["first"].as_str().unwrap()
    );
    let listed = http.post(&modern("resources/list", json!({}))).result();
    let listed = listed["resources"].as_array().unwrap();
    assert!(
        listed
            .iter()
            .any(|resource| resource["uri"] == run.as_str()),
        "{listed:?}"
    );
    let node = listed
        .iter()
        .find(|resource| resource["description"] == "Node, ready");
    let node = node.unwrap()["uri"].as_str().unwrap().to_owned();
    let templates = http
        .post(&modern("resources/templates/list", json!({})))
        .result();
    assert_eq!(templates["resourceTemplates"].as_array().unwrap().len(), 4);
    for uri in [&run, &task, &node] {
        let read = http
            .post(&modern("resources/read", json!({ "uri": uri })))
            .result();
        let text = read["contents"][0]["text"].as_str().unwrap();
        let document: Value = serde_json::from_str(text).unwrap();
        assert!(document.is_object(), "{uri}");
    }
    let wish = json!({ "notifications": { "resourceSubscriptions": [run, task, "file:///x"] } });
    let mut stream = http.open(&modern("subscriptions/listen", wish));
    let first = stream.message();
    assert_eq!(
        first["method"], "notifications/subscriptions/acknowledged",
        "{first}"
    );
    open();
    let mut changed = Vec::new();
    while changed.len() < 2 {
        let message = stream.message();
        assert_eq!(
            message["method"], "notifications/resources/updated",
            "{message}"
        );
        let uri = message["params"]["uri"].as_str().unwrap().to_owned();
        if !changed.contains(&uri) {
            changed.push(uri);
        }
    }
    changed.sort();
    let mut expected = [run, task];
    expected.sort();
    assert_eq!(changed, expected);
}

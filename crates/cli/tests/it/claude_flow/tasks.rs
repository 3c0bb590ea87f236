//! Tools about work: tasks, batches, and the aliases.

use super::{Check, Swarm, text};
use serde_json::{Value, json};

pub(super) const CHECKS: &[Check] = &[
    ("task_status", |swarm| {
        let task = swarm.ran("true");
        let status = swarm.call("task_status", json!({ "taskId": task }));
        let known = swarm.operate("tasks.get", json!({ "id": task }));
        assert_eq!(status["status"], "succeeded");
        assert_eq!(
            (&status["assignedAgent"], &status["finishedAt"]),
            (&known["agent"], &known["finished_at"])
        );
        let held = held(swarm);
        let status = swarm.call("task_status", json!({ "taskId": held }));
        assert_eq!(status["status"], "ready");
        assert!(
            text(&status["waits"]["placement"]["summary"]).len() > 5,
            "{status}"
        );
        swarm.operate("tasks.cancel", json!({ "id": held }));
        let run = run_of_two(swarm);
        let status = swarm.call("task_status", json!({ "taskId": run }));
        assert_eq!(status["subtasks"].as_array().unwrap().len(), 2);
    }),
    ("task_results", |swarm| {
        let task = swarm.ran("echo out; echo err >&2");
        let results = swarm.call("task_results", json!({ "taskId": task }));
        assert_eq!(results["exitCode"], 0);
        assert!(text(&results["output"]).contains("out\n"), "{results}");
        let failed = swarm.ran("echo so; exit 4");
        let results = swarm.call("task_results", json!({ "taskId": failed }));
        assert_eq!(
            (&results["status"], &results["exitCode"]),
            (&json!("failed"), &json!(4))
        );
        let held = held(swarm);
        let refused = swarm.refused("task_results", json!({ "taskId": held }));
        assert_eq!(refused["code"], "mcp_not_finished");
        swarm.operate("tasks.cancel", json!({ "id": held }));
    }),
    ("parallel_execute", |swarm| {
        let tasks = json!(["echo one", { "name": "second", "command": "echo $WORD", "env": { "WORD": "two" } }]);
        let done = swarm.call("parallel_execute", json!({ "tasks": tasks }));
        assert_eq!(
            (&done["status"], &done["taskCount"]),
            (&json!("succeeded"), &json!(2))
        );
        assert_eq!(outputs(&done), ["one\n", "two\n"]);
        let run = swarm.operate("runs.get", json!({ "id": done["jobId"] }));
        assert_eq!(run["run"]["state"], "succeeded");
        let failed = swarm.refused("parallel_execute", json!({ "tasks": ["exit 3", "true"] }));
        assert_eq!(failed["code"], "mcp_work_failed");
        assert_eq!(
            (&failed["failed"], &failed["succeeded"]),
            (&json!(1), &json!(1))
        );
    }),
    ("batch_process", |swarm| {
        // What an item says is never read as part of a script or plan.
        let items = json!(["a b", "$(exit 1)", "${{ params.x }}", { "n": 1 }]);
        let batch = json!({ "items": items, "operation": "printf '%s' \"$ITEM\"" });
        let done = swarm.call("batch_process", batch);
        assert_eq!(done["itemCount"], 4);
        assert_eq!(
            outputs(&done),
            ["a b", "$(exit 1)", "${{ params.x }}", "{\"n\":1}"]
        );
        let run = swarm.operate("runs.get", json!({ "id": done["batchId"] }));
        assert_eq!(run["tasks"].as_array().unwrap().len(), 4);
    }),
    ("task_create", |swarm| {
        let task = json!({ "command": "echo made", "name": "made", "priority": "high" });
        let made = swarm.call("task_create", task);
        let known = swarm.operate("tasks.get", json!({ "id": made["taskId"] }));
        assert_eq!(
            (&known["name"], &known["priority"]),
            (&json!("made"), &json!(7))
        );
    }),
    ("task_update", |swarm| {
        let held = held(swarm);
        let change = json!({ "taskId": held, "priority": "critical", "labels": { "a": "b" } });
        swarm.call("task_update", change);
        let known = swarm.operate("tasks.get", json!({ "id": held }));
        assert_eq!(
            (&known["priority"], &known["labels"]["a"]),
            (&json!(10), &json!("b"))
        );
        swarm.refused("task_update", json!({ "taskId": held }));
        swarm.operate("tasks.cancel", json!({ "id": held }));
    }),
    ("task_assign", |swarm| {
        let node = &swarm.nodes()[1]["id"];
        let new = json!({ "name": "chosen", "node": node });
        let agent = swarm.operate("agents.create", new)["id"].clone();
        let held = held(swarm);
        let assign = json!({ "taskId": held, "agentId": "chosen" });
        swarm.call("task_assign", assign);
        let known = swarm.operate("tasks.get", json!({ "id": held }));
        assert_eq!(known["spec"]["requirements"]["agent"], agent, "{known}");
        let nobody = json!({ "taskId": held, "agentId": "nobody" });
        assert_eq!(
            swarm.refused("task_assign", nobody)["code"],
            "agent_not_found"
        );
        swarm.operate("tasks.cancel", json!({ "id": held }));
        swarm.operate("agents.delete", json!({ "id": agent }));
    }),
    ("task_monitor", |swarm| {
        let task = swarm.ran("true");
        let seen = swarm.call("task_monitor", json!({ "taskId": task, "interval": 1 }));
        assert_eq!(seen["status"], "succeeded");
    }),
    ("task_aggregate", |swarm| {
        let run = run_of_two(swarm);
        let results = swarm.call("task_aggregate", json!({ "taskId": run }));
        assert_eq!(outputs(&results), ["one\n", "two\n"]);
    }),
];

/// A task that no agent can take.
fn held(swarm: &Swarm) -> Value {
    let task = json!({ "name": "held", "run": "true", "requires": ["sorcery"] });
    let task = swarm.operate("tasks.submit", task);
    task["id"].clone()
}

/// A run that has ended.
fn run_of_two(swarm: &Swarm) -> Value {
    let tasks = json!({ "a": { "run": "echo one" }, "b": { "run": "echo two", "needs": "a" } });
    let plan = json!({ "name": "two", "tasks": tasks });
    let run = swarm.operate("runs.submit", json!({ "plan": plan }))["run"]["id"].clone();
    let waited = swarm.http.tool(
        crate::mcp_message::modern,
        "skep_wait",
        json!({ "id": run }),
    );
    assert_eq!(waited.done()["state"], "succeeded");
    run
}

fn outputs(done: &Value) -> Vec<&str> {
    let results = done["results"].as_array().unwrap().iter();
    results.map(|result| text(&result["output"])).collect()
}

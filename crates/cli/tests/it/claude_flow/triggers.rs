//! Tools about work that is submitted when something happens.

use super::{Check, Swarm, text};
use crate::hive::wait_until;
use serde_json::{Value, json};

pub(super) const CHECKS: &[Check] = &[
    ("trigger_setup", |swarm| {
        let events = json!(["post-edit", { "event": "memory.written", "namespace": "swarm", "key": "in/*" }]);
        let action =
            json!({ "name": "edits", "command": "echo \"saw $SKEP_TRIGGER_KEY\"", "max": 2 });
        let made = swarm.call(
            "trigger_setup",
            json!({ "events": events, "actions": [action] }),
        );
        let shown = swarm.operate("triggers.get", json!({ "id": "edits" }));
        assert_eq!(json!([shown["id"]]), made["triggerIds"]);
        assert_eq!(shown["on"][0], "memory written namespace=hooks-post-edit");
        put(swarm, "swarm", "in/a");
        assert_eq!(output(swarm, "edits", 1), "saw in/a\n");
        swarm
            .hive
            .skep(&["hooks", "post-edit", "--file", "src/main.rs"])
            .expect(0);
        assert!(output(swarm, "edits", 2).starts_with("saw "));
        let spent = swarm.operate("triggers.get", json!({ "id": "edits" }));
        assert_eq!(spent["firings_left"], 0);
        let refused = |events: Value, actions: Value| {
            let arguments = json!({ "events": events, "actions": actions });
            swarm.refused("trigger_setup", arguments)
        };
        let pushed = refused(json!(["push"]), json!(["true"]));
        assert_eq!(pushed["code"], "watch_invalid");
        assert!(text(&pushed["error"]).contains("`memory`"), "{pushed}");
        for (events, actions) in [
            (json!([]), json!(["true"])),
            (json!(["task failed"]), json!([])),
            (
                json!(["task failed"]),
                json!([{ "type": "spawn_agent", "agent": "coder" }]),
            ),
            (json!(["task failed"]), json!([{ "name": "x" }])),
            (json!(["task failed"]), json!([7])),
        ] {
            assert_eq!(refused(events, actions)["code"], "mcp_params_invalid");
        }
        // What was made before one that is refused is taken back.
        let half = refused(
            json!(["task failed"]),
            json!([{ "name": "first", "command": "true" }, { "name": "edits", "command": "true" }]),
        );
        assert_eq!(half["code"], "name_taken");
        let left = swarm.operate("triggers.list", json!({}));
        assert_eq!(left["items"].as_array().unwrap().len(), 1);
        swarm.operate("triggers.delete", json!({ "id": "edits" }));
    }),
    ("automation_setup", |swarm| {
        let steps = json!({ "name": "w", "steps": ["echo from-workflow"] });
        let workflow = swarm.call("workflow_create", steps)["workflowId"].clone();
        let rules = json!([{
            "name": "repair",
            "when": "task failed name=broken*",
            "then": [{ "workflowId": workflow }, "echo beside"],
            "cooldown_s": 600,
        }]);
        let made = swarm.call("automation_setup", json!({ "rules": rules }));
        assert_eq!(made["count"], 2);
        for position in 0..2 {
            let name = format!("repair.{position}");
            let shown = swarm.operate("triggers.get", json!({ "id": name }));
            assert_eq!(shown["cooldown_s"], 600);
        }
        let broken = json!({ "name": "broken-1", "run": "exit 1", "retries": 0 });
        swarm.operate("tasks.submit", broken);
        assert_eq!(output(swarm, "repair.0", 1), "from-workflow\n");
        assert_eq!(output(swarm, "repair.1", 1), "beside\n");
        for wrong in [
            json!([]),
            json!(["when it rains"]),
            json!([{ "when": "task failed" }]),
            json!([{ "then": "true" }]),
            json!([{ "when": "task failed", "then": "true", "unless": "sunday" }]),
        ] {
            let refused = swarm.refused("automation_setup", json!({ "rules": wrong }));
            assert_eq!(refused["code"], "mcp_params_invalid");
        }
        for position in 0..2 {
            let path = json!({ "id": format!("repair.{position}") });
            swarm.operate("triggers.delete", path);
        }
        // The triggers of a workflow are triggers like these.
        let kept = json!({ "name": "w", "steps": ["echo kept"], "triggers": ["memory.written namespace=swarm key=go"] });
        let kept = swarm.call("workflow_create", kept);
        put(swarm, "swarm", "go");
        assert_eq!(output(swarm, text(&kept["workflowId"]), 1), "kept\n");
        swarm.operate("triggers.delete", json!({ "id": kept["triggerId"] }));
    }),
];

fn put(swarm: &Swarm, namespace: &str, key: &str) {
    let entry = json!({ "namespace": namespace, "key": key, "value": 1 });
    swarm.operate("memory.put", entry);
}

/// What the newest run of a trigger said, once it has submitted so many and that one has ended.
#[track_caller]
fn output(swarm: &Swarm, trigger: &str, runs: u64) -> String {
    let mut run = Value::Null;
    wait_until("a run of the trigger to succeed", || {
        let shown = swarm.operate("triggers.get", json!({ "id": trigger }));
        let last = &shown["last"];
        run = last["run"].clone();
        if shown["fired"] == runs && last["ended"] == "succeeded" {
            return Ok(());
        }
        Err(shown.to_string())
    });
    let results = swarm.call("task_results", json!({ "taskId": run }));
    text(&results["results"][0]["output"]).to_owned()
}

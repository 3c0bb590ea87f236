//! Tools about workflows that are kept.

use super::{Check, Swarm, text};
use crate::hive::wait_until;
use serde_json::{Value, json};

pub(super) const CHECKS: &[Check] = &[
    ("workflow_create", |swarm| {
        let made = create(swarm);
        let entry = json!({ "namespace": "workflows", "key": made["workflowId"] });
        let entry = swarm.operate("memory.get", entry);
        assert_eq!(entry["value"], made["workflow"]);
        assert_eq!(made["workflow"]["waves"].as_array().unwrap().len(), 2);
        for (wrong, code) in [
            (
                json!({ "name": "w", "steps": [{ "id": "a", "task": "think" }] }),
                "mcp_params_invalid",
            ),
            (
                json!({ "name": "w", "steps": ["true"], "triggers": ["push"] }),
                "watch_invalid",
            ),
            (
                json!({ "name": "w", "steps": [{ "run": "true", "needs": "nothing" }] }),
                "plan_invalid",
            ),
        ] {
            assert_eq!(swarm.refused("workflow_create", wrong)["code"], code);
        }
    }),
    ("workflow_execute", |swarm| {
        let made = create(swarm);
        let run = json!({ "workflowId": made["workflowId"], "params": { "who": "you; exit 1" } });
        let done = swarm.call("workflow_execute", run);
        assert_eq!(
            (&done["status"], &done["finished"]),
            (&json!("succeeded"), &json!(true))
        );
        assert_eq!(done["results"][0]["output"], "hello you; exit 1\n");
        assert_eq!(done["results"][1]["output"], "bye\n");
        let known = swarm.operate("runs.get", json!({ "id": done["executionId"] }));
        assert_eq!(known["run"]["labels"]["workflow"], made["workflowId"]);
        let failing = json!({ "name": "f", "steps": [{ "run": "exit 2", "retries": 0 }, "true"] });
        let failing = swarm.call("workflow_create", failing)["workflowId"].clone();
        let failed = swarm.refused("workflow_execute", json!({ "workflowId": failing }));
        assert_eq!(failed["code"], "mcp_work_failed");
        assert_eq!(failed["results"][0]["exitCode"], 2);
        assert_eq!(failed["results"][1]["status"], "cancelled");
        let missing = json!({ "workflowId": made["workflowId"] });
        assert_eq!(
            swarm.refused("workflow_execute", missing)["code"],
            "plan_invalid"
        );
        let unknown = json!({ "workflowId": "workflow_1" });
        assert_eq!(
            swarm.refused("workflow_execute", unknown)["code"],
            "mcp_document_unknown"
        );
    }),
    ("workflow_export", |swarm| {
        let id = create(swarm)["workflowId"].clone();
        for format in ["json", "yaml"] {
            let wanted = json!({ "workflowId": id, "format": format });
            let data = swarm.call("workflow_export", wanted)["data"].clone();
            let plan = swarm.hive.plan("exported.yaml", text(&data));
            let checked = ["--json", "plan", &plan, "--param", "who=me"];
            let checked = swarm.hive.skep(&checked).expect(0).text();
            assert!(checked.contains("greet"), "{checked}");
        }
        let xml = json!({ "workflowId": id, "format": "xml" });
        swarm.refused("workflow_export", xml);
    }),
    ("pipeline_create", |swarm| {
        let stages = json!([{ "name": "build", "run": "echo built" }, { "name": "ship", "run": "echo shipped" }]);
        let made = json!({ "config": { "name": "ci", "stages": stages } });
        let made = swarm.call("pipeline_create", made);
        let done = swarm.call(
            "workflow_execute",
            json!({ "workflowId": made["pipelineId"] }),
        );
        assert_eq!(done["results"][1]["output"], "shipped\n");
        let tasks = swarm.operate("runs.tasks", json!({ "id": done["executionId"] }));
        assert_eq!(tasks["items"].as_array().unwrap().len(), 2);
        swarm.refused("pipeline_create", json!({ "config": {} }));
    }),
    ("workflow_template", |swarm| {
        let act = |action: &str, template: Value| {
            swarm.call(
                "workflow_template",
                json!({ "action": action, "template": template }),
            )
        };
        let made = act(
            "create",
            json!({ "name": "t", "steps": ["echo from-template"] }),
        );
        let id = json!({ "id": made["templateId"] });
        assert_eq!(act("list", json!({}))["count"], 1);
        assert_eq!(act("get", id.clone())["template"]["name"], "t");
        let workflow = act("instantiate", id.clone())["workflowId"].clone();
        let done = swarm.call("workflow_execute", json!({ "workflowId": workflow }));
        assert_eq!(done["results"][0]["output"], "from-template\n");
        act("delete", id.clone());
        assert_eq!(act("list", json!({}))["count"], 0);
        let gone = json!({ "action": "get", "template": id });
        assert_eq!(
            swarm.refused("workflow_template", gone)["code"],
            "mcp_document_unknown"
        );
    }),
    ("scheduler_manage", |swarm| {
        let act = |action: &str, schedule: Value| {
            let arguments = json!({ "action": action, "schedule": schedule });
            swarm.call("scheduler_manage", arguments)
        };
        let workflow = create(swarm)["workflowId"].clone();
        let made = act(
            "create",
            json!({ "name": "often", "every_s": 1, "overlap": "queue", "workflowId": workflow, "params": { "who": "you" } }),
        );
        let shown = swarm.operate("schedules.get", json!({ "id": "often" }));
        assert_eq!(shown["id"], made["scheduleId"]);
        let mut run = Value::Null;
        wait_until("a run of the schedule to succeed", || {
            let last = act("get", json!({ "name": "often" }))["schedule"]["last"].clone();
            run = last["run"].clone();
            if last["ended"] == "succeeded" {
                return Ok(());
            }
            Err(last.to_string())
        });
        let known = swarm.operate("runs.get", json!({ "id": run }));
        assert_eq!(known["run"]["labels"]["workflow"], workflow);
        assert_eq!(known["run"]["labels"]["schedule"], "often");
        assert_eq!(
            act("pause", json!({ "name": "often" }))["schedule"]["paused"],
            true
        );
        let asked = act("run", json!({ "name": "often" }));
        swarm.operate("runs.get", json!({ "id": asked["run"]["id"] }));
        assert_eq!(
            act("resume", json!({ "name": "often" }))["schedule"]["paused"],
            false
        );
        let nightly = json!({ "name": "nightly", "cron": "@daily", "command": "echo night" });
        act("create", nightly.clone());
        assert_eq!(act("list", json!({}))["count"], 2);
        let refused = |action: &str, schedule: Value| {
            let arguments = json!({ "action": action, "schedule": schedule });
            swarm.refused("scheduler_manage", arguments)["code"].clone()
        };
        assert_eq!(refused("create", nightly), "name_taken");
        let never = json!({ "name": "x", "cron": "0 0 31 6 *", "command": "true" });
        assert_eq!(refused("create", never), "cron_invalid");
        for wrong in [
            json!({ "name": "x", "cron": "@daily" }),
            json!({ "name": "x", "cron": "@daily", "command": "true", "steps": ["true"] }),
            json!({ "name": "x", "when": "soon", "command": "true" }),
        ] {
            assert_eq!(refused("create", wrong), "mcp_params_invalid");
        }
        assert_eq!(
            refused("dance", json!({ "name": "often" })),
            "mcp_params_invalid"
        );
        for name in ["often", "nightly"] {
            act("delete", json!({ "name": name }));
            assert_eq!(
                refused("get", json!({ "name": name })),
                "schedule_not_found"
            );
        }
    }),
];

fn create(swarm: &Swarm) -> Value {
    let steps = json!([{ "id": "greet", "run": "echo \"hello $SKEP_PARAM_WHO\"" }, "echo bye"]);
    swarm.call("workflow_create", json!({ "name": "w", "steps": steps }))
}

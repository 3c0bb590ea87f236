//! Tools about machines: commands, features, backups, logs and diagnosis.

use super::{Check, text};
use serde_json::json;

pub(super) const CHECKS: &[Check] = &[
    ("terminal_execute", |swarm| {
        let done = swarm.call("terminal_execute", json!({ "command": "echo $((6 * 7))" }));
        assert_eq!(
            (&done["exitCode"], &done["output"]),
            (&json!(0), &json!("42\n"))
        );
        assert_eq!(done["finished"], true);
        let known = swarm.operate("tasks.get", json!({ "id": done["taskId"] }));
        assert_eq!(known["state"], "succeeded");
        // With arguments no shell reads them.
        let quoted = json!({ "command": "echo", "args": ["$HOME", "a  b"] });
        assert_eq!(
            swarm.call("terminal_execute", quoted)["output"],
            "$HOME a  b\n"
        );
        let failed = swarm.refused("terminal_execute", json!({ "command": "echo no; exit 3" }));
        assert_eq!(failed["code"], "mcp_work_failed");
        assert_eq!(
            (&failed["exitCode"], &failed["output"]),
            (&json!(3), &json!("no\n"))
        );
    }),
    ("features_detect", |swarm| {
        let features = swarm.call("features_detect", json!({}));
        let node = &swarm.nodes()[0];
        let first = &features["nodes"][0];
        assert_eq!(first["cpu"]["cores"], node["hardware"]["cores"]);
        assert_eq!(first["isolation"]["level"], node["isolation"]);
        let one = swarm.call("features_detect", json!({ "component": "memory" }));
        assert_eq!(one["nodes"][0].get("cpu"), None);
        swarm.refused("features_detect", json!({ "component": "wasm" }));
    }),
    ("backup_create", |swarm| {
        let place = swarm.hive.path().join("kept");
        let place = place.to_str().unwrap();
        let wanted = json!({ "destination": place, "components": ["store"] });
        let made = swarm.call("backup_create", wanted.clone());
        let verified = swarm.hive.skep(&["--json", "backup", "verify", place]);
        let verified = verified.expect(0).json();
        assert_eq!(made["bytes"], verified["bytes"]);
        assert!(
            verified.to_string().contains(text(&made["backupId"])),
            "{verified}"
        );
        assert_eq!(
            swarm.refused("backup_create", wanted)["code"],
            "backup_refused"
        );
        let relative = json!({ "destination": "here" });
        assert_eq!(
            swarm.refused("backup_create", relative)["code"],
            "field_invalid"
        );
        let usual = swarm.call("backup_create", json!({}));
        assert!(
            std::path::Path::new(text(&usual["path"]))
                .join("manifest.json")
                .exists()
        );
    }),
    ("log_analysis", |swarm| {
        let task = swarm.ran("echo 'ERROR a 1'; echo 'error a 2'; echo fine; echo 'warning: x'");
        let wanted = json!({ "logFile": task, "patterns": ["a \\d", "^never$"] });
        let analysis = swarm.call("log_analysis", wanted)["analysis"].clone();
        assert_eq!(analysis["lines"], 4);
        assert_eq!(
            (&analysis["levels"]["error"], &analysis["levels"]["warning"]),
            (&json!(2), &json!(1))
        );
        assert_eq!(
            (
                &analysis["patterns"][0]["lines"],
                &analysis["patterns"][1]["lines"]
            ),
            (&json!(2), &json!(0))
        );
        let bad = json!({ "logFile": task, "patterns": ["("] });
        assert_eq!(
            swarm.refused("log_analysis", bad)["code"],
            "pattern_invalid"
        );
        let file = swarm.refused("log_analysis", json!({ "logFile": "/etc/passwd" }));
        assert_eq!(file["code"], "mcp_params_invalid");
    }),
    ("diagnostic_run", |swarm| {
        let checked = swarm.call("diagnostic_run", json!({}));
        assert_eq!(checked["healthy"], true, "{checked}");
        let names = checked["components"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|check| text(&check["name"])).collect();
        assert!(names.contains(&"store"), "{names:?}");
        assert_eq!(checked["remedies"], json!([]));
        let quick = swarm.call("diagnostic_run", json!({ "components": ["disk"] }));
        assert_eq!(quick["components"].as_array().unwrap().len(), 1);
    }),
];

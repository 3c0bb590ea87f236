//! Tools about machines: commands, features, backups, logs and diagnosis.

use super::{Check, text};
use serde_json::{Value, json};

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
    ("security_scan", |swarm| {
        let place = swarm.hive.path().join("scanned");
        std::fs::create_dir_all(&place).unwrap();
        let key = ["AKIA", "Q7ZL2WX5KD3MN6PR"].concat();
        std::fs::write(place.join("notes.txt"), format!("the key is\n{key}\n")).unwrap();
        let target = place.to_str().unwrap();
        let scanned = swarm.call("security_scan", json!({ "target": target }));
        assert_eq!(scanned["findingCount"], 1, "{scanned}");
        let finding = &scanned["findings"][0];
        assert_eq!(
            (&finding["rule"], &finding["file"], &finding["line"]),
            (&json!("aws-access-key-id"), &json!("notes.txt"), &json!(2))
        );
        assert!(!scanned.to_string().contains(&key), "{scanned}");
        assert_eq!(scanned["complete"], true);
        let known = swarm.operate("tasks.get", json!({ "id": scanned["taskId"] }));
        assert_eq!(known["name"], "security-scan");
        let own = swarm.hive.skep(&["--json", "analyse", "secrets", target]);
        assert_eq!(own.expect(0).json()["found"], 1);
        let nowhere = swarm.hive.path().join("nowhere");
        let nowhere = json!({ "target": nowhere });
        assert_eq!(
            swarm.refused("security_scan", nowhere)["code"],
            "mcp_work_failed"
        );
        for wrong in [
            json!({ "target": "here" }),
            json!({ "target": target, "depth": "abyss" }),
        ] {
            assert_eq!(
                swarm.refused("security_scan", wrong)["code"],
                "mcp_params_invalid"
            );
        }
    }),
    ("config_manage", |swarm| {
        let manage = |action: &str, config: Value| {
            let arguments = json!({ "action": action, "config": config });
            swarm.call("config_manage", arguments)
        };
        let listed = swarm.call("config_manage", json!({ "action": "list" }));
        assert_eq!(listed["config"].as_array().unwrap().len(), 9, "{listed}");
        let wanted = json!({ "events_days": 11 });
        assert_eq!(manage("validate", wanted.clone())["valid"], true);
        let days = || manage("get", json!({ "events_days": "?" }))["config"][0]["value"].clone();
        assert_eq!(days(), "7", "validating changes nothing");
        let set = manage("set", wanted);
        assert_eq!(set["changed"][0]["value"], "11");
        assert_eq!(
            set["changed"][0]["takes_effect"],
            "at the next start of the coordinator"
        );
        assert_eq!(days(), "11");
        let explained = ["--json", "config", "explain", "events_days"];
        let explained = swarm.hive.skep(&explained).expect(0).json();
        assert_eq!(explained["value"], "11", "commands read the same file");
        let wrong = json!({ "events_days": 5, "history_days": 0 });
        assert_eq!(manage("validate", wrong.clone())["valid"], false);
        let wrong = json!({ "action": "set", "config": wrong });
        assert_eq!(
            swarm.refused("config_manage", wrong)["code"],
            "setting_invalid"
        );
        assert_eq!(days(), "11");
        manage("set", json!({ "events_days": null }));
        assert_eq!(days(), "7");
        for wrong in [
            json!({ "action": "set" }),
            json!({ "action": "get", "config": { "colour": 1 } }),
            json!({ "action": "dance" }),
        ] {
            assert_eq!(
                swarm.refused("config_manage", wrong)["code"],
                "mcp_params_invalid"
            );
        }
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
    ("restore_system", |swarm| {
        let made = swarm.call("backup_create", json!({ "components": ["store"] }));
        let staged = swarm.call("restore_system", json!({ "backupId": made["backupId"] }));
        assert_eq!(
            (&staged["status"], &staged["applied"]),
            (&json!("staged"), &json!(false))
        );
        assert_eq!(staged["verified"]["bytes"], made["bytes"]);
        let data = swarm
            .hive
            .skep(&["--json", "config", "explain", "data_dir"]);
        let data = data.expect(0).json();
        let beside = format!("{}.staged", text(&data["value"]));
        let beside = std::path::Path::new(&beside);
        assert!(beside.join("skep.db").exists(), "{staged}");
        let discarded = swarm.operate("system.restore_discard", json!({}));
        assert_eq!(discarded["discarded"], true);
        assert!(!beside.exists());
        for (id, code) in [
            ("0".repeat(64), "backup_unknown"),
            ("/".to_owned(), "backup_unusable"),
        ] {
            let refused = swarm.refused("restore_system", json!({ "backupId": id }));
            assert_eq!(refused["code"], code, "{refused}");
        }
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

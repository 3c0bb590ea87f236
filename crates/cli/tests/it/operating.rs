//! The bundle for diagnosis, and services.

use crate::hive::{TestHive, command, skep_in};
use serde_json::Value;
use std::fmt::Write as _;

#[test]
fn a_debug_bundle_holds_no_secret_and_lists_what_it_holds() {
    const CANARY: &str = "Canary0Value1Of2A3Secret";
    let hive = TestHive::start(1);
    let plan = format!(
        "name: demo\ntasks:\n  a:\n    run: 'true'\n    env: {{PLAIN: {CANARY}}}\n    labels: {{x: \
         swu1_{CANARY}}}\n"
    );
    let plan = hive.plan("demo.yaml", &plan);
    hive.skep(&["submit", &plan, "--wait"]).expect(0);
    let log = hive.path().join("home/state/nodes/local-1/node.log");
    let mut text = std::fs::read_to_string(&log).unwrap();
    for before in [
        "swu1_",
        "swt1_",
        "swn1_",
        "sws1_",
        "skj1_",
        "Authorization: Bearer ",
        "A_TOKEN=",
    ] {
        writeln!(text, "said {before}{CANARY} aloud").unwrap();
    }
    writeln!(text, "{{\"message\":\"x\",\"env\":{{\"A\":\"{CANARY}\"}}}}").unwrap();
    std::fs::write(&log, text).unwrap();
    let token = std::fs::read_to_string(hive.path().join("home/state/token")).unwrap();
    let variables = [("DATABASE_PASSWORD", CANARY)];
    let arguments = ["--json", "debug", "bundle", "--output", "bundle"];
    let made = hive.skep_with(&variables, &arguments).expect(0).json();
    let files: Vec<_> = made["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    let bundle = hive.path().join("bundle");
    let contents = std::fs::read_to_string(bundle.join("README.txt")).unwrap();
    for file in &files {
        let text = std::fs::read_to_string(bundle.join(file)).unwrap();
        assert!(!text.contains(CANARY), "{file}: {text}");
        assert!(!text.contains(token.trim()), "{file}");
        assert!(contents.contains(file) && !text.is_empty(), "{file}");
    }
    for file in [
        "doctor.json",
        "events.jsonl",
        "metrics.txt",
        "logs/local-1.log",
    ] {
        assert!(files.contains(&file), "{files:?}");
    }
    let log = std::fs::read_to_string(bundle.join("logs/local-1.log")).unwrap();
    assert!(log.contains("[redacted] aloud"), "{log}");
    // It is never mixed with another, and works without a coordinator.
    hive.skep(&arguments).expect(8);
    let alone = tempfile::tempdir().unwrap();
    skep_in(alone.path(), &["debug", "bundle"]).expect(0);
}

#[test]
fn a_service_is_written_shown_and_removed_for_a_node_that_may_come_in() {
    let hive = TestHive::start(0);
    let run = |arguments: &[&str]| {
        let config = hive.path().join("xdg");
        let mut asked = command(hive.path(), arguments);
        asked.env("XDG_CONFIG_HOME", config);
        asked.output().unwrap()
    };
    let unit = hive.path().join("xdg/systemd/user/skep-node-a.service");
    let install = ["service", "install", "--user", "--name", "a"];
    let installed = run(&install);
    assert!(installed.status.success(), "{installed:?}");
    let said = String::from_utf8(installed.stdout).unwrap();
    assert!(
        said.contains("systemctl --user enable --now skep-node-a.service"),
        "{said}"
    );
    let text = std::fs::read_to_string(&unit).unwrap();
    assert!(
        text.contains("node start --name a") && text.contains("SKEP_HOME="),
        "{text}"
    );
    let shown = run(&["--json", "service", "show", "--user", "--name", "a"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(
        (&shown["installed"], &shown["text"]),
        (&true.into(), &text.into())
    );
    assert!(
        run(&["service", "uninstall", "--user", "--name", "a"])
            .status
            .success()
    );
    assert!(!unit.exists());
    let gone = run(&["service", "uninstall", "--user", "--name", "a"]);
    assert_eq!(gone.status.code(), Some(7));
    std::fs::write(&unit, "[Unit]\n").unwrap();
    assert_eq!(run(&install).status.code(), Some(8), "somebody else's unit");

    let alone = tempfile::tempdir().unwrap();
    let error = skep_in(
        alone.path(),
        &["--json", "service", "install", "--user", "--name", "a"],
    );
    assert_eq!(error.expect(3).json_error()["code"], "not_joined");
}

//! Backups beside a running coordinator, their check, and a start from one.

use crate::hive::{TestHive, skep_in};
use serde_json::Value;
use std::path::Path;

const PLAN: &str =
    "name: demo\ntasks:\n  a: {run: echo kept | tee out.txt, artifacts: [out.txt]}\n";

/// Runs a plan to its end, and backs up beside the coordinator.
fn backed_up(hive: &TestHive) -> Value {
    let plan = hive.plan("demo.yaml", PLAN);
    hive.skep(&["submit", &plan, "--wait"]).expect(0);
    let made = hive.skep(&["--json", "backup", "create", "--output", "backup"]);
    made.expect(0).json()
}

#[test]
fn what_was_backed_up_online_is_there_after_a_restore_and_its_nodes_are_not() {
    let mut hive = TestHive::start(1);
    let tokens = hive.skep(&["--json", "token", "new", "ci", "--scope", "read"]);
    let secret = tokens.expect(0).json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let made = backed_up(&hive);
    assert_eq!(made["artifacts"], 1, "{made}");
    assert_eq!(made["left_out"], serde_json::json!([]));
    let checked = hive.skep(&["--json", "backup", "verify", "backup"]);
    assert_eq!(checked.expect(0).json(), made);
    let old_node = std::fs::read_to_string(hive.path().join("home/state/node-token")).unwrap();

    // Where a coordinator runs, or was, nothing is restored.
    let restore = ["--json", "backup", "restore", "backup"];
    let refused = hive.skep(&restore).expect(8).json_error();
    assert_eq!(refused["code"], "data_dir_in_use");
    assert_eq!(hive.stop(), Some(0));
    let refused = hive.skep(&restore).expect(8).json_error();
    assert_eq!(refused["code"], "directory_not_empty");

    let elsewhere = ["--home", "other", "--json", "backup", "restore", "backup"];
    let restored = hive.skep(&elsewhere).expect(0).json();
    assert_eq!(restored["manifest"], made["manifest"]);
    assert_ne!(restored["restored_as"], made["cluster"]);
    let other = TestHive::start_in(
        hive.path(),
        &[("SKEP_HOME", "other")],
        &["--listen", "127.0.0.1:0"],
    );
    let asked = |arguments: &[&str]| {
        other
            .skep_with(&[("SKEP_HOME", "other")], arguments)
            .expect(0)
            .json()
    };
    assert_eq!(
        asked(&["--json", "run", "ls"])["items"][0]["state"],
        "succeeded"
    );
    assert_eq!(
        asked(&["--json", "node", "ls"])["items"],
        serde_json::json!([])
    );
    let status = asked(&["--json", "doctor"]);
    assert_eq!(status["ok"], true, "{status}");

    // The old token of nodes is let go; the token of a person goes on working.
    let with = |token: &str| {
        let variables = [("SKEP_HOME", "other"), ("SKEP_TOKEN", token)];
        other.skep_with(&variables, &["--json", "run", "ls"])
    };
    with(&secret).expect(0);
    let refused = with(old_node.trim()).expect(3).json_error();
    assert_eq!(refused["code"], "token_unknown");
    let mark = hive.path().join("other/state/coordinator/farewell-owed");
    assert!(!mark.exists());
}

/// A port that was free just now: join tokens must name it before it is listened on.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn machines_that_joined_before_the_backup_have_to_join_again() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let (listen, place) = (format!("0.0.0.0:{port}"), format!("127.0.0.1:{port}"));
    let up = ["--listen", &listen, "--advertise", &place];
    let mut hive = TestHive::start_in(directory.path(), &[], &up);
    for (name, approval) in [("known", &[][..]), ("waiting", &["--needs-approval"])] {
        let made = hive.skep(&[&["--json", "token", "join"], approval].concat());
        let token = made.expect(0).json()["token"].as_str().unwrap().to_owned();
        let join = ["--home", name, "join", &token, "--name", name, "--no-start"];
        skep_in(directory.path(), &join).expect(0);
    }
    let doctor = hive.skep(&["--json", "doctor"]).expect(0).json();
    let network = |name: &str| {
        let checks = doctor["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name);
        check.map(|check| check["status"].as_str().unwrap())
    };
    assert_eq!(network("authority"), Some("ok"));
    assert_eq!(network("join address"), Some("ok"), "{doctor}");
    let backup = ["backup", "create", "--output", "backup", "--no-logs"];
    hive.skep(&backup).expect(0);
    assert_eq!(hive.stop(), Some(0));

    hive.skep(&["--home", "other", "backup", "restore", "backup"])
        .expect(0);
    let home = [("SKEP_HOME", "other")];
    let other = TestHive::start_in(directory.path(), &home, &up);
    let pending = other.skep_with(&home, &["--json", "node", "ls", "--pending"]);
    assert_eq!(pending.expect(0).json()["items"], serde_json::json!([]));
    let tokens = other.skep_with(&home, &["--json", "token", "ls"]);
    let tokens = tokens.expect(0).json()["join_tokens"].clone();
    // The one that `skep up` made just now.
    assert_eq!(tokens.as_array().unwrap().len(), 1, "{tokens}");
    // It still trusts the coordinator, whose authority was in the backup; but it is not known.
    let start = [
        "--home", "known", "--json", "node", "start", "--name", "known",
    ];
    let refused = skep_in(directory.path(), &start).expect(3).json_error();
    assert_eq!(refused["code"], "token_refused", "{refused}");
}

#[test]
fn damage_and_absence_have_their_exit_codes() {
    let hive = TestHive::start(1);
    backed_up(&hive);
    let code = |arguments: &[&str], exit: i32| {
        let arguments: Vec<_> = ["--json"].iter().chain(arguments).copied().collect();
        let error = hive.skep(&arguments).expect(exit).json_error();
        error["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        code(&["backup", "create", "-o", "backup"], 8),
        "directory_not_empty"
    );
    assert_eq!(
        code(&["backup", "create", "-o", "home/state/coordinator/b"], 6),
        "backup_inside_data"
    );
    assert_eq!(
        code(&["--home", "empty", "backup", "create"], 7),
        "data_dir_missing"
    );
    assert_eq!(code(&["backup", "verify", "home"], 7), "backup_not_found");
    let log = first_file(&hive.path().join("backup/logs"));
    std::fs::write(&log, "something else").unwrap();
    assert_eq!(code(&["backup", "verify", "backup"], 70), "backup_damaged");
    assert_eq!(
        code(&["--home", "other", "backup", "restore", "backup"], 70),
        "backup_damaged"
    );
    assert!(!hive.path().join("other/state/coordinator").exists());
}

fn first_file(directory: &Path) -> std::path::PathBuf {
    let entry = std::fs::read_dir(directory)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    if entry.path().is_dir() {
        first_file(&entry.path())
    } else {
        entry.path()
    }
}

#[test]
fn attempts_that_ran_at_the_backup_are_given_up_with_their_node() {
    let mut hive = TestHive::start(1);
    let plan = "name: slow\ntasks:\n  again: {run: sleep 600}\n  once: {run: sleep 600, delivery: \
                at_most_once}\n";
    let plan = hive.plan("slow.yaml", plan);
    let submitted = hive.skep(&["--json", "submit", &plan]).expect(0).json();
    let task = |name: &str| submitted["tasks"][name].as_str().unwrap().to_owned();
    let (again, once) = (task("again"), task("once"));
    for task in [&again, &once] {
        let wait = ["wait", task, "--for", "running", "--timeout", "60"];
        hive.skep(&wait).expect(0);
    }
    hive.skep(&["backup", "create", "--output", "backup"])
        .expect(0);
    assert_eq!(hive.stop(), Some(0));
    hive.skep(&["--home", "other", "backup", "restore", "backup"])
        .expect(0);
    let home = [("SKEP_HOME", "other")];
    let other = TestHive::start_in(hive.path(), &home, &["--listen", "127.0.0.1:0"]);
    let state = |task: &str| {
        let shown = other.skep_with(&home, &["--json", "task", "show", task]);
        shown.expect(0).json()["state"].clone()
    };
    assert_eq!(state(&once), "unknown");
    let waits = state(&again);
    assert!(
        ["pending", "ready"].contains(&waits.as_str().unwrap()),
        "{waits}"
    );
    let nodes = other.skep_with(&home, &["--json", "node", "ls"]);
    assert_eq!(nodes.expect(0).json()["items"], serde_json::json!([]));
}

#[test]
fn a_staged_backup_takes_the_place_of_the_data_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let value = |hive: &TestHive| {
        let entry = hive.skep(&["--json", "memory", "get", "swarm", "k"]);
        entry.expect(0).json()["value"].clone()
    };
    let mut hive = TestHive::start_in(directory.path(), &[], &[]);
    hive.skep(&["memory", "set", "swarm", "k", "1"]).expect(0);
    let place = directory.path().join("kept");
    let place = place.to_str().unwrap();
    hive.skep(&["backup", "create", "--output", place])
        .expect(0);
    hive.skep(&["memory", "set", "swarm", "k", "2"]).expect(0);
    let http = crate::mcp_client::Http::of(&hive);
    let restore = serde_json::json!({
        "operation": "system.restore", "arguments": { "backup": place },
    });
    let staged = http.tool(crate::mcp_message::modern, "skep_call", restore);
    assert!(staged.done()["parts"].as_u64().unwrap() > 0);
    assert_eq!(value(&hive), 2, "nothing changes before the next start");
    assert_eq!(hive.stop(), Some(0));
    let hive = TestHive::start_in(directory.path(), &[], &[]);
    assert_eq!(value(&hive), 1);
    let data = hive.skep(&["--json", "config", "explain", "data_dir"]);
    let data = data.expect(0).json();
    let kept = format!("{}.replaced-1", data["value"].as_str().unwrap());
    assert!(std::path::Path::new(&kept).join("skep.db").exists());
}

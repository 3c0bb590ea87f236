//! `skep memory` against a coordinator.

use crate::hive::{Process, TestHive, command, wait_until};
use crate::rest::post;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::process::Stdio;

#[test]
fn a_value_is_set_read_replaced_on_condition_and_deleted() {
    let hive = TestHive::start(0);
    let set = |arguments: &[&str]| {
        let all = [&["--json", "memory", "set", "swarm", "plan/a"], arguments].concat();
        hive.skep(&all)
    };
    let first = set(&[
        "{\"step\": 1}",
        "--why",
        "to begin",
        "--tag",
        "x",
        "--ttl",
        "3600",
    ]);
    let first = first.expect(0).json();
    assert_eq!(first["outcome"], "written");
    let version = first["version"].to_string();
    let shown = hive
        .skep(&["--json", "memory", "get", "swarm", "plan/a"])
        .expect(0)
        .json();
    assert_eq!(shown["value"], json!({"step": 1}));
    assert_eq!(
        (&shown["why"], &shown["tags"]),
        (&json!("to begin"), &json!(["x"]))
    );
    set(&["plain words", "--if-version", &version]).expect(0);
    let text = hive
        .skep(&["memory", "get", "swarm", "plan/a"])
        .expect(0)
        .text();
    assert_eq!(text, "plain words\n");
    let stale = set(&["again", "--if-version", &version])
        .expect(8)
        .json_error();
    assert_eq!(stale["code"], "memory_version_conflict");
    set(&["again", "--if-absent"]).expect(8);
    set(&["again", "--ttl", "0"]).expect(6);
    set(&[]).expect(64);
    let earlier = ["memory", "get", "swarm", "plan/a", "--at", &version];
    assert!(hive.skep(&earlier).expect(0).text().contains("\"step\": 1"));
    let list = hive
        .skep(&["memory", "list", "swarm", "--prefix", "plan/"])
        .expect(0)
        .text();
    assert!(list.contains("plan/a"), "{list}");
    hive.skep(&["memory", "delete", "swarm", "plan/a", "--why", "done"])
        .expect(0);
    hive.skep(&["memory", "get", "swarm", "plan/a"]).expect(7);
    hive.skep(&["memory", "list", "nowhere"]).expect(7);
    let history = hive
        .skep(&["memory", "history", "swarm", "plan/a"])
        .expect(0)
        .text();
    assert!(
        history.contains("deleted") && history.contains("to begin"),
        "{history}"
    );
}

#[test]
fn bytes_of_a_file_come_back_as_they_were() {
    let hive = TestHive::start(0);
    let bytes: Vec<u8> = (0..=255).collect();
    std::fs::write(hive.path().join("in.bin"), &bytes).unwrap();
    hive.skep(&["memory", "set", "swarm", "b", "--file", "in.bin"])
        .expect(0);
    hive.skep(&["memory", "get", "swarm", "b", "--output", "out.bin"])
        .expect(0);
    assert_eq!(std::fs::read(hive.path().join("out.bin")).unwrap(), bytes);
    let raw = hive
        .skep(&["memory", "get", "swarm", "b", "--raw"])
        .expect(0);
    assert_eq!(raw.stdout, bytes);
    hive.skep(&["--json", "memory", "get", "swarm", "b", "--raw"])
        .expect(6);
    hive.skep(&["memory", "set", "swarm", "b", "--file", "none.bin"])
        .expect(7);
}

#[test]
fn an_export_goes_out_and_comes_in_and_a_snapshot_brings_back() {
    let hive = TestHive::start(0);
    for key in ["a", "b"] {
        hive.skep(&["memory", "set", "swarm", key, "1"]).expect(0);
    }
    hive.skep(&["memory", "snapshot", "swarm", "before"])
        .expect(0);
    hive.skep(&["memory", "export", "swarm", "--output", "swarm.jsonl"])
        .expect(0);
    let import = [
        "--json",
        "memory",
        "import",
        "swarm.jsonl",
        "--namespace",
        "copy",
    ];
    assert_eq!(hive.skep(&import).expect(0).json()["written"], 2);
    let text = std::fs::read_to_string(hive.path().join("swarm.jsonl")).unwrap();
    let cut = text.lines().take(2).collect::<Vec<_>>().join("\n");
    std::fs::write(hive.path().join("cut.jsonl"), cut).unwrap();
    let refused = hive
        .skep(&["--json", "memory", "import", "cut.jsonl"])
        .expect(6);
    assert_eq!(refused.json_error()["code"], "export_cut");
    let odd = "{\"namespace\": \"swarm\", \"key\": \"c\", \"value\": 1}\n{\"key\": \"d\"}\n";
    std::fs::write(hive.path().join("odd.jsonl"), odd).unwrap();
    let refused = hive
        .skep(&["--json", "memory", "import", "odd.jsonl"])
        .expect(6);
    assert_eq!(refused.json()["written"], 1);
    assert_eq!(refused.json_error()["code"], "memory_import_refused");
    hive.skep(&["memory", "delete", "swarm", "a"]).expect(0);
    hive.skep(&["memory", "restore", "swarm", "before"])
        .expect(0);
    hive.skep(&["memory", "get", "swarm", "a"]).expect(0);
    hive.skep(&["memory", "get", "swarm", "c"]).expect(7);
    let names = hive.skep(&["memory", "snapshots"]).expect(0).text();
    assert!(names.contains("swarm/before"), "{names}");
    hive.skep(&["memory", "restore", "swarm", "never"])
        .expect(7);
    let spaces = hive.skep(&["memory", "namespaces"]).expect(0).text();
    assert!(
        spaces.contains("copy") && spaces.contains("swarm"),
        "{spaces}"
    );
}

#[test]
fn memory_of_claude_flow_is_taken_in() {
    let hive = TestHive::start(0);
    let database = Connection::open(hive.path().join("memory.db")).unwrap();
    database
        .execute_batch(
            "CREATE TABLE memory_entries (id INTEGER PRIMARY KEY, key TEXT NOT NULL,
                 value TEXT NOT NULL, namespace TEXT NOT NULL, metadata TEXT, created_at INTEGER,
                 updated_at INTEGER, accessed_at INTEGER, access_count INTEGER, ttl INTEGER,
                 expires_at INTEGER);
             INSERT INTO memory_entries (key, value, namespace, metadata, created_at, ttl, expires_at)
             VALUES ('plan', '{\"a\":1}', 'Team One', '{\"by\":\"coder\"}', 1700000000, NULL, NULL),
                    ('note', 'words', 'default', NULL, 1700000000, NULL, unixepoch() + 3600),
                    ('old', 'words', 'default', NULL, 1700000000, 60, 1700000060);",
        )
        .unwrap();
    drop(database);
    let taken = hive
        .skep(&["--json", "memory", "import", "memory.db"])
        .expect(0)
        .json();
    assert_eq!(
        (&taken["written"], &taken["expired"]),
        (&json!(2), &json!(1))
    );
    let plan = hive
        .skep(&["--json", "memory", "get", "team-one", "plan"])
        .expect(0)
        .json();
    assert_eq!(plan["value"], json!({"a": 1}));
    assert_eq!(plan["metadata"]["by"], "coder");
    let note = hive
        .skep(&["--json", "memory", "get", "default", "note"])
        .expect(0)
        .json();
    assert!(note["expires_at"].is_string());
    assert_eq!(note["metadata"]["created_at"], "2023-11-14T22:13:20.000Z");
    let store = json!({"default": [{"key": "k", "value": "[1]", "timestamp": 1}]});
    std::fs::write(hive.path().join("memory-store.json"), store.to_string()).unwrap();
    hive.skep(&["memory", "import", "memory-store.json"])
        .expect(0);
    let value = hive
        .skep(&["--json", "memory", "get", "default", "k"])
        .expect(0)
        .json();
    assert_eq!(value["value"], json!([1]));
}

#[test]
fn changes_are_watched_from_a_cursor_on() {
    let hive = TestHive::start(0);
    hive.skep(&["memory", "set", "swarm", "plan/a", "1"])
        .expect(0);
    let log = hive.path().join("watch.jsonl");
    let arguments = [
        "--json", "memory", "watch", "swarm", "plan/*", "--after", "0.0",
    ];
    let mut watch = command(hive.path(), &arguments);
    watch.stdout(Stdio::from(std::fs::File::create(&log).unwrap()));
    let _watch = Process(watch.spawn().unwrap());
    hive.skep(&["memory", "set", "swarm", "other", "1"])
        .expect(0);
    hive.skep(&["memory", "delete", "swarm", "plan/a"])
        .expect(0);
    let mut seen = Vec::new();
    wait_until("two changes", || {
        let text = std::fs::read_to_string(&log).unwrap();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        seen = lines.collect::<Vec<Value>>();
        if seen.len() >= 2 { Ok(()) } else { Err(text) }
    });
    let kinds: Vec<_> = seen.iter().map(|event| &event["event"]).collect();
    assert_eq!(kinds, ["memory_written", "memory_deleted"]);
}

#[test]
fn a_conflict_is_shown_and_resolved() {
    let hive = TestHive::start(0);
    let manual = [
        "memory",
        "namespace",
        "set",
        "swarm",
        "--strategy",
        "=manual",
    ];
    hive.skep(&manual).expect(0);
    hive.skep(&["memory", "set", "swarm", "a", "here"])
        .expect(0);
    let resolve = ["memory", "resolve", "swarm", "a", "there"];
    let none = hive.skep(&[&["--json"], &resolve[..]].concat()).expect(7);
    assert_eq!(none.json_error()["code"], "memory_conflict_unknown");
    let replica = "replica_00000000000000000000000007";
    let line = json!({"writes": [{"namespace": "swarm", "key": "a", "put": {"value": "there",
        "stamp": {"time": {"wall": 1, "counter": 0, "replica": replica}, "clock": {replica: 1}}}}]});
    // What only another swarm or a node that was disconnected would send.
    let answer = post(&hive, "/api/v2/memory-batch", &line);
    assert_eq!(answer["done"], 1, "{answer}");
    let list = hive
        .skep(&["memory", "conflicts", "swarm"])
        .expect(0)
        .text();
    assert!(list.contains('a'), "{list}");
    let shown = hive
        .skep(&["memory", "conflicts", "swarm", "a"])
        .expect(0)
        .text();
    assert!(shown.contains("here") && shown.contains("there"), "{shown}");
    hive.skep(&resolve).expect(0);
    let value = hive.skep(&["memory", "get", "swarm", "a"]).expect(0).text();
    assert_eq!(value, "there\n");
}

//! Updates, ends, batches, embeddings and settings of namespaces by `skep memory`.

use crate::hive::{Answer, TestHive, wait_until};
use serde_json::{Value, json};

/// `skep --json memory ...`.
fn memory(hive: &TestHive, arguments: &[&str]) -> Answer {
    hive.skep(&[&["--json", "memory"], arguments].concat())
}

fn value(hive: &TestHive, key: &str) -> Value {
    memory(hive, &["get", "swarm", key]).expect(0).json()["value"].clone()
}

#[test]
fn a_value_is_changed_by_a_function_of_itself() {
    let hive = TestHive::start(0);
    for (key, function, given, expected) in [
        ("count", "increment", "2", json!(2)),
        ("count", "increment", "-5", json!(-3)),
        ("list", "append", "[1]", json!([1])),
        ("list", "append", "[1]", json!([1, 1])),
        ("list", "set_union", "[1, 2]", json!([1, 2])),
        ("object", "json_merge_patch", "{\"a\": 1}", json!({"a": 1})),
        ("object", "json_merge_patch", "{\"a\": null}", json!({})),
        ("votes", "counter", "{\"r1\": 1}", json!({"r1": 1})),
        ("votes", "counter", "{\"r1\": 3}", json!({"r1": 3})),
    ] {
        let update = ["update", "swarm", key, function, given];
        let answer = memory(&hive, &update).expect(0).json();
        assert_eq!(answer["outcome"], "written", "{update:?}");
        assert_eq!(value(&hive, key), expected, "{update:?}");
    }
    let once = [
        "update",
        "swarm",
        "count",
        "increment",
        "1",
        "--idempotency-key",
        "k",
    ];
    memory(&hive, &once).expect(0);
    assert_eq!(memory(&hive, &once).expect(0).json()["outcome"], "repeated");
    assert_eq!(value(&hive, "count"), -2);
    let wrong = memory(&hive, &["update", "swarm", "list", "increment", "1"]).expect(6);
    assert_eq!(wrong.json_error()["code"], "memory_merge_failed");
    memory(&hive, &["update", "swarm", "count", "square", "1"]).expect(64);
}

#[test]
fn an_entry_ends_when_it_is_said_and_its_version_stays() {
    let hive = TestHive::start(0);
    let set = ["set", "swarm", "a", "1", "--ttl", "3600"];
    let first = memory(&hive, &set).expect(0).json();
    let version = first["version"].to_string();
    let touched = memory(&hive, &["touch", "swarm", "a", "--forever"])
        .expect(0)
        .json();
    assert_eq!(touched["version"], first["version"]);
    let entry = memory(&hive, &["get", "swarm", "a"]).expect(0).json();
    assert_eq!(entry["expires_at"], Value::Null);
    memory(&hive, &["touch", "swarm", "a"]).expect(64);
    memory(&hive, &["touch", "swarm", "a", "--ttl", "0"]).expect(6);
    memory(&hive, &["touch", "swarm", "b", "--ttl", "5"]).expect(7);
    let stale = ["touch", "swarm", "a", "--ttl", "5", "--if-version", "999"];
    let stale = memory(&hive, &stale).expect(8).json_error();
    assert_eq!(stale["code"], "memory_version_conflict");
    let soon = [
        "touch",
        "swarm",
        "a",
        "--ttl",
        "1",
        "--if-version",
        &version,
    ];
    memory(&hive, &soon).expect(0);
    wait_until("the end of the entry", || {
        match memory(&hive, &["get", "swarm", "a"]).code {
            7 => Ok(()),
            code => Err(format!("exit {code}")),
        }
    });
}

#[test]
fn a_batch_is_done_as_far_as_it_can_be_or_not_at_all() {
    let hive = TestHive::start(0);
    let write = |key: &str| json!({"namespace": "swarm", "key": key, "put": {"value": key}});
    let late = json!({"namespace": "swarm", "key": "a", "put": {"value": 2, "if_absent": true}});
    let lines = format!("{}\n{}\n{late}\n", write("a"), write("b"));
    std::fs::write(hive.path().join("part.jsonl"), lines).unwrap();
    let whole = json!([write("c"), late]);
    std::fs::write(hive.path().join("whole.json"), whole.to_string()).unwrap();
    let refused = memory(&hive, &["batch", "part.jsonl"]).expect(8);
    assert_eq!(refused.json()["done"], 2);
    assert_eq!(refused.json_error()["code"], "memory_batch_refused");
    let shown = hive.skep(&["memory", "batch", "part.jsonl"]).expect(8);
    assert!(
        shown.text().contains("memory_version_conflict") && shown.stderr.contains("1 write was"),
        "{}{}",
        shown.text(),
        shown.stderr
    );
    memory(&hive, &["batch", "whole.json", "--all-or-nothing"]).expect(8);
    memory(&hive, &["get", "swarm", "c"]).expect(7);
    assert_eq!(value(&hive, "a"), "a");
    std::fs::write(hive.path().join("no.jsonl"), "{}\nx\n").unwrap();
    let malformed = memory(&hive, &["batch", "no.jsonl"]).expect(6).json_error();
    assert_eq!(malformed["code"], "memory_batch_malformed");
    memory(&hive, &["batch", "missing.jsonl"]).expect(7);
}

/// Runs lines of words as `skep memory ...`.
#[track_caller]
fn each(hive: &TestHive, lines: &str) {
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        memory(hive, &words).expect(0);
    }
}

/// Waits until a question finds these keys, and leaves out so many entries.
#[track_caller]
fn finds(hive: &TestHive, near: &[&str], keys: &[&str], incomparable: u64) {
    wait_until("embeddings to be compared", || {
        let found = memory(hive, near).expect(0).json();
        let items = found["items"].as_array().unwrap().iter();
        let there: Vec<_> = items.map(|item| &item["key"]).collect();
        if there == keys && found["incomparable"] == incomparable && found["behind"] == 0 {
            Ok(())
        } else {
            Err(found.to_string())
        }
    });
}

#[test]
fn entries_are_found_by_embeddings_that_were_given() {
    let hive = TestHive::start(0);
    for (name, numbers) in [
        ("disk", "[1, 0.1]"),
        ("rain", "[-0.1, 1]"),
        ("odd", "[1, 0, 0]"),
    ] {
        std::fs::write(hive.path().join(format!("{name}.json")), numbers).unwrap();
    }
    each(
        &hive,
        "set swarm disk full --embedding disk.json --tag x --ttl 3600
        set swarm rain wet
        set swarm odd 1 --embedding odd.json
        embed swarm rain --embedding rain.json
        embed swarm disk --embedding disk.json",
    );
    let disk = memory(&hive, &["get", "swarm", "disk"]).expect(0).json();
    assert_eq!(
        (&disk["value"], &disk["tags"]),
        (&json!("full"), &json!(["x"]))
    );
    assert!(disk["expires_at"].is_string(), "{disk}");
    let near = ["near", "--embedding", "disk.json", "--namespace", "swarm"];
    finds(&hive, &near, &["disk", "rain"], 1);
    let shown = hive.skep(&[&["memory"], &near[..]].concat()).expect(0);
    let shown = shown.text();
    assert!(
        shown.contains("1.000") && shown.contains("1 entry has"),
        "{shown}"
    );
    each(
        &hive,
        "embed swarm disk --embedding disk.json --embedding-model m",
    );
    let disk = memory(&hive, &["get", "swarm", "disk"]).expect(0).json();
    assert_eq!(disk["embedding_model"], "m");
    finds(&hive, &near, &["rain"], 2);
    let of_model = [&near[..], &["--embedding-model", "m"]].concat();
    finds(&hive, &of_model, &["disk"], 2);
}

#[test]
fn an_embedding_that_there_is_not_is_refused_by_name() {
    let hive = TestHive::start(0);
    std::fs::write(hive.path().join("no.json"), "{}").unwrap();
    for (arguments, exit, code) in [
        (&["near", "no", "space"][..], 8, "embedding_unavailable"),
        (
            &["set", "swarm", "x", "1", "--embed"],
            8,
            "embedding_unavailable",
        ),
        (
            &["near", "--embedding", "no.json"],
            6,
            "embedding_malformed",
        ),
        (&["near"], 64, "usage"),
        (&["near", "a", "--embedding-model", "m"], 64, "usage"),
    ] {
        let refused = memory(&hive, arguments).expect(exit).json_error();
        assert_eq!(refused["code"], code, "{arguments:?}");
    }
    memory(&hive, &["get", "swarm", "x"]).expect(7);
}

#[test]
fn a_namespace_is_listed_shown_and_set() {
    let hive = TestHive::start(0);
    let set = |flags: &[&str]| memory(&hive, &[&["namespace", "set", "keys"], flags].concat());
    set(&[]).expect(64);
    set(&["--secret", "true", "--restricted", "true"]).expect(0);
    let kept = set(&["--entries-max", "1"]).expect(0).json();
    assert_eq!(
        (
            &kept["settings"]["secret"],
            &kept["settings"]["entries_max"]
        ),
        (&json!(true), &json!(1))
    );
    memory(&hive, &["set", "keys", "deploy", "hunter2"]).expect(0);
    let full = memory(&hive, &["set", "keys", "other", "hunter3"]).expect(9);
    assert_eq!(full.json_error()["code"], "memory_quota_exceeded");
    let late = set(&["--secret", "false"]).expect(8).json_error();
    assert_eq!(late["code"], "memory_namespace_in_use");
    let shown = memory(&hive, &["namespace", "show", "keys"])
        .expect(0)
        .json();
    assert_eq!(shown["entries"], 1);
    memory(&hive, &["namespace", "show", "nowhere"]).expect(7);
    let list = hive.skep(&["memory", "namespace", "list"]).expect(0).text();
    assert!(
        list.contains("keys") && list.contains("sealed") && list.contains("administrators"),
        "{list}"
    );
    let short = hive.skep(&["memory", "namespaces"]).expect(0).text();
    assert_eq!(short, list);
}

#[test]
fn room_on_disk_is_made_when_somebody_asks() {
    let hive = TestHive::start(0);
    memory(&hive, &["set", "swarm", "a", "1"]).expect(0);
    let done = memory(&hive, &["compact", "swarm"]).expect(0).json();
    assert_eq!(done["finished"], true, "{done}");
    let total = |when: &str| done[when]["total"].as_u64().unwrap();
    assert!(
        total("after") > 0 && total("after") <= total("before"),
        "{done}"
    );
    let text = hive.skep(&["memory", "compact"]).expect(0).text();
    assert!(
        text.contains("before, ") && text.contains(" given back"),
        "{text}"
    );
    assert_eq!(value(&hive, "a"), 1);
    memory(&hive, &["compact", "nowhere"]).expect(7);
}

//! Tools about shared memory.

use super::{Check, PATH, Swarm, text};
use crate::hive::wait_until;
use crate::mcp_client::Http;
use crate::mcp_message::modern;
use crate::memory_sync;
use serde_json::{Value, json};

pub(super) const CHECKS: &[Check] = &[
    ("memory_usage", usage),
    ("memory_search", |swarm| {
        store(swarm, "search/a", "k1", "the heron stands still");
        store(swarm, "search/b", "k2", "a heron flies");
        found(swarm, &json!({ "pattern": "heron" }), 2);
        found(
            swarm,
            &json!({ "pattern": "heron", "namespace": "Search/B" }),
            1,
        );
        found(swarm, &json!({ "pattern": "heron", "limit": 1 }), 1);
        found(swarm, &json!({ "pattern": "pelican" }), 0);
    }),
    ("memory_persist", |swarm| {
        store(swarm, "persist", "k", "v");
        let persisted = swarm.call("memory_persist", json!({ "sessionId": "s1" }));
        let entry = json!({ "namespace": "sessions", "key": "checkpoint/s1" });
        let entry = swarm.operate("memory.get", entry);
        assert_eq!(entry["version"], persisted["version"]);
        assert_eq!(entry["value"]["counts"], persisted["counts"]);
        let entries = swarm.operate("memory.namespaces", json!({}));
        let entries = entries["items"].as_array().unwrap().iter();
        let entries: u64 = entries
            .map(|namespace| namespace["entries"].as_u64().unwrap())
            .sum();
        // The checkpoint itself came after the count.
        assert_eq!(
            persisted["counts"]["entries"].as_u64().unwrap() + 1,
            entries
        );
    }),
    ("memory_sync", sync),
    ("memory_compress", |swarm| {
        for number in 0..40 {
            let value = format!("{number} {}", "heron ".repeat(400));
            store(swarm, "squeezed", "k", &value);
        }
        let done = swarm.call("memory_compress", json!({ "namespace": "squeezed" }));
        assert_eq!(done["finished"], true, "{done}");
        let after = &done["compaction"]["after"];
        let data = swarm
            .hive
            .skep(&["--json", "config", "explain", "data_dir"]);
        let data = data.expect(0).json();
        let database = std::path::Path::new(text(&data["value"])).join("skep.db");
        assert_eq!(after["database"], database.metadata().unwrap().len());
        let history = json!({ "namespace": "squeezed", "key": "k" });
        let history = swarm.operate("memory.history", history);
        let kept = history["items"].as_array().unwrap().len();
        // The newest one may have been written behind it.
        assert!((16..=17).contains(&kept), "{history}");
        let last = value(swarm, "squeezed", "k");
        assert!(text(&last).starts_with("39 "), "{last}");
        let unknown = swarm.refused("memory_compress", json!({ "namespace": "nowhere" }));
        assert_eq!(unknown["code"], "namespace_not_found");
    }),
    ("memory_namespace", |swarm| {
        let manage = |action: &str| {
            let arguments = json!({ "namespace": "Team:Notes", "action": action });
            swarm.call("memory_namespace", arguments)
        };
        assert_eq!(manage("create")["namespace"], "team-notes");
        assert_eq!(manage("stats")["stats"]["entries"], 1);
        store(swarm, "team-notes", "a", "1");
        store(swarm, "Team:Notes", "b", "2");
        assert_eq!(manage("stats")["stats"]["entries"], 3);
        assert_eq!(manage("list")["namespaces"][0]["namespace"], "team-notes");
        assert_eq!(manage("delete")["deletedEntries"], 3);
        assert_eq!(value(swarm, "team-notes", "a"), Value::Null);
        let dance = json!({ "namespace": "x", "action": "dance" });
        swarm.refused("memory_namespace", dance);
    }),
    ("memory_backup", |swarm| {
        store(swarm, "kept", "k", "v");
        let made = swarm.call("memory_backup", json!({ "path": "/tmp/first" }));
        let namespaces = made["namespaces"].as_array().unwrap();
        let kept = namespaces
            .iter()
            .find(|copy| copy["namespace"] == "kept")
            .unwrap();
        let artifact = swarm.operate("artifacts.get", json!({ "blake3": kept["hash"] }));
        assert!(text(&artifact["text"]).contains("\"v\""), "{artifact}");
        assert_eq!(artifact["next_offset"], kept["bytes"]);
    }),
    ("memory_restore", |swarm| {
        store(swarm, "kept", "k", "before");
        let made = swarm.call("memory_backup", json!({}));
        store(swarm, "kept", "k", "after");
        store(swarm, "kept", "more", "after");
        let back = json!({ "backupPath": made["path"] });
        let restored = swarm.call("memory_restore", back);
        assert_eq!(value(swarm, "kept", "k"), "before");
        assert_eq!(value(swarm, "kept", "more"), Value::Null);
        // How it was before is kept, too.
        swarm.call(
            "memory_restore",
            json!({ "backupPath": restored["previousCopy"] }),
        );
        assert_eq!(value(swarm, "kept", "k"), "after");
        let unknown = swarm.refused("memory_restore", json!({ "backupPath": "never" }));
        assert_eq!(unknown["code"], "mcp_document_unknown");
        nothing_is_restored_that_the_caller_cannot_copy(swarm);
    }),
    ("state_snapshot", |swarm| {
        store(swarm, "state", "k", "then");
        let task = json!({ "name": "held", "run": "true", "requires": ["sorcery"] });
        let task = swarm.operate("tasks.submit", task)["id"].clone();
        let taken = swarm.call("state_snapshot", json!({ "name": "s" }));
        let has = |tasks: &Value| {
            tasks
                .as_array()
                .unwrap()
                .iter()
                .any(|known| known["id"] == task)
        };
        assert!(has(&taken["tasks"]), "{taken}");
        let entry = json!({ "namespace": "state-snapshots", "key": "s" });
        let entry = swarm.operate("memory.get", entry);
        assert!(has(&entry["value"]["tasks"]), "{entry}");
        swarm.operate("tasks.cancel", json!({ "id": task }));
    }),
    ("context_restore", |swarm| {
        store(swarm, "state", "k", "then");
        let task = json!({ "name": "held", "run": "true", "requires": ["sorcery"] });
        let task = swarm.operate("tasks.submit", task)["id"].clone();
        let taken = swarm.call("state_snapshot", json!({}));
        store(swarm, "state", "k", "now");
        swarm.operate("tasks.cancel", json!({ "id": task }));
        let back = json!({ "snapshotId": taken["snapshotId"] });
        let restored = swarm.call("context_restore", back);
        assert_eq!(value(swarm, "state", "k"), "then");
        let again = restored["tasksTriedAgain"].as_array().unwrap();
        let again = again.iter().find(|tried| tried["taskId"] == task).unwrap();
        let copy = swarm.operate("tasks.get", json!({ "id": again["triedAs"] }));
        assert_eq!(copy["state"], "ready");
        swarm.operate("tasks.cancel", json!({ "id": copy["id"] }));
        let unknown = json!({ "snapshotId": "never" });
        assert_eq!(
            swarm.refused("context_restore", unknown)["code"],
            "mcp_document_unknown"
        );
    }),
    ("cache_manage", |swarm| {
        let cache = |arguments: Value| swarm.call("cache_manage", arguments);
        cache(json!({ "action": "set", "key": "a", "value": "1" }));
        cache(json!({ "action": "set", "key": "b", "value": "2", "ttl": 60 }));
        assert_eq!(cache(json!({ "action": "get", "key": "a" }))["value"], 1);
        assert_eq!(value(swarm, "cache", "b"), 2);
        assert_eq!(cache(json!({ "action": "stats" }))["entries"], 2);
        assert_eq!(
            cache(json!({ "action": "clear", "key": "a" }))["cleared"],
            1
        );
        assert_eq!(
            cache(json!({ "action": "get", "key": "a" }))["found"],
            false
        );
        assert_eq!(cache(json!({ "action": "clear" }))["cleared"], 1);
        swarm.refused("cache_manage", json!({ "action": "set", "key": "a" }));
    }),
    ("memory_analytics", |swarm| {
        store(swarm, "figures", "k", "v");
        let figures = swarm.call("memory_analytics", json!({ "timeframe": "1h" }));
        let namespaces = figures["namespaces"].as_array().unwrap().iter();
        let own = namespaces
            .clone()
            .find(|known| known["namespace"] == "figures")
            .unwrap();
        assert_eq!(
            (&own["entries"], &own["writtenInTimeframe"]),
            (&json!(1), &json!(1))
        );
        let sum: u64 = namespaces
            .map(|known| known["bytes"].as_u64().unwrap())
            .sum();
        assert_eq!(figures["bytes"], sum);
        swarm.refused("memory_analytics", json!({ "timeframe": "ever" }));
    }),
    ("memory_store", |swarm| {
        let stored = json!({ "key": "alias", "value": "{\"a\": 1}", "namespace": "aliases" });
        swarm.call("memory_store", stored);
        assert_eq!(value(swarm, "aliases", "alias"), json!({ "a": 1 }));
    }),
    ("memory_retrieve", |swarm| {
        store(swarm, "aliases", "back", "plain");
        let asked = json!({ "key": "back", "namespace": "aliases" });
        assert_eq!(swarm.call("memory_retrieve", asked)["value"], "plain");
    }),
];

/// Another installation, whose configuration names the swarm, brings it what it has and takes what is there.
fn sync(swarm: &Swarm) {
    let unknown = swarm.refused("memory_sync", json!({ "target": "http://127.0.0.1:9" }));
    assert_eq!(unknown["code"], "memory_peer_unknown", "{unknown}");
    let directory = tempfile::tempdir().unwrap();
    let token = memory_sync::token(&swarm.hive, "other", &["read", "write"]);
    let peer = memory_sync::NamedPeer {
        name: "swarm-one",
        url: memory_sync::url(&swarm.hive),
        token: &token,
        more: "namespaces = [\"exchanged\"]",
    };
    let other = memory_sync::start_with_peers(directory.path(), &[peer]);
    store(swarm, "exchanged", "here", "1");
    other
        .skep(&["memory", "set", "exchanged", "there", "2"])
        .expect(0);
    let arguments = json!({ "target": "swarm-one" });
    let call = json!({ "name": "memory_sync", "arguments": arguments });
    let answer = Http::of(&other).post(&modern("tools/call", call).at(PATH));
    let done = answer.result()["structuredContent"].clone();
    assert_eq!(done["success"], true, "{done}");
    assert_eq!((&done["pulled"], &done["pushed"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&done["conflicts"], &done["refused"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(value(swarm, "exchanged", "there"), 2);
    other
        .skep(&["memory", "get", "exchanged", "here"])
        .expect(0);
}

fn usage(swarm: &Swarm) {
    let stored = json!({ "action": "store", "key": "k", "value": "[1, 2]", "ttl": 3600 });
    let stored = swarm.call("memory_usage", stored);
    assert_eq!(
        (&stored["stored"], &stored["size"]),
        (&json!(true), &json!(6))
    );
    let entry = swarm.operate("memory.get", json!({ "namespace": "default", "key": "k" }));
    assert_eq!(
        (&entry["value"], &entry["version"]),
        (&json!([1, 2]), &stored["version"])
    );
    assert!(entry["expires_at"].is_string(), "{entry}");
    let asked = json!({ "action": "retrieve", "key": "k" });
    assert_eq!(swarm.call("memory_usage", asked)["value"], json!([1, 2]));
    let nothing = json!({ "action": "retrieve", "key": "nothing" });
    assert_eq!(swarm.call("memory_usage", nothing)["found"], false);
    let listed = swarm.call("memory_usage", json!({ "action": "list" }));
    assert_eq!(
        (&listed["count"], &listed["entries"][0]["key"]),
        (&json!(1), &json!("k"))
    );
    store(swarm, "default", "bird", "a kingfisher dives");
    wait_until("the search", || {
        let search = json!({ "action": "search", "key": "kingfisher" });
        let found = swarm.call("memory_usage", search);
        if found["results"][0]["key"] == "bird" {
            Ok(())
        } else {
            Err(found.to_string())
        }
    });
    let delete = || swarm.call("memory_usage", json!({ "action": "delete", "key": "k" }));
    assert_eq!(delete()["deleted"], true);
    assert_eq!(delete()["deleted"], false);
    assert_eq!(value(swarm, "default", "k"), Value::Null);
    for wrong in [
        json!({ "action": "store", "value": "v" }),
        json!({ "action": "store", "key": "k" }),
        json!({ "action": "dance" }),
        json!({ "action": "store", "key": "k", "value": "v", "ttl": -1 }),
    ] {
        assert_eq!(
            swarm.refused("memory_usage", wrong)["code"],
            "mcp_params_invalid"
        );
    }
    let key = json!({ "action": "store", "key": "", "value": "v" });
    assert_eq!(
        swarm.refused("memory_usage", key)["code"],
        "memory_name_invalid"
    );
}

fn store(swarm: &Swarm, namespace: &str, key: &str, value: &str) {
    let arguments =
        json!({ "action": "store", "namespace": namespace, "key": key, "value": value });
    swarm.call("memory_usage", arguments);
}

fn nothing_is_restored_that_the_caller_cannot_copy(swarm: &Swarm) {
    store(swarm, "open", "k", "before");
    store(swarm, "shut", "k", "before");
    let made = swarm.call("memory_backup", json!({}));
    store(swarm, "open", "k", "after");
    let restrict = |is: &str| {
        let restrict = ["memory", "namespace", "set", "shut", "--restricted", is];
        swarm.hive.skep(&restrict).expect(0);
    };
    restrict("true");
    let token = "--json token new writer --scope read --scope write";
    let token: Vec<_> = token.split(' ').collect();
    let token = swarm.hive.skep(&token).expect(0).json();
    let writer = Http::new(swarm.hive.address(), text(&token["secret"]));
    let arguments = json!({ "backupPath": made["path"] });
    let params = json!({ "name": "memory_restore", "arguments": arguments });
    let refused = writer.post(&modern("tools/call", params).at(PATH)).result();
    let refused = &refused["structuredContent"];
    assert_eq!(refused["code"], "namespace_forbidden", "{refused}");
    assert_eq!(refused["notCopied"], "shut", "{refused}");
    assert_eq!(value(swarm, "open", "k"), "after");
    restrict("false");
}

/// What is there, by Skep's own tools.
fn value(swarm: &Swarm, namespace: &str, key: &str) -> Value {
    let arguments =
        json!({ "operation": "memory.get", "arguments": { "namespace": namespace, "key": key } });
    let answer = swarm.http.tool(modern, "skep_call", arguments).result();
    answer["structuredContent"]["value"].clone()
}

/// The search follows behind the writes.
fn found(swarm: &Swarm, arguments: &Value, count: usize) {
    wait_until("the search", || {
        let found = swarm.call("memory_search", arguments.clone());
        if found["count"] == count {
            Ok(())
        } else {
            Err(found.to_string())
        }
    });
}

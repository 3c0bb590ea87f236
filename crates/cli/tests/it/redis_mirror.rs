//! The Redis mirror with a real server: what lies there, what happens when the server is lost, and
//! what is left alone.

use crate::hive::{TestHive, skep_in, wait_until};
use crate::redis_server::RedisServer;
use crate::rest::metric;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tempfile::TempDir;

const PLAN: &str = "
name: review
tasks:
  later: {instructions: Look again., requires: [review], priority: 3}
  first: {instructions: Look around., requires: [review], priority: 9}
";

/// A swarm that is mirrored, in a directory of its own.
fn mirrored(server: &RedisServer, prefix: &str) -> (TestHive, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let url = server.url();
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--redis-mirror",
        &url,
        "--redis-mirror-prefix",
        prefix,
    ];
    let hive = TestHive::start_in(directory.path(), &[], &flags);
    (hive, directory)
}

fn hash(server: &RedisServer, key: &str) -> BTreeMap<String, String> {
    let text = server.cli(&["--json", "HGETALL", key]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The queue, each item read as JSON.
fn queue(server: &RedisServer, key: &str) -> Vec<Value> {
    let text = server.cli(&["--json", "LRANGE", key, "0", "-1"]);
    let items: Vec<String> = serde_json::from_str(&text).unwrap();
    let items = items.iter().map(|item| serde_json::from_str(item).unwrap());
    items.collect()
}

/// Waits until a field of a hash has this text.
#[track_caller]
fn shows(server: &RedisServer, key: &str, field: &str, text: &str) {
    wait_until(&format!("`{field}` of `{key}` to be `{text}`"), || {
        let hash = hash(server, key);
        match hash.get(field) {
            Some(found) if found == text => Ok(()),
            _ => Err(format!("{hash:?}")),
        }
    });
}

#[track_caller]
fn gone(server: &RedisServer, key: &str) {
    wait_until(&format!("the end of `{key}`"), || {
        let there = server.cli(&["EXISTS", key]);
        if there.trim() == "0" {
            Ok(())
        } else {
            Err(there)
        }
    });
}

#[test]
fn sessions_queue_knowledge_and_counts_are_shown_in_the_layout_of_the_unified_swarm() {
    let server = RedisServer::start();
    let (hive, _directory) = mirrored(&server, "");
    hive.skep(&["work", "register", "--name", "reviewer", "--can", "review"])
        .expect(0);
    shows(&server, "sessions:reviewer", "status", "idle");
    let session = hash(&server, "sessions:reviewer");
    assert_eq!(session["id"], "reviewer");
    assert_eq!(session["capabilities"], "[\"review\"]");
    assert!(session["last_heartbeat"].ends_with('Z'), "{session:?}");
    assert!(!session.contains_key("current_task"), "{session:?}");

    let (_, task) = hive.submit(&hive.plan("review.yaml", PLAN), "first");
    shows(&server, "metrics:global", "tasks_pending", "2");
    let waiting = queue(&server, "work_queue");
    let order: Vec<_> = waiting.iter().map(|task| &task["title"]).collect();
    assert_eq!(order, [&json!("first"), &json!("later")]);
    assert_eq!(
        (
            &waiting[0]["id"],
            &waiting[0]["type"],
            &waiting[0]["priority"],
            &waiting[0]["assigned_to"]
        ),
        (&json!(task), &json!("review"), &json!(9), &Value::Null)
    );
    let work = [("SKEP_SESSION", "reviewer")];
    hive.skep_with(&work, &["work", "claim", &task]).expect(0);
    shows(&server, "sessions:reviewer", "current_task", &task);
    shows(&server, "sessions:reviewer", "status", "busy");
    assert_eq!(queue(&server, "work_queue")[0]["assigned_to"], "reviewer");
    hive.skep_with(&work, &["work", "complete", &task, "--result", "done"])
        .expect(0);
    shows(&server, "metrics:global", "tasks_completed", "1");
    shows(&server, "sessions:reviewer", "performance_score", "1");
    assert_eq!(queue(&server, "work_queue").len(), 1);

    let topic = ["memory", "set", "knowledge", "builds/disk"];
    hive.skep(&[&topic[..], &["{\"full\": true}"]].concat())
        .expect(0);
    shows(
        &server,
        "knowledge:builds/disk",
        "content",
        "{\"full\":true}",
    );
    let knowledge = hash(&server, "knowledge:builds/disk");
    assert_eq!(
        (
            knowledge["topic"].as_str(),
            knowledge["updated_by"].as_str()
        ),
        ("builds/disk", "cli")
    );
    hive.skep(&["memory", "delete", "knowledge", "builds/disk"])
        .expect(0);
    gone(&server, "knowledge:builds/disk");
    hive.skep_with(&work, &["work", "leave"]).expect(0);
    gone(&server, "sessions:reviewer");
}

#[test]
fn a_lost_server_changes_nothing_and_is_caught_up() {
    let server = RedisServer::start();
    let port = server.port();
    let (mut hive, _directory) = mirrored(&server, "team:");
    let set = |hive: &TestHive, key: &str, value: &str| {
        hive.skep(&["memory", "set", "knowledge", key, value])
            .expect(0);
    };
    set(&hive, "a", "1");
    set(&hive, "b", "1");
    shows(&server, "team:knowledge:b", "content", "1");
    drop(server);
    set(&hive, "a", "2");
    hive.skep(&["memory", "delete", "knowledge", "b"]).expect(0);
    wait_until("a mirror that is behind", || {
        let (up, lag) = (
            metric(&hive, "skep_redis_mirror_up"),
            metric(&hive, "skep_redis_mirror_lag_seconds"),
        );
        if up == Some(0.0) && lag > Some(0.0) {
            Ok(())
        } else {
            Err(format!("up {up:?}, lag {lag:?}"))
        }
    });
    assert!(metric(&hive, "skep_redis_mirror_failures_total") >= Some(1.0));
    // What it had is not on disk: it comes back empty.
    let server = RedisServer::start_at(port);
    shows(&server, "team:knowledge:a", "content", "2");
    assert_eq!(server.cli(&["EXISTS", "team:knowledge:b"]).trim(), "0");
    wait_until("a mirror that is current", || {
        match metric(&hive, "skep_redis_mirror_lag_seconds") {
            Some(0.0) => Ok(()),
            lag => Err(format!("{lag:?}")),
        }
    });
    // Somebody empties it while nothing changes in the swarm.
    server.cli(&["FLUSHALL"]);
    shows(&server, "team:knowledge:a", "content", "2");
    // What changes while nobody mirrors is made up for by the next process.
    assert_eq!(hive.stop(), Some(0));
    server.cli(&["HSET", "team:knowledge:a", "content", "9"]);
    let flags = ["--listen", "127.0.0.1:0"];
    let unmirrored = TestHive::start_in(hive.path(), &[], &flags);
    unmirrored
        .skep(&["memory", "delete", "knowledge", "a"])
        .expect(0);
    set(&unmirrored, "c", "3");
    drop(unmirrored);
    let url = server.url();
    let variables = [
        ("SKEP_REDIS_MIRROR", url.as_str()),
        ("SKEP_REDIS_MIRROR_PREFIX", "team:"),
    ];
    let _again = TestHive::start_in(hive.path(), &variables, &flags);
    shows(&server, "team:knowledge:c", "content", "3");
    gone(&server, "team:knowledge:a");
}

#[test]
fn secret_and_restricted_knowledge_is_not_shown() {
    let server = RedisServer::start();
    let (hive, _directory) = mirrored(&server, "");
    hive.skep(&["memory", "set", "knowledge", "a", "1"])
        .expect(0);
    shows(&server, "knowledge:a", "content", "1");
    let set = |setting: &str, value: &str| {
        let arguments = ["memory", "namespace", "set", "knowledge", setting, value];
        hive.skep(&arguments).expect(0);
    };
    set("--restricted", "true");
    gone(&server, "knowledge:a");
    set("--restricted", "false");
    shows(&server, "knowledge:a", "content", "1");
    hive.skep(&["memory", "delete", "knowledge", "a"]).expect(0);
    set("--secret", "true");
    hive.skep(&["memory", "set", "knowledge", "password", "hunter2"])
        .expect(0);
    // The session comes later: by then the mirror has seen the secret.
    hive.skep(&["work", "register", "--name", "later"])
        .expect(0);
    shows(&server, "sessions:later", "status", "idle");
    assert_eq!(server.cli(&["KEYS", "knowledge:*"]).trim(), "");
    assert!(
        !server
            .cli(&["--json", "SMEMBERS", "skep:mirror:keys"])
            .contains("password")
    );
}

#[test]
fn keys_of_others_and_mirrors_of_other_swarms_are_left_alone() {
    let server = RedisServer::start();
    server.cli(&["SET", "work_queue", "mine"]);
    server.cli(&["HSET", "sessions:web", "user", "7"]);
    let (one, _directory) = mirrored(&server, "");
    one.skep(&["work", "register", "--name", "web"]).expect(0);
    one.skep(&["work", "register", "--name", "other"]).expect(0);
    one.submit(&one.plan("review.yaml", PLAN), "first");
    shows(&server, "metrics:global", "tasks_pending", "2");
    shows(&server, "sessions:other", "status", "idle");
    assert_eq!(server.cli(&["GET", "work_queue"]).trim(), "mine");
    assert_eq!(
        hash(&server, "sessions:web"),
        BTreeMap::from([("user".into(), "7".into())])
    );
    assert_eq!(metric(&one, "skep_redis_mirror_foreign_keys"), Some(2.0));
    let (other, _other_directory) = mirrored(&server, "");
    wait_until("a refusal", || other.says("the mirror of another swarm"));
    other
        .skep(&["work", "register", "--name", "stranger"])
        .expect(0);
    shows(&server, "metrics:global", "total_sessions", "2");
    assert_eq!(server.cli(&["EXISTS", "sessions:stranger"]).trim(), "0");
    assert_eq!(metric(&other, "skep_redis_mirror_up"), Some(0.0));
}

#[test]
fn an_address_or_prefix_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let up = ["--json", "up", "--listen", "127.0.0.1:0", "--redis-mirror"];
    let refused = skep_in(directory.path(), &[&up[..], &["http://x"]].concat()).expect(6);
    assert_eq!(refused.json_error()["code"], "redis_url_invalid");
    let spaced = ["redis://127.0.0.1:1", "--redis-mirror-prefix", "a b"];
    skep_in(directory.path(), &[&up[..], &spaced].concat()).expect(64);
    let alone = ["up", "--redis-mirror-prefix", "a"];
    skep_in(directory.path(), &alone).expect(64);
}

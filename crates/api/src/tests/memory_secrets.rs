//! Secret namespaces: what they hold is read by callers, and by nobody who only has the files.

use super::fixture::Coordinator;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const KEYS: &str = "/api/v2/memory/keys";
const SECRET: &str = "correct horse battery staple";

async fn with_secret_namespace() -> Coordinator {
    let coordinator = Coordinator::start().await;
    let settings = json!({"secret": true});
    let path = "/api/v2/memory-namespaces/keys";
    coordinator.write(path, settings).await.ok();
    coordinator
}

pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// The files of the coordinator in which the secret can be read.
fn leaks(coordinator: &Coordinator) -> Vec<PathBuf> {
    let all = files(coordinator.services().data_dir.path());
    let has_secret = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        memchr::memmem::find(&bytes, SECRET.as_bytes()).is_some()
    };
    all.into_iter().filter(has_secret).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_read_by_callers_and_found_in_no_file() {
    let coordinator = with_secret_namespace().await;
    let large = format!("{SECRET} {}", "x".repeat(100_000));
    for (key, value) in [("small", SECRET), ("large", &large)] {
        let path = format!("{KEYS}/{key}");
        coordinator.write(&path, json!({"value": value})).await.ok();
    }
    coordinator.memory_archived(2).await;
    for (key, value) in [("small", SECRET), ("large", &large)] {
        let entry = coordinator.get_entry("keys", key).await;
        assert_eq!(entry["value"], value);
    }
    assert_eq!(leaks(&coordinator), Vec::<PathBuf>::new());
    let plain = json!({"value": SECRET});
    coordinator
        .write("/api/v2/memory/swarm/plain", plain)
        .await
        .ok();
    coordinator.memory_archived(3).await;
    assert!(
        !leaks(&coordinator).is_empty(),
        "the search finds what is there"
    );
    let hits = coordinator
        .get("/api/v2/memory-search?q=battery")
        .await
        .ok();
    assert_eq!(hits["items"].as_array().unwrap().len(), 1, "{hits}");
    let key = coordinator.services().data_dir.path().join("memory.key");
    let mode = std::fs::metadata(key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_updated_restored_and_read_after_a_restart() {
    let coordinator = with_secret_namespace().await;
    let path = format!("{KEYS}/list");
    coordinator.write(&path, json!({"value": [1]})).await.ok();
    let update = json!({"function": "append", "value": [2]});
    coordinator
        .post(&format!("{path}/update"), update)
        .await
        .ok();
    let old = coordinator.get(&format!("{path}?version=1")).await.ok();
    assert_eq!(old["value"], json!([1]));
    let exported = coordinator
        .get("/api/v2/memory-export?namespace=keys")
        .await;
    assert!(
        exported.text().contains("\"value\":[1,2]"),
        "{}",
        exported.text()
    );
    let body = json!({"namespace": "keys", "name": "n"});
    let snapshot = coordinator.post("/api/v2/memory-snapshots", body).await;
    assert_eq!(snapshot.problem().1, "namespace_forbidden");
    let coordinator = coordinator.restart().await;
    assert_eq!(
        coordinator.get_entry("keys", "list").await["value"],
        json!([1, 2])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_known_after_a_restart_and_another_one_is_not_taken_for_it() {
    let coordinator = with_secret_namespace().await;
    let once = [("idempotency-key", "one")];
    let path = format!("{KEYS}/once");
    let body = json!({"value": SECRET});
    let first = coordinator.call_with("PUT", &path, &once, body.clone());
    let version = first.await.ok()["version"].clone();
    let admin = coordinator.admin.clone();
    let mut coordinator = coordinator.restart().await;
    coordinator.admin = admin;
    let again = coordinator.call_with("PUT", &path, &once, body);
    let again = again.await.ok();
    assert_eq!(
        (&again["outcome"], &again["version"]),
        (&json!("repeated"), &version)
    );
    let other = json!({"value": "another"});
    let other = coordinator.call_with("PUT", &path, &once, other).await;
    assert_eq!(other.status.as_u16() / 100, 4, "{}", other.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_lie_in_the_open_is_refused() {
    let coordinator = with_secret_namespace().await;
    let path = format!("{KEYS}/a");
    let hash = blake3::hash(b"x").to_hex().to_string();
    let too_large = "x".repeat(skep_model::limits::MEMORY_VALUE_BYTES_MAX);
    for (body, code) in [
        (
            json!({"artifact": {"blake3": hash, "bytes": 1}}),
            "memory_not_sealed",
        ),
        (json!({"value": 1, "embedding": [1.0]}), "memory_not_sealed"),
        (json!({"value": too_large}), "memory_value_too_large"),
    ] {
        let answer = coordinator.write(&path, body).await;
        assert_eq!(answer.problem().1, code, "{}", answer.text());
    }
    coordinator.write(&path, json!({"value": 1})).await.ok();
    let namespace = "/api/v2/memory-namespaces/keys";
    let opened = coordinator.write(namespace, json!({"secret": false})).await;
    assert_eq!(
        opened.problem(),
        (409, "memory_namespace_in_use".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_nothing_is_read_and_no_second_key_is_made() {
    let coordinator = with_secret_namespace().await;
    let path = format!("{KEYS}/a");
    coordinator.write(&path, json!({"value": 1})).await.ok();
    let key = coordinator.services().data_dir.path().join("memory.key");
    std::fs::rename(&key, key.with_extension("away")).unwrap();
    let coordinator = coordinator.restart().await;
    let lost = (500, "memory_key_unusable".to_owned());
    assert_eq!(coordinator.get(&path).await.problem(), lost);
    let again = coordinator.write(&path, json!({"value": 2})).await;
    assert_eq!(again.problem(), lost);
    let key = coordinator.services().data_dir.path().join("memory.key");
    assert!(!key.exists());
    std::fs::rename(key.with_extension("away"), &key).unwrap();
    assert_eq!(coordinator.get_entry("keys", "a").await["value"], 1);
}

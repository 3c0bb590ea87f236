//! Shared memory on its way out and in: exports, imports, snapshots.

use super::answer::{Answer, request};
use super::fixture::Coordinator;
use super::memory_secrets::files;
use super::work::id_of;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use skep_model::attempt::Outcome;
use skep_operations::{RUN_MEMORY_KEPT_MS, remove_memory_of_ended_runs};

const EXPORT: &str = "/api/v2/memory-export?namespace=swarm";

fn lines(answer: &Answer) -> Vec<Value> {
    assert!(answer.status.is_success(), "{}", answer.text());
    let text = answer.text();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

impl Coordinator {
    /// Takes in all of these lines.
    pub(super) async fn import_lines(&self, lines: &str) {
        let taken = import(self, "", lines.to_owned()).await.ok();
        assert_eq!(taken["refused"], 0, "{taken}");
    }
}

async fn import(coordinator: &Coordinator, query: &str, body: impl Into<Body>) -> Answer {
    let path = format!("/api/v2/memory-import{query}");
    let (parts, _) = request("POST", &path, Some(&coordinator.admin), None).into_parts();
    coordinator
        .send(Request::from_parts(parts, body.into()))
        .await
}

async fn fill(coordinator: &Coordinator, entries: &[(&str, Value)]) {
    for (key, body) in entries {
        let path = format!("/api/v2/memory/swarm/{key}");
        coordinator.write(&path, body.clone()).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_exported_is_imported_as_it_was() {
    let coordinator = Coordinator::start().await;
    fill(
        &coordinator,
        &[
            ("a", json!({"value": 1})),
            (
                "a",
                json!({"value": {"x": [1, null]}, "tags": ["t"], "metadata": {"m": "1"}}),
            ),
            ("b", json!({"base64": "AAEC", "ttl_s": 60, "why": "bytes"})),
            ("c", json!({"value": null})),
        ],
    )
    .await;
    let exported = coordinator.get(EXPORT).await;
    assert_eq!(exported.headers["content-type"], "application/jsonl");
    let found = lines(&exported);
    assert_eq!(found[0]["format"], "skep-memory/1");
    assert_eq!(found.last().unwrap(), &json!({"end": 3}));
    let history = lines(&coordinator.get(&format!("{EXPORT}&history=true")).await);
    assert_eq!(history.len(), 6);
    assert_eq!(
        (&history[2]["history"], &history[2]["value"]),
        (&json!(true), &json!(1))
    );
    for key in ["a", "b", "c"] {
        let path = format!("/api/v2/memory/swarm/{key}");
        coordinator.call("DELETE", &path, None).await.ok();
    }
    let done = import(&coordinator, "", exported.bytes.clone()).await.ok();
    assert_eq!((&done["written"], &done["refused"]), (&json!(3), &json!(0)));
    let again = import(&coordinator, "?existing=keep", exported.bytes.clone())
        .await
        .ok();
    assert_eq!((&again["written"], &again["kept"]), (&json!(0), &json!(3)));
    let other = import(&coordinator, "?namespace=other", exported.bytes)
        .await
        .ok();
    assert_eq!(other["written"], 3);
    for namespace in ["swarm", "other"] {
        let a = coordinator.get_entry(namespace, "a").await;
        let b = coordinator.get_entry(namespace, "b").await;
        let c = coordinator.get_entry(namespace, "c").await;
        assert_eq!(a["value"], json!({"x": [1, null]}));
        assert_eq!(
            (&a["tags"], &a["metadata"]),
            (&json!(["t"]), &json!({"m": "1"}))
        );
        assert_eq!((&b["base64"], &b["why"]), (&json!("AAEC"), &json!("bytes")));
        assert!(b["expires_at"].is_string());
        assert_eq!(c["value"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_cannot_be_taken_in_is_named_and_the_others_are() {
    let coordinator = Coordinator::start().await;
    let text = "{\"namespace\": \"swarm\", \"key\": \"a\", \"value\": 1}\n\n{\"key\"\n\
                {\"namespace\": \"swarm\", \"key\": \"b\"}\n\
                {\"key\": \"c\", \"value\": 1}\n\
                {\"namespace\": \"swarm\", \"key\": \"d\", \"value\": 1, \
                \"expires_at\": \"2020-01-01T00:00:00.000Z\"}\n\
                {\"namespace\": \"swarm\", \"key\": \"e\", \"value\": 1, \"history\": true}\n\
                {\"namespace\": \"swarm\", \"key\": \"f\", \"value\": 2}";
    let done = import(&coordinator, "", text).await.ok();
    assert_eq!(done["written"], 2);
    assert_eq!((&done["expired"], &done["history"]), (&json!(1), &json!(1)));
    let errors = done["errors"].as_array().unwrap().iter();
    let errors: Vec<_> = errors
        .map(|error| {
            (
                error["line"].as_u64().unwrap(),
                error["code"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        errors,
        [
            (3, "memory_import_malformed"),
            (4, "field_invalid"),
            (5, "memory_import_malformed"),
        ]
    );
    let other = import(&coordinator, "", "{\"format\": \"skep-memory/9\"}")
        .await
        .ok();
    assert_eq!(other["refused"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_restored_as_it_was_all_of_it() {
    let coordinator = Coordinator::start().await;
    fill(
        &coordinator,
        &[("a", json!({"value": 1})), ("b", json!({"value": 2}))],
    )
    .await;
    let named = json!({"namespace": "swarm", "name": "before"});
    coordinator
        .post("/api/v2/memory-snapshots", named.clone())
        .await
        .ok();
    coordinator
        .call("DELETE", "/api/v2/memory/swarm/a", None)
        .await
        .ok();
    fill(
        &coordinator,
        &[("b", json!({"value": 3})), ("c", json!({"value": 4}))],
    )
    .await;
    let restored = coordinator
        .post("/api/v2/memory-snapshots/restore", named.clone())
        .await
        .ok();
    assert_eq!(
        (&restored["written"], &restored["deleted"]),
        (&json!(2), &json!(1))
    );
    let list = coordinator.get("/api/v2/memory/swarm").await.ok();
    let keys = list["items"].as_array().unwrap().iter();
    let keys: Vec<_> = keys.map(|item| item["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(coordinator.get_entry("swarm", "b").await["value"], 2);
    let names = coordinator.get("/api/v2/memory/snapshots").await.ok();
    assert_eq!(names["items"][0]["key"], "swarm/before");
    let unknown = json!({"namespace": "swarm", "name": "never"});
    let unknown = coordinator
        .post("/api/v2/memory-snapshots/restore", unknown)
        .await;
    assert_eq!(unknown.problem(), (404, "snapshot_not_found".to_owned()));
    let settings = json!({"entries_max": 1});
    let path = "/api/v2/memory-namespaces/swarm";
    for key in ["a", "b"] {
        let path = format!("/api/v2/memory/swarm/{key}");
        coordinator.call("DELETE", &path, None).await.ok();
    }
    coordinator.call("PUT", path, Some(settings)).await.ok();
    let full = coordinator
        .post("/api/v2/memory-snapshots/restore", named)
        .await;
    assert_eq!(full.problem(), (507, "memory_quota_exceeded".to_owned()));
    let list = coordinator.get("/api/v2/memory/swarm").await.ok();
    assert_eq!(list["items"], json!([]), "nothing was restored by half");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_entry_from_before_a_restoration_survives_it() {
    let coordinator = Coordinator::start().await;
    fill(&coordinator, &[("kept", json!({"value": 1}))]).await;
    let named = json!({"namespace": "swarm", "name": "n"});
    let path = "/api/v2/memory-snapshots";
    coordinator.post(path, named.clone()).await.ok();
    for round in 0..20 {
        let paths: Vec<_> = (0..16)
            .map(|key| format!("/api/v2/memory/swarm/{round}-{key}"))
            .collect();
        let puts = paths
            .iter()
            .map(|path| coordinator.write(path, json!({"value": 2})));
        let puts = futures_util::future::join_all(puts);
        let restored = coordinator.post("/api/v2/memory-snapshots/restore", named.clone());
        let (_, restored) = tokio::join!(puts, restored);
        restored.ok();
        let kept = coordinator.get_entry("swarm", "kept").await;
        let list = coordinator.get("/api/v2/memory/swarm?limit=100").await.ok();
        for item in list["items"].as_array().unwrap() {
            let version = item["version"].as_u64();
            assert!(version >= kept["version"].as_u64(), "{item} {kept}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_holds_the_artifacts_that_its_values_are() {
    let coordinator = Coordinator::start().await;
    let large = "x".repeat(skep_model::limits::MEMORY_VALUE_BYTES_MAX);
    let value = json!({ "value": large });
    fill(&coordinator, &[("a", value.clone()), ("b", value)]).await;
    let before = coordinator.get("/api/v2/memory/swarm/a").await.ok();
    let named = json!({"namespace": "swarm", "name": "n"});
    let path = "/api/v2/memory-snapshots";
    coordinator.post(path, named.clone()).await.ok();
    for key in ["a", "b"] {
        let path = format!("/api/v2/memory/swarm/{key}");
        coordinator.call("DELETE", &path, None).await.ok();
    }
    // As a sweep does when nothing refers to it any more.
    let hash = before["artifact"]["blake3"].as_str().unwrap();
    let files = files(coordinator.services().data_dir.path()).into_iter();
    let mut files = files.filter(|file| file.to_string_lossy().ends_with(hash));
    std::fs::remove_file(files.next().unwrap()).unwrap();
    assert_eq!(files.next(), None);
    let path = format!("{path}/restore");
    coordinator.post(&path, named).await.ok();
    for key in ["a", "b"] {
        let entry = coordinator.get_entry("swarm", key).await;
        assert_eq!(entry["artifact"], before["artifact"]);
    }
    let raw = coordinator.get("/api/v2/memory/swarm/a?raw=true").await;
    assert_eq!(raw.bytes.len(), large.len() + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_restored_into_its_own_namespace_only() {
    let coordinator = Coordinator::start().await;
    fill(&coordinator, &[("a", json!({"value": 1}))]).await;
    let named = json!({"namespace": "swarm", "name": "before"});
    let path = "/api/v2/memory-snapshots";
    coordinator.post(path, named).await.ok();
    for name in ["x/before", "/", ""] {
        for path in [path, "/api/v2/memory-snapshots/restore"] {
            let named = json!({"namespace": "swarm", "name": name});
            let answer = coordinator.post(path, named).await;
            assert_eq!(answer.problem(), (422, "memory_name_invalid".to_owned()));
        }
    }
    let kept = "/api/v2/memory/snapshots/swarm%2Fbefore";
    let artifact = coordinator.get(kept).await.ok()["artifact"].clone();
    let body = json!({ "artifact": artifact });
    coordinator
        .write("/api/v2/memory/snapshots/other%2Fbefore", body)
        .await
        .ok();
    let named = json!({"namespace": "other", "name": "before"});
    let other = coordinator
        .post("/api/v2/memory-snapshots/restore", named)
        .await;
    assert_eq!(other.problem().1, "memory_import_malformed");
    let list = coordinator.get("/api/v2/memory/other").await;
    assert_eq!(list.problem().1, "namespace_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_restricted_has_no_snapshot() {
    let coordinator = Coordinator::start().await;
    let writes = |from: usize| {
        let writes = (from..from + 501).map(
            |number| json!({"namespace": "large", "key": format!("{number}"), "put": {"value": 1}}),
        );
        json!({ "writes": writes.collect::<Vec<_>>() })
    };
    for from in [0, 501] {
        coordinator
            .post("/api/v2/memory-batch", writes(from))
            .await
            .ok();
    }
    let named = json!({"namespace": "large", "name": "x"});
    let large = coordinator.post("/api/v2/memory-snapshots", named).await;
    assert_eq!(large.problem(), (422, "snapshot_too_large".to_owned()));
    let path = "/api/v2/memory-namespaces/secret";
    coordinator
        .call("PUT", path, Some(json!({"restricted": true})))
        .await
        .ok();
    let named = json!({"namespace": "secret", "name": "x"});
    let secret = coordinator.post("/api/v2/memory-snapshots", named).await;
    assert_eq!(secret.problem(), (403, "namespace_forbidden".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_namespace_of_a_run_ends_some_time_after_its_run() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("one", 4).await;
    let plan = "name: a\ntasks:\n  t: {kind: noop}\n";
    let body = json!({ "plan": plan });
    let submitted = coordinator.post("/api/v2/runs", body).await.ok();
    let run = submitted["run"]["id"].as_str().unwrap().to_owned();
    let list = format!("/api/v2/memory/run%2F{run}");
    let settings = json!({"strategies": [{"prefix": "", "strategy": "manual"}]});
    let namespace = format!("/api/v2/memory-namespaces/run%2F{run}");
    coordinator
        .call("PUT", &namespace, Some(settings))
        .await
        .ok();
    for key in ["a", "b"] {
        coordinator
            .write(&format!("{list}/{key}"), json!({"value": 1}))
            .await
            .ok();
    }
    coordinator
        .write("/api/v2/memory/swarm/a", json!({"value": 1}))
        .await
        .ok();
    let sweep = || remove_memory_of_ended_runs(&coordinator.api.services);
    assert_eq!(sweep().await, Ok(0), "the run is live");
    coordinator
        .finish(id_of(&submitted, "t"), Outcome::Completed)
        .await;
    assert_eq!(sweep().await, Ok(0), "it ended just now");
    let late = coordinator
        .write(&format!("{list}/c"), json!({"value": 1}))
        .await;
    assert_eq!(late.problem(), (404, "run_not_found".to_owned()));
    coordinator.get(&list).await.ok();
    coordinator.clock.pass(RUN_MEMORY_KEPT_MS);
    assert_eq!(sweep().await, Ok(2));
    assert_eq!(
        coordinator.get(&list).await.problem(),
        (404, "namespace_not_found".to_owned())
    );
    coordinator.get("/api/v2/memory/swarm/a").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_megabytes_is_one_step_as_well() {
    let coordinator = Coordinator::start().await;
    let value = "x".repeat(900 << 10);
    let writes = (0..8).map(
        |number| json!({"namespace": "swarm", "key": format!("{number}"), "put": {"value": value}}),
    );
    let writes = json!({ "writes": writes.collect::<Vec<_>>(), "all_or_nothing": true });
    coordinator.post("/api/v2/memory-batch", writes).await.ok();
    let named = json!({"namespace": "swarm", "name": "large"});
    coordinator
        .post("/api/v2/memory-snapshots", named.clone())
        .await
        .ok();
    for key in ["0", "7"] {
        let path = format!("/api/v2/memory/swarm/{key}");
        coordinator.call("DELETE", &path, None).await.ok();
    }
    coordinator
        .post("/api/v2/memory-snapshots/restore", named)
        .await
        .ok();
    let back = coordinator.get("/api/v2/memory/swarm/7?raw=true").await;
    assert_eq!(back.bytes.len(), value.len() + 2);
    let ninth = json!({ "value": value });
    coordinator
        .write("/api/v2/memory/swarm/8", ninth.clone())
        .await
        .ok();
    coordinator
        .write("/api/v2/memory/swarm/9", ninth)
        .await
        .ok();
    let named = json!({"namespace": "swarm", "name": "larger"});
    let larger = coordinator.post("/api/v2/memory-snapshots", named).await;
    assert_eq!(larger.problem(), (422, "snapshot_too_large".to_owned()));
}

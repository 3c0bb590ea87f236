//! What shared memory refuses, and to whom.

use super::answer::request;
use super::fixture::Coordinator;
use super::work::id_of;
use serde_json::{Value, json};
use skep_model::ids::ReplicaId;
use skep_model::token::Scope;

type Case = (String, Value, u16, &'static str);

fn key(key: &str) -> String {
    format!("/api/v2/memory/swarm/{key}")
}

fn bad_values() -> Vec<Case> {
    let a = || key("a");
    vec![
        (a(), json!({}), 422, "field_invalid"),
        (a(), json!({"value": 1, "base64": ""}), 422, "field_invalid"),
        (a(), json!({"base64": "?"}), 422, "field_invalid"),
        (
            a(),
            json!({"value": 1, "ttl_s": 0}),
            422,
            "memory_ttl_invalid",
        ),
        (
            a(),
            json!({"value": 1, "ttl_s": u64::MAX}),
            422,
            "memory_ttl_invalid",
        ),
        (
            a(),
            json!({"value": 1, "tags": ["a b"]}),
            422,
            "memory_name_invalid",
        ),
        (
            a(),
            json!({"value": 1, "why": "x".repeat(513)}),
            422,
            "limit_exceeded",
        ),
        (a(), json!({"value": 1, "vale": 1}), 400, "body_malformed"),
        (
            a(),
            json!({"value": 1, "settles": [3]}),
            404,
            "memory_conflict_unknown",
        ),
    ]
}

fn bad_names() -> Vec<Case> {
    let gone = "/api/v2/memory/run%2Frun_00000000000000000000000000/a";
    let value = || json!({"value": 1});
    vec![
        (key(&"x".repeat(513)), value(), 422, "memory_name_invalid"),
        (key("a%0Ab"), value(), 422, "memory_name_invalid"),
        (
            "/api/v2/memory/Swarm/a".to_owned(),
            value(),
            422,
            "memory_name_invalid",
        ),
        (gone.to_owned(), value(), 404, "run_not_found"),
    ]
}

fn bad_stamps() -> Vec<Case> {
    let replica = ReplicaId::from_u128(7).to_string();
    let home = ReplicaId::HOME.to_string();
    let time = |wall: u64, replica: &str| json!({"wall": wall, "counter": 0, "replica": replica});
    let far = u64::MAX / 2;
    let stamps = [
        json!(1),
        json!({"time": time(1, &replica), "clock": {}}),
        json!({"time": time(far, &replica), "clock": {&replica: 1}}),
        json!({"time": time(1, &home), "clock": {&home: 1}}),
    ];
    let case = |stamp| {
        let body = json!({"value": 1, "stamp": stamp});
        (key("a"), body, 422, "memory_clock_invalid")
    };
    stamps.into_iter().map(case).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_by_name_and_nothing_is_written() {
    let coordinator = Coordinator::start().await;
    let cases = bad_values()
        .into_iter()
        .chain(bad_names())
        .chain(bad_stamps());
    for (path, body, status, code) in cases {
        let answer = coordinator.write(&path, body.clone()).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{path} {body}");
    }
    for (path, status, code) in [
        ("/api/v2/memory/nowhere/a", 404, "namespace_not_found"),
        ("/api/v2/memory/nowhere", 404, "namespace_not_found"),
        (
            "/api/v2/memory-namespaces/nowhere",
            404,
            "namespace_not_found",
        ),
        (
            "/api/v2/memory-search?q=a&namespace=nowhere",
            404,
            "namespace_not_found",
        ),
        ("/api/v2/memory-search?q=+", 400, "query_malformed"),
        ("/api/v2/memory/swarm?since=monday", 400, "query_malformed"),
        ("/api/v2/memory/swarm?tags=a+b", 422, "memory_name_invalid"),
        ("/api/v2/events?namespace=", 400, "query_malformed"),
    ] {
        let answer = coordinator.get(path).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{path}");
    }
    let namespaces = coordinator.get("/api/v2/memory-namespaces").await.ok();
    assert_eq!(namespaces["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_has_a_quota_and_can_be_for_administrators_only() {
    let coordinator = Coordinator::start().await;
    let path = "/api/v2/memory-namespaces/secret";
    let set = coordinator.call(
        "PUT",
        path,
        Some(json!({"entries_max": 1, "restricted": true})),
    );
    let set = set.await.ok();
    assert_eq!(set["settings"]["entries_max"], 1);
    let entry = "/api/v2/memory/secret/a";
    coordinator.write(entry, json!({"value": 1})).await.ok();
    let full = coordinator
        .write("/api/v2/memory/secret/b", json!({"value": 1}))
        .await;
    assert_eq!(full.problem(), (507, "memory_quota_exceeded".to_owned()));
    let shown = coordinator.get(path).await.ok();
    assert_eq!(
        (&shown["entries"], &shown["settings"]["restricted"]),
        (&json!(1), &json!(true))
    );
    coordinator.memory_archived(1).await;
    let other = coordinator.token(&[Scope::Read, Scope::Write], None).await;
    for (method, path, body) in [
        ("GET", entry, None),
        ("GET", path, None),
        ("GET", "/api/v2/memory/secret", None),
        ("GET", "/api/v2/memory/secret/a/history", None),
        ("GET", "/api/v2/memory/secret/a?version=1", None),
        ("GET", "/api/v2/memory-search?q=a&namespace=secret", None),
        ("PUT", entry, Some(json!({"value": 2}))),
        ("DELETE", entry, None),
    ] {
        let answer = coordinator
            .send(request(method, path, Some(&other), body))
            .await;
        let problem = answer.problem();
        assert_eq!(
            problem,
            (403, "namespace_forbidden".to_owned()),
            "{method} {path}"
        );
    }
    for path in ["/api/v2/memory-namespaces", "/api/v2/memory-search?q=a"] {
        let answer = coordinator
            .send(request("GET", path, Some(&other), None))
            .await;
        assert_eq!(answer.ok()["items"], json!([]), "{path}");
    }
    let twice = json!({"strategies": [
        {"prefix": "", "strategy": "manual"}, {"prefix": "", "strategy": "manual"},
    ]});
    let twice = coordinator.call("PUT", path, Some(twice)).await;
    assert_eq!(twice.problem(), (422, "field_invalid".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_uses_the_shared_namespaces_and_that_of_its_run() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("one", 4).await;
    let plan = "name: a\ntasks:\n  t: {kind: noop}\n";
    let submitted = coordinator
        .post("/api/v2/runs", json!({ "plan": plan }))
        .await
        .ok();
    let run = submitted["run"]["id"].as_str().unwrap();
    let task = id_of(&submitted, "t");
    let fence = coordinator.granted(task).await;
    let secret = coordinator.services().task_tokens.mint(task, fence);
    let task = task.to_string();
    let put = |namespace: String| {
        let path = format!("/api/v2/memory/{namespace}/a");
        let request = request("PUT", &path, Some(&secret), Some(json!({"value": 1})));
        coordinator.send(request)
    };
    for namespace in [
        "swarm".to_owned(),
        "knowledge".to_owned(),
        format!("run%2F{run}"),
    ] {
        put(namespace.clone()).await.ok();
        let entry = coordinator
            .get(&format!("/api/v2/memory/{namespace}/a"))
            .await
            .ok();
        assert_eq!((&entry["task"], &entry["run"]), (&json!(task), &json!(run)));
        assert_eq!(entry["actor"], json!({ "task": task }));
    }
    let replica = ReplicaId::from_u128(7).to_string();
    let time = json!({"wall": 1, "counter": 0, "replica": replica});
    let stamp = json!({"time": time, "clock": {&replica: 1}});
    for (method, body) in [
        ("PUT", json!({"value": 1, "stamp": stamp})),
        ("DELETE", json!({"stamp": stamp})),
    ] {
        let unknown = request(method, "/api/v2/memory/swarm/x", Some(&secret), Some(body));
        let answer = coordinator.send(unknown).await;
        assert_eq!(answer.problem(), (403, "scope_missing".to_owned()));
    }
    let other = "run%2Frun_00000000000000000000000000";
    for namespace in ["other", other] {
        let answer = put(namespace.to_owned()).await;
        assert_eq!(answer.problem(), (403, "namespace_forbidden".to_owned()));
    }
}

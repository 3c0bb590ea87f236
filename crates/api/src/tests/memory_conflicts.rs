//! Writes that were made apart from each other, and writers who change one value together.

use super::fixture::Coordinator;
use serde_json::{Value, json};
use skep_model::ids::ReplicaId;
use std::sync::Arc;

const A: &str = "/api/v2/memory/swarm/a";

async fn strategy(coordinator: &Coordinator, strategy: Value) {
    let rules = json!({"strategies": [{"prefix": "", "strategy": strategy}]});
    let path = "/api/v2/memory-namespaces/swarm";
    coordinator.call("PUT", path, Some(rules)).await.ok();
}

/// A stamp of a write that saw nothing else, made at this time by a replica of this number.
fn stamp(wall: u64, replica: u128) -> Value {
    let replica = ReplicaId::from_u128(replica).to_string();
    json!({"time": {"wall": wall, "counter": 0, "replica": replica}, "clock": {replica: 1}})
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_were_written_apart_are_merged_as_the_namespace_says() {
    let coordinator = Coordinator::start().await;
    let later = coordinator.clock_now() + 60_000;
    for (function, present, other, expected) in [
        ("set_union", json!([2, 1]), json!([3, 1]), json!([1, 2, 3])),
        ("append", json!([1]), json!([2]), json!([1, 2])),
        (
            "counter",
            json!({"x": 2}),
            json!({"x": 1, "y": 4}),
            json!({"x": 2, "y": 4}),
        ),
        (
            "json_merge_patch",
            json!({"a": 1, "b": 2}),
            json!({"a": null}),
            json!({"b": 2}),
        ),
    ] {
        strategy(&coordinator, json!({ "merge": function })).await;
        let path = format!("/api/v2/memory/swarm/{function}");
        coordinator
            .write(&path, json!({ "value": present }))
            .await
            .ok();
        let body = json!({"value": other, "stamp": stamp(later, 7)});
        let written = coordinator.write(&path, body).await.ok();
        assert_eq!(
            (&written["outcome"], &written["merged"]),
            (&json!("written"), &json!(true))
        );
        assert_eq!(
            coordinator.get(&path).await.ok()["value"],
            expected,
            "{function}"
        );
    }
    strategy(&coordinator, json!({"merge": "append"})).await;
    coordinator.write(A, json!({"value": 1})).await.ok();
    let body = json!({"value": [1], "stamp": stamp(later, 7)});
    let failed = coordinator.write(A, body.clone()).await;
    assert_eq!(failed.problem(), (422, "memory_merge_failed".to_owned()));
    let many = json!({"writes": [{"namespace": "swarm", "key": "b", "put": {"value": 1}},
        {"namespace": "swarm", "key": "append", "put": {"value": [9], "stamp": stamp(later + 1, 8)}}],
        "all_or_nothing": true});
    let many = coordinator.post("/api/v2/memory-batch", many).await.ok();
    assert_eq!(many["items"][1]["written"]["merged"], true);
    let appended = coordinator.get("/api/v2/memory/swarm/append").await.ok();
    assert_eq!(appended["value"], json!([1, 2, 9]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_later_value_comes_to_the_earlier_one_whichever_was_here_first() {
    let coordinator = Coordinator::start().await;
    for (function, present, other, expected) in [
        ("append", json!([2]), json!([1]), json!([1, 2])),
        (
            "json_merge_patch",
            json!({"a": null}),
            json!({"a": 1, "b": 2}),
            json!({"b": 2}),
        ),
    ] {
        strategy(&coordinator, json!({ "merge": function })).await;
        let path = format!("/api/v2/memory/swarm/{function}");
        coordinator
            .write(&path, json!({ "value": present }))
            .await
            .ok();
        let body = json!({"value": other, "stamp": stamp(1, 7)});
        coordinator.write(&path, body).await.ok();
        assert_eq!(
            coordinator.get(&path).await.ok()["value"],
            expected,
            "{function}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_writes_that_are_done_one_by_one_each_is_merged_by_itself() {
    let coordinator = Coordinator::start().await;
    let later = coordinator.clock_now() + 60_000;
    strategy(&coordinator, json!({"merge": "append"})).await;
    coordinator.write(A, json!({"value": [1]})).await.ok();
    let writes = json!({"writes": [
        {"namespace": "swarm", "key": "b", "put": {"value": 1}},
        {"namespace": "swarm", "key": "a", "put": {"value": [2], "stamp": stamp(later, 7)}},
        {"namespace": "swarm", "key": "gone", "delete": {}},
    ]});
    let headers = [("idempotency-key", "k")];
    let path = "/api/v2/memory-batch";
    let keyed = coordinator.call_with("POST", path, &headers, writes.clone());
    let keyed = keyed.await.ok();
    assert_eq!(keyed["items"][1]["error"]["code"], "memory_contended");
    let done = coordinator.post(path, writes).await.ok();
    assert_eq!(done["done"], 2);
    assert_eq!(done["items"][1]["written"]["merged"], true);
    assert_eq!(done["items"][2]["error"]["code"], "memory_not_found");
    assert_eq!(coordinator.get(A).await.ok()["value"], json!([1, 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writes_the_later_one_wins_and_the_other_is_told() {
    let coordinator = Coordinator::start().await;
    coordinator.write(A, json!({"value": "here"})).await.ok();
    let older = json!({"value": "there", "stamp": stamp(1, 7)});
    let superseded = coordinator.write(A, older.clone()).await;
    assert_eq!(
        superseded.problem(),
        (409, "memory_version_conflict".to_owned())
    );
    strategy(&coordinator, json!("vector_clock")).await;
    let lost = coordinator.write(A, older).await.ok();
    assert_eq!(lost["outcome"], "lost");
    assert_eq!(coordinator.get(A).await.ok()["value"], "here");
    let later = coordinator.clock_now() + 60_000;
    let later = json!({"value": "there", "stamp": stamp(later, 8)});
    assert_eq!(coordinator.write(A, later).await.ok()["outcome"], "written");
    assert_eq!(coordinator.get(A).await.ok()["value"], "there");
    let history = coordinator.get(&format!("{A}/history")).await.ok();
    let states = history["items"].as_array().unwrap().iter();
    let states: Vec<_> = states.map(|item| item["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["written", "lost", "written"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_listed_shown_and_resolved() {
    let coordinator = Coordinator::start().await;
    strategy(&coordinator, json!("manual")).await;
    let here = coordinator.write(A, json!({"value": "here"})).await.ok();
    let mut waiting = Vec::new();
    for replica in [7, 8] {
        let body = json!({"value": format!("there {replica}"), "stamp": stamp(1, replica)});
        let written = coordinator.write(A, body).await.ok();
        assert_eq!(written["outcome"], "conflict");
        waiting.push(written["version"].clone());
    }
    let list = coordinator
        .get("/api/v2/memory-conflicts?namespace=swarm")
        .await
        .ok();
    assert_eq!(list["items"][0]["key"], "a");
    assert_eq!(list["items"][0]["conflicts"], json!(waiting));
    let shown = coordinator.get(&format!("{A}/conflicts")).await.ok();
    assert_eq!(shown["present"]["value"], "here");
    assert_eq!(shown["open"][1]["value"], "there 8");
    let resolve = format!("{A}/resolve");
    for (body, status, code) in [
        (json!({}), 422, "field_invalid"),
        (json!({"take": 99}), 404, "memory_conflict_unknown"),
        (
            json!({"take": waiting[0], "if_version": 99}),
            409,
            "memory_version_conflict",
        ),
    ] {
        let refused = coordinator.post(&resolve, body).await;
        assert_eq!(refused.problem(), (status, code.to_owned()));
    }
    let body = json!({"take": waiting[1], "why": "it is newer"});
    let resolved = coordinator.post(&resolve, body).await.ok();
    assert_eq!(
        (&resolved["outcome"], &resolved["replaced"]),
        (&json!("written"), &here["version"])
    );
    let entry = coordinator.get(A).await.ok();
    assert_eq!(
        (&entry["value"], &entry["why"]),
        (&json!("there 8"), &json!("it is newer"))
    );
    assert_eq!(entry["conflicts"], json!([]));
    let again = coordinator
        .post(&resolve, json!({"take": waiting[0]}))
        .await;
    assert_eq!(again.problem(), (404, "memory_conflict_unknown".to_owned()));
    let list = coordinator
        .get("/api/v2/memory-conflicts?namespace=swarm")
        .await
        .ok();
    assert_eq!(list["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_adds_to_a_number_is_counted() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 5;
    let coordinator = Arc::new(Coordinator::start().await);
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let coordinator = Arc::clone(&coordinator);
        writers.spawn(async move {
            for _ in 0..EACH {
                let body = json!({"function": "increment", "value": 1});
                loop {
                    let answer = coordinator.post(&format!("{A}/update"), body.clone()).await;
                    if answer.status.is_success() {
                        break;
                    }
                    assert_eq!(answer.problem().1, "memory_contended");
                }
            }
        });
    }
    writers.join_all().await;
    assert_eq!(coordinator.get(A).await.ok()["value"], WRITERS * EACH);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_keeps_what_it_does_not_change() {
    let coordinator = Coordinator::start().await;
    let body = json!({"value": {"a": 1}, "ttl_s": 60, "tags": ["t"], "metadata": {"m": "1"}});
    let written = coordinator.write(A, body).await.ok();
    let patch = json!({"function": "json_merge_patch", "value": {"b": 2}});
    let update = coordinator.post(&format!("{A}/update"), patch).await.ok();
    assert_eq!(update["replaced"], written["version"]);
    let entry = coordinator.get(A).await.ok();
    assert_eq!(entry["value"], json!({"a": 1, "b": 2}));
    assert_eq!(
        (&entry["tags"], &entry["metadata"]),
        (&json!(["t"]), &json!({"m": "1"}))
    );
    assert!(entry["expires_at"].is_string());
    let body = json!({"function": "increment", "value": 1});
    let refused = coordinator.post(&format!("{A}/update"), body).await;
    assert_eq!(refused.problem(), (422, "memory_merge_failed".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_ends_at_its_time_and_lives_on_when_it_is_touched() {
    let coordinator = Coordinator::start().await;
    for key in ["a", "b"] {
        let path = format!("/api/v2/memory/swarm/{key}");
        coordinator
            .write(&path, json!({"value": 1, "ttl_s": 10}))
            .await
            .ok();
    }
    coordinator.clock.pass(6_000);
    let touched = coordinator
        .post(&format!("{A}/touch"), json!({"ttl_s": 10}))
        .await
        .ok();
    assert_eq!(touched["outcome"], "touched");
    coordinator.clock.pass(6_000);
    assert_eq!(coordinator.get(A).await.ok()["value"], 1);
    let gone = coordinator.get("/api/v2/memory/swarm/b").await;
    assert_eq!(gone.problem(), (404, "memory_not_found".to_owned()));
    coordinator
        .post(&format!("{A}/touch"), json!({}))
        .await
        .ok();
    assert_eq!(coordinator.get(A).await.ok()["expires_at"], Value::Null);
}

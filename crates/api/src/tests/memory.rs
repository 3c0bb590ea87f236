//! Shared memory as callers use it.

use super::answer::{Answer, request};
use super::fixture::Coordinator;
use serde_json::{Value, json};
use skep_model::limits::MEMORY_VALUE_BYTES_MAX;

const A: &str = "/api/v2/memory/swarm/a";

impl Coordinator {
    pub(super) async fn write(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, Some(body)).await
    }

    pub(super) async fn get_entry(&self, namespace: &str, key: &str) -> Value {
        self.get(&format!("/api/v2/memory/{namespace}/{key}"))
            .await
            .ok()
    }

    /// Calls as the admin with these headers.
    pub(super) async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Value,
    ) -> Answer {
        let mut request = request(method, path, Some(&self.admin), Some(body));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        self.send(request).await
    }

    /// The wall clock, milliseconds.
    pub(super) fn clock_now(&self) -> u64 {
        self.services().clock.wall().0
    }

    /// Waits until the archive has every version, so that no value is left in the view.
    pub(super) async fn memory_archived(&self, versions: u64) {
        for _ in 0..2_000 {
            let sizes = self.services().archive.sizes().unwrap();
            if sizes.memory_versions >= versions && sizes.search_behind == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{versions} versions are not archived");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_written_read_replaced_and_removed() {
    let coordinator = Coordinator::start().await;
    assert_eq!(
        coordinator.get(A).await.problem(),
        (404, "memory_not_found".to_owned())
    );
    let body = json!({
        "value": {"b": 1, "a": [null, 12_345_678_901_234_567_890_u64]},
        "ttl_s": 60, "tags": ["x", "y"], "metadata": {"from": "test"}, "why": "to try it",
    });
    let written = coordinator.write(A, body.clone()).await.ok();
    assert_eq!(written["outcome"], "written");
    assert_eq!(written["replaced"], Value::Null);
    assert!(written["expires_at"].is_string());
    for archived in [false, true] {
        if archived {
            coordinator.memory_archived(1).await;
        }
        let answer = coordinator.get(A).await;
        let tag = format!("\"{}\"", written["version"]);
        assert_eq!(answer.headers["etag"], tag.as_str());
        let entry = answer.ok();
        assert_eq!(entry["value"], body["value"]);
        assert_eq!(entry["tags"], json!(["x", "y"]));
        assert_eq!(entry["metadata"], body["metadata"]);
        assert_eq!(entry["why"], "to try it");
        assert_eq!(entry["version"], written["version"]);
        assert!(entry["applied_index"].as_u64() >= written["applied_index"].as_u64());
        assert!(entry.get("age_ms").is_none());
    }
    let local = coordinator.get(&format!("{A}?consistency=eventual")).await;
    assert!(local.ok()["age_ms"].is_u64());
    let replaced = coordinator.write(A, json!({"value": null})).await.ok();
    assert_eq!(replaced["replaced"], written["version"]);
    assert_eq!(coordinator.get(A).await.ok()["value"], Value::Null);
    let removed = coordinator.call("DELETE", A, None).await.ok();
    assert_eq!(
        (&removed["outcome"], &removed["replaced"]),
        (&json!("deleted"), &replaced["version"])
    );
    for method in ["GET", "DELETE"] {
        let gone = coordinator.call(method, A, None).await;
        assert_eq!(gone.problem(), (404, "memory_not_found".to_owned()));
    }
    let history = coordinator.get(&format!("{A}/history")).await.ok();
    let states = history["items"].as_array().unwrap().iter();
    let states: Vec<_> = states.map(|item| item["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["deleted", "written", "written"]);
    let earlier = format!("{A}?version={}", written["version"]);
    assert_eq!(coordinator.get(&earlier).await.ok()["value"], body["value"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_may_hold_slashes_and_any_letters() {
    let coordinator = Coordinator::start().await;
    let path = "/api/v2/memory/team%2Fa/k%C3%A4se%2Fy%20%3F%26%25";
    coordinator.write(path, json!({"value": 1})).await.ok();
    let entry = coordinator.get(path).await.ok();
    assert_eq!(
        (&entry["namespace"], &entry["key"]),
        (&json!("team/a"), &json!("käse/y ?&%"))
    );
    let list = coordinator.get("/api/v2/memory/team%2Fa").await.ok();
    assert_eq!(list["items"][0]["key"], "käse/y ?&%");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_large_values_are_kept_exactly() {
    let coordinator = Coordinator::start().await;
    let written = coordinator.write(A, json!({"base64": "AAECAw=="})).await;
    written.ok();
    assert_eq!(coordinator.get(A).await.ok()["base64"], "AAECAw==");
    let raw = coordinator.get(&format!("{A}?raw=true")).await;
    assert_eq!(raw.bytes, [0, 1, 2, 3]);
    let large = "x".repeat(MEMORY_VALUE_BYTES_MAX);
    coordinator.write(A, json!({"value": large})).await.ok();
    let entry = coordinator.get(A).await.ok();
    assert_eq!(entry["artifact"]["bytes"], MEMORY_VALUE_BYTES_MAX + 2);
    let raw = coordinator.get(&format!("{A}?raw=true")).await;
    assert_eq!(raw.bytes.len(), MEMORY_VALUE_BYTES_MAX + 2);
    let missing = json!({"artifact": {"blake3": "0".repeat(64), "bytes": 3}});
    let missing = coordinator.write(A, missing).await;
    assert_eq!(missing.problem(), (409, "artifact_missing".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_does_not_hold_is_a_conflict_that_names_the_present_version() {
    let coordinator = Coordinator::start().await;
    let none = coordinator
        .write(A, json!({"value": 1, "if_version": 7}))
        .await;
    assert_eq!(none.problem().1, "memory_version_conflict");
    assert!(none.json().get("current_version").is_none());
    let none = coordinator
        .write(A, json!({"value": 1, "if_present": true}))
        .await;
    assert_eq!(none.problem(), (404, "memory_not_found".to_owned()));
    let headers = [("if-none-match", "*")];
    let first = coordinator.call_with("PUT", A, &headers, json!({"value": 1}));
    let first = first.await.ok()["version"].as_u64().unwrap();
    let (match_first, other) = (format!("\"{first}\""), format!("\"{}\"", first + 9));
    for (headers, body) in [
        (vec![], json!({"value": 2, "if_absent": true})),
        (vec![], json!({"value": 2, "if_version": first + 9})),
        (vec![("if-none-match", "*")], json!({"value": 2})),
        (vec![("if-match", other.as_str())], json!({"value": 2})),
    ] {
        let refused = coordinator
            .call_with("PUT", A, &headers, body.clone())
            .await;
        let problem = refused.problem();
        assert_eq!(
            problem,
            (409, "memory_version_conflict".to_owned()),
            "{body}"
        );
        assert_eq!(refused.json()["current_version"], first, "{body}");
    }
    let headers = [("if-match", match_first.as_str())];
    let second = coordinator.call_with("PUT", A, &headers, json!({"value": 2}));
    second.await.ok();
    let stale = coordinator.call_with("DELETE", A, &headers, json!({}));
    assert_eq!(stale.await.problem().1, "memory_version_conflict");
    let both = coordinator.call_with("PUT", A, &headers, json!({"value": 2, "if_absent": true}));
    assert_eq!(both.await.problem(), (422, "field_invalid".to_owned()));
    let odd = [("if-match", "\"x\"")];
    let odd = coordinator
        .call_with("PUT", A, &odd, json!({"value": 2}))
        .await;
    assert_eq!(odd.problem(), (400, "header_malformed".to_owned()));
    let update = format!("{A}/update");
    let body = json!({"function": "increment", "value": 1});
    let ignored = coordinator.call_with("POST", &update, &headers, body).await;
    assert_eq!(ignored.problem(), (400, "header_malformed".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_done_once() {
    let coordinator = Coordinator::start().await;
    let headers = [("idempotency-key", "k1")];
    let put = |value: u8| coordinator.call_with("PUT", A, &headers, json!({"value": value}));
    let first = put(1).await.ok();
    let again = put(1).await.ok();
    assert_eq!(again["version"], first["version"]);
    assert_eq!(again["outcome"], "repeated");
    let other = put(2).await;
    assert_eq!(other.problem(), (422, "idempotency_mismatch".to_owned()));
    let conditional = [("idempotency-key", "k1"), ("if-match", "\"9\"")];
    let other = coordinator.call_with("PUT", A, &conditional, json!({"value": 1}));
    assert_eq!(other.await.problem().1, "idempotency_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_done_one_by_one_or_as_a_whole() {
    let coordinator = Coordinator::start().await;
    let writes = json!([
        {"namespace": "swarm", "key": "a", "put": {"value": 1}},
        {"namespace": "swarm", "key": "gone", "delete": {}},
        {"namespace": "swarm", "key": "a", "put": {"value": 2}},
        {"namespace": "swarm", "key": "a", "touch": {"ttl_s": 60}},
    ]);
    let post = |body: Value| coordinator.post("/api/v2/memory-batch", body);
    let whole = post(json!({"writes": writes, "all_or_nothing": true})).await;
    assert_eq!(whole.problem(), (404, "memory_not_found".to_owned()));
    assert!(
        whole.json()["detail"]
            .as_str()
            .unwrap()
            .starts_with("write 1: ")
    );
    assert_eq!(coordinator.get(A).await.problem().0, 404);
    let each = post(json!({ "writes": writes })).await.ok();
    assert_eq!(each["done"], 3);
    let items = each["items"].as_array().unwrap();
    let outcomes = items.iter();
    let outcomes: Vec<_> = outcomes
        .map(|item| item["written"]["outcome"].as_str().unwrap_or("refused"))
        .collect();
    assert_eq!(outcomes, ["written", "refused", "written", "touched"]);
    assert_eq!(items[1]["error"]["code"], "memory_not_found");
    assert_eq!(
        items[3]["written"]["version"],
        items[2]["written"]["version"]
    );
    let entry = coordinator.get(A).await.ok();
    assert_eq!(entry["value"], 2);
    assert!(entry["expires_at"].is_string());
    let none = post(json!({"writes": []})).await;
    assert_eq!(none.problem(), (422, "limit_exceeded".to_owned()));
    let unclear = post(json!({"writes": [{"namespace": "swarm", "key": "a"}]})).await;
    assert_eq!(unclear.problem(), (422, "field_invalid".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_listed_by_prefix_and_tag_and_found_by_words() {
    let coordinator = Coordinator::start().await;
    for (key, value, tags) in [
        (
            "sort%2Fquick",
            "pivot and partition",
            json!(["fast", "unstable"]),
        ),
        ("sort%2Fmerge", "halves and a merge", json!(["stable"])),
        ("tree", "rotates its branches", json!(["fast"])),
    ] {
        let path = format!("/api/v2/memory/knowledge/{key}");
        coordinator
            .write(&path, json!({"value": value, "tags": tags}))
            .await
            .ok();
    }
    let keys = |answer: Answer| {
        let items = answer.ok()["items"].as_array().unwrap().clone();
        let keys = items
            .iter()
            .map(|item| item["key"].as_str().unwrap().to_owned());
        keys.collect::<Vec<_>>()
    };
    let list = "/api/v2/memory/knowledge";
    for (query, expected) in [
        ("", vec!["sort/merge", "sort/quick", "tree"]),
        ("?prefix=sort/", vec!["sort/merge", "sort/quick"]),
        ("?tags=fast", vec!["sort/quick", "tree"]),
        ("?tags=fast,unstable", vec!["sort/quick"]),
        ("?limit=1&cursor=sort/merge", vec!["sort/quick"]),
        ("?since=2100-01-01T00:00:00.000Z", vec![]),
    ] {
        assert_eq!(
            keys(coordinator.get(&format!("{list}{query}")).await),
            expected,
            "{query}"
        );
    }
    coordinator.memory_archived(3).await;
    for (query, expected) in [
        ("q=pivot", vec!["sort/quick"]),
        ("q=mer&namespace=knowledge", vec!["sort/merge"]),
        ("q=and&prefix=sort/m", vec!["sort/merge"]),
        ("q=nowhere", vec![]),
    ] {
        let path = format!("/api/v2/memory-search?{query}");
        assert_eq!(keys(coordinator.get(&path).await), expected, "{query}");
    }
    let hit = coordinator.get("/api/v2/memory-search?q=pivot").await.ok();
    assert_eq!(hit["mode"], "lexical");
    assert!(
        hit["items"][0]["snippet"]
            .as_str()
            .unwrap()
            .contains("**pivot**")
    );
    coordinator
        .call("DELETE", "/api/v2/memory/knowledge/sort%2Fquick", None)
        .await
        .ok();
    let gone = coordinator.get("/api/v2/memory-search?q=pivot").await;
    assert_eq!(keys(gone), [""; 0]);
}

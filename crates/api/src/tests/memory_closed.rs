//! Closed namespaces: what others see of them.

use super::answer::{Answer, request};
use super::fixture::Coordinator;
use super::work::id_of;
use serde_json::{Value, json};
use skep_model::attempt::Outcome;
use skep_model::token::Scope;
use skep_operations::{RUN_MEMORY_KEPT_MS, remove_memory_of_ended_runs};

impl Coordinator {
    async fn call_as(&self, secret: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = request(method, path, Some(secret), body);
        self.send(request).await
    }

    /// Entries about herons: three in a restricted namespace, which match best and lie nearest, and
    /// one in `knowledge`.
    async fn with_hidden_herons(&self) {
        let path = "/api/v2/memory-namespaces/closed";
        self.write(path, json!({"restricted": true})).await.ok();
        for key in ["heron-a", "heron-b", "heron-c"] {
            let path = format!("/api/v2/memory/closed/{key}");
            let body = json!({"value": "heron heron", "embedding": [1.0, 0.0]});
            self.write(&path, body).await.ok();
        }
        let body = json!({"value": "a pond with a heron", "embedding": [0.5, 0.5]});
        let path = "/api/v2/memory/knowledge/pond";
        self.write(path, body).await.ok();
        self.memory_archived(4).await;
    }

    /// The token of a running attempt.
    async fn attempt_token(&self) -> String {
        self.ready_node("one", 4).await;
        let body = json!({ "plan": "name: a\ntasks:\n  t: {kind: noop}\n" });
        let submitted = self.post("/api/v2/runs", body).await.ok();
        let task = id_of(&submitted, "t");
        let fence = self.granted(task).await;
        self.services().task_tokens.mint(task, fence)
    }
}

fn keys(answer: &Value) -> Vec<&str> {
    let items = answer["items"].as_array().unwrap().iter();
    items.map(|item| item["key"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_closed_moves_no_cursor_and_takes_no_place() {
    let coordinator = Coordinator::start().await;
    coordinator.with_hidden_herons().await;
    let reader = coordinator.token(&[Scope::Read], None).await;
    let attempt = coordinator.attempt_token().await;
    for secret in [&reader, &attempt] {
        let path = "/api/v2/memory-search?q=heron&limit=1";
        let found = coordinator.call_as(secret, "GET", path, None).await.ok();
        assert_eq!(keys(&found), ["pond"]);
        let one = json!("1");
        assert!(
            [&Value::Null, &one].contains(&&found["next_cursor"]),
            "{found}"
        );
        let body = json!({"embedding": [1.0, 0.0], "limit": 1});
        let found = coordinator
            .call_as(secret, "POST", "/api/v2/memory-near", Some(body))
            .await
            .ok();
        assert_eq!(keys(&found), ["pond"]);
    }
    let all = coordinator.get("/api/v2/memory-search?q=heron").await.ok();
    assert_eq!(keys(&all).len(), 4, "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_kept_closed_stays_closed_after_its_end() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("one", 4).await;
    let body = json!({ "plan": "name: a\ntasks:\n  t: {kind: noop}\n" });
    let submitted = coordinator.post("/api/v2/runs", body).await.ok();
    let run = submitted["run"]["id"].as_str().unwrap();
    let namespace = format!("/api/v2/memory-namespaces/run%2F{run}");
    let settings = json!({"restricted": true, "secret": true});
    coordinator.write(&namespace, settings).await.ok();
    let entry = format!("/api/v2/memory/run%2F{run}/a");
    let written = coordinator.write(&entry, json!({"value": 1})).await.ok();
    coordinator.memory_archived(1).await;
    let task = id_of(&submitted, "t");
    coordinator.finish(task, Outcome::Completed).await;
    coordinator.clock.pass(RUN_MEMORY_KEPT_MS);
    let removed = remove_memory_of_ended_runs(&coordinator.api.services).await;
    assert_eq!(removed, Ok(1));
    let spaces = coordinator.get("/api/v2/memory-namespaces").await.ok();
    assert!(!spaces.to_string().contains(run), "{spaces}");
    let reader = coordinator.token(&[Scope::Read], None).await;
    let version = format!("{entry}?version={}", written["version"]);
    for path in [version, format!("{entry}/history")] {
        let answer = coordinator.call_as(&reader, "GET", &path, None).await;
        assert_eq!(answer.problem().1, "namespace_not_found", "{path}");
        coordinator.get(&path).await.ok();
    }
}

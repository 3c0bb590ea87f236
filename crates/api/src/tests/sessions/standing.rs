//! What a session is to others, who may speak for it, and what it may not say.

use super::MINUTE_MS;
use super::PATIENCE;
use crate::tests::answer::request;
use crate::tests::fixture::Coordinator;
use serde_json::{Value, json};
use skep_model::token::Scope;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_speaks_for_the_sessions_that_it_registered_only() {
    let coordinator = Coordinator::start().await;
    let mine = coordinator.token(&[Scope::Agent], None).await;
    let theirs = coordinator.token(&[Scope::Agent], None).await;
    let call = |token: &str, method: &str, path: &str, body: Value| {
        coordinator.send(request(method, path, Some(token), Some(body)))
    };
    let new = json!({ "name": "s", "instance": "1" });
    let session = call(&mine, "POST", "/api/v2/sessions", new.clone())
        .await
        .ok();
    let id = session["id"].as_str().unwrap();
    let path = format!("/api/v2/sessions/{id}/heartbeat");
    call(&theirs, "POST", &path, json!({}))
        .await
        .refused(403, "not_your_session");
    call(&theirs, "POST", "/api/v2/sessions", new.clone())
        .await
        .refused(409, "name_taken");
    // Another process with the same token is another session, as long as this one is there.
    let other = json!({ "name": "s", "instance": "2" });
    call(&mine, "POST", "/api/v2/sessions", other.clone())
        .await
        .refused(409, "name_taken");
    let back = call(&mine, "POST", "/api/v2/sessions", new).await.ok();
    assert_eq!(back["id"], session["id"]);
    coordinator.clock.pass(4 * MINUTE_MS);
    let start = Instant::now();
    while coordinator
        .get(&format!("/api/v2/sessions/{id}"))
        .await
        .ok()["state"]
        != "offline"
    {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let taken_over = call(&mine, "POST", "/api/v2/sessions", other).await.ok();
    assert_eq!(
        (&taken_over["id"], &taken_over["state"]),
        (&session["id"], &json!("idle"))
    );
    // The scope is for nothing else.
    call(
        &mine,
        "POST",
        "/api/v2/tasks",
        json!({ "name": "t", "kind": "noop" }),
    )
    .await
    .refused(403, "scope_missing");
    let reader = coordinator.token(&[Scope::Read], None).await;
    call(&reader, "POST", "/api/v2/sessions", json!({}))
        .await
        .refused(403, "scope_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_an_agent_and_no_node() {
    let coordinator = Coordinator::start().await;
    let (_, hosted) = coordinator.ready_node("n", 1).await;
    let session = coordinator.session("s", json!([])).await;
    let agents = coordinator.get("/api/v2/agents").await.ok();
    let kinds: Vec<_> = agents["items"].as_array().unwrap().iter().collect();
    let kind = |id: &str| {
        let found = kinds.iter().find(|agent| agent["id"] == id).unwrap();
        found["kind"].clone()
    };
    assert_eq!(kind(&hosted.to_string()), "hosted");
    assert_eq!(kind(&session), "attached");
    let nodes = coordinator.get("/api/v2/nodes").await.ok();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 1);
    coordinator
        .get("/api/v2/nodes/s")
        .await
        .refused(404, "node_not_found");
    let deregister = format!("/api/v2/sessions/{session}");
    coordinator.call("DELETE", &deregister, None).await.ok();
    coordinator
        .get(&deregister)
        .await
        .refused(404, "session_not_found");
    let agents = coordinator.get("/api/v2/agents?kind=attached").await.ok();
    assert_eq!(agents["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_a_session_goes_on_with_what_it_had() {
    let coordinator = Coordinator::start().await;
    let session = coordinator.session("s", json!([])).await;
    let task = coordinator.describe("one", json!({})).await;
    let given = coordinator.asked(&session, 20_000).await;
    let coordinator = coordinator.restart().await;
    let again = coordinator.asked(&session, 20_000).await;
    assert_eq!(
        (&given["task"], &given["fence"]),
        (&again["task"], &again["fence"])
    );
    let done = json!({ "task": task, "fence": given["fence"], "result": "done" });
    coordinator
        .of_session(&session, "complete", done)
        .await
        .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_by_name() {
    let coordinator = Coordinator::start().await;
    let session = coordinator.session("s", json!([])).await;
    let task = coordinator.describe("one", json!({})).await;
    let fence = coordinator.asked(&session, 20_000).await["fence"].clone();
    for (verb, body, status, code) in [
        (
            "request-work",
            json!({ "wait_ms": 60_001 }),
            422,
            "limit_exceeded",
        ),
        (
            "progress",
            json!({ "task": task, "fence": "x" }),
            422,
            "field_invalid",
        ),
        (
            "progress",
            json!({ "task": task, "fence": fence, "note": "x".repeat(5_000) }),
            422,
            "limit_exceeded",
        ),
        (
            "complete",
            json!({ "task": task, "fence": fence, "result": "x".repeat(70_000) }),
            422,
            "limit_exceeded",
        ),
        (
            "complete",
            json!({ "task": task, "fence": "1.1" }),
            409,
            "fence_stale",
        ),
        (
            "complete",
            json!({ "task": "task_1" }),
            400,
            "body_malformed",
        ),
        (
            "complete",
            json!({ "task": task, "fence": fence, "artifacts": [{
                "name": "x", "path": "../x", "bytes": 1, "executable": false,
                "blake3": "00".repeat(32),
            }] }),
            422,
            "field_invalid",
        ),
    ] {
        let refused = coordinator.of_session(&session, verb, body).await;
        refused.refused(status, code);
    }
    coordinator
        .of_session("nobody", "heartbeat", json!({}))
        .await
        .refused(404, "session_not_found");
    let named = json!({ "name": "x".repeat(200) });
    coordinator
        .post("/api/v2/sessions", named)
        .await
        .refused(422, "field_invalid");
}

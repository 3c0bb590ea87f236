//! How the work of a session ends, and what comes too late.

use super::MINUTE_MS;
use crate::tests::fixture::Coordinator;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_not_begun_goes_back_and_what_comes_late_is_fenced() {
    let coordinator = Coordinator::start().await;
    let slow = coordinator.session("slow", json!([])).await;
    let task = coordinator.describe("one", json!({})).await;
    let given = coordinator.asked(&slow, 20_000).await;
    coordinator.clock.pass(6 * MINUTE_MS);
    coordinator.reaches(task, "ready").await;
    let quick = coordinator.session("quick", json!([])).await;
    let claim = json!({ "task": task });
    let taken = coordinator
        .of_session(&quick, "claim", claim.clone())
        .await
        .ok();
    assert_eq!(
        (&taken["task"], &taken["begun"]),
        (&json!(task), &json!(true))
    );
    let late = json!({ "task": task, "fence": given["fence"], "result": "mine" });
    let refused = coordinator
        .of_session(&slow, "complete", late.clone())
        .await;
    refused.refused(409, "fence_stale");
    let refused = coordinator.of_session(&slow, "claim", claim).await;
    refused.refused(409, "task_held");
    let done = json!({ "task": task, "fence": taken["fence"], "result": "done" });
    coordinator.of_session(&quick, "complete", done).await.ok();
    let refused = coordinator.of_session(&slow, "complete", late).await;
    refused.refused(409, "fence_stale");
    let shown = coordinator.get(&format!("/api/v2/tasks/{task}")).await.ok();
    assert_eq!(shown["account"]["result"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_followed_by_another_as_the_task_says() {
    let coordinator = Coordinator::start().await;
    let session = coordinator.session("s", json!([])).await;
    let task = coordinator.describe("one", json!({ "retries": 0 })).await;
    let given = coordinator.asked(&session, 20_000).await;
    let failure = json!({ "task": task, "fence": given["fence"], "reason": "no compiler" });
    let ended = coordinator.of_session(&session, "fail", failure).await.ok();
    assert_eq!(ended["state"], "failed");
    let shown = coordinator.get(&format!("/api/v2/tasks/{task}")).await.ok();
    assert!(
        shown["reason"].as_str().unwrap().contains("no compiler"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_that_were_not_uploaded_keep_a_task_from_completing() {
    let coordinator = Coordinator::start().await;
    let session = coordinator.session("s", json!([])).await;
    let task = coordinator.describe("one", json!({})).await;
    let given = coordinator.asked(&session, 20_000).await;
    let hash = blake3::hash(b"bytes").to_hex().to_string();
    let artifact = json!({
        "name": "out", "path": "out.txt", "bytes": 5, "blake3": hash, "executable": false,
    });
    let done = json!({ "task": task, "fence": given["fence"], "artifacts": [artifact] });
    let refused = coordinator
        .of_session(&session, "complete", done.clone())
        .await;
    refused.refused(409, "artifact_missing");
    assert_eq!(coordinator.task_state(task).await, "leased");
    let upload = axum::http::Request::put(format!("/api/v2/artifacts/{hash}"))
        .header("authorization", format!("Bearer {}", coordinator.admin))
        .header("host", "127.0.0.1:8600")
        .body(axum::body::Body::from("bytes"))
        .unwrap();
    coordinator.send(upload).await.ok();
    coordinator
        .of_session(&session, "complete", done)
        .await
        .ok();
    let shown = coordinator.get(&format!("/api/v2/tasks/{task}")).await.ok();
    assert_eq!(shown["artifacts"][0]["blake3"], hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_on_a_task_that_is_described_are_refused_at_submission() {
    let coordinator = Coordinator::start().await;
    let body = json!({ "name": "t", "instructions": "look", "gates": ["make test"] });
    let refused = coordinator.post("/api/v2/tasks", body).await;
    let problem = refused.refused(400, "body_malformed");
    assert!(
        problem.to_string().contains("plan_needs_command"),
        "{problem}"
    );
}

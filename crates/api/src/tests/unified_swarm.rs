//! A client of the Unified Swarm as it was written: seven endpoints, its field names, no fences, and
//! no heartbeat while it works.

use super::answer::{Answer, request};
use super::fixture::Coordinator;
use super::node_session::Server;
use futures_util::StreamExt;
use serde_json::{Value, json};
use skep_model::token::Scope;
use std::time::{Duration, Instant};

/// Longest wait for a condition.
const PATIENCE: Duration = Duration::from_secs(20);

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;

/// One session as its client is written.
struct Client<'a> {
    coordinator: &'a Coordinator,
    token: String,
    session_id: &'static str,
}

impl<'a> Client<'a> {
    async fn started(coordinator: &'a Coordinator, session_id: &'static str) -> Self {
        let token = coordinator.token(&[Scope::Agent], None).await;
        let client = Self {
            coordinator,
            token,
            session_id,
        };
        let registered = client
            .post(
                "/session/register",
                json!({ "capabilities": ["build", "architect"] }),
            )
            .await
            .ok();
        assert_eq!(registered["session_id"], session_id);
        assert_eq!(registered["status"], "idle");
        assert_eq!(registered["heartbeat_interval"], 60);
        assert_eq!(registered["task_claim_timeout"], 300);
        assert_eq!(registered["max_concurrent_tasks"], 1);
        client
    }

    async fn post(&self, path: &str, mut body: Value) -> Answer {
        body["session_id"] = self.session_id.into();
        let request = request("POST", path, Some(&self.token), Some(body));
        self.coordinator.send(request).await
    }

    async fn heartbeat(&self) -> Value {
        self.post("/session/heartbeat", json!({ "status": "idle" }))
            .await
            .ok()
    }

    async fn request_work(&self, wait: &str) -> Value {
        let path = format!("/work/request?session_id={}&wait={wait}", self.session_id);
        let request = request("GET", &path, Some(&self.token), None);
        self.coordinator.send(request).await.ok()["task"].clone()
    }
}

async fn status(coordinator: &Coordinator) -> Value {
    coordinator.get("/swarm/status").await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_works_longer_than_three_minutes_without_a_heartbeat_and_completes() {
    let coordinator = Coordinator::start().await;
    let client = Client::started(&coordinator, "session-1763233940").await;
    assert_eq!(client.request_work("1s").await, Value::Null);
    let wanted = json!({ "requires": ["build"], "priority": 7 });
    let task = coordinator.describe("build-001", wanted).await;
    let given = client.request_work("30s").await;
    assert_eq!(
        (
            &given["id"],
            &given["type"],
            &given["priority"],
            &given["status"]
        ),
        (&json!(task), &json!("build"), &json!(7), &json!("assigned"))
    );
    let busy = status(&coordinator).await;
    assert_eq!(busy["sessions"][0]["status"], "busy");
    assert_eq!(busy["sessions"][0]["current_task"], json!(task));
    // 299 seconds of work that was not even begun in so many words.
    coordinator.clock.pass(299 * SECOND_MS);
    let done = json!({ "task_id": task, "result": { "files": 3 } });
    let done = client.post("/work/complete", done).await.ok();
    assert_eq!(done["status"], "completed");
    let shown = coordinator.get(&format!("/api/v2/tasks/{task}")).await.ok();
    assert_eq!(
        (&shown["state"], &shown["attempts"]),
        (&json!("succeeded"), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_claimed_its_task_works_in_silence_for_as_long_as_work_takes() {
    let coordinator = Coordinator::start().await;
    let client = Client::started(&coordinator, "session-1").await;
    let task = coordinator.describe("build-002", json!({})).await;
    let claimed = client
        .post("/work/claim", json!({ "task_id": task }))
        .await
        .ok();
    assert_eq!(
        (&claimed["claimed"], &claimed["task"]["status"]),
        (&json!(true), &json!("in_progress"))
    );
    for _ in 0..2 {
        coordinator.clock.pass(25 * MINUTE_MS);
        let beat = json!({ "status": "busy", "current_task": task, "progress": 40 });
        let beat = client.post("/session/heartbeat", beat).await.ok();
        assert_eq!(
            (&beat["status"], &beat["acknowledged"]),
            (&json!("busy"), &json!(true))
        );
    }
    let done = json!({ "task_id": task, "status": "completed", "result": "done" });
    client.post("/work/complete", done).await.ok();
    let metrics = status(&coordinator).await["metrics"].clone();
    assert_eq!(
        (
            &metrics["total_sessions"],
            &metrics["tasks_completed"],
            &metrics["tasks_pending"]
        ),
        (&json!(1), &json!(1), &json!(0))
    );
    let minutes = metrics["avg_task_time"].as_f64().unwrap();
    assert!((50.0..51.0).contains(&minutes), "{minutes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_never_complete_one_task() {
    let coordinator = Coordinator::start().await;
    let slow = Client::started(&coordinator, "session-slow").await;
    let quick = Client::started(&coordinator, "session-quick").await;
    let task = coordinator.describe("build-003", json!({})).await;
    assert_eq!(slow.request_work("5s").await["id"], json!(task));
    assert_eq!(quick.request_work("0s").await, Value::Null);
    let claim = json!({ "task_id": task });
    quick
        .post("/work/claim", claim.clone())
        .await
        .refused(409, "task_held");
    coordinator.clock.pass(6 * MINUTE_MS);
    coordinator.reaches(task, "ready").await;
    quick.post("/work/claim", claim).await.ok();
    let result = json!({ "task_id": task, "result": "late" });
    slow.post("/work/complete", result)
        .await
        .refused(409, "fence_stale");
    let result = json!({ "task_id": task, "result": "in time" });
    quick.post("/work/complete", result.clone()).await.ok();
    quick
        .post("/work/complete", result)
        .await
        .refused(409, "fence_stale");
    let shown = coordinator.get(&format!("/api/v2/tasks/{task}")).await.ok();
    assert_eq!(shown["account"]["result"], "in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_is_offline_after_three_minutes_and_back_with_its_next_heartbeat() {
    let coordinator = Coordinator::start().await;
    let client = Client::started(&coordinator, "session-1").await;
    coordinator.clock.pass(2 * MINUTE_MS);
    assert_eq!(client.heartbeat().await["status"], "idle");
    coordinator.clock.pass(3 * MINUTE_MS + SECOND_MS);
    let start = Instant::now();
    while status(&coordinator).await["sessions"][0]["status"] != "offline" {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.heartbeat().await["status"], "idle");
    let task = coordinator.describe("build-004", json!({})).await;
    assert_eq!(client.request_work("30s").await["id"], json!(task));
    assert_eq!(client.heartbeat().await["assignment"]["id"], json!(task));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_reported_with_its_reason_and_the_task_is_tried_again() {
    let coordinator = Coordinator::start().await;
    let client = Client::started(&coordinator, "session-1").await;
    let retries = json!({ "retries": { "count": 1, "backoff": "1ms" } });
    let task = coordinator.describe("build-005", retries).await;
    client
        .post("/work/claim", json!({ "task_id": task }))
        .await
        .ok();
    let failed = json!({ "task_id": task, "status": "failed", "error": "does not compile" });
    let failed = client.post("/work/complete", failed).await.ok();
    assert_eq!(failed["status"], "pending");
    let shown = coordinator.get(&format!("/api/v2/tasks/{task}")).await.ok();
    let reason = shown["ended_attempts"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("does not compile"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_swarm_does_is_followed_over_the_socket() {
    let server = Server::start().await;
    let coordinator = &server.coordinator;
    let socket = server.connect("/swarm/realtime", &coordinator.admin).await;
    let mut socket = socket.unwrap();
    let client = Client::started(coordinator, "session-1").await;
    let task = coordinator.describe("build-006", json!({})).await;
    client
        .post("/work/claim", json!({ "task_id": task }))
        .await
        .ok();
    let mut seen = String::new();
    while !seen.contains("task_progressed") {
        let frame = tokio::time::timeout(PATIENCE, socket.next()).await;
        seen.push_str(frame.unwrap().unwrap().unwrap().to_text().unwrap());
    }
    for word in ["agent_created", "task_submitted", "task_leased"] {
        assert!(seen.contains(word), "{word}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_may_name_its_grant_and_counts_for_no_other() {
    let coordinator = Coordinator::start().await;
    let client = Client::started(&coordinator, "session-1").await;
    let retries = json!({ "retries": { "count": 1, "backoff": "1ms" } });
    let task = coordinator.describe("build-007", retries).await;
    let other = coordinator.describe("build-008", json!({})).await;
    let claim = json!({ "task_id": task });
    let claimed = client.post("/work/claim", claim.clone()).await.ok();
    let first = claimed["task"]["fence"].clone();
    assert!(first.is_string(), "{claimed}");
    client
        .post("/work/complete", json!({ "task_id": other }))
        .await
        .refused(409, "fence_stale");
    let failed = json!({ "task_id": task, "error": "interrupted", "fence": first });
    client.post("/work/complete", failed).await.ok();
    coordinator.reaches(task, "ready").await;
    let claimed = client.post("/work/claim", claim).await.ok();
    let second = claimed["task"]["fence"].clone();
    assert_ne!(first, second);
    let done = |fence: &Value| json!({ "task_id": task, "result": "done", "fence": fence });
    client
        .post("/work/complete", done(&first))
        .await
        .refused(409, "fence_stale");
    let once = client.post("/work/complete", done(&second)).await.ok();
    let again = client.post("/work/complete", done(&second)).await.ok();
    assert_eq!(
        (&once["repeated"], &again["repeated"], &again["status"]),
        (&json!(false), &json!(true), &json!("completed"))
    );
}

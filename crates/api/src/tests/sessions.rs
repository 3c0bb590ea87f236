//! Attached agents by their operations: who may be whom, who gets what, and what comes too late.

use super::answer::{Answer, request};
use super::fixture::Coordinator;
use serde_json::{Value, json};
use skep_model::ids::TaskId;
use skep_model::token::Scope;
use std::time::{Duration, Instant};

/// Longest wait for a condition.
const PATIENCE: Duration = Duration::from_secs(20);
const MINUTE_MS: u64 = 60_000;

impl Coordinator {
    /// Submits a task that is described in words; `more` adds keys.
    pub(super) async fn describe(&self, name: &str, more: Value) -> TaskId {
        let mut body = json!({ "name": name, "instructions": format!("do {name}") });
        if let Value::Object(more) = more {
            body.as_object_mut().unwrap().extend(more);
        }
        let task = self.post("/api/v2/tasks", body).await.ok();
        task["id"].as_str().unwrap().parse().unwrap()
    }

    /// Registers a session of this name with these capabilities; gives its id.
    async fn session(&self, name: &str, capabilities: Value) -> String {
        let body = json!({ "name": name, "capabilities": capabilities });
        let session = self.post("/api/v2/sessions", body).await.ok();
        session["id"].as_str().unwrap().to_owned()
    }

    async fn of_session(&self, session: &str, verb: &str, body: Value) -> Answer {
        self.post(&format!("/api/v2/sessions/{session}/{verb}"), body)
            .await
    }

    async fn asked(&self, session: &str, wait_ms: u64) -> Value {
        let body = json!({ "wait_ms": wait_ms });
        let answer = self.of_session(session, "request-work", body).await.ok();
        answer["assignment"].clone()
    }

    pub(super) async fn task_state(&self, task: TaskId) -> String {
        let shown = self.get(&format!("/api/v2/tasks/{task}")).await.ok();
        shown["state"].as_str().unwrap().to_owned()
    }

    /// Waits until the task stands so.
    pub(super) async fn reaches(&self, task: TaskId, wanted: &str) {
        let start = Instant::now();
        loop {
            let state = self.task_state(task).await;
            if state == wanted {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{task} is {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Answer {
    /// A problem of this status and code.
    #[track_caller]
    pub(super) fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.problem(), (status, code.to_owned()), "{}", self.text());
        self.json()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_asks_begins_and_completes_and_its_words_are_kept() {
    let coordinator = Coordinator::start().await;
    let session = coordinator.session("s", json!({ "rust": "expert" })).await;
    let task = coordinator
        .describe(
            "parser",
            json!({ "requires": ["rust"], "expected": "a commit" }),
        )
        .await;
    let given = coordinator.asked(&session, 20_000).await;
    assert_eq!(given["task"], task.to_string());
    assert_eq!(
        (&given["instructions"], &given["expected"], &given["begun"]),
        (&json!("do parser"), &json!("a commit"), &json!(false))
    );
    let fence = &given["fence"];
    let note = json!({ "task": task, "fence": fence, "note": "half of it" });
    coordinator
        .of_session(&session, "progress", note)
        .await
        .ok();
    assert_eq!(coordinator.task_state(task).await, "running");
    coordinator.clock.pass(5 * MINUTE_MS);
    let done = json!({
        "task": task, "fence": fence, "result": { "tests": 3 }, "commit": "abc123",
    });
    let ended = coordinator
        .of_session(&session, "complete", done.clone())
        .await
        .ok();
    assert_eq!(
        (&ended["state"], &ended["repeated"]),
        (&json!("succeeded"), &json!(false))
    );
    let again = coordinator
        .of_session(&session, "complete", done)
        .await
        .ok();
    assert_eq!(again["repeated"], true);
    let shown = coordinator.get(&format!("/api/v2/tasks/{task}")).await.ok();
    assert_eq!(shown["account"]["commit"], "abc123");
    assert_eq!(shown["account"]["result"], r#"{"tests":3}"#);
    assert!(shown["duration_ms"].as_u64().unwrap() >= 5 * MINUTE_MS);
    let log = coordinator
        .get(&format!("/api/v2/tasks/{task}/logs?attempt=1"))
        .await;
    assert!(
        String::from_utf8_lossy(&log.bytes).contains("half of it"),
        "{log:?}"
    );
    let shown = coordinator
        .get(&format!("/api/v2/sessions/{session}"))
        .await
        .ok();
    assert_eq!(shown["declared"], json!({ "rust": "expert" }));
    let rust = &shown["measured"]["by_capability"]["rust"];
    assert_eq!(
        (&rust["finished"], &rust["gates_passed_rate"]),
        (&json!(1), &json!(null))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_that_ask_for_one_task_do_not_both_get_it() {
    let coordinator = Coordinator::start().await;
    let first = coordinator.session("a", json!([])).await;
    let second = coordinator.session("b", json!([])).await;
    let task = coordinator.describe("one", json!({})).await;
    let (one, two) = tokio::join!(
        coordinator.asked(&first, 2_000),
        coordinator.asked(&second, 2_000)
    );
    let given: Vec<_> = [&one, &two]
        .into_iter()
        .filter(|given| !given.is_null())
        .collect();
    assert_eq!(given.len(), 1, "{one} {two}");
    assert_eq!(given[0]["task"], task.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pushed_to_a_session_that_did_not_ask() {
    let coordinator = Coordinator::start().await;
    let idle = coordinator.session("idle", json!([])).await;
    let task = coordinator.describe("one", json!({})).await;
    assert_eq!(coordinator.asked(&idle, 0).await["task"], task.to_string());
    let fence = coordinator.granted(task).await;
    let back = json!({ "task": task, "fence": fence.to_string() });
    let ended = coordinator.of_session(&idle, "hand-back", back).await.ok();
    assert_eq!(ended["state"], "ready");
    coordinator
        .of_session(&idle, "heartbeat", json!({}))
        .await
        .ok();
    let other = coordinator.describe("two", json!({})).await;
    assert_eq!(coordinator.task_state(task).await, "ready");
    assert_eq!(coordinator.task_state(other).await, "ready");
    let explained = coordinator
        .get(&format!("/api/v2/tasks/{task}/explain"))
        .await
        .ok();
    assert!(
        explained.to_string().contains("does not ask for work"),
        "{explained}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_is_answered_as_soon_as_there_is_work() {
    let coordinator = Coordinator::start().await;
    let session = coordinator.session("s", json!([])).await;
    let start = Instant::now();
    let (given, task) = tokio::join!(coordinator.asked(&session, 60_000), async {
        tokio::task::yield_now().await;
        coordinator.describe("late", json!({})).await
    });
    assert_eq!(given["task"], task.to_string());
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_whose_answer_was_lost_is_given_again_under_the_same_fence() {
    let coordinator = Coordinator::start().await;
    let session = coordinator.session("s", json!([])).await;
    coordinator.describe("one", json!({})).await;
    coordinator.describe("two", json!({})).await;
    let first = coordinator.asked(&session, 20_000).await;
    let second = coordinator.asked(&session, 20_000).await;
    assert_eq!(
        (&first["task"], &first["fence"]),
        (&second["task"], &second["fence"])
    );
}

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
async fn a_claim_is_refused_by_name() {
    let coordinator = Coordinator::start().await;
    let session = coordinator.session("s", json!(["rust"])).await;
    let go = coordinator
        .describe("go", json!({ "requires": ["go"] }))
        .await;
    let first = coordinator.describe("first", json!({})).await;
    let command = coordinator.submit("noop", json!({})).await;
    let unknown = TaskId::from_u128(7);
    for (task, status, code) in [
        (go, 409, "session_unfit"),
        (command, 422, "task_not_for_agents"),
        (unknown, 404, "task_not_found"),
    ] {
        let claim = json!({ "task": task });
        let refused = coordinator.of_session(&session, "claim", claim).await;
        refused.refused(status, code);
    }
    let run = json!({ "name": "p", "tasks": {
        "a": { "instructions": "a" }, "b": { "instructions": "b", "needs": "a" },
    } });
    let run = coordinator
        .post("/api/v2/runs", json!({ "plan": run }))
        .await
        .ok();
    let tasks = coordinator
        .get(&format!(
            "/api/v2/tasks?run={}&name=b",
            run["run"]["id"].as_str().unwrap()
        ))
        .await
        .ok();
    let waiting = json!({ "task": tasks["items"][0]["id"] });
    let refused = coordinator.of_session(&session, "claim", waiting).await;
    refused.refused(409, "task_state_conflict");
    let claim = json!({ "task": first });
    let taken = coordinator
        .of_session(&session, "claim", claim.clone())
        .await
        .ok();
    let again = coordinator.of_session(&session, "claim", claim).await.ok();
    assert_eq!(taken["fence"], again["fence"]);
    let other = coordinator.describe("other", json!({})).await;
    let refused = coordinator
        .of_session(&session, "claim", json!({ "task": other }))
        .await;
    refused.refused(409, "session_busy");
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

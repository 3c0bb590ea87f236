//! Who gets which task: requests, claims, and answers that got lost.

use super::MINUTE_MS;
use super::PATIENCE;
use crate::tests::fixture::Coordinator;
use serde_json::json;
use skep_model::ids::TaskId;
use std::time::Instant;

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

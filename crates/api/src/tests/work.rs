//! Tasks, runs and plans.

use super::fixture::Coordinator;
use serde_json::{Value, json};
use skep_model::attempt::Outcome;
use skep_model::ids::TaskId;

const PLAN: &str = "
name: demo
tasks:
  build: {kind: noop}
  test: {kind: noop, needs: build}
  lint: {kind: noop}
  pack: {kind: noop, needs: [test, lint]}
";

pub(super) fn id_of(run: &Value, name: &str) -> TaskId {
    run["tasks"][name].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_from_its_plan_to_its_end() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("forge", 4).await;
    let body = json!({"plan": PLAN, "labels": {"team": "x"}});
    let run = coordinator.post("/api/v2/runs", body).await;
    assert_eq!(run.status, 201);
    let run = run.ok();
    assert_eq!(
        (&run["run"]["state"], &run["run"]["labels"]["team"]),
        (&json!("running"), &json!("x"))
    );
    for name in ["build", "test", "lint", "pack"] {
        coordinator
            .finish(id_of(&run, name), Outcome::Completed)
            .await;
    }
    let path = format!("/api/v2/runs/{}", run["run"]["id"].as_str().unwrap());
    let ended = coordinator.get(&path).await.ok();
    assert_eq!(ended["run"]["state"], "succeeded");
    assert_eq!(ended["run"]["counts"]["succeeded"], 4);
    assert!(ended["run"]["finished_at"].as_str().unwrap().ends_with('Z'));
    let names: Vec<_> = ended["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["name"].clone())
        .collect();
    assert_eq!(names, ["build", "test", "lint", "pack"]);
    let task = &ended["tasks"][0];
    assert_eq!(
        (&task["attempts"], &task["exit_code"], &task["duration_ms"]),
        (&json!(1), &json!(0), &json!(5))
    );
    coordinator.archived(4).await;
    assert_eq!(
        coordinator.get(&path).await.ok(),
        ended,
        "it reads the same from the archive"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn history_and_live_work_survive_a_restart() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("forge", 1).await;
    let done = coordinator.submit("done", json!({})).await;
    coordinator.finish(done, Outcome::Completed).await;
    let live = coordinator
        .submit("live", json!({"run": "true", "kind": "command"}))
        .await;
    let coordinator = coordinator.restart().await;
    let done = coordinator.get(&format!("/api/v2/tasks/{done}")).await;
    let live = coordinator.get(&format!("/api/v2/tasks/{live}")).await;
    assert_eq!(done.ok()["state"], "succeeded");
    assert!(!live.ok()["state"].as_str().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_taken_in_whole_or_not_at_all() {
    let coordinator = Coordinator::start().await;
    let tasks: Vec<_> = (0..100)
        .map(|number| json!({"name": format!("t{number}"), "kind": "noop"}))
        .collect();
    let answer = coordinator
        .post("/api/v2/tasks/batch", json!({"tasks": tasks}))
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.ok()["tasks"].as_array().unwrap().len(), 100);
    let mixed = json!({"tasks": [
        {"name": "first", "run": "true"},
        {"name": "second", "run": "true", "needs": ["first"], "priority": 9},
    ]});
    let made = coordinator.post("/api/v2/tasks/batch", mixed).await.ok();
    let second = made["tasks"][1].as_str().unwrap();
    let shown = coordinator
        .get(&format!("/api/v2/tasks/{second}"))
        .await
        .ok();
    assert_eq!(
        (&shown["state"], &shown["waits_for"]),
        (&json!("pending"), &json!([made["tasks"][0]]))
    );
    for (body, code) in [
        (json!({"tasks": []}), "limit_exceeded"),
        (
            json!({"tasks": [{"name": "a", "run": "x", "needs": ["nobody"]}]}),
            "task_invalid",
        ),
        (
            json!({"tasks": [{"name": "a", "kind": "noop"}, {"name": "a"}]}),
            "body_malformed",
        ),
    ] {
        let answer = coordinator.post("/api/v2/tasks/batch", body).await;
        assert_eq!(answer.problem().1, code, "{}", answer.text());
    }
    assert_eq!(coordinator.services().hive.view().state.task_count(), 102);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_changed_held_assigned_and_cancelled() {
    let coordinator = Coordinator::start().await;
    let task = coordinator.submit("one", json!({})).await;
    let path = format!("/api/v2/tasks/{task}");
    let change = json!({"priority": 9, "labels": {"a": "b"}});
    let changed = coordinator.call("PUT", &path, Some(change)).await.ok();
    assert_eq!(
        (&changed["priority"], &changed["labels"]["a"]),
        (&json!(9), &json!("b"))
    );
    let bad = coordinator
        .call("PUT", &path, Some(json!({"priority": 11})))
        .await;
    assert_eq!(bad.problem(), (422, "field_invalid".to_owned()));
    let post = |verb: &'static str| {
        let path = format!("{path}/{verb}");
        let coordinator = &coordinator;
        async move { coordinator.post(&path, json!({})).await }
    };
    assert_eq!(post("pause").await.ok()["state"], "paused");
    assert_eq!(post("resume").await.ok()["state"], "ready");
    let nobody = coordinator
        .post(&format!("{path}/assign"), json!({"agent": "x"}))
        .await;
    assert_eq!(nobody.problem(), (404, "agent_not_found".to_owned()));
    let explained = coordinator.get(&format!("{path}/explain")).await.ok();
    assert_eq!(explained["summary"], "it waits for an agent");
    assert_eq!(
        coordinator.call("DELETE", &path, None).await.ok()["state"],
        "cancelled"
    );
    let again = coordinator.call("DELETE", &path, None).await;
    assert_eq!(again.problem(), (409, "already_final".to_owned()));
    assert_eq!(
        post("pause").await.problem(),
        (409, "already_final".to_owned())
    );
    let unknown = coordinator
        .get("/api/v2/tasks/task_00000000000000000000000000")
        .await;
    assert_eq!(unknown.problem(), (404, "task_not_found".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_under_an_old_version_is_refused() {
    let coordinator = Coordinator::start().await;
    let task = coordinator.submit("one", json!({})).await;
    let path = format!("/api/v2/tasks/{task}");
    let version = coordinator.get(&path).await.ok()["version"]
        .as_str()
        .unwrap()
        .to_owned();
    let put = |priority: u8| {
        let body = Some(json!({"priority": priority}));
        let mut request = super::answer::request("PUT", &path, Some(&coordinator.admin), body);
        request
            .headers_mut()
            .insert("if-match", format!("\"{version}\"").parse().unwrap());
        coordinator.send(request)
    };
    assert_eq!(put(7).await.ok()["priority"], 7);
    assert_eq!(put(8).await.problem(), (412, "version_conflict".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_task_is_retried_as_a_copy_in_its_live_run_and_later_without_it() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("forge", 4).await;
    let plan = "{name: p, defaults: {retries: 0}, tasks: {a: {kind: noop}, b: {kind: noop}}}";
    let run = coordinator
        .post("/api/v2/runs", json!({"plan": plan}))
        .await
        .ok();
    let failed = id_of(&run, "a");
    coordinator
        .finish(failed, Outcome::Exited { code: 3 })
        .await;
    let shown = coordinator
        .get(&format!("/api/v2/tasks/{failed}"))
        .await
        .ok();
    assert_eq!(
        (&shown["state"], &shown["exit_code"]),
        (&json!("failed"), &json!(3))
    );
    let retry = format!("/api/v2/tasks/{failed}/retry");
    let copy = coordinator.post(&retry, json!({})).await.ok();
    assert_eq!(
        (&copy["task"], &copy["run"]),
        (&json!(failed.to_string()), &run["run"]["id"])
    );
    let copy: TaskId = copy["retried_as"].as_str().unwrap().parse().unwrap();
    assert_ne!(copy, failed);
    coordinator.finish(copy, Outcome::Completed).await;
    coordinator
        .finish(id_of(&run, "b"), Outcome::Completed)
        .await;
    let alone = coordinator.post(&retry, json!({})).await.ok();
    assert_eq!(alone["run"], Value::Null);
    let succeeded = coordinator
        .post(&format!("/api/v2/tasks/{copy}/retry"), json!({}))
        .await;
    assert_eq!(succeeded.problem(), (409, "already_final".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_examined_and_its_errors_are_all_told() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("forge", 4).await;
    let examined = coordinator
        .post("/api/v2/plans/validate", json!({"plan": PLAN}))
        .await
        .ok();
    assert_eq!(
        examined["waves"],
        json!([["build", "lint"], ["test"], ["pack"]])
    );
    assert_eq!(examined["critical_path"], json!(["build", "test", "pack"]));
    assert_eq!(
        examined["placements"][0]["placement"]["agents"][0]["fits"],
        true
    );
    let wrong = "{name: p, tasks: {a: {kind: noop, needs: nobody}, b: {rnu: x}}}";
    for path in ["/api/v2/plans/validate", "/api/v2/runs"] {
        let answer = coordinator.post(path, json!({"plan": wrong})).await;
        assert_eq!(answer.problem(), (422, "plan_invalid".to_owned()));
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("rnu"), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_adds_tasks_to_its_run_and_writes_its_log() {
    let coordinator = Coordinator::start().await;
    coordinator.ready_node("forge", 1).await;
    let plan = "{name: p, tasks: {a: {kind: noop}}}";
    let run = coordinator
        .post("/api/v2/runs", json!({"plan": plan}))
        .await
        .ok();
    let task = id_of(&run, "a");
    let fence = coordinator.granted(task).await;
    let secret = coordinator.services().task_tokens.mint(task, fence);
    let path = format!("/api/v2/tasks/{task}/children");
    let body = json!({"tasks": {"child": {"kind": "noop", "needs": ["a"]}}});
    let request = super::answer::request("POST", &path, Some(&secret), Some(body.clone()));
    let added = coordinator.send(request).await.ok();
    assert_eq!(
        (&added["run"], added["tasks"].as_array().unwrap().len()),
        (&run["run"]["id"], 1)
    );
    let taken = super::answer::request("POST", &path, Some(&secret), Some(body));
    assert_eq!(
        coordinator.send(taken).await.problem(),
        (422, "task_invalid".to_owned())
    );

    let log = |offset: u64, text: &'static str| {
        let path = format!("/api/v2/tasks/{task}/attempts/1/log?offset={offset}");
        let mut request = super::answer::request("PUT", &path, Some(&secret), None);
        *request.body_mut() = text.into();
        coordinator.send(request)
    };
    assert_eq!(log(0, "one\ntwo\n").await.ok()["bytes"], 8);
    assert_eq!(log(4, "two\nthree\n").await.ok()["bytes"], 14);
    assert_eq!(
        log(99, "x").await.problem(),
        (409, "upload_offset_mismatch".to_owned())
    );
    let logs = format!("/api/v2/tasks/{task}/logs");
    assert_eq!(coordinator.get(&logs).await.text(), "one\ntwo\nthree\n");
    assert_eq!(
        coordinator.get(&format!("{logs}?offset=8")).await.text(),
        "three\n"
    );
    let found = coordinator.get(&format!("{logs}?grep=%5Et")).await.ok();
    let numbers: Vec<_> = found["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["number"].clone())
        .collect();
    assert_eq!(numbers, [2, 3]);
    let bad = coordinator.get(&format!("{logs}?grep=(")).await;
    assert_eq!(bad.problem(), (400, "pattern_invalid".to_owned()));
    let none = coordinator.get(&format!("{logs}?attempt=2")).await;
    assert_eq!(none.problem(), (404, "attempt_not_found".to_owned()));
    let following = format!("{logs}?follow=true");
    let follow = coordinator.get(&following);
    let end = coordinator.finish(task, Outcome::Completed);
    let (followed, ()) = tokio::join!(follow, end);
    assert_eq!(followed.text(), "one\ntwo\nthree\n");
}

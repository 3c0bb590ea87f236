//! Schedules as callers use them.

use super::fixture::Coordinator;
use serde_json::{Value, json};
use std::time::Duration;

const SCHEDULES: &str = "/api/v2/schedules";
const HOUR_MS: u64 = 3_600_000;

fn nightly(more: &Value) -> Value {
    let mut body = json!({
        "name": "nightly",
        "cron": "30 4 * * *",
        "plan": "name: backup\ntasks: {a: {run: 'true'}, b: {run: 'true', needs: a}}\n",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

fn place(rest: &str) -> String {
    format!("{SCHEDULES}/{rest}")
}

impl Coordinator {
    /// Waits until the schedule has submitted so many runs.
    async fn fired(&self, name: &str, runs: u64) -> Value {
        for _ in 0..2_000 {
            let schedule = self.get(&place(name)).await.ok();
            if schedule["fired"] == runs {
                return schedule;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("`{name}` did not submit {runs} runs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_made_listed_shown_held_and_removed() {
    let coordinator = Coordinator::start().await;
    let made = coordinator.post(SCHEDULES, nightly(&json!({}))).await.ok();
    assert_eq!(made["zone"], "UTC");
    assert_eq!(
        (&made["overlap"], &made["missed"]),
        (&json!("skip"), &json!("once"))
    );
    assert_eq!(
        (&made["plan"], &made["tasks"]),
        (&json!("backup"), &json!(2))
    );
    let upcoming = made["upcoming"].as_array().unwrap();
    assert_eq!(upcoming.len(), 5);
    assert!(
        upcoming
            .iter()
            .all(|at| at.as_str().unwrap().ends_with("T04:30:00.000Z"))
    );
    assert_eq!(made["next_at"], upcoming[0]);

    let again = coordinator.post(SCHEDULES, nightly(&json!({}))).await;
    assert_eq!(again.problem(), (409, "name_taken".to_owned()));
    let list = coordinator.get(SCHEDULES).await.ok();
    assert_eq!(list["items"][0]["id"], made["id"]);
    let id = made["id"].as_str().unwrap();
    let by_id = coordinator.get(&place(id)).await.ok();
    assert_eq!(by_id, coordinator.get(&place("nightly")).await.ok());

    let held = coordinator
        .post(&place("nightly/pause"), json!({}))
        .await
        .ok();
    assert_eq!(
        (&held["paused"], &held["next_at"]),
        (&json!(true), &Value::Null)
    );
    let active = coordinator
        .post(&place("nightly/resume"), json!({}))
        .await
        .ok();
    assert_eq!(
        (&active["paused"], &active["next_at"]),
        (&json!(false), &made["next_at"])
    );

    let gone = coordinator
        .call("DELETE", &place("nightly"), None)
        .await
        .ok();
    assert_eq!(
        (&gone["deleted"], &gone["name"]),
        (&made["id"], &json!("nightly"))
    );
    for (method, rest) in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/fire"),
    ] {
        let body = (method == "POST").then(|| json!({}));
        let answer = coordinator
            .call(method, &place(&format!("nightly{rest}")), body)
            .await;
        assert_eq!(
            answer.problem(),
            (404, "schedule_not_found".to_owned()),
            "{rest}"
        );
    }
}

/// What is changed in the body, the answer, and a part of what is said.
const WRONG: &str = r#"
{"cron": "61 * * * *"}                              | 422 cron_invalid      | field for the minute (column 1)
{"cron": "0 0 30 2 *"}                              | 422 cron_invalid      | never comes
{"zone": "Mars/Base"}                               | 422 time_zone_unknown | `Mars/Base`
{"every_s": 60}                                     | 422 field_invalid     | either `cron` or `every_s`
{"cron": null}                                      | 422 field_invalid     | either `cron` or `every_s`
{"cron": null, "every_s": 0}                        | 422 field_invalid     | want 1 to
{"cron": null, "every_s": 60, "zone": "UTC"}        | 422 field_invalid     | `zone`
{"name": "a b"}                                     | 422 field_invalid     | `name`
{"overlap": "wait"}                                 | 400 body_malformed    | `queue`
{"mised": "none"}                                   | 400 body_malformed    | `mised`
{"plan": "name: n\ntasks: {a: {needs: b, run: x}}"} | 422 plan_invalid      | `b`
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_scheduled_is_refused_by_name_and_nothing_is_kept() {
    let coordinator = Coordinator::start().await;
    let large = json!({"run": "true", "env": {"A": "x".repeat(30_000)}, "matrix": {"v": [1, 2, 3, 4, 5, 6, 7, 8, 9]}});
    let matrix: Vec<u32> = (0..1_001).collect();
    let many = json!({"run": "true", "matrix": {"v": matrix}});
    let plan = |task: Value| json!({"plan": {"name": "n", "tasks": {"a": task}}}).to_string();
    let rows = WRONG.lines().filter(|row| !row.is_empty());
    let rows = rows.map(str::to_owned).chain([
        format!("{} | 422 limit_exceeded | SCHEDULE_BYTES_MAX", plan(large)),
        format!("{} | 422 limit_exceeded | SCHEDULE_TASKS_MAX", plan(many)),
    ]);
    for row in rows {
        let [more, code, said] = row.splitn(3, " | ").collect::<Vec<_>>()[..] else {
            panic!("`{row}` has not three columns");
        };
        let more = serde_json::from_str(more.trim()).unwrap();
        let answer = coordinator.post(SCHEDULES, nightly(&more)).await;
        let text = answer.text();
        let (status, problem) = answer.problem();
        assert_eq!(format!("{status} {problem}"), code.trim(), "{text}");
        assert!(text.contains(said), "{text}");
    }
    assert_eq!(coordinator.get(SCHEDULES).await.ok()["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn due_times_become_runs_across_a_restart_and_each_once() {
    let coordinator = Coordinator::start().await;
    let hourly = json!({"cron": null, "every_s": 3_600, "overlap": "allow"});
    let made = coordinator.post(SCHEDULES, nightly(&hourly)).await.ok();
    coordinator.clock.pass(HOUR_MS);
    let first = coordinator.fired("nightly", 1).await;
    assert_eq!(first["last"]["due_at"], made["next_at"]);
    let run = first["last"]["run"].as_str().unwrap().to_owned();
    let detail = coordinator.get(&format!("/api/v2/runs/{run}")).await.ok();
    assert_eq!(detail["run"]["labels"]["schedule"], "nightly");
    assert_eq!(detail["tasks"].as_array().unwrap().len(), 2);

    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.get(&place("nightly")).await.ok(), first);
    coordinator.clock.pass(3 * HOUR_MS);
    let second = coordinator.fired("nightly", 2).await;
    assert_eq!(
        second["last"]["due_at"], first["next_at"],
        "one for all that passed"
    );
    assert_eq!(second["live_runs"].as_array().unwrap().len(), 2);
    let cancelled = coordinator
        .post(&format!("/api/v2/runs/{run}/cancel"), json!({}))
        .await;
    cancelled.ok();
    let after = coordinator.get(&place("nightly")).await.ok();
    assert_eq!(after["live_runs"], json!([second["last"]["run"]]));
    assert_eq!(after["last"]["ended"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_asked_for_at_once_and_once_under_its_key() {
    let coordinator = Coordinator::start().await;
    coordinator.post(SCHEDULES, nightly(&json!({}))).await.ok();
    let key = [("idempotency-key", "now")];
    let path = place("nightly/fire");
    let first = coordinator
        .call_with("POST", &path, &key, json!({}))
        .await
        .ok();
    let again = coordinator
        .call_with("POST", &path, &key, json!({}))
        .await
        .ok();
    assert_eq!(first["run"]["id"], again["run"]["id"]);
    let schedule = coordinator.get(&place("nightly")).await.ok();
    assert_eq!(
        (&schedule["fired"], &schedule["last"]["due_at"]),
        (&json!(1), &Value::Null)
    );
    let other = coordinator.post(&path, json!({})).await.ok();
    assert_ne!(first["run"]["id"], other["run"]["id"]);
}

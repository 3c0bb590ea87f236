//! Triggers as callers use them.

use super::fixture::Coordinator;
use serde_json::{Value, json};
use std::time::Duration;

const TRIGGERS: &str = "/api/v2/triggers";

fn review(more: &Value) -> Value {
    let mut body = json!({
        "name": "review",
        "on": ["memory written namespace=swarm key=drafts/*"],
        "plan": "name: look\ntasks: {a: {run: 'true'}, b: {run: 'true', needs: a}}\n",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

fn place(rest: &str) -> String {
    format!("{TRIGGERS}/{rest}")
}

impl Coordinator {
    /// Waits until the trigger has submitted so many runs.
    async fn triggered(&self, name: &str, runs: u64) -> Value {
        for _ in 0..2_000 {
            let trigger = self.get(&place(name)).await.ok();
            if trigger["fired"] == runs {
                return trigger;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("`{name}` did not submit {runs} runs");
    }

    async fn draft(&self, key: &str) {
        let path = format!("/api/v2/memory/swarm/drafts%2F{key}");
        self.call("PUT", &path, Some(json!({ "value": 1 })))
            .await
            .ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_is_made_listed_shown_held_and_removed() {
    let coordinator = Coordinator::start().await;
    let more = json!({ "cooldown_s": 5, "firings_max": 9 });
    let made = coordinator.post(TRIGGERS, review(&more)).await.ok();
    assert_eq!(made["on"], review(&more)["on"]);
    assert_eq!((&made["plan"], &made["tasks"]), (&json!("look"), &json!(2)));
    assert_eq!(
        (
            &made["cooldown_s"],
            &made["firings_max"],
            &made["firings_left"]
        ),
        (&json!(5), &json!(9), &json!(9))
    );
    let again = coordinator.post(TRIGGERS, review(&more)).await;
    assert_eq!(again.problem(), (409, "name_taken".to_owned()));
    let list = coordinator.get(TRIGGERS).await.ok();
    assert_eq!(list["items"][0]["id"], made["id"]);
    let by_id = coordinator.get(&place(made["id"].as_str().unwrap())).await;
    assert_eq!(by_id.ok(), coordinator.get(&place("review")).await.ok());

    let held = coordinator
        .post(&place("review/pause"), json!({}))
        .await
        .ok();
    assert_eq!(held["paused"], true);
    coordinator.draft("unseen").await;
    let active = coordinator
        .post(&place("review/resume"), json!({}))
        .await
        .ok();
    assert_eq!(
        (&active["paused"], &active["matched"]),
        (&json!(false), &json!(0))
    );

    let gone = coordinator
        .call("DELETE", &place("review"), None)
        .await
        .ok();
    assert_eq!(
        (&gone["deleted"], &gone["name"]),
        (&made["id"], &json!("review"))
    );
    for (method, rest) in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
    ] {
        let body = (method == "POST").then(|| json!({}));
        let path = place(&format!("review{rest}"));
        let answer = coordinator.call(method, &path, body).await;
        assert_eq!(
            answer.problem(),
            (404, "trigger_not_found".to_owned()),
            "{rest}"
        );
    }
}

/// What is changed in the body, the answer, and a part of what is said.
const WRONG: &str = r#"
{"on": []}                                          | 422 field_invalid  | TRIGGER_WATCHES_MAX
{"on": ["push to main"]}                            | 422 watch_invalid  | `task`, `run`, `memory`, `node`, `agent`
{"on": ["task started"]}                            | 422 watch_invalid  | `succeeded`, `failed`
{"on": ["task", "memory written"]}                  | 422 watch_invalid  | `namespace=`
{"on": "task"}                                      | 400 body_malformed | sequence
{"firings_max": 0}                                  | 422 field_invalid  | `firings_max`
{"cooldown_s": 99999999999}                         | 422 field_invalid  | TRIGGER_COOLDOWN_MS_MAX
{"name": "a b"}                                     | 422 field_invalid  | `name`
{"cooldown": 7}                                     | 400 body_malformed | `cooldown`
{"plan": "name: n\ntasks: {a: {needs: b, run: x}}"} | 422 plan_invalid   | `b`
{"plan": "name: n\ntasks: {a: {run: x, env: {SKEP_TRIGGER_KEY: x}}}"} | 422 plan_invalid | `SKEP_TRIGGER_KEY`
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_watched_or_submitted_is_refused_by_name_and_nothing_is_kept() {
    let coordinator = Coordinator::start().await;
    let matrix: Vec<u32> = (0..1_001).collect();
    let task = json!({ "run": "true", "matrix": { "v": matrix } });
    let many = json!({ "plan": { "name": "n", "tasks": { "a": task } } });
    let variables: serde_json::Map<String, Value> = (0..250)
        .map(|number| (format!("V{number}"), json!("x")))
        .collect();
    let task = json!({ "run": "true", "env": variables });
    let told = json!({ "plan": { "name": "n", "tasks": { "a": task } } });
    let rows = WRONG.lines().filter(|row| !row.is_empty());
    let rows = rows.map(str::to_owned).chain([
        format!("{many} | 422 limit_exceeded | TRIGGER_TASKS_MAX"),
        format!("{told} | 422 limit_exceeded | ENV_VARS_MAX"),
    ]);
    for row in rows {
        let [more, code, said] = row.splitn(3, " | ").collect::<Vec<_>>()[..] else {
            panic!("`{row}` has not three columns");
        };
        let more = serde_json::from_str(more.trim()).unwrap();
        let answer = coordinator.post(TRIGGERS, review(&more)).await;
        let text = answer.text();
        let (status, problem) = answer.problem();
        assert_eq!(format!("{status} {problem}"), code.trim(), "{text}");
        assert!(text.contains(said.trim()), "{text}");
    }
    assert_eq!(coordinator.get(TRIGGERS).await.ok()["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_become_runs_that_are_told_what_happened_across_a_restart() {
    let coordinator = Coordinator::start().await;
    coordinator.post(TRIGGERS, review(&json!({}))).await.ok();
    coordinator.draft("o'neil").await;
    let first = coordinator.triggered("review", 1).await;
    let run = first["last"]["run"].as_str().unwrap().to_owned();
    let detail = coordinator.get(&format!("/api/v2/runs/{run}")).await.ok();
    let labels = &detail["run"]["labels"];
    assert_eq!(labels["trigger"], "review");
    assert_eq!(labels["trigger_event"], first["last"]["event"]);
    assert_eq!(labels["trigger_change"], "written");
    let services = coordinator.services();
    let told = {
        let view = services.hive.view();
        let task = view.state.tasks().next().unwrap();
        match &task.spec.work {
            skep_model::work::Work::Command(command) => command.env.clone(),
            other => panic!("{other:?} is told nothing"),
        }
    };
    assert_eq!(told["SKEP_TRIGGER_KEY"], "drafts/o'neil");
    assert_eq!(told["SKEP_TRIGGER_NAMESPACE"], "swarm");

    let coordinator = coordinator.restart().await;
    assert_eq!(coordinator.get(&place("review")).await.ok(), first);
    coordinator.draft("two").await;
    let second = coordinator.triggered("review", 2).await;
    assert_eq!(second["live_runs"].as_array().unwrap().len(), 2);
    let cancel = format!("/api/v2/runs/{run}/cancel");
    coordinator.post(&cancel, json!({})).await.ok();
    let after = coordinator.get(&place("review")).await.ok();
    assert_eq!(after["live_runs"], json!([second["last"]["run"]]));
}

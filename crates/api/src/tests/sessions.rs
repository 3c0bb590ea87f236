//! Attached agents by their operations: who may be whom, who gets what, and what comes too late.

mod asking;
mod ending;
mod standing;

use super::answer::Answer;
use super::fixture::Coordinator;
use serde_json::{Value, json};
use skep_model::ids::TaskId;
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

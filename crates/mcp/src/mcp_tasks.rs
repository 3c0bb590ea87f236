//! The tasks extension: a submitted run or task of the swarm is an MCP task of the same id.
//!
//! Nothing is kept for it here. The work is in the log before its id is told, and whoever asks
//! later, on another connection or after a restart, is answered from the log again.

use crate::swarm_uri::Named;
use crate::tool_result;
use crate::wait::summary;
use rmcp::ErrorData;
use rmcp::model::{DetailedTask, Task, TaskPayload, TaskStatus};
use serde_json::{Map, Value, json};
use skep_model::time::UnixMillis;
use skep_operations::Timestamp;

/// How often a client should ask.
const POLL_INTERVAL_MS: u64 = 2_000;

/// Operations whose work goes on after the answer, and where the answer names it.
const SUBMISSIONS: [(&str, &str); 2] = [("runs.submit", "/run/id"), ("tasks.submit", "/id")];

/// What this answer of an operation started, if it started something.
pub(crate) fn started(operation: &str, document: &Value) -> Option<Named> {
    let (_, place) = SUBMISSIONS.iter().find(|(id, _)| *id == operation)?;
    Named::by_id(document.pointer(place)?.as_str()?)
}

/// The MCP task of what this document describes.
pub(crate) fn task(named: Named, document: &Value, now: UnixMillis) -> Task {
    let (state, is_final) = named.state(document);
    let record = match named {
        Named::Run(_) => &document["run"],
        Named::Task(_) | Named::Node(_) => document,
    };
    let time = |key: &str| record[key].as_str().map(str::to_owned);
    let now = Timestamp(now).to_string();
    let created = time("submitted_at").or_else(|| time("started_at"));
    // While it is live, the document is how it stands now.
    let updated = time("finished_at").unwrap_or_else(|| now.clone());
    let status = match (is_final, state.as_str()) {
        (false, _) => TaskStatus::Working,
        (true, "cancelled") => TaskStatus::Cancelled,
        (true, _) => TaskStatus::Completed,
    };
    Task::new(named.id(), status, created.unwrap_or(now), updated)
        .with_status_message(summary(named, document, &state))
        .with_poll_interval_ms(POLL_INTERVAL_MS)
}

/// The same with the result, once there is one. Work that failed is a completed MCP task whose
/// result is an error: only a fault of the protocol would be a failed one.
pub(crate) fn detailed(
    named: Named,
    document: Value,
    now: UnixMillis,
) -> Result<DetailedTask, ErrorData> {
    let task = task(named, &document, now);
    let payload = match task.status {
        TaskStatus::Cancelled => TaskPayload::Cancelled,
        TaskStatus::Completed => TaskPayload::Completed {
            result: result(named, document)?,
        },
        _ => TaskPayload::Working,
    };
    Ok(DetailedTask::new(task, payload))
}

fn result(named: Named, document: Value) -> Result<Map<String, Value>, ErrorData> {
    let succeeded = named.state(&document).0 == "succeeded";
    let mut result = tool_result::done(as_submitted(named, document));
    result.is_error = Some(!succeeded);
    match serde_json::to_value(result) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(crate::fault::Fault::Internal.error("the result is not an object")),
    }
}

/// The document in the form that the tool promised when the work was submitted, with more keys.
fn as_submitted(named: Named, document: Value) -> Value {
    if !matches!(named, Named::Run(_)) {
        return document;
    }
    let tasks = document["tasks"].as_array().into_iter().flatten();
    let ids: Map<String, Value> = tasks
        .filter_map(|task| Some((task["name"].as_str()?.to_owned(), task["id"].clone())))
        .collect();
    json!({
        "run": document["run"],
        "tasks": ids,
        "repeated": false,
        "results": document["tasks"],
        "artifacts": document["artifacts"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::ids::{RunId, TaskId};

    const NOW: UnixMillis = UnixMillis(1_000);

    fn run(state: &str) -> (Named, Value) {
        let id = RunId::from_u128(9);
        let document = json!({
            "run": {
                "id": id, "name": "ci", "state": state,
                "started_at": "2026-01-01T00:00:00.000Z", "finished_at": null,
            },
            "tasks": [
                { "name": "a", "id": "task_a", "state": "succeeded" },
                { "name": "b", "id": "task_b", "state": "running" },
            ],
            "artifacts": [],
        });
        (Named::Run(id), document)
    }

    #[test]
    fn a_live_run_is_a_working_task_with_its_own_id() {
        let (named, document) = run("running");
        let detailed = detailed(named, document, NOW).unwrap();
        assert_eq!(detailed.status(), TaskStatus::Working);
        assert_eq!(detailed.task.task_id, named.id());
        assert_eq!(detailed.task.created_at, "2026-01-01T00:00:00.000Z");
        let message = detailed.task.status_message.unwrap();
        assert_eq!(message, "run `ci` is running: 1 of 2 tasks are final");
    }

    #[test]
    fn a_failed_run_is_a_completed_task_whose_result_is_an_error() {
        for (state, is_error) in [("failed", true), ("succeeded", false)] {
            let (named, document) = run(state);
            let detailed = detailed(named, document, NOW).unwrap();
            let TaskPayload::Completed { result } = detailed.payload else {
                panic!("{state} is no end")
            };
            assert_eq!(result["isError"], is_error, "{state}");
            let shown = &result["structuredContent"];
            assert_eq!(shown["tasks"], json!({"a": "task_a", "b": "task_b"}));
            assert_eq!(shown["results"][1]["state"], "running");
        }
        let (named, document) = run("cancelled");
        let detailed = detailed(named, document, NOW).unwrap();
        assert_eq!(detailed.status(), TaskStatus::Cancelled);
    }

    #[test]
    fn only_what_submits_starts_a_task() {
        let task = TaskId::from_u128(3);
        let document = json!({ "id": task });
        assert_eq!(started("tasks.submit", &document), Some(Named::Task(task)));
        assert_eq!(started("tasks.get", &document), None);
        assert_eq!(started("runs.submit", &document), None);
    }
}

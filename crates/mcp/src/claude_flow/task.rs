//! Tasks: where they stand, and what came of them. The id of a run stands for all its tasks.

use super::call::{Call, Failure, Outcome, work};
use super::contract::{ContractTool, Effect, Group, text};
use crate::fault::Fault;
use crate::swarm_uri::Named;
use serde_json::{Value, json};

/// Characters of output that one task of many gives.
const OUTPUT_OF_MANY_MAX: usize = 4_096;
/// Tasks of a run whose output is given.
const OUTPUTS_MAX: usize = 100;

pub(super) const ID: &str = "Id of a task, or of a run for all its tasks.";

pub(super) static TOOLS: &[ContractTool] = &[
    ContractTool {
        name: "task_status",
        group: Group::Task,
        about: "Shows where a task or run stands: state, agent, node, times, and what it waits for.",
        parameters: &[text("taskId", ID).required()],
        effect: Effect::Reads,
        handle: |call| Box::pin(status(call)),
    },
    ContractTool {
        name: "task_results",
        group: Group::Task,
        about: "Gives exit code, output, gates and artifacts of a task or run that has ended.",
        parameters: &[text("taskId", ID).required()],
        effect: Effect::Reads,
        handle: |call| Box::pin(results(call)),
    },
];

pub(super) async fn status(call: Call) -> Outcome {
    let id = call.required_text("taskId")?;
    match work("taskId", id)? {
        Named::Run(_) => {
            let run = call.operate("runs.get", json!({ "id": id })).await?;
            Ok(json!({
                "taskId": id,
                "status": run["run"]["state"],
                "run": run["run"],
                "subtasks": run["tasks"],
            }))
        }
        Named::Task(_) | Named::Node(_) => {
            let task = call.operate("tasks.get", json!({ "id": id })).await?;
            let waits = match call.operate("tasks.explain", json!({ "id": id })).await {
                Ok(waits) => waits,
                // One that is final waits for nothing.
                Err(_) if !task["finished_at"].is_null() => Value::Null,
                Err(failure) => return Err(failure),
            };
            Ok(json!({
                "taskId": id,
                "status": task["state"],
                "assignedAgent": task["agent"],
                "node": task["node"],
                "submittedAt": task["submitted_at"],
                "startedAt": task["started_at"],
                "finishedAt": task["finished_at"],
                "attempts": task["attempts"],
                "reason": task["reason"],
                "waits": waits,
                "task": task,
            }))
        }
    }
}

pub(super) async fn results(call: Call) -> Outcome {
    let id = call.required_text("taskId")?;
    let named = work("taskId", id)?;
    let operation = named.reading().operation.id;
    let document = call.operate(operation, json!({ "id": id })).await?;
    let (state, is_final) = named.state(&document);
    if !is_final {
        let detail = format!("`{id}` is {state}: there are no results yet");
        return Err(Failure::new(Fault::NotFinished, detail).with(json!({ "taskId": id })));
    }
    match named {
        Named::Run(_) => {
            let mut results = of_run(&call, &document).await?;
            results["taskId"] = json!(id);
            Ok(results)
        }
        Named::Task(_) | Named::Node(_) => of_task(&call, &document).await,
    }
}

/// What came of a task that is final.
pub(super) async fn of_task(call: &Call, task: &Value) -> Outcome {
    let (output, truncated) = output(call, &task["id"]).await?;
    Ok(json!({
        "taskId": task["id"],
        "name": task["name"],
        "status": task["state"],
        "exitCode": task["exit_code"],
        "durationMs": task["duration_ms"],
        "reason": task["reason"],
        "output": output,
        "outputTruncated": truncated,
        "gates": task["gates"],
        "artifacts": task["artifacts"],
        "node": task["node"],
        "isolation": task["isolation"],
    }))
}

/// What came of the tasks of a run, final or not.
pub(super) async fn of_run(call: &Call, run: &Value) -> Outcome {
    let mut results = Vec::new();
    let tasks = run["tasks"].as_array().map_or(&[][..], Vec::as_slice);
    for (place, task) in tasks.iter().enumerate() {
        let (text, truncated) = if place < OUTPUTS_MAX {
            output(call, &task["id"]).await?
        } else {
            (Value::Null, true)
        };
        let short = text.as_str().map(|text| {
            let cut = text.char_indices().nth(OUTPUT_OF_MANY_MAX);
            cut.map_or(text, |(end, _)| &text[..end])
        });
        let is_cut = short.map(str::len) != text.as_str().map(str::len);
        results.push(json!({
            "taskId": task["id"],
            "name": task["name"],
            "status": task["state"],
            "exitCode": task["exit_code"],
            "durationMs": task["duration_ms"],
            "reason": task["reason"],
            "output": short,
            "outputTruncated": truncated || is_cut,
        }));
    }
    let state = |state: &str| tasks.iter().filter(|task| task["state"] == state).count();
    Ok(json!({
        "runId": run["run"]["id"],
        "status": run["run"]["state"],
        "taskCount": tasks.len(),
        "succeeded": state("succeeded"),
        "failed": state("failed"),
        "results": results,
        "artifacts": run["artifacts"],
    }))
}

/// What the newest attempt printed; nothing when there is no attempt or it is no text.
async fn output(call: &Call, task: &Value) -> Result<(Value, bool), Failure> {
    match call.operate("tasks.logs", json!({ "id": task })).await {
        Ok(log) => Ok((log["text"].clone(), log["truncated"] == true)),
        Err(failure) if failure.is_not_found() || failure.is_not_text() => Ok((Value::Null, false)),
        Err(failure) => Err(failure),
    }
}

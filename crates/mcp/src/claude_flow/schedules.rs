//! Schedules: work that is submitted again and again, by the swarm's own schedules.

use super::call::{Call, Failure, Outcome};
use super::contract::{ContractTool, Effect, Group, map, text};
use super::standing::{Key, known_keys, with_plan};
use serde_json::{Map, Value, json};

/// What a schedule may say, with the other names that callers use for it.
const KEYS: [Key; 11] = [
    ("name", &["id", "scheduleId"]),
    ("cron", &["expression", "cronExpression"]),
    ("zone", &["timezone", "timeZone"]),
    ("every_s", &["everySeconds", "intervalSeconds"]),
    ("overlap", &[]),
    ("missed", &[]),
    ("workflowId", &["workflow"]),
    ("params", &["parameters"]),
    ("steps", &["tasks"]),
    ("command", &["run", "script"]),
    ("plan", &[]),
];
const ACTIONS: &str = "`create`, `list`, `get`, `pause`, `resume`, `run`, `delete`";

pub(super) static TOOLS: &[ContractTool] = &[ContractTool {
    name: "scheduler_manage",
    group: Group::Workflow,
    about: "Keeps schedules that survive restarts: create, list, get, pause, resume, run, delete.",
    parameters: &[
        text(
            "action",
            "create, list, get, pause, resume, run (at once) or delete.",
        )
        .required(),
        map(
            "schedule",
            "{name} and to create: cron (5 fields; zone) or every_s, with workflowId (params), steps, \
             command or plan; overlap: skip, queue, allow.",
        ),
    ],
    effect: Effect::Removes,
    handle: |call| Box::pin(manage(call)),
}];

async fn manage(call: Call) -> Outcome {
    let action = call.required_text("action")?;
    let given = call.value("schedule").cloned().unwrap_or_else(|| json!({}));
    let schedule = known_keys("schedule", &KEYS, &given)?;
    let mut document = match action {
        "create" => {
            let body = new_schedule(&call, schedule).await?;
            json!({ "schedule": call.operate("schedules.create", body).await? })
        }
        "list" => {
            let schedules = call.operate("schedules.list", json!({})).await?["items"].take();
            let count = schedules.as_array().map_or(0, Vec::len);
            json!({ "count": count, "schedules": schedules })
        }
        "get" => json!({ "schedule": of_one(&call, "schedules.get", &schedule).await? }),
        "pause" => json!({ "schedule": of_one(&call, "schedules.pause", &schedule).await? }),
        "resume" => json!({ "schedule": of_one(&call, "schedules.resume", &schedule).await? }),
        "run" => of_one(&call, "schedules.fire", &schedule).await?,
        "delete" => of_one(&call, "schedules.delete", &schedule).await?,
        other => {
            let detail = format!("`action` is `{other}`; want one of {ACTIONS}");
            return Err(Failure::argument(detail));
        }
    };
    if let Some(id) = document["schedule"]["id"].as_str() {
        document["scheduleId"] = json!(id);
    }
    document["action"] = json!(action);
    Ok(document)
}

/// An operation on the schedule that is named.
async fn of_one(call: &Call, operation: &str, schedule: &Map<String, Value>) -> Outcome {
    let name = schedule.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| Failure::argument("`schedule.name` is missing"))?;
    call.operate(operation, json!({ "id": name })).await
}

/// The body of `schedules.create`.
async fn new_schedule(call: &Call, schedule: Map<String, Value>) -> Outcome {
    let name = schedule.get("name").and_then(Value::as_str);
    let name = name
        .ok_or_else(|| Failure::argument("`schedule.name` is missing"))?
        .to_owned();
    with_plan(call, "schedule", &name, schedule).await
}

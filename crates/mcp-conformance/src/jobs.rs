//! Tools whose work is a task of the swarm: submitted, run by a node, and seen by the client as an
//! MCP task of the product, with what the suite wants to see of it.

use crate::contents::{object, tool};
use crate::fixture::Fixture;
use crate::questions::{self, form, typed};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
    DetailedTask, GetTaskResult, InputRequests, InputResponses, JsonObject, TaskPayload, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// A job whose end the suite wants to see as a fault of the protocol.
const BROKEN: &str = "protocol_error_job";

/// What is known of a job beside its task.
#[derive(Debug, Default)]
pub(crate) struct Job {
    name: String,
    /// Questions that are open.
    open: BTreeSet<String>,
    /// The file that the task waits for while there are any.
    answer: Option<PathBuf>,
}

pub(crate) fn tools() -> Vec<Tool> {
    let seconds = json!({ "type": "number" });
    let text = json!({ "type": "string" });
    vec![
        tool(
            "slow_compute",
            "Takes its time.",
            json!({ "seconds": seconds }),
        ),
        tool("failing_job", "Fails after a second.", json!({})),
        tool(BROKEN, "Ends with a fault of the protocol.", json!({})),
        tool(
            "confirm_delete",
            "Waits until the client confirms.",
            json!({ "filename": text }),
        ),
        tool(
            "multi_input",
            "Waits until the client answered twice.",
            json!({}),
        ),
    ]
}

/// Calls a tool of this module.
pub(crate) async fn call(
    fixture: &Fixture,
    name: &str,
    arguments: &JsonObject,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let seconds = arguments.get("seconds").and_then(Value::as_f64);
    let (run, open): (String, &[&str]) = match name {
        "slow_compute" => {
            let seconds = seconds.unwrap_or(0.0);
            (format!("sleep {seconds}; echo computed"), &[])
        }
        "failing_job" => ("sleep 1; echo failed; exit 1".to_owned(), &[]),
        BROKEN => ("exit 1".to_owned(), &[]),
        "confirm_delete" => (WAIT.to_owned(), &["confirm"]),
        "multi_input" => (WAIT.to_owned(), &["name", "confirm"]),
        _ => return None,
    };
    if name != "slow_compute"
        && let Err(missing) = needs_tasks(context)
    {
        return Some(Err(missing));
    }
    Some(start(fixture, name, &run, json!({}), open, context).await)
}

/// Starts the job that follows on answered questions.
pub(crate) async fn call_with_name(
    fixture: &Fixture,
    user: &Value,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    needs_tasks(context)?;
    let env = json!({ "USER_NAME": user.as_str().unwrap_or_default() });
    let run = "echo \"Hello, $USER_NAME!\"";
    start(fixture, questions::JOB, run, env, &[], context).await
}

/// Waits for a file.
const WAIT: &str = "until [ -e \"$ANSWER\" ]; do sleep 0.1; done; echo answered";

/// Submits the task by Skep's own tool. A client without tasks gets the result of its end.
async fn start(
    fixture: &Fixture,
    name: &str,
    run: &str,
    mut env: Value,
    open: &[&str],
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let shared = &fixture.shared;
    let answer = (!open.is_empty()).then(|| shared.fresh_answer());
    if let Some(answer) = &answer {
        env["ANSWER"] = json!(answer);
    }
    let task = json!({
        "name": name,
        "run": run,
        "env": env,
        "reads": [shared.answers],
        "retries": 0,
        // Several wait at the same time.
        "resources": { "cpu": 0.01, "memory": "1MiB" },
    });
    let submit = CallToolRequestParams::new("skep_tasks_submit").with_arguments(object(task));
    let response = fixture.server.call_tool(submit, context.clone()).await?;
    let id = match &response {
        CallToolResponse::Task(created) => created.task.task_id.clone(),
        CallToolResponse::Complete(done) if done.is_error != Some(true) => {
            let id = done.structured_content.as_ref().map(|task| &task["id"]);
            let id = id.and_then(Value::as_str).unwrap_or_default().to_owned();
            let wait = CallToolRequestParams::new("skep_wait");
            let wait = wait.with_arguments(object(json!({ "id": id })));
            fixture.server.call_tool(wait, context.clone()).await?;
            return Ok(ended(fixture, &id, context).await?.into());
        }
        _ => return Ok(response),
    };
    let job = Job {
        name: name.to_owned(),
        open: open.iter().map(ToString::to_string).collect(),
        answer,
    };
    shared.jobs.lock().insert(id, job);
    Ok(response)
}

fn needs_tasks(context: &RequestContext<RoleServer>) -> Result<(), ErrorData> {
    let declared = context.client_capabilities();
    if declared.is_some_and(|declared| declared.supports_tasks()) {
        return Ok(());
    }
    let required = ClientCapabilities::builder().enable_tasks().build();
    Err(ErrorData::missing_required_client_capability(required))
}

/// What a task that has ended printed, as the result of its tool.
async fn ended(
    fixture: &Fixture,
    id: &str,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let id = object(json!({ "id": id }));
    let server = &fixture.server;
    let task = server.run_operation(context, "tasks.get", id.clone());
    let task = task.await?;
    let log = server.run_operation(context, "tasks.logs", id).await?;
    let text = log["text"].as_str().unwrap_or_default();
    let content = vec![ContentBlock::text(text)];
    Ok(if task["state"] == "succeeded" {
        CallToolResult::success(content)
    } else {
        CallToolResult::error(content)
    })
}

/// The product's answer to `tasks/get`, as the suite wants it for a job.
pub(crate) async fn seen(
    fixture: &Fixture,
    got: GetTaskResult,
    context: &RequestContext<RoleServer>,
) -> Result<GetTaskResult, ErrorData> {
    let DetailedTask { task, payload, .. } = got.task;
    let job = {
        let jobs = fixture.shared.jobs.lock();
        jobs.get(&task.task_id)
            .map(|job| (job.name.clone(), requests(&job.open)))
    };
    let Some((name, open)) = job else {
        return Ok(GetTaskResult::new(DetailedTask::new(task, payload)));
    };
    let payload = match (payload, open?) {
        (TaskPayload::Working, open) if !open.is_empty() => TaskPayload::InputRequired {
            input_requests: open,
        },
        (TaskPayload::Completed { .. }, _) if name == BROKEN => TaskPayload::Failed {
            error: object(json!({ "code": -32_603, "message": "the job broke" })),
        },
        (TaskPayload::Completed { .. }, _) => {
            let result = ended(fixture, &task.task_id, context).await?;
            let result = serde_json::to_value(result).unwrap_or_default();
            TaskPayload::Completed {
                result: object(result),
            }
        }
        (payload, _) => payload,
    };
    Ok(GetTaskResult::new(DetailedTask::new(task, payload)))
}

fn requests(open: &BTreeSet<String>) -> Result<InputRequests, ErrorData> {
    let request = |key: &String| {
        let schema = json!({ "type": "object", "properties": { key: { "type": "string" } } });
        Ok((key.clone(), typed(form("Please answer", schema))?))
    };
    open.iter().map(request).collect()
}

/// Takes the client's answers, and lets the task go on when none is missing.
pub(crate) fn update(
    fixture: &Fixture,
    id: &str,
    responses: &InputResponses,
) -> Result<(), ErrorData> {
    let mut jobs = fixture.shared.jobs.lock();
    let Some(job) = jobs.get_mut(id) else {
        return Ok(());
    };
    job.open.retain(|key| !responses.contains_key(key));
    match &job.answer {
        Some(answer) if job.open.is_empty() => fs::write(answer, "")
            .map_err(|error| ErrorData::internal_error(error.to_string(), None)),
        _ => Ok(()),
    }
}

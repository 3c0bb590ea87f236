//! Operations on tasks.

mod batch_item;
mod change;
pub(crate) mod children;
mod list;
mod logs;
mod reach;
mod retry;
pub(crate) mod submit;

pub(crate) use logs::attempt_number;

use crate::context::Context;
use crate::declare::{READ, WRITE, act, end, put, read, submit};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::exchange::Shape;
use crate::lookup;
use crate::operation::{Cost, Operation, json_of};
use crate::permission::{Permission, TaskRule};
use crate::rfc3339::Timestamp;
use crate::views::{ArtifactView, Page, PlacementView};
use serde::{Deserialize, Serialize};
use skep_model::ids::TaskId;
use skep_model::task::{TaskRecord, TaskState};
use skep_model::token::Scope;

const TEXT: &str = "text/plain; charset=utf-8";

/// Reading, adding to, and changing tasks.
pub(crate) fn operations() -> Vec<Operation> {
    [submitting(), changing(), reading(), from_attempts()].concat()
}

const READ_OWN: Permission = READ.or_attempt(TaskRule::OwnRun);

fn submitting() -> Vec<Operation> {
    vec![
        submit("tasks.submit", "/tasks", WRITE, "Submits one task.").takes(submit::one),
        submit(
            "tasks.submit_batch",
            "/tasks/batch",
            WRITE,
            "Submits up to 10,000 tasks at once.",
        )
        .takes(submit::batch),
    ]
}

fn changing() -> Vec<Operation> {
    vec![
        put(
            "tasks.update",
            "/tasks/{id}",
            WRITE,
            "Changes priority or labels of a task.",
        )
        .takes(change::update),
        end("tasks.cancel", "/tasks/{id}", WRITE, "Cancels a task.").answers(change::cancel),
        act(
            "tasks.assign",
            "/tasks/{id}/assign",
            WRITE,
            "Lets only this agent run a task.",
        )
        .takes(change::assign),
        submit(
            "tasks.retry",
            "/tasks/{id}/retry",
            WRITE,
            "Tries a task again, or a copy of it.",
        )
        .success(200)
        .takes(|context, path, _: NoBody| retry::retry(context, path)),
        act(
            "tasks.pause",
            "/tasks/{id}/pause",
            WRITE,
            "Holds a task that no agent holds.",
        )
        .answers(change::pause),
        act(
            "tasks.resume",
            "/tasks/{id}/resume",
            WRITE,
            "Lets a task go on.",
        )
        .answers(change::resume),
    ]
}

fn reading() -> Vec<Operation> {
    vec![
        read(
            "tasks.list",
            "/tasks",
            READ,
            "Lists tasks, live and final, newest first.",
        )
        .cost(Cost::Medium)
        .answers(list::list),
        read("tasks.get", "/tasks/{id}", READ_OWN, "Shows a task.").answers(change::get),
        read(
            "tasks.explain",
            "/tasks/{id}/explain",
            READ_OWN,
            "Says what a task waits for.",
        )
        .cost(Cost::Medium)
        .answers(explain),
        read(
            "tasks.logs",
            "/tasks/{id}/logs",
            READ_OWN,
            "Reads or follows a log; with `grep`, lists matching lines as JSON.",
        )
        .cost(Cost::Medium)
        .replies(Shape::Empty, Shape::Bytes(TEXT), logs::read),
        read(
            "tasks.attempts",
            "/tasks/{id}/attempts",
            READ_OWN,
            "Lists the logs of a task.",
        )
        .answers(logs::of_path),
        read(
            "tasks.artifacts",
            "/tasks/{id}/artifacts",
            READ_OWN,
            "Lists what a task handed in.",
        )
        .answers(artifacts),
    ]
}

fn from_attempts() -> Vec<Operation> {
    const LOG: Permission = Permission::any_of(&[Scope::Node]).or_attempt(TaskRule::OwnTask);
    const EXTEND: Permission = Permission::any_of(&[Scope::Write]).or_attempt(TaskRule::OwnTask);
    vec![
        put(
            "tasks.append_log",
            "/tasks/{id}/attempts/{attempt}/log",
            LOG,
            "Adds to a log.",
        )
        .replies(
            Shape::Bytes(TEXT),
            json_of::<logs::LogLength>(),
            logs::append,
        ),
        submit(
            children::OPERATION,
            "/tasks/{id}/children",
            EXTEND,
            "Adds tasks to its run.",
        )
        .takes(children::add),
    ]
}

/// Names a task.
#[derive(Debug, Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskPath {
    /// The task.
    pub(crate) id: TaskId,
}

/// For requests that say all in their path.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoBody {}

async fn artifacts(context: Context, path: TaskPath) -> Result<Page<ArtifactView>, OperationError> {
    let task = lookup::known_task(&context.services, path.id).await?;
    Ok(Page {
        items: ArtifactView::of(&task).collect(),
        next_cursor: None,
    })
}

/// What a task waits for.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Waiting {
    /// The task.
    task: TaskId,
    /// One sentence.
    summary: String,
    /// Needed tasks that are not final yet.
    waits_for: Vec<TaskId>,
    /// For each agent, why it could or could not run the task.
    placement: PlacementView,
}

async fn explain(context: Context, path: TaskPath) -> Result<Waiting, OperationError> {
    let task = lookup::known_task(&context.services, path.id).await?;
    let placement = context.services.hive.explain(path.id).ok_or_else(|| {
        let record = task.record();
        let detail = format!(
            "task `{}` is {}: it waits for nothing",
            record.id, record.state
        );
        OperationError::new(ErrorCode::AlreadyFinal, detail)
    })?;
    let record = task.record();
    Ok(Waiting {
        task: path.id,
        summary: summary(record),
        waits_for: record.waits_for.clone(),
        placement: placement.into(),
    })
}

/// What matters most about a live task that does not run.
fn summary(record: &TaskRecord) -> String {
    match record.state {
        TaskState::Pending if !record.waits_for.is_empty() => {
            format!("it waits for {} of its needs", record.waits_for.len())
        }
        TaskState::Pending => match record.not_before {
            Some(time) => format!("it is tried again at {}", Timestamp(time)),
            None => "it waits for a retry".to_owned(),
        },
        TaskState::Ready => "it waits for an agent".to_owned(),
        TaskState::Paused => "it is paused".to_owned(),
        TaskState::Leased | TaskState::Running | TaskState::Verifying => {
            "an agent holds it".to_owned()
        }
        TaskState::Succeeded
        | TaskState::Failed
        | TaskState::Cancelled
        | TaskState::Expired
        | TaskState::Unknown => "it is final".to_owned(),
    }
}

//! Operations that change one task.

use super::TaskPath;
use crate::agents;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::check_labels;
use crate::lookup;
use crate::views::TaskDetail;
use serde::Deserialize;
use skep_model::command::Command;
use skep_model::ids::TaskId;
use skep_model::limits;
use skep_model::task::Priority;
use std::collections::BTreeMap;

/// The task as it is now.
pub(super) async fn shown(context: &Context, task: TaskId) -> Result<TaskDetail, OperationError> {
    let found = lookup::known_task(&context.services, task).await?;
    Ok(TaskDetail::from(&found))
}

pub(super) async fn get(context: Context, path: TaskPath) -> Result<TaskDetail, OperationError> {
    shown(&context, path.id).await
}

/// What to change; what is left out stays.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TaskChange {
    /// New priority.
    priority: Option<PriorityChange>,
    /// New labels, all of them.
    labels: Option<BTreeMap<String, String>>,
}

/// A priority, as a number or in full.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum PriorityChange {
    /// The base; nothing raises it.
    Base(u8),
    /// With the reasons to raise it.
    Full(Priority),
}

pub(super) async fn update(
    context: Context,
    path: TaskPath,
    change: TaskChange,
) -> Result<TaskDetail, OperationError> {
    let priority = change.priority.map(|priority| match priority {
        PriorityChange::Base(base) => Priority {
            base,
            ..Priority::default()
        },
        PriorityChange::Full(priority) => priority,
    });
    if let Some(base) = priority.map(|priority| priority.base)
        && !(limits::PRIORITY_MIN..=limits::PRIORITY_MAX).contains(&base)
    {
        let detail = format!(
            "`priority` should be {} to {}, not `{base}`",
            limits::PRIORITY_MIN,
            limits::PRIORITY_MAX
        );
        return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
    }
    change.labels.as_ref().map_or(Ok(()), check_labels)?;
    check_version(&context, path.id).await?;
    let command = Command::UpdateTask {
        task: path.id,
        priority,
        labels: change.labels,
    };
    context.propose(command).await?;
    shown(&context, path.id).await
}

/// Refuses the change when the caller's `If-Match` is not the present version. A change that
/// comes in between is not seen: the core has no compare-and-set for this.
async fn check_version(context: &Context, task: TaskId) -> Result<(), OperationError> {
    let Some(wanted) = &context.if_match else {
        return Ok(());
    };
    let present = shown(context, task).await?.version;
    if wanted == "*" || *wanted == present {
        return Ok(());
    }
    let detail = format!("task `{task}` has version `{present}`, not `{wanted}`");
    Err(OperationError::new(ErrorCode::VersionConflict, detail))
}

pub(super) async fn cancel(context: Context, path: TaskPath) -> Result<TaskDetail, OperationError> {
    context.propose(Command::CancelTask(path.id)).await?;
    shown(&context, path.id).await
}

pub(super) async fn pause(context: Context, path: TaskPath) -> Result<TaskDetail, OperationError> {
    context.propose(Command::PauseTask(path.id)).await?;
    shown(&context, path.id).await
}

pub(super) async fn resume(context: Context, path: TaskPath) -> Result<TaskDetail, OperationError> {
    context.propose(Command::ResumeTask(path.id)).await?;
    shown(&context, path.id).await
}

/// Who is to run the task.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Assignment {
    /// The agent, by id or name.
    agent: String,
}

pub(super) async fn assign(
    context: Context,
    path: TaskPath,
    assignment: Assignment,
) -> Result<TaskDetail, OperationError> {
    let agent = agents::resolve(&context, &assignment.agent)?;
    context
        .propose(Command::AssignTask {
            task: path.id,
            agent,
        })
        .await?;
    shown(&context, path.id).await
}

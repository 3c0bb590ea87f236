//! Tasks that a running task adds to its own run.

use super::submit::{Submitted, propose, stamp, wanted_names};
use super::{TaskPath, reach};
use crate::body::read_body;
use crate::context::{Context, Principal};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup;
use crate::plans::{base_dir, invalid};
use crate::run_names::RunNames;
use serde::Deserialize;
use skep_model::ids::TaskId;
use skep_plan::{Named, TaskFile};

/// Tasks to add.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Children {
    /// The tasks by name, as in a plan. They may need each other and tasks of the run.
    tasks: Named<TaskFile>,
    /// Directory from which relative paths are seen; absolute.
    #[serde(default)]
    base_dir: Option<String>,
}

/// The registered name of the operation.
pub(super) const OPERATION: &str = "tasks.add_children";

/// The same for a running attempt that asks over its node's session. A key has the effect that it
/// has over HTTP. Says which tasks were added.
pub(crate) async fn add_for_attempt(
    mut context: Context,
    task: TaskId,
    body: &[u8],
) -> Result<Vec<TaskId>, OperationError> {
    let children = read_body(body)?;
    context.operation = OPERATION;
    let path = vec![("id".to_owned(), task.to_string())];
    context.note_fingerprint(&path, "", body)?;
    let submitted = add(context, TaskPath { id: task }, children).await?;
    Ok(submitted.tasks)
}

pub(super) async fn add(
    context: Context,
    path: TaskPath,
    children: Children,
) -> Result<Submitted, OperationError> {
    let parent = lookup::known_task(&context.services, path.id).await?;
    let Some(run) = parent.record().run else {
        let detail = format!("task `{}` belongs to no run", path.id);
        return Err(OperationError::new(ErrorCode::RunNotFound, detail));
    };
    // What was added before has its names by now: only the log can say that it is the same again.
    if is_repeated(&context) {
        let entry = propose(&context, Some(run), Vec::new()).await?;
        return Ok(Submitted::of(&entry, Some(run)));
    }
    let base_dir = base_dir(children.base_dir.as_deref())?;
    let wanted = children
        .tasks
        .0
        .iter()
        .flat_map(|(name, task)| wanted_names(&name.value, task))
        .collect();
    let names = RunNames::load(&context.services, Some(run), wanted).await?;
    let draft = skep_plan::expand_additional(&children.tasks, &names.finder(), base_dir)
        .map_err(|errors| invalid(ErrorCode::TaskInvalid, &errors))?;
    let tasks = names.without_succeeded(stamp(&context, draft));
    if matches!(context.caller, Principal::Task { .. }) {
        for task in &tasks {
            reach::check(&parent.record().spec, &task.spec)?;
        }
    }
    check_fence(&context)?;
    let entry = propose(&context, Some(run), tasks).await?;
    Ok(Submitted::of(&entry, Some(run)))
}

fn is_repeated(context: &Context) -> bool {
    let request = context.idempotency();
    request.is_some_and(|request| context.services.hive.view().state.remembers(&request.key))
}

/// Looks at the fence of an attempt once more, right before the proposal: time passed since the
/// call came in.
pub(crate) fn check_fence(context: &Context) -> Result<(), OperationError> {
    let Principal::Task { task, fence, .. } = context.caller else {
        return Ok(());
    };
    let view = context.services.hive.view();
    let lease = view
        .state
        .task(task)
        .and_then(|record| record.lease.as_ref());
    if lease.is_some_and(|lease| lease.fence == fence) {
        return Ok(());
    }
    let detail = format!("attempt {fence} of `{task}` is not the current one");
    Err(OperationError::new(ErrorCode::FenceStale, detail))
}

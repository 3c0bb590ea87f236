//! Submitting tasks: one, or many at once.

use super::batch_item::BatchItem;
use super::change::shown;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::plans::{base_dir, invalid};
use crate::run_names::RunNames;
use crate::views::TaskDetail;
use serde::{Deserialize, Serialize};
use skep_model::command::Command;
use skep_model::event::{EntryEvents, Event};
use skep_model::ids::{RunId, TaskId};
use skep_model::limits;
use skep_model::task::{NewTask, TaskSpec};
use skep_plan::{Draft, Named, SingleTaskFile, TaskFile};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where a task goes.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Destination {
    /// The live run that it joins.
    run: Option<RunId>,
    /// Directory from which relative paths are seen; absolute.
    base_dir: Option<String>,
}

pub(super) async fn one(
    context: Context,
    destination: Destination,
    file: SingleTaskFile,
) -> Result<TaskDetail, OperationError> {
    let base_dir = base_dir(destination.base_dir.as_deref())?;
    let wanted = wanted_names(&file.name.value, &file.task);
    let names = RunNames::load(&context.services, destination.run, wanted).await?;
    let draft = skep_plan::expand_task(&file.name, &file.task, &names.finder(), base_dir)
        .map_err(|errors| invalid(ErrorCode::TaskInvalid, &errors))?;
    if draft.tasks.len() != 1 {
        let detail = format!("the matrix stands for {} tasks", draft.tasks.len());
        let hint = "Submit a task with a matrix as a plan of one task.";
        return Err(OperationError::new(ErrorCode::TaskInvalid, detail).with_hint(hint));
    }
    let tasks = names.without_succeeded(stamp(&context, draft));
    let entry = propose(&context, destination.run, tasks).await?;
    let (_, made) = made(&entry);
    let task = made.first().ok_or_else(nothing_made)?;
    shown(&context, *task).await
}

/// Names that a task speaks of: its own and those it needs.
pub(crate) fn wanted_names(name: &str, task: &TaskFile) -> BTreeSet<String> {
    let needs = task.needs.iter().map(|need| need.value.clone());
    let inputs = task.inputs.iter().map(|input| input.from.value.clone());
    needs.chain(inputs).chain([name.to_owned()]).collect()
}

/// Tasks to submit together.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// The live run that they join.
    #[serde(default)]
    run: Option<RunId>,
    /// Directory from which relative paths are seen; absolute.
    #[serde(default)]
    base_dir: Option<String>,
    /// The tasks. They may need each other by name.
    tasks: Vec<BatchItem>,
}

/// What was taken in.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Submitted {
    /// The run.
    run: Option<RunId>,
    /// The tasks, in the order in which they were given.
    pub(super) tasks: Vec<TaskId>,
    /// Whether an earlier request with the same idempotency key made them.
    repeated: bool,
}

impl Submitted {
    pub(crate) fn of(entry: &EntryEvents, run: Option<RunId>) -> Self {
        let repeated = entry
            .events
            .iter()
            .any(|event| matches!(event, Event::AlreadyDone { .. }));
        let (made_run, tasks) = made(entry);
        Self {
            run: made_run.or(run),
            tasks,
            repeated,
        }
    }
}

pub(super) async fn batch(
    context: Context,
    _: crate::fields::NoParameters,
    batch: Batch,
) -> Result<Submitted, OperationError> {
    let count = batch.tasks.len();
    if !(1..=limits::TASKS_PER_SUBMISSION_MAX).contains(&count) {
        let detail = format!(
            "`tasks` should hold 1 to {} tasks (TASKS_PER_SUBMISSION_MAX), not {count}",
            limits::TASKS_PER_SUBMISSION_MAX
        );
        return Err(OperationError::new(ErrorCode::LimitExceeded, detail));
    }
    let run = batch.run;
    let all_simple = batch
        .tasks
        .iter()
        .all(|item| matches!(item, BatchItem::Simple(..)));
    let tasks = if all_simple && run.is_none() {
        simple(&context, batch.tasks)
    } else {
        resolved(&context, batch).await?
    };
    let entry = propose(&context, run, tasks).await?;
    Ok(Submitted::of(&entry, run))
}

/// Tasks that need no resolving and join no run: nothing can be wrong with them any more.
fn simple(context: &Context, items: Vec<BatchItem>) -> Vec<NewTask> {
    let ids = context.services.fresh_ids(items.len());
    let specs = items.into_iter().filter_map(|item| match item {
        BatchItem::Simple(spec, _) => Some(*spec),
        BatchItem::Full(_) => None,
    });
    let task = |(spec, id): (TaskSpec, u128)| NewTask {
        id: TaskId::from_u128(id),
        spec: Arc::new(TaskSpec {
            trace_parent: context.trace_parent.clone(),
            ..spec
        }),
        needs: Vec::new(),
    };
    specs.zip(ids).map(task).collect()
}

async fn resolved(context: &Context, batch: Batch) -> Result<Vec<NewTask>, OperationError> {
    let base_dir = base_dir(batch.base_dir.as_deref())?;
    let mut files = Vec::with_capacity(batch.tasks.len());
    let mut names = BTreeSet::new();
    let mut wanted = BTreeSet::new();
    for item in batch.tasks {
        let file = item.into_file()?;
        let name = &file.name.value;
        if !names.insert(name.clone()) {
            let detail = format!("two tasks of the batch have the name `{name}`");
            return Err(OperationError::new(ErrorCode::TaskInvalid, detail));
        }
        wanted.extend(wanted_names(name, &file.task));
        files.push((file.name, file.task));
    }
    let existing = RunNames::load(&context.services, batch.run, wanted).await?;
    let draft = skep_plan::expand_additional(&Named(files), &existing.finder(), base_dir)
        .map_err(|errors| invalid(ErrorCode::TaskInvalid, &errors))?;
    Ok(existing.without_succeeded(stamp(context, draft)))
}

pub(super) fn stamp(context: &Context, draft: Draft) -> Vec<NewTask> {
    let services = &context.services;
    let mut next_id = || services.fresh_id();
    draft
        .stamp(services.now(), context.trace_parent.clone(), &mut next_id)
        .1
}

pub(super) async fn propose(
    context: &Context,
    run: Option<RunId>,
    tasks: Vec<NewTask>,
) -> Result<Arc<EntryEvents>, OperationError> {
    let idempotency = context.idempotency();
    context
        .propose(Command::SubmitTasks {
            run,
            tasks,
            idempotency,
        })
        .await
}

/// The run and the tasks that an entry took in; also when it was a repetition.
pub(crate) fn made(entry: &EntryEvents) -> (Option<RunId>, Vec<TaskId>) {
    let mut run = None;
    let mut tasks = Vec::new();
    for event in &entry.events {
        match event {
            Event::AlreadyDone {
                run: made,
                tasks: done,
            } => return (*made, done.clone()),
            Event::RunSubmitted { run: made, .. } => run = Some(*made),
            Event::TaskSubmitted { task, .. } => tasks.push(*task),
            _ => {}
        }
    }
    (run, tasks)
}

fn nothing_made() -> OperationError {
    OperationError::new(ErrorCode::Internal, "the submission made no task")
}

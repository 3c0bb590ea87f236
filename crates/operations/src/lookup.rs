//! Finds tasks and runs wherever they are: live, just finished, or in the archive.
//!
//! The order matters: things move from the live state to the recent ones, in one step under the
//! view's lock, and from there to the archive. Looking in that order cannot miss them.

use crate::context::Services;
use crate::error::{OperationError, code_of};
use crate::error_codes::ErrorCode;
use skep_model::attempt::AttemptReport;
use skep_model::ids::{RunId, TaskId};
use skep_model::refusal::Refusal;
use skep_model::run::RunRecord;
use skep_model::task::{FinishedTask, TaskRecord};
use skep_store::{Archive, StoreError};
use std::sync::Arc;

/// A task, live or final.
#[derive(Debug, Clone)]
pub enum AnyTask {
    /// As it stands now.
    Live(Box<TaskRecord>),
    /// As it ended.
    Final(Arc<FinishedTask>),
}

impl AnyTask {
    /// The record; its state says whether it is final.
    pub fn record(&self) -> &TaskRecord {
        match self {
            Self::Live(record) => record,
            Self::Final(finished) => &finished.record,
        }
    }

    /// How it ended, if it did.
    pub fn finished(&self) -> Option<&FinishedTask> {
        match self {
            Self::Live(_) => None,
            Self::Final(finished) => Some(finished),
        }
    }

    /// The report that was accepted or that ended the last attempt, if it is final.
    pub fn report(&self) -> Option<&AttemptReport> {
        self.finished()
            .and_then(|finished| finished.report.as_deref())
    }
}

/// Asks the archive on a thread that may block.
pub(crate) async fn ask<T: Send + 'static>(
    services: &Arc<Services>,
    step: &'static str,
    question: impl FnOnce(&Archive) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, OperationError> {
    let services = Arc::clone(services);
    blocking(step, move || question(&services.archive)).await
}

/// Does something that blocks on a thread for that.
pub(crate) async fn blocking<T, E>(
    step: &'static str,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, OperationError>
where
    T: Send + 'static,
    E: std::error::Error + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(OperationError::internal(step, &error)),
        Err(error) => Err(OperationError::internal(step, &error)),
    }
}

/// The task, wherever it is.
pub(crate) async fn task(
    services: &Arc<Services>,
    id: TaskId,
) -> Result<Option<AnyTask>, OperationError> {
    if let Some(task) = task_in_memory(services, id) {
        return Ok(Some(task));
    }
    let found = ask(services, "read a task of the archive", move |archive| {
        archive.task(id)
    })
    .await?;
    Ok(found.map(|finished| AnyTask::Final(Arc::new(finished))))
}

/// The tasks, wherever they are, in this order; none where there is no such task.
pub(crate) async fn tasks(
    services: &Arc<Services>,
    ids: &[TaskId],
) -> Result<Vec<Option<AnyTask>>, OperationError> {
    let mut found: Vec<_> = ids.iter().map(|id| task_in_memory(services, *id)).collect();
    let missing: Vec<TaskId> = ids
        .iter()
        .zip(&found)
        .filter_map(|(id, task)| task.is_none().then_some(*id))
        .collect();
    if missing.is_empty() {
        return Ok(found);
    }
    let archived = ask(services, "read tasks of the archive", move |archive| {
        missing.into_iter().map(|id| archive.task(id)).collect()
    });
    let archived: Vec<Option<FinishedTask>> = archived.await?;
    let places = found.iter_mut().filter(|task| task.is_none());
    for (place, task) in places.zip(archived) {
        *place = task.map(|task| AnyTask::Final(Arc::new(task)));
    }
    Ok(found)
}

fn task_in_memory(services: &Services, id: TaskId) -> Option<AnyTask> {
    let view = services.hive.view();
    if let Some(record) = view.state.task(id) {
        return Some(AnyTask::Live(Box::new(record.clone())));
    }
    view.recent.task(id).map(AnyTask::Final)
}

/// The task, or the error that there is none.
pub(crate) async fn known_task(
    services: &Arc<Services>,
    id: TaskId,
) -> Result<AnyTask, OperationError> {
    task(services, id).await?.ok_or_else(|| no_task(id))
}

fn no_task(id: TaskId) -> OperationError {
    OperationError::new(
        ErrorCode::TaskNotFound,
        format!("no task has the id `{id}`"),
    )
}

/// The run, wherever it is.
pub(crate) async fn run(
    services: &Arc<Services>,
    id: RunId,
) -> Result<Option<Arc<RunRecord>>, OperationError> {
    if let Some(run) = run_in_memory(services, id) {
        return Ok(Some(run));
    }
    let found = ask(services, "read a run of the archive", move |archive| {
        archive.run(id)
    })
    .await?;
    Ok(found.map(Arc::new))
}

fn run_in_memory(services: &Services, id: RunId) -> Option<Arc<RunRecord>> {
    let view = services.hive.view();
    if let Some(record) = view.state.run(id) {
        return Some(Arc::new(record.clone()));
    }
    view.recent.run(id)
}

/// The run, or the error that there is none.
pub(crate) async fn known_run(
    services: &Arc<Services>,
    id: RunId,
) -> Result<Arc<RunRecord>, OperationError> {
    run(services, id).await?.ok_or_else(|| no_run(id))
}

fn no_run(id: RunId) -> OperationError {
    OperationError::new(ErrorCode::RunNotFound, format!("no run has the id `{id}`"))
}

/// The refusal as callers see it. The core knows only what is live: whether the rest is final or
/// never was, the archive says.
pub(crate) async fn explain_refusal(services: &Arc<Services>, refusal: Refusal) -> OperationError {
    let found = match refusal {
        Refusal::TaskNotLive(id) => task(services, id)
            .await
            .map(|found| found.map_or_else(|| no_task(id), |task| already_final(&task))),
        Refusal::RunNotLive(id) => run(services, id).await.map(|found| {
            found.map_or_else(
                || no_run(id),
                |run| {
                    let detail = format!("run `{id}` is {}", run.state);
                    OperationError::new(ErrorCode::AlreadyFinal, detail)
                },
            )
        }),
        Refusal::IdempotencyMismatch(ref scoped) => {
            let key = scoped.splitn(3, ':').last().unwrap_or_default();
            Ok(OperationError::new(
                code_of(&refusal),
                format!("the key `{key}` was used with another request in the last 24 hours"),
            ))
        }
        other => Ok(other.into()),
    };
    found.unwrap_or_else(|error| error)
}

/// The task is final, so this cannot be done to it any more.
pub(crate) fn already_final(task: &AnyTask) -> OperationError {
    let record = task.record();
    let detail = format!("task `{}` is {}", record.id, record.state);
    OperationError::new(ErrorCode::AlreadyFinal, detail)
}

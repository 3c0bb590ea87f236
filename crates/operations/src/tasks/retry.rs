//! Trying a task again. What is final never changes, so a final task is submitted anew.

use super::TaskPath;
use crate::context::{Context, Services};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup::{self, AnyTask};
use serde::Serialize;
use skep_model::command::Command;
use skep_model::ids::{RunId, TaskId};
use skep_model::limits;
use skep_model::task::{Compensation, Condition, NewTask, TaskRecord, TaskSpec, TaskState};
use std::sync::Arc;

/// What a retry did.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct RetryAnswer {
    /// The task that was asked for.
    task: TaskId,
    /// The task that runs: itself while it is live, else its new copy.
    retried_as: TaskId,
    /// The run of the task that runs; none when the run of the first one is final.
    run: Option<RunId>,
    /// Where the task that runs stands.
    state: TaskState,
}

pub(super) async fn retry(context: Context, path: TaskPath) -> Result<RetryAnswer, OperationError> {
    let task = lookup::known_task(&context.services, path.id).await?;
    match task {
        AnyTask::Live(_) => {
            context.propose(Command::RetryTask(path.id)).await?;
            answer(&context, path.id, path.id).await
        }
        AnyTask::Final(ref finished) => {
            if finished.record.state == TaskState::Succeeded {
                return Err(lookup::already_final(&task)
                    .with_hint("It succeeded. Submit its plan again to do its work once more."));
            }
            let copy = submit_copy(&context, &finished.record).await?;
            answer(&context, path.id, copy).await
        }
    }
}

async fn answer(
    context: &Context,
    asked: TaskId,
    runs: TaskId,
) -> Result<RetryAnswer, OperationError> {
    let task = lookup::known_task(&context.services, runs).await?;
    let record = task.record();
    Ok(RetryAnswer {
        task: asked,
        retried_as: runs,
        run: record.run,
        state: record.state,
    })
}

/// Submits the task anew: into its run while that is live, else on its own.
async fn submit_copy(context: &Context, record: &TaskRecord) -> Result<TaskId, OperationError> {
    let id = TaskId::from_u128(context.services.fresh_id());
    let live_run = record.run.filter(|run| is_live(&context.services, *run));
    let copy = |run: Option<RunId>| {
        let spec = Arc::new(copied_spec(context, record, run));
        let tasks = vec![NewTask {
            id,
            spec,
            needs: Vec::new(),
        }];
        Command::SubmitTasks {
            run,
            tasks,
            idempotency: context.idempotency(),
        }
    };
    let mut proposed = context.propose(copy(live_run)).await;
    let run_ended = |error: &OperationError| {
        matches!(
            error.code(),
            ErrorCode::AlreadyFinal | ErrorCode::RunStateConflict | ErrorCode::RunNotFound
        )
    };
    if live_run.is_some() && proposed.as_ref().is_err_and(run_ended) {
        proposed = context.propose(copy(None)).await;
    }
    let entry = proposed?;
    Ok(super::submit::made(&entry).1.first().copied().unwrap_or(id))
}

fn is_live(services: &Services, run: RunId) -> bool {
    services.hive.view().state.run(run).is_some()
}

/// The specification of the copy. Its dependencies are final already, so it starts at once.
fn copied_spec(context: &Context, record: &TaskRecord, run: Option<RunId>) -> TaskSpec {
    let mut spec = TaskSpec::clone(&record.spec);
    spec.condition = Condition::Success;
    spec.deadline = spec
        .deadline
        .filter(|deadline| *deadline > context.services.now());
    if run.is_some() {
        spec.name = copied_name(&spec.name, record.id);
    }
    spec.compensate = spec.compensate.filter(|_| run.is_some()).map(|compensate| {
        let task = TaskId::from_u128(context.services.fresh_id());
        Box::new(Compensation {
            task,
            work: compensate.work,
        })
    });
    spec.trace_parent.clone_from(&context.trace_parent);
    spec
}

/// Names are unique in a run: the copy's says what it is a copy of.
fn copied_name(name: &str, task: TaskId) -> String {
    const MARK: &str = "~retry-";
    const ID_CHARACTERS: usize = 8;
    let stem = name.split(MARK).next().unwrap_or(name);
    let id = task.to_string();
    let id = &id[id.len() - ID_CHARACTERS..];
    let room = limits::NAME_LENGTH_MAX - MARK.len() - ID_CHARACTERS;
    let stem: String = stem.chars().take(room).collect();
    format!("{stem}{MARK}{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_copy_says_of_what_and_stays_in_bounds() {
        let task = TaskId::from_u128(7);
        assert_eq!(copied_name("build", task), "build~retry-00000007");
        assert_eq!(
            copied_name("build~retry-abcdefgh", task),
            "build~retry-00000007"
        );
        let long = "ä".repeat(limits::NAME_LENGTH_MAX);
        assert_eq!(
            copied_name(&long, task).chars().count(),
            limits::NAME_LENGTH_MAX
        );
    }
}

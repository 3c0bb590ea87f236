//! Operations on runs.

mod read;
mod submit;

use crate::context::Context;
use crate::declare::{READ, WRITE, act, read, submit};
use crate::error::OperationError;
use crate::lookup;
use crate::operation::{Cost, Operation};
use crate::permission::{Permission, TaskRule};
use crate::views::RunView;
use serde::Deserialize;
use skep_model::command::Command;
use skep_model::ids::RunId;

pub(crate) fn operations() -> Vec<Operation> {
    const READ_OWN: Permission = READ.or_attempt(TaskRule::OwnRun);
    vec![
        submit("runs.submit", "/runs", WRITE, "Submits a plan.").takes(submit::submit),
        read(
            "runs.list",
            "/runs",
            READ,
            "Lists runs, live and final, newest first.",
        )
        .cost(Cost::Medium)
        .answers(read::list),
        read(
            "runs.get",
            "/runs/{id}",
            READ_OWN,
            "Shows a run with its tasks and artifacts.",
        )
        .cost(Cost::Medium)
        .answers(read::get),
        read(
            "runs.tasks",
            "/runs/{id}/tasks",
            READ_OWN,
            "Lists the tasks of a run.",
        )
        .cost(Cost::Medium)
        .answers(read::tasks),
        read(
            "runs.artifacts",
            "/runs/{id}/artifacts",
            READ_OWN,
            "Lists what a run handed in.",
        )
        .cost(Cost::Medium)
        .answers(read::artifacts),
        act(
            "runs.cancel",
            "/runs/{id}/cancel",
            WRITE,
            "Cancels all tasks of a run.",
        )
        .answers(|context, path: RunPath| change(context, path, Command::CancelRun)),
        act(
            "runs.pause",
            "/runs/{id}/pause",
            WRITE,
            "Grants nothing new to a run.",
        )
        .answers(|context, path: RunPath| change(context, path, Command::PauseRun)),
        act(
            "runs.resume",
            "/runs/{id}/resume",
            WRITE,
            "Lets a run go on.",
        )
        .answers(|context, path: RunPath| change(context, path, Command::ResumeRun)),
    ]
}

/// Names a run.
#[derive(Debug, Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct RunPath {
    /// The run.
    id: RunId,
}

async fn change(
    context: Context,
    path: RunPath,
    command: fn(RunId) -> Command,
) -> Result<RunView, OperationError> {
    context.propose(command(path.id)).await?;
    let run = lookup::known_run(&context.services, path.id).await?;
    Ok(RunView::from(&*run))
}

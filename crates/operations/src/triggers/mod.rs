//! Operations on triggers: plans that are submitted when something happens.

mod create;
mod view;

use crate::context::Context;
use crate::declare::{READ, WRITE, act, end, read, submit};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::operation::{Operation, Repetition};
use crate::views::Page;
use serde::{Deserialize, Serialize};
use skep_model::command::Command;
use skep_model::ids::TriggerId;
use skep_model::trigger::TriggerRecord;
use view::{TriggerDetail, TriggerView};

pub(crate) fn operations() -> Vec<Operation> {
    const SHOW: &str = "show the trigger of that name: it is there if the first request made it";
    vec![
        submit(
            "triggers.create",
            "/triggers",
            WRITE,
            "Makes a trigger: a plan that is submitted when a task or run ends, an entry of shared \
             memory changes, or a machine or an agent comes or goes.",
        )
        .repetition(Repetition::Acts(SHOW))
        .takes(create::create),
        read(
            "triggers.list",
            "/triggers",
            READ,
            "Lists the triggers, the oldest first.",
        )
        .answers_at_once(list),
        read(
            "triggers.get",
            "/triggers/{id}",
            READ,
            "Shows a trigger, what came of the newest event, and the events that wait.",
        )
        .answers_at_once(get),
        act(
            "triggers.pause",
            "/triggers/{id}/pause",
            WRITE,
            "Holds a trigger: it watches nothing, events that wait go on waiting, and runs that it \
             began go on.",
        )
        .answers(pause),
        act(
            "triggers.resume",
            "/triggers/{id}/resume",
            WRITE,
            "Lets a trigger watch again; what happened meanwhile does not count.",
        )
        .answers(resume),
        end(
            "triggers.delete",
            "/triggers/{id}",
            WRITE,
            "Forgets a trigger and the events that wait; runs that it began go on.",
        )
        .answers(delete),
    ]
}

/// Names a trigger.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct TriggerPath {
    /// Its id or its name.
    id: String,
}

/// The trigger of this id or name.
fn known(context: &Context, named: &str) -> Result<TriggerRecord, OperationError> {
    let view = context.services.hive.view();
    let found = match named.parse::<TriggerId>() {
        Ok(id) => view.state.trigger(id),
        Err(_) => view.state.trigger_named(named),
    };
    found.cloned().ok_or_else(|| {
        let detail = format!("no trigger has the id or name `{named}`");
        OperationError::new(ErrorCode::TriggerNotFound, detail)
    })
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers have this form")]
fn list(context: &Context, _: &NoParameters) -> Result<Page<TriggerView>, OperationError> {
    let view = context.services.hive.view();
    Ok(Page {
        items: view.state.triggers().map(TriggerView::from).collect(),
        next_cursor: None,
    })
}

fn get(context: &Context, path: &TriggerPath) -> Result<TriggerDetail, OperationError> {
    let record = known(context, &path.id)?;
    Ok(TriggerDetail::of(&record))
}

async fn pause(context: Context, path: TriggerPath) -> Result<TriggerDetail, OperationError> {
    let id = known(&context, &path.id)?.id;
    context.propose(Command::PauseTrigger(id)).await?;
    get(&context, &named(id))
}

async fn resume(context: Context, path: TriggerPath) -> Result<TriggerDetail, OperationError> {
    let id = known(&context, &path.id)?.id;
    context.propose(Command::ResumeTrigger(id)).await?;
    get(&context, &named(id))
}

fn named(id: TriggerId) -> TriggerPath {
    TriggerPath { id: id.to_string() }
}

/// What was forgotten.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct DeletedTrigger {
    /// The trigger.
    deleted: TriggerId,
    /// Its name.
    name: String,
}

async fn delete(context: Context, path: TriggerPath) -> Result<DeletedTrigger, OperationError> {
    let record = known(&context, &path.id)?;
    context.propose(Command::DeleteTrigger(record.id)).await?;
    Ok(DeletedTrigger {
        deleted: record.id,
        name: record.spec.name,
    })
}

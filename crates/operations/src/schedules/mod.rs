//! Operations on schedules: plans that are submitted again and again.

mod calendar;
mod create;
mod view;

pub use calendar::SystemCalendar;

use crate::context::Context;
use crate::declare::{READ, WRITE, act, end, read, submit};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::lookup;
use crate::operation::{Operation, Repetition};
use crate::tasks::submit::made;
use crate::views::{Page, RunView};
use serde::{Deserialize, Serialize};
use skep_coordinator::ports::Calendar;
use skep_model::command::Command;
use skep_model::ids::{RunId, ScheduleId, TaskId};
use skep_model::schedule::{Firing, ScheduleRecord};
use view::{ScheduleDetail, ScheduleView};

pub(crate) fn operations() -> Vec<Operation> {
    const SHOW: &str = "show the schedule of that name: it is there if the first request made it";
    vec![
        submit(
            "schedules.create",
            "/schedules",
            WRITE,
            "Makes a schedule: a plan that is submitted at the times of a cron expression, or \
             again and again after a span.",
        )
        .repetition(Repetition::Acts(SHOW))
        .takes(create::create),
        read(
            "schedules.list",
            "/schedules",
            READ,
            "Lists the schedules, the oldest first.",
        )
        .answers_at_once(list),
        read(
            "schedules.get",
            "/schedules/{id}",
            READ,
            "Shows a schedule, what came of it last, and its next due times.",
        )
        .answers_at_once(get),
        act(
            "schedules.pause",
            "/schedules/{id}/pause",
            WRITE,
            "Holds a schedule; runs that it began go on.",
        )
        .answers(pause),
        act(
            "schedules.resume",
            "/schedules/{id}/resume",
            WRITE,
            "Lets a schedule go on with the next due time; what was due meanwhile is left out.",
        )
        .answers(resume),
        submit(
            "schedules.fire",
            "/schedules/{id}/fire",
            WRITE,
            "Submits at once what a schedule submits, whatever else is live; its due times stay.",
        )
        .takes(fire),
        end(
            "schedules.delete",
            "/schedules/{id}",
            WRITE,
            "Forgets a schedule; runs that it began go on.",
        )
        .answers(delete),
    ]
}

/// Names a schedule.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct SchedulePath {
    /// Its id or its name.
    id: String,
}

/// The schedule of this id or name.
fn known(context: &Context, named: &str) -> Result<ScheduleRecord, OperationError> {
    let view = context.services.hive.view();
    let found = match named.parse::<ScheduleId>() {
        Ok(id) => view.state.schedule(id),
        Err(_) => view.state.schedule_named(named),
    };
    found.cloned().ok_or_else(|| {
        let detail = format!("no schedule has the id or name `{named}`");
        OperationError::new(ErrorCode::ScheduleNotFound, detail)
    })
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers have this form")]
fn list(context: &Context, _: &NoParameters) -> Result<Page<ScheduleView>, OperationError> {
    let view = context.services.hive.view();
    Ok(Page {
        items: view.state.schedules().map(ScheduleView::from).collect(),
        next_cursor: None,
    })
}

fn get(context: &Context, path: &SchedulePath) -> Result<ScheduleDetail, OperationError> {
    let record = known(context, &path.id)?;
    Ok(ScheduleDetail::of(&record))
}

async fn pause(context: Context, path: SchedulePath) -> Result<ScheduleDetail, OperationError> {
    let id = known(&context, &path.id)?.id;
    context.propose(Command::PauseSchedule(id)).await?;
    get(&context, &named(id))
}

async fn resume(context: Context, path: SchedulePath) -> Result<ScheduleDetail, OperationError> {
    let record = known(&context, &path.id)?;
    let schedule = record.id;
    let now = context.services.now();
    let anchor = record.next.unwrap_or(now);
    let next = SystemCalendar.next(&record.spec.timing, anchor, now);
    if next.is_none() {
        return Err(create::never(&record.spec.timing));
    }
    context
        .propose(Command::ResumeSchedule { schedule, next })
        .await?;
    get(&context, &named(schedule))
}

fn named(id: ScheduleId) -> SchedulePath {
    SchedulePath { id: id.to_string() }
}

/// What was forgotten.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Deleted {
    /// The schedule.
    deleted: ScheduleId,
    /// Its name.
    name: String,
}

async fn delete(context: Context, path: SchedulePath) -> Result<Deleted, OperationError> {
    let record = known(&context, &path.id)?;
    context.propose(Command::DeleteSchedule(record.id)).await?;
    Ok(Deleted {
        deleted: record.id,
        name: record.spec.name,
    })
}

/// The run that was asked for.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Fired {
    /// The schedule.
    schedule: ScheduleId,
    /// The run.
    run: RunView,
}

/// There is nothing to say about a run that is asked for.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NothingMore {}

async fn fire(
    context: Context,
    path: SchedulePath,
    _: NothingMore,
) -> Result<Fired, OperationError> {
    let record = known(&context, &path.id)?;
    let services = &context.services;
    let ids = services.fresh_ids(record.spec.template.ids as usize);
    let run = RunId::from_u128(services.fresh_id());
    let command = Command::FireSchedule(Box::new(Firing {
        schedule: record.id,
        due: None,
        next: None,
        run,
        tasks: ids.into_iter().map(TaskId::from_u128).collect(),
        idempotency: context.idempotency(),
    }));
    let entry = context.propose(command).await?;
    let made = made(&entry)
        .0
        .ok_or_else(|| OperationError::new(ErrorCode::Internal, "the schedule made no run"))?;
    let record_of_run = lookup::known_run(&context.services, made).await?;
    Ok(Fired {
        schedule: record.id,
        run: RunView::from(&*record_of_run),
    })
}

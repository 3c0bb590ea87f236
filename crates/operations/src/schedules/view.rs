//! Schedules as callers see them.

use super::calendar::SystemCalendar;
use crate::rfc3339::Timestamp;
use serde::Serialize;
use skep_coordinator::ports::Calendar;
use skep_model::command::Actor;
use skep_model::ids::{RunId, ScheduleId};
use skep_model::run::RunState;
use skep_model::schedule::{FiringOutcome, LastFiring, Missed, Overlap, ScheduleRecord, Timing};

/// Due times that are shown.
const UPCOMING: usize = 5;

/// A schedule.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct ScheduleView {
    /// The schedule.
    id: ScheduleId,
    /// Its name.
    name: String,
    /// The cron expression, if it has one.
    cron: Option<String>,
    /// The time zone of the cron expression.
    zone: Option<String>,
    /// Seconds from one due time to the next, if it counts in spans.
    every_s: Option<u64>,
    /// What happens at a due time while an earlier run is live.
    overlap: Overlap,
    /// What happens to due times that passed while no coordinator ran.
    missed: Missed,
    /// Whether it is held.
    paused: bool,
    /// When it is due next; none while it is held, or when no due time is known.
    next_at: Option<Timestamp>,
    /// The due time that waits until no run of it is live.
    waiting_since: Option<Timestamp>,
    /// Its runs that are not final.
    live_runs: Vec<RunId>,
    /// Runs that it submitted.
    fired: u64,
    /// Due times for which nothing was submitted.
    skipped: u64,
    /// What came of the newest due time.
    last: Option<FiringView>,
    /// When it was made.
    created_at: Timestamp,
    /// Who made it.
    created_by: Actor,
    /// Name of the runs.
    plan: String,
    /// Tasks of each run.
    tasks: usize,
}

/// What came of a due time, or of somebody's wish.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
struct FiringView {
    /// The due time; none when somebody asked for the run.
    due_at: Option<Timestamp>,
    /// When it was acted on.
    at: Timestamp,
    /// What came of it.
    outcome: OutcomeView,
    /// The run that was submitted.
    run: Option<RunId>,
    /// How that run ended; none while it is live.
    ended: Option<RunState>,
    /// Why nothing was submitted.
    reason: Option<String>,
}

/// What came of a due time.
#[derive(Debug, Clone, Copy, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OutcomeView {
    /// A run was submitted.
    Submitted,
    /// It waits until no run of the schedule is live.
    Waits,
    /// Nothing was submitted.
    Skipped,
}

impl From<&LastFiring> for FiringView {
    fn from(last: &LastFiring) -> Self {
        let (outcome, run, ended, reason) = match &last.outcome {
            FiringOutcome::Run { run, ended } => (OutcomeView::Submitted, Some(*run), *ended, None),
            FiringOutcome::Waits => (OutcomeView::Waits, None, None, None),
            FiringOutcome::Skipped(reason) => {
                (OutcomeView::Skipped, None, None, Some(reason.to_string()))
            }
        };
        Self {
            due_at: last.due.map(Timestamp),
            at: last.at.into(),
            outcome,
            run,
            ended,
            reason,
        }
    }
}

impl From<&ScheduleRecord> for ScheduleView {
    fn from(record: &ScheduleRecord) -> Self {
        let (cron, zone, every_s) = match &record.spec.timing {
            Timing::Cron { expression, zone } => {
                (Some(expression.clone()), Some(zone.clone()), None)
            }
            Timing::Every { every_ms } => (None, None, Some(every_ms / 1_000)),
        };
        let template = &record.spec.template;
        Self {
            id: record.id,
            name: record.spec.name.clone(),
            cron,
            zone,
            every_s,
            overlap: record.spec.overlap,
            missed: record.spec.missed,
            paused: record.paused,
            next_at: record.next.filter(|_| !record.paused).map(Timestamp),
            waiting_since: record.waiting.map(Timestamp),
            live_runs: record.live.iter().copied().collect(),
            fired: record.fired,
            skipped: record.skipped,
            last: record.last.as_ref().map(FiringView::from),
            created_at: record.created_at.into(),
            created_by: record.created_by,
            plan: template.run.name.clone(),
            tasks: template.tasks.len(),
        }
    }
}

/// A schedule with its next due times.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct ScheduleDetail {
    /// The schedule.
    #[serde(flatten)]
    schedule: ScheduleView,
    /// Its next due times, at most five; none while it is held.
    upcoming: Vec<Timestamp>,
}

impl ScheduleDetail {
    pub(super) fn of(record: &ScheduleRecord) -> Self {
        let first = record.next.filter(|_| !record.paused);
        let timing = &record.spec.timing;
        let due = std::iter::successors(first, |due| SystemCalendar.next(timing, *due, *due));
        Self {
            schedule: record.into(),
            upcoming: due.take(UPCOMING).map(Timestamp).collect(),
        }
    }
}

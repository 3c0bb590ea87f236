//! Schedules: what is submitted again and again, and when.

mod cron;
mod due;

pub use cron::{Cron, CronError, LocalMinute};
pub use due::{Utc, Zone, next_due};

use crate::command::{Actor, Idempotency};
use crate::ids::{RunId, ScheduleId, TaskId};
use crate::limits::SCHEDULE_GRACE_MS;
use crate::refusal::Refusal;
use crate::run::RunState;
use crate::template::Template;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// When a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// At the local minutes that a cron expression means.
    Cron {
        /// Five fields, or one of the words such as `@daily`; see [`Cron`].
        expression: String,
        /// The time zone by its IANA name, or `UTC`.
        zone: String,
    },
    /// Again and again after so many milliseconds, `SCHEDULE_INTERVAL_MS_MIN` to
    /// `SCHEDULE_INTERVAL_MS_MAX`, counted from one due time to the next.
    Every {
        /// How many.
        every_ms: u64,
    },
}

impl Timing {
    /// The first due time after `after` of a schedule that counts in spans and is due at `due`,
    /// which may be ahead; none for a cron expression, which needs a time zone.
    pub fn next_in_spans(&self, due: UnixMillis, after: UnixMillis) -> Option<UnixMillis> {
        let Self::Every { every_ms } = self else {
            return None;
        };
        if due > after {
            return Some(due);
        }
        let every_ms = (*every_ms).max(1);
        let spans = after.since(due) / every_ms + 1;
        Some(due.plus(spans.saturating_mul(every_ms)))
    }
}

/// What happens at a due time while a run of the schedule is not final yet.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Nothing is submitted for this due time.
    #[default]
    Skip,
    /// One due time waits until no run of the schedule is live; further ones are skipped.
    Queue,
    /// The next run begins beside it, up to `SCHEDULE_RUNS_LIVE_MAX`.
    Allow,
}

/// What happens to due times that passed while no coordinator could act on them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// One run is submitted for all of them.
    #[default]
    Once,
    /// Nothing is submitted for one that is more than `SCHEDULE_GRACE_MS` late.
    None,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// Unique among schedules.
    pub name: String,
    /// When it is due.
    pub timing: Timing,
    /// What happens while an earlier run is live.
    pub overlap: Overlap,
    /// What happens to due times that passed unseen.
    pub missed: Missed,
    /// What it submits.
    pub template: Arc<Template>,
}

/// Why nothing was submitted for a due time. New values are only ever appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// A run of the schedule was live, and it is to be skipped then.
    StillRunning,
    /// A run of the schedule was live, and another due time waited already.
    AlreadyWaiting,
    /// `SCHEDULE_RUNS_LIVE_MAX` runs of the schedule were live.
    TooManyLive,
    /// It passed while no coordinator could act on it.
    Missed,
    /// The submission was refused.
    Refused(Refusal),
}

impl std::fmt::Display for SkipReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StillRunning => f.write_str("an earlier run was not final yet"),
            Self::AlreadyWaiting => f.write_str("another due time waited for a run to end already"),
            Self::TooManyLive => f.write_str("SCHEDULE_RUNS_LIVE_MAX runs of it were live"),
            Self::Missed => write!(
                f,
                "it was acted on more than {SCHEDULE_GRACE_MS} ms late (SCHEDULE_GRACE_MS)"
            ),
            Self::Refused(reason) => write!(f, "the submission was refused: {reason}"),
        }
    }
}

/// What became of the newest due time, or of the newest request to run at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFiring {
    /// The due time; none when somebody asked for it.
    pub due: Option<UnixMillis>,
    /// When it was acted on.
    pub at: UnixMillis,
    /// What came of it.
    pub outcome: FiringOutcome,
}

/// What came of a due time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FiringOutcome {
    /// A run was submitted.
    Run {
        /// The run.
        run: RunId,
        /// How it ended; none while it is live.
        ended: Option<RunState>,
    },
    /// It waits until no run of the schedule is live.
    Waits,
    /// Nothing was submitted.
    Skipped(SkipReason),
}

/// A due time to act on, or a run that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The due time; none when somebody asks for a run at once, whatever else is live.
    pub due: Option<UnixMillis>,
    /// The due time after it; it counts only if `due` is the next one.
    pub next: Option<UnixMillis>,
    /// Stamped.
    pub run: RunId,
    /// Stamped, in the place of the ids of the template.
    pub tasks: Vec<TaskId>,
    /// See [`Idempotency`]; only for a run that was asked for.
    pub idempotency: Option<Idempotency>,
}

/// A schedule that was made, as its event tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedSchedule {
    /// The schedule.
    pub schedule: ScheduleId,
    /// Its name.
    pub name: String,
    /// When it is due first.
    pub next: Option<UnixMillis>,
}

/// A schedule that is held or goes on, as its event tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedSchedule {
    /// The schedule.
    pub schedule: ScheduleId,
    /// Whether it is held.
    pub paused: bool,
    /// When it is due next, unless it is held.
    pub next: Option<UnixMillis>,
}

/// A run that a schedule submitted, as its event tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiredRun {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The due time; none when somebody asked for it.
    pub due: Option<UnixMillis>,
    /// The run.
    pub run: RunId,
    /// When it is due next.
    pub next: Option<UnixMillis>,
}

/// A due time that waits, as its event tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingDue {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The due time.
    pub due: UnixMillis,
    /// When it is due next.
    pub next: Option<UnixMillis>,
}

/// A due time for which nothing was submitted, as its event tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedDue {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The due time.
    pub due: UnixMillis,
    /// Why.
    pub reason: SkipReason,
    /// When it is due next.
    pub next: Option<UnixMillis>,
}

/// A schedule, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRecord {
    /// The schedule.
    pub id: ScheduleId,
    /// What was asked for.
    pub spec: ScheduleSpec,
    /// When it entered the log.
    pub created_at: UnixMillis,
    /// Who made it.
    pub created_by: Actor,
    /// Whether it is held.
    pub paused: bool,
    /// When it is due next; none when no due time is known any more.
    pub next: Option<UnixMillis>,
    /// The due time that waits until no run of the schedule is live.
    pub waiting: Option<UnixMillis>,
    /// Its runs that are not final.
    pub live: BTreeSet<RunId>,
    /// Runs that were submitted.
    pub fired: u64,
    /// Due times for which nothing was submitted.
    pub skipped: u64,
    /// The newest of them.
    pub last: Option<LastFiring>,
}

impl ScheduleRecord {
    /// The due time that is to be acted on next; none while it is held.
    pub fn next_firing(&self) -> Option<UnixMillis> {
        if self.paused {
            return None;
        }
        match self.waiting {
            Some(waiting) if self.live.is_empty() => Some(waiting),
            _ => self.next,
        }
    }
}

#[cfg(test)]
mod tests;

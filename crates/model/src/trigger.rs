//! Triggers: what is submitted when something happens.

mod glob;
mod happened;
mod text;
mod watch;

pub use glob::Glob;
pub use happened::{
    AgentChange, EntryChange, Happened, Occurrence, Subject, TRIGGER_LABELS, TRIGGER_VARIABLES,
};
pub use watch::{AgentWatch, MemoryWatch, NodeWatch, RunWatch, TaskWatch, Watch, WatchError};

use crate::command::Actor;
use crate::event::EventCursor;
use crate::ids::{RunId, TaskId, TriggerId};
use crate::limits::{
    TRIGGER_DEPTH_MAX, TRIGGER_FIRINGS_PER_MINUTE_MAX, TRIGGER_PENDING_MAX, TRIGGER_RUNS_LIVE_MAX,
};
use crate::refusal::Refusal;
use crate::run::RunState;
use crate::template::Template;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerSpec {
    /// Unique among triggers.
    pub name: String,
    /// What it waits for, at least one and at most `TRIGGER_WATCHES_MAX`. An event that several of
    /// them admit counts once.
    pub watches: Vec<Watch>,
    /// Milliseconds after an event that counted, in which none counts; 0 for none.
    pub cooldown_ms: u64,
    /// How many events count in all; any number without.
    pub firings_max: Option<u32>,
    /// What it submits for each.
    pub template: Arc<Template>,
}

/// Why nothing was submitted for an event that matched. New values are only ever appended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotCounted {
    /// Triggers led to it over too many steps.
    TooDeep,
    /// The time after the event before was not over.
    CoolingDown,
    /// Too many counted in this minute.
    TooOften,
    /// Too many waited already.
    TooManyWaiting,
}

impl std::fmt::Display for NotCounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooDeep => write!(
                f,
                "triggers led to it over more than {TRIGGER_DEPTH_MAX} steps (TRIGGER_DEPTH_MAX)"
            ),
            Self::CoolingDown => f.write_str("the cool-down of the trigger was not over"),
            Self::TooOften => write!(
                f,
                "{TRIGGER_FIRINGS_PER_MINUTE_MAX} events counted within a minute \
                 (TRIGGER_FIRINGS_PER_MINUTE_MAX)"
            ),
            Self::TooManyWaiting => write!(
                f,
                "{TRIGGER_PENDING_MAX} events waited already (TRIGGER_PENDING_MAX)"
            ),
        }
    }
}

/// What came of the newest event that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastMatch {
    /// The event.
    pub cause: EventCursor,
    /// When this came of it.
    pub at: UnixMillis,
    /// What came of it.
    pub outcome: MatchOutcome,
}

/// What came of an event that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MatchOutcome {
    /// It waits for its run to be submitted.
    Waits,
    /// A run was submitted.
    Run {
        /// The run.
        run: RunId,
        /// How it ended; none while it is live.
        ended: Option<RunState>,
    },
    /// It did not count.
    Skipped(NotCounted),
    /// The submission was refused.
    Refused(Refusal),
}

/// An event that waits, and the ids of what is submitted for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerFiring {
    /// The trigger.
    pub trigger: TriggerId,
    /// The event; it has to be the one that waits longest.
    pub cause: EventCursor,
    /// Stamped.
    pub run: RunId,
    /// Stamped, in the place of the ids of the template.
    pub tasks: Vec<TaskId>,
}

/// A trigger that was made, as its event tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedTrigger {
    /// The trigger.
    pub trigger: TriggerId,
    /// Its name.
    pub name: String,
}

/// A trigger that is held or watches again, as its event tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedTrigger {
    /// The trigger.
    pub trigger: TriggerId,
    /// Whether it is held.
    pub paused: bool,
}

/// A trigger that was forgotten, as its event tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedTrigger {
    /// The trigger.
    pub trigger: TriggerId,
    /// Events that waited, for which no run will be submitted.
    pub unfired: u32,
}

/// An event that counts, as its own event tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchedEvent {
    /// The trigger.
    pub trigger: TriggerId,
    /// The event.
    pub cause: EventCursor,
    /// How many more may count; any number without. At 0 the trigger watches nothing any more.
    pub left: Option<u32>,
}

/// A run that a trigger submitted, as its event tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggeredRun {
    /// The trigger.
    pub trigger: TriggerId,
    /// What it was submitted for.
    pub cause: EventCursor,
    /// The run.
    pub run: RunId,
}

/// Events of one log entry that matched and do not count, as their event tells of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedEvents {
    /// The trigger.
    pub trigger: TriggerId,
    /// Why.
    pub reason: NotCounted,
    /// How many.
    pub count: u32,
    /// The first of them.
    pub first: EventCursor,
    /// The last of them.
    pub last: EventCursor,
}

/// An event that counted, and for which nothing could be submitted, as its event tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedFiring {
    /// The trigger.
    pub trigger: TriggerId,
    /// The event.
    pub cause: EventCursor,
    /// Why.
    pub reason: Refusal,
}

/// A trigger, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerRecord {
    /// The trigger.
    pub id: TriggerId,
    /// What was asked for.
    pub spec: TriggerSpec,
    /// When it entered the log.
    pub created_at: UnixMillis,
    /// Who made it.
    pub created_by: Actor,
    /// Whether it is held.
    pub paused: bool,
    /// Events that wait for their runs, the oldest first; at most `TRIGGER_PENDING_MAX`.
    pub pending: VecDeque<Occurrence>,
    /// Its runs that are not final, with the depth of what led to them.
    pub live: BTreeMap<RunId, u8>,
    /// Events that counted.
    pub matched: u64,
    /// Runs that were submitted.
    pub fired: u64,
    /// Events that matched and for which nothing was submitted.
    pub skipped: u64,
    /// When the newest event counted.
    pub matched_at: Option<UnixMillis>,
    /// When the minute began in which events are counted, and how many there were.
    pub minute: (UnixMillis, u32),
    /// The newest event that matched.
    pub last: Option<LastMatch>,
}

impl TriggerRecord {
    /// How many more events may count; any number without.
    pub fn left(&self) -> Option<u32> {
        let max = self.spec.firings_max?;
        Some(max.saturating_sub(u32::try_from(self.matched).unwrap_or(u32::MAX)))
    }

    /// Whether it looks at what happens.
    pub fn is_watching(&self) -> bool {
        !self.paused && self.left() != Some(0)
    }

    /// The event for which a run is to be submitted next; none while it is held, or while
    /// `TRIGGER_RUNS_LIVE_MAX` of its runs are live.
    pub fn next_firing(&self) -> Option<&Occurrence> {
        if self.paused || self.live.len() >= TRIGGER_RUNS_LIVE_MAX {
            return None;
        }
        self.pending.front()
    }
}

#[cfg(test)]
mod tests;

//! Triggers as callers see them.

use crate::rfc3339::Timestamp;
use serde::Serialize;
use skep_model::command::Actor;
use skep_model::ids::{RunId, TriggerId};
use skep_model::run::RunState;
use skep_model::trigger::{Happened, LastMatch, MatchOutcome, Occurrence, Subject, TriggerRecord};

/// A trigger.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct TriggerView {
    /// The trigger.
    id: TriggerId,
    /// Its name.
    name: String,
    /// What it waits for.
    on: Vec<String>,
    /// Seconds after an event that counted in which none counts.
    cooldown_s: u64,
    /// How many events count in all; any number without.
    firings_max: Option<u32>,
    /// How many more count; at 0 it watches nothing any more.
    firings_left: Option<u32>,
    /// Whether it is held.
    paused: bool,
    /// Events that wait for their runs.
    waiting: usize,
    /// Its runs that are not final.
    live_runs: Vec<RunId>,
    /// Events that counted.
    matched: u64,
    /// Runs that it submitted.
    fired: u64,
    /// Events that matched and for which nothing was submitted.
    skipped: u64,
    /// What came of the newest event that matched.
    last: Option<LastMatchView>,
    /// When it was made.
    created_at: Timestamp,
    /// Who made it.
    created_by: Actor,
    /// Name of the runs.
    plan: String,
    /// Tasks of each run.
    tasks: usize,
}

/// What came of an event that matched.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
struct LastMatchView {
    /// The event: its place in the stream.
    event: String,
    /// When this came of it.
    at: Timestamp,
    /// What came of it.
    outcome: MatchOutcomeView,
    /// The run that was submitted.
    run: Option<RunId>,
    /// How that run ended; none while it is live.
    ended: Option<RunState>,
    /// Why nothing was submitted.
    reason: Option<String>,
}

/// What came of an event that matched.
#[derive(Debug, Clone, Copy, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum MatchOutcomeView {
    /// A run was submitted.
    Submitted,
    /// It waits for its run to be submitted.
    Waits,
    /// Nothing was submitted.
    Skipped,
}

impl From<&LastMatch> for LastMatchView {
    fn from(last: &LastMatch) -> Self {
        let (outcome, run, ended, reason) = match &last.outcome {
            MatchOutcome::Run { run, ended } => {
                (MatchOutcomeView::Submitted, Some(*run), *ended, None)
            }
            MatchOutcome::Waits => (MatchOutcomeView::Waits, None, None, None),
            MatchOutcome::Skipped(reason) => {
                let reason = Some(reason.to_string());
                (MatchOutcomeView::Skipped, None, None, reason)
            }
            MatchOutcome::Refused(reason) => {
                let reason = Some(format!("the submission was refused: {reason}"));
                (MatchOutcomeView::Skipped, None, None, reason)
            }
        };
        Self {
            event: last.cause.to_string(),
            at: last.at.into(),
            outcome,
            run,
            ended,
            reason,
        }
    }
}

impl From<&TriggerRecord> for TriggerView {
    fn from(record: &TriggerRecord) -> Self {
        let spec = &record.spec;
        Self {
            id: record.id,
            name: spec.name.clone(),
            on: spec.watches.iter().map(ToString::to_string).collect(),
            cooldown_s: spec.cooldown_ms / 1_000,
            firings_max: spec.firings_max,
            firings_left: record.left(),
            paused: record.paused,
            waiting: record.pending.len(),
            live_runs: record.live.keys().copied().collect(),
            matched: record.matched,
            fired: record.fired,
            skipped: record.skipped,
            last: record.last.as_ref().map(LastMatchView::from),
            created_at: record.created_at.into(),
            created_by: record.created_by,
            plan: spec.template.run.name.clone(),
            tasks: spec.template.tasks.len(),
        }
    }
}

/// An event that waits.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
struct WaitingView {
    /// The event: its place in the stream.
    event: String,
    /// When it happened.
    at: Timestamp,
    /// What it is about.
    subject: Subject,
    /// What became of it.
    change: String,
    /// Its name; an entry of shared memory has none.
    name: Option<String>,
    /// The namespace of an entry of shared memory.
    namespace: Option<String>,
    /// The key of an entry of shared memory.
    key: Option<String>,
}

impl From<&Occurrence> for WaitingView {
    fn from(waiting: &Occurrence) -> Self {
        let happened = &waiting.happened;
        let (namespace, key) = match happened {
            Happened::Memory { namespace, key, .. } => {
                (Some(namespace.to_string()), Some(key.to_string()))
            }
            _ => (None, None),
        };
        Self {
            event: waiting.cause.to_string(),
            at: waiting.at.into(),
            subject: happened.subject(),
            change: happened.change().to_owned(),
            name: happened.name().map(str::to_owned),
            namespace,
            key,
        }
    }
}

/// A trigger with the events that wait.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct TriggerDetail {
    /// The trigger.
    #[serde(flatten)]
    trigger: TriggerView,
    /// Events that wait for their runs, the oldest first; at most `TRIGGER_PENDING_MAX`.
    pending: Vec<WaitingView>,
}

impl TriggerDetail {
    pub(super) fn of(record: &TriggerRecord) -> Self {
        Self {
            trigger: record.into(),
            pending: record.pending.iter().map(WaitingView::from).collect(),
        }
    }
}

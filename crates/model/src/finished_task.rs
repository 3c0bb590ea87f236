//! Tasks that are final.

use crate::attempt::{AttemptReport, FailureClass};
use crate::task::TaskRecord;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// Why a task is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinalCause {
    /// An accepted report.
    Reported,
    /// The attempts are used up; the last one ended so.
    AttemptsUsedUp,
    /// The retry policy does not retry this class of failure.
    NotRetried(FailureClass),
    /// Cancelled by request.
    CancelRequested,
    /// Its run was cancelled.
    RunCancelled,
    /// A dependency did not end as the condition wants.
    ConditionNotMet,
    /// The deadline passed.
    DeadlinePassed,
    /// An at-most-once attempt was lost.
    OutcomeNotLearned,
}

/// A task that is final, as it goes into history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedTask {
    /// The record as it stood, with the final state in `state`.
    pub record: TaskRecord,
    /// Why.
    pub cause: FinalCause,
    /// The report that was accepted or that ended the last attempt.
    pub report: Option<Box<AttemptReport>>,
    /// When.
    pub finished_at: UnixMillis,
}

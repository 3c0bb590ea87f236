//! Runs: one submitted task graph each.

use crate::ids::{RunId, TaskId};
use crate::task::{Compensation, TaskState};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Where a run stands. New values are only ever appended.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Has tasks that are not final.
    Running,
    /// Held by a person: running attempts go on, no new one is granted.
    Paused,
    /// Failed; its compensation tasks run.
    RollingBack,
    /// Final: no task failed, expired or is unknown, and it was not cancelled.
    Succeeded,
    /// Final: a task failed, expired or is unknown.
    Failed,
    /// Final: cancelled by request.
    Cancelled,
}

impl RunState {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Running,
        Self::Paused,
        Self::RollingBack,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether the run never changes again.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::RollingBack => "rolling_back",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was asked for, apart from the tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunSpec {
    /// Name of the plan.
    pub name: String,
    /// Free words for filters.
    pub labels: BTreeMap<String, String>,
    /// Share of the swarm relative to other runs; 1 to 100, 10 is usual.
    pub weight: u8,
    /// W3C traceparent of the submission.
    pub trace_parent: Option<String>,
    /// Placement strategy of its tasks; the swarm's own when this is left out.
    #[serde(default)]
    pub strategy: Option<String>,
}

/// How many tasks of a run stand where.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct TaskCounts {
    /// Waiting for dependencies or a retry.
    pub pending: u32,
    /// Waiting for an agent.
    pub ready: u32,
    /// Granted.
    pub leased: u32,
    /// Running.
    pub running: u32,
    /// In their gates.
    pub verifying: u32,
    /// Held.
    pub paused: u32,
    /// Succeeded.
    pub succeeded: u32,
    /// Failed.
    pub failed: u32,
    /// Cancelled.
    pub cancelled: u32,
    /// Expired.
    pub expired: u32,
    /// Unknown.
    pub unknown: u32,
}

impl TaskCounts {
    /// The number of tasks in this state.
    pub const fn of(&self, state: TaskState) -> u32 {
        match state {
            TaskState::Pending => self.pending,
            TaskState::Ready => self.ready,
            TaskState::Leased => self.leased,
            TaskState::Running => self.running,
            TaskState::Verifying => self.verifying,
            TaskState::Paused => self.paused,
            TaskState::Succeeded => self.succeeded,
            TaskState::Failed => self.failed,
            TaskState::Cancelled => self.cancelled,
            TaskState::Expired => self.expired,
            TaskState::Unknown => self.unknown,
        }
    }

    /// The counter of this state, to change it.
    pub const fn of_mut(&mut self, state: TaskState) -> &mut u32 {
        match state {
            TaskState::Pending => &mut self.pending,
            TaskState::Ready => &mut self.ready,
            TaskState::Leased => &mut self.leased,
            TaskState::Running => &mut self.running,
            TaskState::Verifying => &mut self.verifying,
            TaskState::Paused => &mut self.paused,
            TaskState::Succeeded => &mut self.succeeded,
            TaskState::Failed => &mut self.failed,
            TaskState::Cancelled => &mut self.cancelled,
            TaskState::Expired => &mut self.expired,
            TaskState::Unknown => &mut self.unknown,
        }
    }

    /// All tasks.
    pub fn total(&self) -> u32 {
        TaskState::ALL.into_iter().map(|state| self.of(state)).sum()
    }

    /// Tasks that are not final.
    pub fn live(&self) -> u32 {
        TaskState::ALL
            .into_iter()
            .filter(|state| !state.is_final())
            .map(|state| self.of(state))
            .sum()
    }

    /// Tasks that an agent holds.
    pub const fn held(&self) -> u32 {
        self.leased + self.running + self.verifying
    }
}

/// A run, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run.
    pub id: RunId,
    /// What was asked for.
    pub spec: Arc<RunSpec>,
    /// Where it stands.
    pub state: RunState,
    /// Its tasks by state.
    pub counts: TaskCounts,
    /// When it entered the log.
    pub submitted_at: UnixMillis,
    /// When it became final.
    pub finished_at: Option<UnixMillis>,
    /// Whether a person cancelled it.
    pub cancel_requested: bool,
    /// What undoes the tasks that succeeded, in the order of their success.
    pub compensations: Vec<CompensationDue>,
}

/// A compensation that becomes due if the run fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompensationDue {
    /// The task that succeeded.
    pub of: TaskId,
    /// Its specification's name.
    pub name: String,
    /// What undoes it.
    pub compensation: Box<Compensation>,
    /// Requirements and retry policy are those of the task.
    pub spec: Arc<crate::task::TaskSpec>,
}

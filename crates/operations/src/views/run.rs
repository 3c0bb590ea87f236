//! Runs as callers see them.

use super::task::{TaskView, log_location};
use crate::lookup::AnyTask;
use crate::rfc3339::Timestamp;
use serde::Serialize;
use skep_model::attempt::ArtifactHash;
use skep_model::ids::{NodeId, RunId, TaskId};
use skep_model::run::{RunRecord, RunState, TaskCounts};
use skep_model::task::TaskState;
use std::collections::BTreeMap;

/// A run.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct RunView {
    /// The run.
    pub id: RunId,
    /// Name of its plan.
    pub name: String,
    /// Where it stands.
    pub state: RunState,
    /// Its tasks by state.
    pub counts: TaskCounts,
    /// When it was taken in.
    pub started_at: Timestamp,
    /// When it became final.
    pub finished_at: Option<Timestamp>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Share of the swarm relative to other runs.
    pub weight: u8,
    /// Whether a person cancelled it.
    pub cancel_requested: bool,
}

impl From<&RunRecord> for RunView {
    fn from(record: &RunRecord) -> Self {
        Self {
            id: record.id,
            name: record.spec.name.clone(),
            state: record.state,
            counts: record.counts,
            started_at: record.submitted_at.into(),
            finished_at: record.finished_at.map(Timestamp),
            labels: record.spec.labels.clone(),
            weight: record.spec.weight,
            cancel_requested: record.cancel_requested,
        }
    }
}

/// A run with its tasks and artifacts.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct RunDetail {
    /// The run.
    pub run: RunView,
    /// Its tasks, in the order of submission.
    pub tasks: Vec<RunTask>,
    /// What they handed in.
    pub artifacts: Vec<ArtifactView>,
}

/// A task of a run.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct RunTask {
    /// The task.
    pub id: TaskId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: TaskState,
    /// Attempts granted so far.
    pub attempts: u32,
    /// Where it runs or ran last.
    pub node: Option<NodeId>,
    /// Exit code of the last attempt, if its command ended.
    pub exit_code: Option<i32>,
    /// How long the last attempt ran, milliseconds.
    pub duration_ms: Option<u64>,
    /// Why it is final, for people.
    pub reason: Option<String>,
    /// Where the log of the newest attempt is read.
    pub log: Option<String>,
}

impl From<&AnyTask> for RunTask {
    fn from(any: &AnyTask) -> Self {
        let view = TaskView::from(any);
        Self {
            id: view.id,
            name: view.name,
            state: view.state,
            attempts: view.attempts,
            node: view.node,
            exit_code: view.exit_code,
            duration_ms: view.duration_ms,
            reason: view.reason,
            log: log_location(any),
        }
    }
}

/// One file that a task handed in.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ArtifactView {
    /// Name of the task.
    pub task: String,
    /// The task.
    pub task_id: TaskId,
    /// Name of the pattern that took it.
    pub name: String,
    /// Path relative to the workspace.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Hash of the content; `/api/v2/artifacts/{blake3}` gives it.
    pub blake3: ArtifactHash,
    /// Whether the owner may execute it.
    pub executable: bool,
}

impl ArtifactView {
    /// The artifacts of a task; of a failed attempt too, as evidence.
    pub(crate) fn of(any: &AnyTask) -> impl Iterator<Item = Self> + '_ {
        let record = any.record();
        let artifacts = any
            .report()
            .map(|report| report.artifacts.as_slice())
            .unwrap_or_default();
        artifacts.iter().map(|artifact| Self {
            task: record.spec.name.clone(),
            task_id: record.id,
            name: artifact.name.clone(),
            path: artifact.path.clone(),
            bytes: artifact.bytes,
            blake3: artifact.blake3,
            executable: artifact.executable,
        })
    }
}

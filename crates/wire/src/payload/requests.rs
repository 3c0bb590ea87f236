//! What nodes ask a coordinator for while attempts run, and what it asks a node to give back.

use super::{AttemptKey, Capability};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use skep_model::attempt::{ArtifactRecord, GateReport};
use skep_model::ids::TaskId;
use skep_model::task::TaskState;
use std::collections::BTreeMap;

/// `mcpx.coordinate.dependency.resolve`: where the inputs of an attempt are, and whether the
/// tasks it needs are final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveRequest {
    /// The attempt that needs them.
    #[serde(flatten)]
    pub attempt: AttemptKey,
    /// Tasks of the same run; when empty, those whose artifacts the task takes as inputs.
    #[serde(default)]
    pub wanted: Vec<TaskId>,
}

/// Where one task stands, and what it handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedTask {
    /// The task.
    pub task: TaskId,
    /// Where it stands; none when the coordinator has no such task in this run.
    pub state: Option<TaskState>,
    /// What its accepted result handed in.
    #[serde(default)]
    pub artifacts: Vec<ArtifactRecord>,
}

/// The answer to [`ResolveRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResolveAnswer {
    /// One for each wanted task, in the order in which they were asked for, or in that of the
    /// inputs.
    pub items: Vec<ResolvedTask>,
}

/// `mcpx.coordinate.quality.gate`: the outcome of one gate of a running attempt as it happens, or
/// the question what the coordinator makes of a gate. The evidence that counts travels with the
/// result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRequest {
    /// The attempt.
    #[serde(flatten)]
    pub attempt: AttemptKey,
    /// What is told or asked.
    pub gate: GateMessage,
}

/// Told or asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateMessage {
    /// The gate ended on the node.
    Report(GateReport),
    /// How does the gate with this name stand?
    Evaluate(String),
}

/// How a gate stands at the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateStanding {
    /// It passed.
    Passed,
    /// It did not pass.
    Failed,
    /// Nothing was said about it yet.
    Open,
    /// The task has no such gate.
    Unknown,
    /// A standing that this version does not know.
    #[serde(other)]
    Other,
}

/// The answer to [`GateRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateAnswer {
    /// How the gate stands now.
    pub standing: GateStanding,
}

/// `mcpx.distribute.task.split`: tasks that a running attempt adds to its run. They have the form
/// of tasks in a plan, which the coordinator reads as it reads a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitRequest {
    /// The attempt that adds them.
    #[serde(flatten)]
    pub attempt: AttemptKey,
    /// The tasks by name.
    pub tasks: BTreeMap<String, Value>,
    /// Directory from which relative paths are seen; absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_dir: Option<String>,
}

/// The answer to [`SplitRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SplitAnswer {
    /// The added tasks by name.
    pub tasks: BTreeMap<String, TaskId>,
}

/// `mcpx.distribute.result.merge`: what the parts of divided work handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeRequest {
    /// The attempt that puts them together.
    #[serde(flatten)]
    pub attempt: AttemptKey,
    /// The parts, in the order in which they belong together; when empty, the tasks whose
    /// artifacts the task takes as inputs, in the order of its inputs.
    pub shards: Vec<TaskId>,
}

/// The answer to [`MergeRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MergeAnswer {
    /// Whether all parts succeeded.
    pub complete: bool,
    /// One for each part, in the order of the request, or of the inputs.
    pub shards: Vec<ResolvedTask>,
}

/// `mcpx.distribute.load.balance` from a coordinator: attempts to be given back that the node
/// holds and has not started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BalanceRequest {
    /// Those that are wanted; when empty, any.
    #[serde(default)]
    pub attempts: Vec<AttemptKey>,
    /// No more than this many.
    pub at_most: u32,
}

/// The answer to [`BalanceRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BalanceAnswer {
    /// What the node does not hold any more and never started.
    pub given_back: Vec<AttemptKey>,
}

/// `mcpx.distribute.load.balance` from a node: whether it has more than it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadNotice {
    /// Whether it wants no more for now.
    pub overloaded: bool,
    /// Attempts that it holds and has not started.
    #[serde(default)]
    pub waiting: u32,
}

/// A request of a node about one of its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeRequest {
    /// See [`ResolveRequest`].
    Resolve(ResolveRequest),
    /// See [`GateRequest`].
    Gate(GateRequest),
    /// See [`SplitRequest`].
    Split(SplitRequest),
    /// See [`MergeRequest`].
    Merge(MergeRequest),
}

impl NodeRequest {
    /// What a coordinator must offer to answer it.
    pub const fn capability(&self) -> Capability {
        match self {
            Self::Resolve(_) => Capability::DependencyResolve,
            Self::Gate(_) => Capability::QualityGate,
            Self::Split(_) => Capability::TaskSplit,
            Self::Merge(_) => Capability::ResultMerge,
        }
    }

    /// The attempt it is about.
    pub const fn attempt(&self) -> AttemptKey {
        match self {
            Self::Resolve(request) => request.attempt,
            Self::Gate(request) => request.attempt,
            Self::Split(request) => request.attempt,
            Self::Merge(request) => request.attempt,
        }
    }
}

/// The answer to a [`NodeRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeAnswer {
    /// To [`NodeRequest::Resolve`].
    Resolve(ResolveAnswer),
    /// To [`NodeRequest::Gate`].
    Gate(GateAnswer),
    /// To [`NodeRequest::Split`].
    Split(SplitAnswer),
    /// To [`NodeRequest::Merge`].
    Merge(MergeAnswer),
}

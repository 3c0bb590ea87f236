//! Tasks: what was asked for, where they stand, how they ended.

use crate::attempt::{FailureClass, Fence, GateReport, Outcome};
use crate::ids::{AgentId, InstanceId, NodeId, RunId, TaskId};
use crate::limits;
use crate::requirements::Requirements;
use crate::time::UnixMillis;
use crate::work::Work;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

pub use crate::finished_task::{FinalCause, FinishedTask};
pub use crate::task_state::{ParseTaskStateError, TaskState};

/// When a task runs, seen from the tasks it needs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// All of them succeeded.
    #[default]
    Success,
    /// At least one of them failed, expired or is unknown.
    Failure,
    /// All of them are final, however they ended.
    Always,
}

/// How often an attempt may be granted.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Again after a failure or a lost node, up to the attempt limit.
    #[default]
    AtLeastOnce,
    /// Once; a lost attempt ends the task as unknown.
    AtMostOnce,
}

/// Base priority and the reasons to raise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Priority {
    /// 1 to 10.
    pub base: u8,
    /// Raises by 3.
    pub critical: bool,
    /// Raises by 2.
    pub infinite_scale: bool,
    /// Raises by 1.
    pub high_roi: bool,
}

impl Default for Priority {
    fn default() -> Self {
        Self {
            base: limits::PRIORITY_DEFAULT,
            critical: false,
            infinite_scale: false,
            high_roi: false,
        }
    }
}

impl Priority {
    /// The priority before ageing: base and raises, at most 10. `dependencies_met` says that the
    /// task had dependencies and all of them are final (it raises by 1).
    pub fn effective(&self, dependencies_met: bool) -> u8 {
        let raised = self.base
            + 3 * u8::from(self.critical)
            + 2 * u8::from(self.infinite_scale)
            + u8::from(self.high_roi)
            + u8::from(dependencies_met);
        raised.clamp(limits::PRIORITY_MIN, limits::PRIORITY_MAX)
    }
}

/// When a failed attempt is followed by another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; 1 to `ATTEMPTS_MAX`.
    pub attempts_max: u32,
    /// Upper bound of the first delay; it doubles with each attempt. The delay itself is drawn
    /// evenly between 0 and the bound (full jitter).
    pub backoff_initial_ms: u64,
    /// Largest upper bound.
    pub backoff_max_ms: u64,
    /// Which failures are retried.
    pub on: Vec<FailureClass>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: limits::ATTEMPTS_DEFAULT,
            backoff_initial_ms: limits::BACKOFF_INITIAL_MS,
            backoff_max_ms: limits::BACKOFF_MAX_MS,
            on: vec![
                FailureClass::Exit,
                FailureClass::Gate,
                FailureClass::Timeout,
                FailureClass::Lost,
                FailureClass::Error,
            ],
        }
    }
}

/// What undoes a task's effects when its run fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Compensation {
    /// Id of the task that will do it; stamped with the submission.
    pub task: TaskId,
    /// What it does.
    pub work: Work,
}

/// What was asked for. Does not change after submission, but for priority and labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskSpec {
    /// Unique in its run.
    pub name: String,
    /// What an attempt does.
    pub work: Work,
    /// Which agents may run it.
    pub requirements: Requirements,
    /// How urgent it is.
    pub priority: Priority,
    /// When it runs, seen from its dependencies.
    pub condition: Condition,
    /// When it is tried again.
    pub retry: RetryPolicy,
    /// How often it may be granted.
    pub delivery: Delivery,
    /// It expires when not final by then.
    pub deadline: Option<UnixMillis>,
    /// Runs when the run fails after this task succeeded.
    pub compensate: Option<Box<Compensation>>,
    /// Free words for filters.
    pub labels: BTreeMap<String, String>,
    /// W3C traceparent of the submission, passed to the attempt.
    pub trace_parent: Option<String>,
}

impl TaskSpec {
    /// A task that does nothing, with all defaults.
    pub fn noop(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            work: Work::Noop,
            requirements: Requirements::default(),
            priority: Priority::default(),
            condition: Condition::default(),
            retry: RetryPolicy::default(),
            delivery: Delivery::default(),
            deadline: None,
            compensate: None,
            labels: BTreeMap::new(),
            trace_parent: None,
        }
    }
}

/// A task as it enters the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTask {
    /// Stamped by the operation.
    pub id: TaskId,
    /// What was asked for.
    pub spec: Arc<TaskSpec>,
    /// Tasks of the same submission, or live tasks of the same run.
    pub needs: Vec<TaskId>,
}

/// The current grant of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Lease {
    /// Who runs it.
    pub agent: AgentId,
    /// Where.
    pub node: NodeId,
    /// The process of the node at the time of the grant.
    pub instance: InstanceId,
    /// Proof of the grant.
    pub fence: Fence,
    /// When it was granted.
    pub granted_at: UnixMillis,
    /// When the node said that it started.
    pub started_at: Option<UnixMillis>,
    /// What its gates answered so far, as far as the node told, in the order of the answers.
    pub gates: Vec<GateReport>,
}

/// One attempt that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttemptSummary {
    /// Counted from 1.
    pub attempt: u32,
    /// Who ran it.
    pub agent: AgentId,
    /// Where.
    pub node: NodeId,
    /// Proof of the grant.
    pub fence: Fence,
    /// When it was granted.
    pub granted_at: UnixMillis,
    /// When its end was learned.
    pub ended_at: UnixMillis,
    /// How it ended.
    pub ended: AttemptEnd,
}

/// How an attempt ended, as the coordinator learned it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnd {
    /// The node reported it.
    Reported(Outcome),
    /// The node was lost, restarted or removed before it reported.
    Lost,
    /// The task became final by other means (cancelled, expired).
    Revoked,
    /// The node handed the grant back and never started it.
    NeverStarted(HandBack),
    /// It stood still on a parked node, and the task was given to another node.
    Moved,
}

/// Why a node hands a grant back that it never started. New values are only ever appended.
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
pub enum HandBack {
    /// All its slots are taken.
    NoSlot,
    /// It had no answer from the coordinator for too long to start anything.
    LeaseExpired,
    /// Too many of its results are unanswered.
    SpoolFull,
    /// It is about to stop.
    Stopping,
    /// An attached agent did not begin it in time.
    NotBegun,
    /// An attached agent does not want it.
    Declined,
}

impl HandBack {
    /// For people.
    pub const fn as_text(self) -> &'static str {
        match self {
            Self::NoSlot => "all slots of the node were taken",
            Self::LeaseExpired => "the node had no answer from the coordinator for too long",
            Self::SpoolFull => "too many results of the node were unanswered",
            Self::Stopping => "the node was about to stop",
            Self::NotBegun => "the attached agent did not begin it within CLAIM_TIMEOUT_MS",
            Self::Declined => "the attached agent handed it back",
        }
    }
}

/// A task that is not final, in full. Owned by the core; others read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// The task.
    pub id: TaskId,
    /// Its run, if it belongs to one.
    pub run: Option<RunId>,
    /// What was asked for.
    pub spec: Arc<TaskSpec>,
    /// Where it stands; never final here.
    pub state: TaskState,
    /// When it entered the log.
    pub submitted_at: UnixMillis,
    /// Order of submission: log index and position within the entry.
    pub sequence: (u64, u32),
    /// When `state` last changed.
    pub state_since: UnixMillis,
    /// When it last became ready.
    pub ready_at: UnixMillis,
    /// Dependencies that are not final yet.
    pub waits_for: Vec<TaskId>,
    /// Whether it had dependencies at all.
    pub had_needs: bool,
    /// Whether a dependency failed, expired or is unknown.
    pub need_failed: bool,
    /// Whether a dependency was cancelled.
    pub need_cancelled: bool,
    /// Not granted before this, after a failed attempt.
    pub not_before: Option<UnixMillis>,
    /// Attempts granted so far.
    pub attempts: u32,
    /// Attempts that were asked for anew by a retry by hand, added to the policy's limit.
    pub attempts_extra: u32,
    /// The current grant.
    pub lease: Option<Lease>,
    /// The attempts that ended.
    pub ended_attempts: Vec<AttemptSummary>,
    /// Nodes that failed it; others are preferred.
    pub failed_on: Vec<NodeId>,
    /// Whether this task undoes another one.
    pub compensates: Option<TaskId>,
}

impl TaskRecord {
    /// Grants that were handed back and never started.
    pub fn hand_backs(&self) -> u32 {
        let never_started = self
            .ended_attempts
            .iter()
            .filter(|attempt| matches!(attempt.ended, AttemptEnd::NeverStarted(_)));
        u32::try_from(never_started.count()).unwrap_or(u32::MAX)
    }

    /// Attempts that were taken from parked nodes.
    fn moves(&self) -> u32 {
        let ended = self.ended_attempts.iter();
        let moved = ended.filter(|attempt| attempt.ended == AttemptEnd::Moved);
        u32::try_from(moved.count()).unwrap_or(u32::MAX)
    }

    /// Attempts that count against the limit of the retry policy, the current one included: all
    /// grants but the first [`limits::HAND_BACKS_FREE_MAX`] that were handed back, and but
    /// [`limits::MOVES_MAX`] that were moved. Only an at-most-once task never counts a grant that
    /// was not started.
    pub fn attempts_counted(&self) -> u32 {
        let free = match self.spec.delivery {
            Delivery::AtMostOnce => u32::MAX,
            Delivery::AtLeastOnce => limits::HAND_BACKS_FREE_MAX,
        };
        let hand_backs = self.hand_backs().min(free);
        self.attempts.saturating_sub(hand_backs + self.moves())
    }

    /// Whether its attempt may be moved from a parked node: never one at most once, nor without end.
    pub fn may_be_moved(&self) -> bool {
        self.spec.delivery == Delivery::AtLeastOnce && self.moves() < limits::MOVES_MAX
    }
}

/// Place of a ready task in its queue: first come, first served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadyKey {
    /// When it became ready.
    pub ready_at: UnixMillis,
    /// Order of submission.
    pub sequence: (u64, u32),
    /// The task.
    pub task: TaskId,
}

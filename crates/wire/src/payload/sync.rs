//! `mcpx.coordinate.state.sync`: what a node holds, and what becomes of it.

use super::AttemptKey;
use serde::{Deserialize, Serialize};
use skep_model::attempt::Fence;
use skep_model::ids::TaskId;

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldPhase {
    /// Accepted, not started yet.
    Accepted,
    /// The command runs.
    Running,
    /// The gates run.
    Verifying,
}

/// One attempt that a node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAttempt {
    /// The task.
    pub task: TaskId,
    /// The grant.
    pub fence: Fence,
    /// How far it is.
    pub phase: HeldPhase,
}

/// From the node, after each welcome: everything it holds. Attempts that the coordinator granted
/// to it and that are in neither list were never received, or were stopped by the node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SyncReport {
    /// Attempts that are not finished.
    pub held: Vec<HeldAttempt>,
    /// Attempts that are finished and whose results were not answered.
    pub spooled: Vec<AttemptKey>,
}

/// What becomes of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The node goes on with it.
    Keep,
    /// The node stops it and reports nothing.
    Kill,
    /// The node sends its result.
    Resend,
    /// The node deletes its result without sending it.
    Discard,
}

/// The verdict on one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictItem {
    /// The task.
    pub task: TaskId,
    /// The grant.
    pub fence: Fence,
    /// What becomes of it.
    pub verdict: Verdict,
}

impl VerdictItem {
    /// This verdict on this attempt.
    pub const fn new(attempt: AttemptKey, verdict: Verdict) -> Self {
        Self {
            task: attempt.task,
            fence: attempt.fence,
            verdict,
        }
    }

    /// The attempt it is about.
    pub const fn attempt(&self) -> AttemptKey {
        AttemptKey::new(self.task, self.fence)
    }
}

/// From the coordinator: the answer to [`SyncReport`], or at any later time a notification about
/// attempts that were revoked. What is not mentioned is kept, and results are sent. Attempts that
/// the node should hold and does not are assigned again by an ordinary assignment, or lost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SyncVerdicts {
    /// One for each attempt.
    pub items: Vec<VerdictItem>,
}

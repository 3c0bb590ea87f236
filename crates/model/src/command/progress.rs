//! Steps of attempts that are not their ends.

use crate::attempt::Fence;
use crate::ids::TaskId;
use serde::{Deserialize, Serialize};

/// A step of an attempt that is not its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Progress {
    /// The task.
    pub task: TaskId,
    /// The grant.
    pub fence: Fence,
    /// The step.
    pub phase: Phase,
}

/// Steps of an attempt.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The command runs.
    Running,
    /// The gates run.
    Verifying,
}

//! Where a task stands.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a task stands. New values are only ever appended.
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
pub enum TaskState {
    /// Waits for dependencies or for the delay before a retry.
    Pending,
    /// Waits for an agent.
    Ready,
    /// Granted to an agent that has not said that it started.
    Leased,
    /// The agent runs it.
    Running,
    /// The agent runs its gates.
    Verifying,
    /// Held by a person; was pending or ready.
    Paused,
    /// Final: the result was accepted.
    Succeeded,
    /// Final: the attempts are used up.
    Failed,
    /// Final: cancelled by a person, by its run, or because its condition did not hold.
    Cancelled,
    /// Final: the deadline passed first.
    Expired,
    /// Final: an at-most-once attempt whose outcome was not learned.
    Unknown,
}

impl TaskState {
    /// All states, waiting ones first.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Ready,
        Self::Leased,
        Self::Running,
        Self::Verifying,
        Self::Paused,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
        Self::Unknown,
    ];

    /// Whether the task never changes again.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Expired | Self::Unknown
        )
    }

    /// Whether an agent holds the task.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Leased | Self::Running | Self::Verifying)
    }

    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Running => "running",
            Self::Verifying => "verifying",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for TaskState {
    type Err = ParseTaskStateError;

    fn from_str(text: &str) -> Result<Self, ParseTaskStateError> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| ParseTaskStateError {
                text: text.to_owned(),
            })
    }
}

/// A text that names no task state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a task state: use pending, ready, leased, running, verifying, paused, \
     succeeded, failed, cancelled, expired or unknown"
)]
pub struct ParseTaskStateError {
    text: String,
}

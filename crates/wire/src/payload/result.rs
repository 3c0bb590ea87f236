//! `mcpx.orchestrate.task.complete` and progress: what attempts led to.

use super::{AttemptKey, Meta};
use serde::{Deserialize, Deserializer, Serialize};
use skep_model::attempt::{AttemptReport, Fence};
use skep_model::command::Progress;
use skep_model::ids::TaskId;

/// Results of finished attempts, at most `ITEMS_PER_FRAME_MAX`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResultBatch {
    /// One for each attempt.
    pub reports: Vec<AttemptReport>,
    /// Optional groups.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// What a coordinator says to one result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultVerdict {
    /// It is durable and decided the attempt; the node deletes it.
    Committed,
    /// The grant is no longer the task's; the node deletes it.
    Stale,
    /// It was not taken; the node keeps it and sends it again later.
    Refused {
        /// For people.
        reason: String,
    },
}

/// The answer to one result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultAnswer {
    /// The task.
    pub task: TaskId,
    /// The grant.
    pub fence: Fence,
    /// What became of it.
    pub answer: ResultVerdict,
}

impl ResultAnswer {
    /// This answer to the result of this attempt.
    pub const fn new(attempt: AttemptKey, answer: ResultVerdict) -> Self {
        Self {
            task: attempt.task,
            fence: attempt.fence,
            answer,
        }
    }

    /// The attempt it is about.
    pub const fn attempt(&self) -> AttemptKey {
        AttemptKey::new(self.task, self.fence)
    }
}

/// The answer to [`ResultBatch`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResultAnswers {
    /// One for each result.
    pub items: Vec<ResultAnswer>,
}

/// `mcpx.status.update` from a node: steps of attempts that last, and whether it takes work.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProgressBatch {
    /// In the order in which they happened.
    #[serde(default)]
    pub items: Vec<Progress>,
    /// When it is there, the node is away from now on, or back.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub away: Option<AwayNotice>,
    /// When it is there, the attempts of the node stand still from now on, or are to go on.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub parked: Option<ParkNotice>,
}

/// Why a node takes no new work by its own decision; `null` when it takes work again. What it
/// holds it finishes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AwayNotice(pub Option<String>);

/// For how long the attempts of a node stand still by its own decision, milliseconds from now;
/// `null` when they are to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParkNotice(pub Option<u64>);

/// A field that is there says something, also when it is `null`.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

//! `coordination`: what a message waits for, and what happens when something fails.

use super::Value;
use serde::{Deserialize, Serialize};

/// What a message waits for, and what happens when something fails.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CoordinationMetadata {
    /// Tasks that come first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    /// Where the participants wait for each other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub synchronization_points: Vec<SyncPoint>,
    /// What happens when something fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_strategy: Option<RollbackStrategy>,
    /// How progress is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_reporting: Option<ProgressConfig>,
}

/// What participants do at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncPointKind {
    /// All wait for all.
    Barrier,
    /// The state is kept.
    Checkpoint,
    /// It is only told.
    Milestone,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

/// A point at which participants meet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncPoint {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What happens there.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SyncPointKind>,
    /// Who meets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<String>,
    /// Milliseconds to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// How much is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RollbackKind {
    /// Everything.
    Full,
    /// What failed.
    Partial,
    /// By tasks that undo.
    Compensating,
    /// In a way that this version does not know.
    #[serde(other)]
    Other,
}

/// What begins it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackTrigger {
    /// A task failed.
    TaskFailure,
    /// A gate failed.
    GateFailure,
    /// Time ran out.
    Timeout,
    /// A person.
    Manual,
    /// Something that this version does not know.
    #[serde(other)]
    Other,
}

/// How far it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RollbackScope {
    /// One task.
    Task,
    /// One phase.
    Phase,
    /// The session.
    Session,
    /// A reach that this version does not know.
    #[serde(other)]
    Other,
}

/// What happens when something fails.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollbackStrategy {
    /// How much is undone.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<RollbackKind>,
    /// What begins it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<RollbackTrigger>,
    /// How far it reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<RollbackScope>,
    /// What is done, in this order; the form is left open by the contract.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Value>,
}

/// How progress is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProgressConfig {
    /// Whether it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Milliseconds between two messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
}

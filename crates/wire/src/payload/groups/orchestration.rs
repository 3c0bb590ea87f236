//! `orchestration`: which session and execution a message belongs to.

use super::{Number, Value};
use serde::{Deserialize, Serialize};

/// Which session and execution a message belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OrchestrationContext {
    /// The session.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session_id: String,
    /// The execution within it, e.g. a run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub execution_id: String,
    /// The task that asked for this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_task_id: Option<String>,
    /// Who coordinates.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub coordinator_instance: String,
    /// Where the session's state is; its form is left open by the contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_state: Option<Value>,
    /// Gates that results have to pass.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quality_gates: Vec<GateConfig>,
    /// Milliseconds the whole may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// When failures are tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<GroupRetryPolicy>,
}

/// One gate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GateConfig {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it must reach, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Number>,
    /// Whether a failure stops what depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocking: Option<bool>,
    /// Milliseconds it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// How the delay between tries grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackoffKind {
    /// By the same amount.
    Linear,
    /// By a factor.
    Exponential,
    /// Not at all.
    Fixed,
    /// In a way that this version does not know.
    #[serde(other)]
    Other,
}

/// When failures are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupRetryPolicy {
    /// Tries in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// How the delay grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<BackoffKind>,
    /// First delay, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<u64>,
    /// Largest delay, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delay: Option<u64>,
    /// Factor between two delays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<Number>,
    /// Codes of the errors that are tried again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retryable_errors: Vec<String>,
}

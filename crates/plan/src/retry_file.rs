//! When a failed attempt is followed by another, as a plan says it.

use crate::quantity::Duration;
use schemars::JsonSchema;
use serde::Serialize;
use skep_model::attempt::FailureClass;

/// When a failed attempt is followed by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RetryFile {
    /// Attempts after the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Upper bound of the first delay; it doubles each time. One second unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Duration>,
    /// Largest upper bound; 30 seconds unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_max: Option<Duration>,
    /// Which failures are retried; all unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<FailureClass>>,
}

//! How well a node shuts a task off from its machine, as measured.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Isolation levels in rising order; a task asks for at least one of them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum IsolationLevel {
    /// No isolation; only when a plan asks for it in so many words.
    S0,
    /// Landlock, seccomp and rlimits, without namespaces.
    #[default]
    S1,
    /// Namespaces around S1. No node of this version offers it.
    S2,
}

impl fmt::Display for IsolationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S0 => "s0",
            Self::S1 => "s1",
            Self::S2 => "s2",
        })
    }
}

/// One attempt of the probe suite to do what a level forbids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProbeResult {
    /// What was tried, e.g. `read_home`.
    pub probe: String,
    /// Whether the sandbox stopped it.
    pub blocked: bool,
    /// What the system answered.
    pub detail: String,
}

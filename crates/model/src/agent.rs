//! Agents: workers with capabilities that take tasks.

use crate::ids::{AgentId, NodeId};
use crate::requirements::Proficiency;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an agent does at the moment; derived, never stored.
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
pub enum AgentState {
    /// Has a free slot.
    Idle,
    /// All its slots are taken.
    Busy,
    /// Held by a person.
    Paused,
    /// Its node takes no work.
    Offline,
}

impl AgentState {
    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Paused => "paused",
            Self::Offline => "offline",
        }
    }
}

/// What was asked for when the agent was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AgentSpec {
    /// Name for people; unique among agents.
    pub name: String,
    /// Free word, e.g. `worker`.
    pub role: String,
    /// The node that hosts it.
    pub node: NodeId,
    /// What it can do.
    pub capabilities: BTreeMap<String, Proficiency>,
    /// Attempts it runs at a time; the node's own slots bound it too.
    pub slots: u32,
}

/// What the attempts of an agent came to, counted from their ends.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Measured {
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed or were lost.
    pub failed: u64,
    /// Total duration of the attempts that succeeded, milliseconds.
    pub busy_ms: u64,
    /// Gates that answered.
    pub gates_run: u64,
    /// Gates of these that passed.
    pub gates_passed: u64,
}

/// An agent, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// The agent.
    pub id: AgentId,
    /// What was asked for.
    pub spec: AgentSpec,
    /// Whether it came with its node and goes with it.
    pub comes_with_node: bool,
    /// Whether a person holds it.
    pub paused: bool,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed or were lost.
    pub failed: u64,
    /// Total duration of the attempts that succeeded, milliseconds.
    pub busy_ms: u64,
    /// Gates of its attempts that answered.
    pub gates_run: u64,
    /// Gates of these that passed.
    pub gates_passed: u64,
    /// What came of its attempts at tasks that asked for a capability, by its name. It asked for
    /// what the agent declares, so there are at most as many.
    pub measured: BTreeMap<String, Measured>,
}

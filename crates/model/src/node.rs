//! Nodes: machines that joined and can run work.

use crate::ids::{InstanceId, NodeId};
use crate::isolation::{IsolationLevel, ProbeResult};
use crate::requirements::{Proficiency, Resources};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Where a node stands. New values are only ever appended.
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
pub enum NodeState {
    /// Connected, its attempts are being compared with the coordinator's.
    Joining,
    /// Takes work.
    Ready,
    /// Finishes what it has and takes nothing new.
    Draining,
    /// Silent for `SUSPECT_AFTER_MS`; gets nothing new.
    Suspect,
    /// Silent for lease and grace; its attempts were given up.
    Lost,
    /// Said goodbye or was removed.
    Left,
}

impl NodeState {
    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Suspect => "suspect",
            Self::Lost => "lost",
            Self::Left => "left",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a node says about itself when it joins, measured where it can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeFacts {
    /// Name for people; unique among the nodes that have not left.
    pub name: String,
    /// Version of Skep it runs.
    pub version: String,
    /// Operating system and kernel.
    pub system: String,
    /// What it offers to tasks.
    pub resources: Resources,
    /// Attempts it runs at a time.
    pub slots: u32,
    /// Words for affinity rules.
    pub labels: BTreeMap<String, String>,
    /// Capabilities of its own agent.
    pub capabilities: BTreeMap<String, Proficiency>,
    /// Level that its probes measured.
    pub isolation: IsolationLevel,
    /// The probes.
    pub probes: Vec<ProbeResult>,
}

/// A node, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The node; stays the same over restarts of its process.
    pub id: NodeId,
    /// The running process.
    pub instance: InstanceId,
    /// Where it stands.
    pub state: NodeState,
    /// When `state` last changed.
    pub state_since: UnixMillis,
    /// When it first joined.
    pub joined_at: UnixMillis,
    /// What it said about itself.
    pub facts: NodeFacts,
    /// Whether a person asked it to drain.
    pub drain_requested: bool,
}

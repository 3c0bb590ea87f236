//! What a task needs from the agent and node that run it.

use crate::ids::AgentId;
use crate::isolation::IsolationLevel;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How good an agent is at something, in rising order.
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
pub enum Proficiency {
    /// Can do it.
    #[default]
    Basic,
    /// Does it regularly.
    Intermediate,
    /// Does it well.
    Expert,
    /// Made for it.
    Specialist,
}

/// Amounts of a machine. Zero means none.
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
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Thousandths of a processor.
    pub cpu_millis: u64,
    /// Bytes of main memory.
    pub memory_bytes: u64,
    /// Bytes of GPU memory.
    pub gpu_memory_bytes: u64,
    /// Bytes of disk.
    pub disk_bytes: u64,
}

impl Resources {
    /// Nothing at all.
    pub const NONE: Self = Self {
        cpu_millis: 0,
        memory_bytes: 0,
        gpu_memory_bytes: 0,
        disk_bytes: 0,
    };

    /// Whether each amount is at least that of `wanted`.
    pub const fn covers(&self, wanted: &Self) -> bool {
        self.cpu_millis >= wanted.cpu_millis
            && self.memory_bytes >= wanted.memory_bytes
            && self.gpu_memory_bytes >= wanted.gpu_memory_bytes
            && self.disk_bytes >= wanted.disk_bytes
    }

    /// Each amount plus that of `other`, at most the largest value.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            gpu_memory_bytes: self.gpu_memory_bytes.saturating_add(other.gpu_memory_bytes),
            disk_bytes: self.disk_bytes.saturating_add(other.disk_bytes),
        }
    }

    /// Each amount less that of `other`, at least zero.
    #[must_use]
    pub const fn minus(&self, other: &Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
            gpu_memory_bytes: self.gpu_memory_bytes.saturating_sub(other.gpu_memory_bytes),
            disk_bytes: self.disk_bytes.saturating_sub(other.disk_bytes),
        }
    }
}

/// A wish about where a task runs, matched against labels of nodes.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct AffinityRule {
    /// Label of the node.
    pub label: String,
    /// Value it must have; none means that the label must only exist.
    pub value: Option<String>,
    /// Whether matching nodes are sought or avoided.
    pub sense: AffinitySense,
    /// Whether the rule binds, or how much it counts (1 to 100).
    pub strength: AffinityStrength,
}

/// Toward or away from matching nodes.
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
pub enum AffinitySense {
    /// Prefer or require a match.
    Attract,
    /// Avoid or forbid a match.
    Repel,
}

/// How strongly an affinity rule counts.
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
pub enum AffinityStrength {
    /// Nodes that break the rule cannot run the task.
    Required,
    /// Adds to (or takes from) a node's score; 1 to 100.
    Weight(u8),
}

/// Who does a task: it follows from the kind of its work.
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
#[serde(rename_all = "snake_case")]
pub enum Performer {
    /// A hosted agent: a node runs it.
    #[default]
    Node,
    /// An attached agent, which asks for work.
    AttachedAgent,
}

/// Everything that decides which agents may run a task. Tasks with equal
/// requirements share one queue: this value is the *requirement signature*.
#[derive(
    Debug,
    Clone,
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
#[serde(default)]
pub struct Requirements {
    /// Capabilities by name with the least proficiency wanted.
    pub capabilities: BTreeMap<String, Proficiency>,
    /// What the attempt occupies on the node while it runs.
    pub resources: Resources,
    /// Affinity rules over node labels.
    pub affinity: Vec<AffinityRule>,
    /// The least isolation level the task accepts.
    pub isolation: IsolationLevel,
    /// The one agent that may run it, when it was assigned by hand.
    pub agent: Option<AgentId>,
    /// Who does it.
    pub performer: Performer,
}

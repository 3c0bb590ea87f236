//! Begin and end of a session, heartbeats, and what both ends say about themselves.

use super::Meta;
use serde::{Deserialize, Serialize};
use skep_model::ids::{InstanceId, NodeId};
use skep_model::node::NodeFacts;

/// `mcpx.orchestrate.session.start`: a node introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of the protocol, e.g. `1.0`.
    pub protocol: String,
    /// The node.
    pub node: NodeId,
    /// This start of its process.
    pub instance: InstanceId,
    /// How often the node was started, this start included; 0 when it does not count.
    #[serde(default)]
    pub starts: u64,
    /// What it can do.
    pub facts: NodeFacts,
    /// Epoch of the coordinator it spoke with last, if it is connecting again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<u32>,
    /// Optional groups.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// The answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The node, as the coordinator knows it.
    pub node: NodeId,
    /// Name of this session, for logs of both ends.
    pub session: String,
    /// How often the node sends a heartbeat.
    pub heartbeat_ms: u64,
    /// How long the node gets new work after the last heartbeat that was answered.
    pub lease_ms: u64,
    /// How long the node's work is its own after that heartbeat; the lease, when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldTerms>,
    /// Version of Skep the coordinator runs.
    pub server_version: String,
    /// Epoch of the coordinator.
    pub epoch: u32,
}

/// How long a node keeps its work while it cannot reach the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldTerms {
    /// Names these terms. The node repeats it in each heartbeat once it acts by them.
    pub number: u64,
    /// From the sending of the last heartbeat that was answered, milliseconds; not shorter than
    /// the lease.
    pub hold_ms: u64,
    /// Whether its attempts are to stand still. It repeats the number when they do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parked: bool,
}

/// `mcpx.health.check`: the node is there; and the answer: it was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Rises with each heartbeat of a connection; the answer repeats it.
    pub sequence: u64,
    /// The terms by which the sender acts, see [`HoldTerms::number`]; only nodes say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<u64>,
}

/// `mcpx.metrics.report`: a sample of the node's load. Never enters the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeMetrics {
    /// Load of all processors in thousandths: 1000 is fully busy.
    pub load_permille: u32,
    /// Main memory in use.
    pub memory_used_bytes: u64,
    /// Attempts that run.
    pub attempts: u32,
    /// From a heartbeat to its answer, milliseconds: the median of the last few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<u32>,
    /// How fast the artifacts that it handed in lately went to the coordinator, bytes per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_bytes_s: Option<u64>,
}

/// `mcpx.orchestrate.session.end` from a node: it leaves and gives up what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// For people.
    pub reason: String,
}

/// The answer to [`Goodbye`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ended {}

/// `mcpx.status.update` from a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusUpdate {
    /// Whether the node gets no new work.
    pub draining: bool,
    /// New terms, if they changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldTerms>,
}

/// Why a coordinator ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCode {
    /// A newer process of the same node connected; this one must stop.
    Replaced,
    /// The node was removed; its process must stop.
    Removed,
    /// The coordinator stops or restarts; the node connects again.
    Shutdown,
    /// The node broke the protocol or was too slow; it connects again.
    Protocol,
    /// The coordinator's disk is full: it cannot enter the node into its log, but it heard it.
    /// The node keeps its attempts, its lease counts from its hello, and it connects again.
    StorageFull,
}

impl EndCode {
    /// The word used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Removed => "removed",
            Self::Shutdown => "shutdown",
            Self::Protocol => "protocol",
            Self::StorageFull => "storage_full",
        }
    }
}

/// `mcpx.orchestrate.session.end` from a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// What the node is to make of it.
    pub code: EndCode,
    /// For people.
    pub message: String,
}

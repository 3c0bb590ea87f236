//! Rows: the live state cut into pieces that a store keeps under stable keys.

use crate::agent::AgentRecord;
use crate::ids::{AgentId, JoinTokenId, NodeId, RunId, ScheduleId, TaskId, TokenId, TriggerId};
use crate::join::{EnrolmentRecord, JoinTokenRecord};
use crate::memory::{MemoryEntry, MemoryKey, MemoryVersion, Namespace, NamespaceRecord};
use crate::node::NodeRecord;
use crate::run::RunRecord;
use crate::schedule::ScheduleRecord;
use crate::task::TaskRecord;
use crate::time::UnixMillis;
use crate::token::TokenRecord;
use crate::trigger::TriggerRecord;
use serde::{Deserialize, Serialize};

/// Key of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RowKey {
    /// A live task.
    Task(TaskId),
    /// A live run.
    Run(RunId),
    /// A node.
    Node(NodeId),
    /// An agent.
    Agent(AgentId),
    /// A token.
    Token(TokenId),
    /// An idempotency key.
    Idempotency(String),
    /// The core's clock: the largest time seen.
    Clock,
    /// A join token.
    JoinToken(JoinTokenId),
    /// A machine that joined by a token.
    Enrolment(NodeId),
    /// A namespace of shared memory.
    Namespace(Namespace),
    /// An entry of shared memory.
    Memory(Namespace, MemoryKey),
    /// The largest version of namespaces that were forgotten.
    MemoryFloor,
    /// A schedule.
    Schedule(ScheduleId),
    /// A trigger.
    Trigger(TriggerId),
}

/// One piece of the live state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Row {
    /// A live task.
    Task(TaskRecord),
    /// A live run.
    Run(RunRecord),
    /// A node.
    Node(NodeRecord),
    /// An agent.
    Agent(AgentRecord),
    /// A token.
    Token(TokenRecord),
    /// An idempotency key and what its first use made.
    Idempotency(IdempotencyRecord),
    /// The largest time seen.
    Clock(UnixMillis),
    /// A join token.
    JoinToken(JoinTokenRecord),
    /// A machine that joined by a token.
    Enrolment(EnrolmentRecord),
    /// A namespace of shared memory.
    Namespace(NamespaceRecord),
    /// An entry of shared memory.
    Memory(Box<MemoryEntry>),
    /// The largest version of namespaces that were forgotten.
    MemoryFloor(MemoryVersion),
    /// A schedule.
    Schedule(Box<ScheduleRecord>),
    /// A trigger.
    Trigger(Box<TriggerRecord>),
}

/// What is remembered of a request with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// The key with its scope.
    pub key: String,
    /// BLAKE3 of the canonical request.
    pub fingerprint: [u8; 32],
    /// The run it made.
    pub run: Option<RunId>,
    /// The tasks it made; empty when it made a run.
    pub tasks: Vec<TaskId>,
    /// The versions that its writes to shared memory made; none for one that was refused.
    pub versions: Vec<Option<MemoryVersion>>,
    /// When it is forgotten.
    pub expires_at: UnixMillis,
}

/// A row that was written or removed since the last checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all changes are `Put`: a box would only add an allocation"
)]
pub enum RowChange {
    /// The row as it is now.
    Put(RowKey, Row),
    /// The row is gone.
    Delete(RowKey),
}

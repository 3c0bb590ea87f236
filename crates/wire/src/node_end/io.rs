//! What a node's end is told, and what it wants done.

use super::ask::AskFailure;
use crate::bounds::{ASSIGN_CREDIT_BYTES, ASSIGN_CREDIT_ITEMS};
use crate::frame::Frame;
use crate::payload::{
    Assignment, AttemptKey, Capabilities, Capability, Credit, NodeAnswer, NodeMetrics, NodeRequest,
    Welcome,
};
use skep_model::attempt::AttemptReport;
use skep_model::ids::{InstanceId, NodeId};
use skep_model::node::NodeFacts;
use std::sync::Arc;

/// What a node's end knows from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOptions {
    /// The node.
    pub node: NodeId,
    /// This start of its process.
    pub instance: InstanceId,
    /// How often the node was started, this start included; 0 when it does not count.
    pub starts: u64,
    /// What it says about itself.
    pub facts: NodeFacts,
    /// Attempts it runs at a time; at most `SLOTS_MAX` are used.
    pub slots: u32,
    /// Seed of the jitter of its timers.
    pub jitter_seed: u64,
}

/// What a node's end offers to a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkOptions {
    /// What it offers. With nothing it does not negotiate: text frames, no credits.
    pub offers: Capabilities,
    /// Assignments that may be under way to it, if both use credits.
    pub assign_window: Credit,
    /// Unix time at which the clock of this end stood at 0, in milliseconds. Without it deadlines
    /// of messages are not looked at.
    pub unix_ms_at_zero: Option<u64>,
}

impl LinkOptions {
    /// No negotiation.
    pub const PLAIN: Self = Self {
        offers: Capabilities::NONE,
        assign_window: Credit {
            items: ASSIGN_CREDIT_ITEMS,
            bytes: ASSIGN_CREDIT_BYTES,
        },
        unix_ms_at_zero: None,
    };

    /// Everything but binary frames: where the connection does not leave the machine, bytes are
    /// free, both forms take about the same time, and text can be read by people.
    pub const NEAR: Self = Self {
        offers: Capabilities::NONE
            .with(Capability::Credits)
            .with(Capability::LoadBalance)
            .with(Capability::DependencyResolve)
            .with(Capability::QualityGate)
            .with(Capability::TaskSplit)
            .with(Capability::ResultMerge),
        ..Self::PLAIN
    };

    /// Everything.
    pub const FAR: Self = Self {
        offers: Self::NEAR
            .offers
            .with(Capability::MessagePack)
            .with(Capability::Zstd),
        ..Self::PLAIN
    };
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeInput {
    /// The connection that was asked for is open.
    Connected,
    /// The connection could not be opened, or broke, or was closed by the coordinator. MUST NOT
    /// come for a connection that was given up with [`NodeOutput::CloseConnection`].
    Disconnected,
    /// The coordinator answered the opening of the connection with this HTTP status. With 401
    /// or 403 the node ends; with others it tries again.
    ConnectRefused {
        /// The HTTP status.
        status: u16,
    },
    /// A text frame came in.
    Text(String),
    /// A binary frame came in.
    Binary(Vec<u8>),
    /// Time passed; see [`super::NodeEnd::next_timer`].
    Tick,
    /// The command of an attempt runs.
    Started(AttemptKey),
    /// The gates of an attempt run.
    Verifying(AttemptKey),
    /// An attempt ended and left its slot. MUST come once for every [`NodeOutput::Start`], also
    /// when the attempt was killed.
    Finished(Box<AttemptReport>),
    /// The results of this [`NodeOutput::Spool`], and of all before it, are on disk.
    Spooled {
        /// Number of the batch.
        batch: u64,
    },
    /// The disk is full: the results of this [`NodeOutput::Spool`] wait for space, as do those
    /// that come after it. They are sent from memory meanwhile. `Spooled` follows when there is
    /// space.
    SpoolStalled {
        /// Number of the batch.
        batch: u64,
    },
    /// The process is to stop: kill, report, say goodbye.
    Shutdown,
    /// After [`NodeOutput::Freeze`]: no process of any attempt runs any more.
    Frozen,
    /// A sample of the load, to be passed on if there is a session. The round trip is filled in.
    Metrics(NodeMetrics),
    /// The node's owner wants no work done now, for this reason; or wants it again. What runs goes
    /// on.
    Away(Option<String>),
    /// The node's owner wants the attempts to stand still for so many milliseconds, because the
    /// machine is about to sleep; or to go on.
    Park(Option<u64>),
    /// The coordinator is to be asked about an attempt; [`NodeOutput::Answered`] follows once.
    Ask {
        /// Chosen by the asker, repeated in the answer.
        token: u64,
        /// What is asked.
        request: Box<NodeRequest>,
        /// Requests with the same key have one effect.
        key: Option<Box<str>>,
    },
    /// The node has more than it can do, or not any more: told to the coordinator if it listens,
    /// and no more assignments are granted meanwhile.
    Overloaded(bool),
}

impl From<Frame> for NodeInput {
    fn from(frame: Frame) -> Self {
        match frame {
            Frame::Text(text) => Self::Text(text),
            Frame::Binary(bytes) => Self::Binary(bytes),
        }
    }
}

/// Why an attempt is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KillReason {
    /// The coordinator said so, or it granted the task anew, or the node is out of the swarm.
    Revoked,
    /// No heartbeat was answered for so long that the work is about to be given to others.
    SelfFenced,
    /// The node's process stops.
    Shutdown,
}

/// Why the node's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExitCode {
    /// It was told to.
    Shutdown,
    /// A newer process of the same node is connected.
    Replaced,
    /// The node was removed.
    Removed,
    /// Its token is not accepted.
    AuthRefused,
    /// It speaks another version of the protocol than the coordinator.
    VersionUnsupported,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeOutput {
    /// Open a connection; answer with `Connected`, `Disconnected` or `ConnectRefused`.
    Connect,
    /// Write this frame.
    Send(Frame),
    /// Run this attempt. Also comes for [`skep_model::work::Work::Noop`].
    Start(Box<Assignment>),
    /// Stop this attempt. It may have ended already, and may be told twice.
    Kill {
        /// The attempt.
        attempt: AttemptKey,
        /// Why.
        reason: KillReason,
    },
    /// Let all attempts stand still, and those that start from now on; say `Frozen` when they do.
    Freeze,
    /// Let all attempts go on.
    Thaw,
    /// Write these results to disk, sync, then say `Spooled`. One batch at a time.
    Spool {
        /// Number of the batch.
        batch: u64,
        /// The results.
        reports: Vec<Arc<AttemptReport>>,
    },
    /// Delete these results from disk.
    Unspool(Vec<AttemptKey>),
    /// The coordinator accepted the node; for logs. The session is live once the
    /// synchronisation that is sent now is answered.
    Welcomed(Box<Welcome>),
    /// Whether the coordinator gives the node new work; for logs and screens.
    Draining(bool),
    /// What came of [`NodeInput::Ask`].
    Answered {
        /// Of the question.
        token: u64,
        /// The answer, or why there is none.
        answer: Result<Box<NodeAnswer>, AskFailure>,
    },
    /// Close the connection, or stop opening it; no `Disconnected` follows.
    CloseConnection {
        /// For logs.
        reason: String,
    },
    /// End the process, after what was killed has stopped. Nothing follows.
    Exit {
        /// Why.
        code: ExitCode,
        /// For people.
        reason: String,
    },
}

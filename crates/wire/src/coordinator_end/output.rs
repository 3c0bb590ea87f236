//! What the coordinator's end is told at the start, and what it gives back.

use crate::bounds::HANDSHAKE_TIMEOUT_MS;
use crate::codec::RequestId;
use crate::payload::{Assigned, Hello, NodeMetrics, SyncReport};
use skep_model::attempt::AttemptReport;
use skep_model::command::Progress;
use skep_model::limits::{LEASE_GRACE_MS, LEASE_MS};

/// Timers of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoordinatorOptions {
    /// From the opened connection to the answered synchronisation.
    pub handshake_timeout_ms: u64,
    /// A connection on which nothing came in for this long is closed. By then the node's work is
    /// given up anyway.
    pub silence_ms: u64,
}

impl CoordinatorOptions {
    /// What a coordinator uses unless it is told otherwise.
    pub const DEFAULTS: Self = Self {
        handshake_timeout_ms: HANDSHAKE_TIMEOUT_MS,
        silence_ms: LEASE_MS + LEASE_GRACE_MS,
    };
}

impl Default for CoordinatorOptions {
    fn default() -> Self {
        Self::DEFAULTS
    }
}

/// A request of the node that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyId(pub(super) RequestId);

/// What is to be done for one connection, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoordinatorOutput {
    /// Write this text frame.
    Send(String),
    /// The node said something.
    Event(FromNode),
    /// Write what is to be sent, then close the connection. Nothing follows.
    Close {
        /// For the close frame.
        code: CloseCode,
        /// For the close frame and the log.
        reason: String,
    },
}

/// What a node said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromNode {
    /// It introduces itself; answer with `reply_hello` or `refuse_hello`.
    Hello(Box<Hello>),
    /// What it holds; answer with `reply_sync`.
    SyncReport {
        /// For the answer.
        reply: ReplyId,
        /// What it holds.
        report: SyncReport,
    },
    /// It is there; was answered already.
    Heartbeat {
        /// Rises with each.
        sequence: u64,
    },
    /// Attempts ended; answer with `reply_results` once that is durable.
    Results {
        /// For the answer.
        reply: ReplyId,
        /// How they ended.
        reports: Vec<AttemptReport>,
    },
    /// Attempts started or entered their gates.
    Progress(Vec<Progress>),
    /// A sample of its load.
    Metrics(NodeMetrics),
    /// What it does with assignments; each one that was given to `assign` is answered once,
    /// unless the connection ends first.
    Assigned(Vec<Assigned>),
    /// It leaves and gives up what it holds.
    Goodbye {
        /// For people.
        reason: String,
    },
}

/// Codes of WebSocket close frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseCode {
    /// The session ended as it should.
    Normal,
    /// The coordinator stops.
    GoingAway,
    /// The node broke the protocol.
    Protocol,
    /// Something took too long.
    Timeout,
    /// A newer process of the node is connected.
    Replaced,
    /// The node was removed.
    Removed,
}

impl CloseCode {
    /// The number in the close frame; those from 4000 are ours.
    pub const fn number(self) -> u16 {
        match self {
            Self::Normal => 1_000,
            Self::GoingAway => 1_001,
            Self::Protocol => 1_002,
            Self::Timeout => 4_000,
            Self::Replaced => 4_001,
            Self::Removed => 4_002,
        }
    }
}

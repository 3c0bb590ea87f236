//! What the coordinator's end is told at the start, and what it gives back.

use crate::bounds::{HANDSHAKE_TIMEOUT_MS, RESULT_CREDIT_BYTES, RESULT_CREDIT_ITEMS};
use crate::codec::RequestId;
use crate::frame::Frame;
use crate::payload::{
    Assigned, AttemptKey, AwayNotice, Capabilities, Capability, Credit, Hello, LoadNotice, Meta,
    NodeMetrics, NodeRequest, ParkNotice, SyncReport,
};
use skep_model::attempt::AttemptReport;
use skep_model::command::Progress;
use skep_model::limits::{LEASE_GRACE_MS, LEASE_MS};

/// Timers of one connection, and what it offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoordinatorOptions {
    /// From the opened connection to the answered synchronisation.
    pub handshake_timeout_ms: u64,
    /// A connection on which nothing came in for this long is closed, or for the node's lease if
    /// that is longer. By then the node's work is given up anyway, or about to be.
    pub silence_ms: u64,
    /// What it offers when a node negotiates. Requests of nodes about their attempts are refused
    /// as not served unless they are in here.
    pub offers: Capabilities,
    /// Results that a node may have under way, if both use credits.
    pub result_window: Credit,
    /// Unix time at which the clock of this end stood at 0, in milliseconds. Without it deadlines
    /// of messages are not looked at.
    pub unix_ms_at_zero: Option<u64>,
}

impl CoordinatorOptions {
    /// What a coordinator uses unless it is told otherwise.
    pub const DEFAULTS: Self = Self {
        handshake_timeout_ms: HANDSHAKE_TIMEOUT_MS,
        silence_ms: LEASE_MS + LEASE_GRACE_MS,
        offers: Capabilities::NONE
            .with(Capability::MessagePack)
            .with(Capability::Zstd)
            .with(Capability::Credits)
            .with(Capability::LoadBalance),
        result_window: Credit {
            items: RESULT_CREDIT_ITEMS,
            bytes: RESULT_CREDIT_BYTES,
        },
        unix_ms_at_zero: None,
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
    /// Write this frame.
    Send(Frame),
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
        /// The terms by which it holds its work, if it was told some.
        terms: Option<u64>,
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
    /// It takes no new work by its own decision, or takes work again.
    Away(AwayNotice),
    /// Its attempts stand still by its own decision, or are to go on.
    Parked(ParkNotice),
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
    /// The groups of the message that the next event is about.
    Groups {
        /// The message's method.
        method: &'static str,
        /// The groups, and what else it says about itself.
        meta: Box<Meta>,
    },
    /// It asks about one of its attempts; answer with `reply_ask` or `refuse_ask`. Comes only for
    /// what `offers` names.
    Ask {
        /// For the answer.
        reply: ReplyId,
        /// What it asks.
        request: Box<NodeRequest>,
        /// Requests with the same key have one effect, also on another connection.
        key: Option<Box<str>>,
    },
    /// It has more than it can do, or not any more.
    Load(LoadNotice),
    /// What came of `ask_back`: attempts that the node never started and does not hold any more.
    GaveBack {
        /// Which.
        given_back: Vec<AttemptKey>,
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
    /// The coordinator's disk is full.
    StorageFull,
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
            Self::StorageFull => 4_003,
        }
    }
}

//! What the coordinator's end of an agent's connection is told at the start, and what it gives back.

use crate::bounds::HANDSHAKE_TIMEOUT_MS;
use crate::codec::RequestId;
use crate::coordinator_end::CloseCode;
use crate::payload::{AgentHello, AgentRequest, Capabilities, Capability};
use skep_model::limits::SESSION_OFFLINE_MS;

/// What the coordinator answers to attached agents.
pub const AGENT_CAPABILITIES: Capabilities = Capabilities::NONE
    .with(Capability::DependencyResolve)
    .with(Capability::ResultMerge);

/// Timers of the connection of an attached agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentHostOptions {
    /// From the opened connection to the answered hello.
    pub handshake_timeout_ms: u64,
    /// A connection on which nothing came in for this long is closed.
    pub silence_ms: u64,
    /// Unix time at which the clock of this end stood at 0, in milliseconds. Without it deadlines
    /// of messages are not looked at.
    pub unix_ms_at_zero: Option<u64>,
}

impl AgentHostOptions {
    /// What a coordinator uses unless it is told otherwise.
    pub const DEFAULTS: Self = Self {
        handshake_timeout_ms: HANDSHAKE_TIMEOUT_MS,
        silence_ms: SESSION_OFFLINE_MS,
        unix_ms_at_zero: None,
    };
}

/// What is to be done for one connection, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentHostOutput {
    /// Write this frame.
    Send(String),
    /// The agent introduces itself; answer with `reply_hello` or `refuse_hello`.
    Hello(Box<AgentHello>),
    /// The agent asks for something; answer with `reply` or `refuse`.
    Asks(AgentAsk),
    /// Write what is to be sent, then close the connection. Nothing follows.
    Close {
        /// For the close frame.
        code: CloseCode,
        /// For the close frame and the log.
        reason: String,
    },
}

/// A request of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAsk {
    /// None for what needs no answer.
    pub(super) id: Option<RequestId>,
    /// What is asked.
    pub request: AgentRequest,
}

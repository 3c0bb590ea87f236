//! MCPX: the words that nodes and coordinators exchange, and how a session goes.
//!
//! [`codec`] turns JSON-RPC 2.0 frames, text or binary, into typed calls and back.
//! [`CoordinatorEnd`] is the coordinator's side of one connection; [`NodeEnd`] is the node's side
//! of all its connections, one after the other. [`AgentHost`] and [`AgentEnd`] are the same for
//! attached agents. All are state machines: feed them frames and the
//! time, and perform what they return. [`bridge`] translates between messages of MCP and MCPX;
//! [`broadcast`] gathers the answers of many instances.
//!
//! This crate may not: open a socket, read a clock, draw randomness, spawn, block or log. Time
//! and seeds come in as arguments, so that the simulator runs the very same code.

pub mod agent_end;
pub mod agent_host;
#[cfg(test)]
mod agent_test;
mod answer_memory;
mod batch_frame;
pub mod bounds;
pub mod bridge;
pub mod broadcast;
pub mod codec;
pub mod coordinator_end;
mod credit;
pub mod fault;
#[cfg(any(test, feature = "fuzz-targets"))]
mod fixtures;
mod frame;
mod framing;
#[cfg(any(test, feature = "fuzz-targets"))]
pub mod fuzz_targets;
mod jitter;
pub mod node_end;
mod packed;
pub mod payload;

#[cfg(test)]
mod session_test;

pub use agent_end::{AgentEnd, AgentExit, AgentInput, AgentOptions, AgentOutput};
pub use agent_host::{AGENT_CAPABILITIES, AgentAsk, AgentHost, AgentHostOptions, AgentHostOutput};
pub use coordinator_end::{CoordinatorEnd, CoordinatorOptions, CoordinatorOutput, FromNode};
pub use fault::{Fault, FaultCode, WireError};
pub use frame::{Frame, FrameRef};
pub use framing::Framing;
pub use node_end::{
    AskFailure, ExitCode, KillReason, LinkOptions, NodeEnd, NodeInput, NodeOptions, NodeOutput,
};

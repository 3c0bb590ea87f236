//! MCPX: the words that nodes and coordinators exchange, and how a session goes.
//!
//! [`codec`] turns JSON-RPC 2.0 text frames into typed calls and back. [`CoordinatorEnd`] is the
//! coordinator's side of one connection; [`NodeEnd`] is the node's side of all its connections,
//! one after the other. Both are state machines: feed them texts and the time, and perform what
//! they return.
//!
//! This crate may not: open a socket, read a clock, draw randomness, spawn, block or log. Time
//! and seeds come in as arguments, so that the simulator runs the very same code.

mod batch_frame;
pub mod bounds;
pub mod codec;
pub mod coordinator_end;
pub mod fault;
#[cfg(test)]
mod fixtures;
mod jitter;
pub mod node_end;
pub mod payload;

#[cfg(test)]
mod session_test;

pub use coordinator_end::{CoordinatorEnd, CoordinatorOptions, CoordinatorOutput, FromNode};
pub use fault::{Fault, FaultCode, WireError};
pub use node_end::{ExitCode, KillReason, NodeEnd, NodeInput, NodeOptions, NodeOutput};

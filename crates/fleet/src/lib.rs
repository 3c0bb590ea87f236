//! Plays many callers of one coordinator from one process, to measure what they cost it.
//!
//! [`Fleet`] plays nodes: each is a real [`skep_wire::NodeEnd`] over a WebSocket of its own, with
//! its own heartbeats and jitter. [`subscribers`] follows the events many times over,
//! [`submissions`] submits at a given rate, whatever the answers are.
//!
//! What is not played: a node of the fleet keeps its results in memory and says that they are on
//! disk, runs no process (a task that wants one fails), and measures no load. Connections are not
//! encrypted.
//!
//! This crate may not: be used by the product, start a coordinator outside its tests, or judge
//! what it measures.

mod connection;
pub mod descriptors;
mod fleet;
pub mod http;
mod played_node;
pub mod submissions;
pub mod subscribers;

pub use connection::Coordinator;
pub use fleet::{Fleet, FleetOptions, Told};

//! The HTTP surface: REST, server-sent events, WebSockets, the node endpoint, health and metrics.
//!
//! Make an [`ApiState`], bind a listener, and [`serve`] until its token is cancelled. The REST
//! routes, their schemas and their permissions come from the registry of `skep-operations`;
//! [`openapi`] is written from the same registry.
//!
//! This crate may not: decide anything about tasks, nodes or callers' rights beyond checking the
//! token, keep state of its own, or know SQL.

mod authenticate;
mod calls;
mod dispatch;
mod event_stream;
mod failure;
mod gate;
mod health;
mod host_guard;
mod mcp;
mod mcpx;
mod metrics;
mod observe;
mod openapi;
mod realtime;
mod request_identity;
mod server;
mod state;

#[cfg(test)]
mod tests;

pub use openapi::openapi;
pub use server::{router, serve};
pub use state::ApiState;

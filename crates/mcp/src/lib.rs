//! The Model Context Protocol on the coordinator: its operations as tools, its tasks, runs and
//! nodes as resources, its durable work as MCP tasks.
//!
//! Make an [`Endpoint`] and give it each request to `/mcp` with the caller that the token proved.
//! It answers the revision that the request speaks: 2026-07-28, or 2025-11-25 and the two before
//! it, without keeping anything between two requests. Tools, their schemas and their permissions
//! come from the registry of `skep-operations`.
//!
//! This crate may not: decide anything about tasks, nodes or callers' rights (the operations do),
//! keep state of a client, check tokens, or read and write anything but through an operation.

mod arguments;
mod around;
mod catalogue;
mod claude_flow;
mod endpoint;
mod fault;
mod full_schema;
mod invocation;
mod mcp_tasks;
mod memory_uri;
mod offered;
mod outline;
mod prompts;
mod quick;
mod request_state;
mod resources;
mod search;
mod server;
mod subscription;
mod swarm_uri;
mod tool_result;
mod toolset;
mod wait;

pub use around::Question;
pub use claude_flow::page as claude_flow_page;
pub use endpoint::{Endpoint, ResponseBody};
pub use fault::Fault;
pub use server::Server;

//! The binary as its users see it: real processes, a directory of their own, a free port.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, not their fixtures"
)]

mod agent_line;
mod announcing;
mod attached;
mod backup;
mod claude_flow;
mod configuration;
mod coordinator;
mod documents;
mod exit_codes;
mod hive;
mod hooks;
mod interruption;
mod mcp_client;
mod mcp_http;
mod mcp_memory;
mod mcp_message;
mod mcp_stdio;
mod mcp_work;
mod member;
mod memory;
mod memory_changes;
mod memory_sync;
mod merge;
mod operating;
mod pinned;
mod redis_mirror;
#[path = "../../../tiers/tests/it/redis_server.rs"]
mod redis_server;
mod redis_tier;
mod rest;
mod round_trip;
mod split;
mod terminal;
mod triggers;
mod trust;

//! A node with real processes against a small coordinator that speaks the real protocol.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, not their fixtures"
)]

mod commands;
mod coordinator;
#[path = "../../../client/tests/it/http_server.rs"]
#[expect(
    dead_code,
    reason = "shared with the client's tests, which use all of it"
)]
mod http_server;
mod session;

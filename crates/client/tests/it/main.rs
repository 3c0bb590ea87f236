//! The client against a server that does what a test wants.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, not their fixtures"
)]

mod artifacts;
mod calls;
mod events;
mod http_server;

//! The runner with real processes, real sandboxes and real git.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, not their fixtures"
)]

mod artifacts;
mod commands;
mod fixture;
mod gates;
mod git;
mod processes;
mod sandbox;

//! Decides what happens to tasks, runs, nodes, agents, tokens and shared memory, and nothing else.
//!
//! Feed each committed [`LogEntry`](skep_model::command::LogEntry) to [`State::apply`] and perform
//! the events it returns. The same entries in the same order give the same state and the same
//! events on every machine. Only what is live is kept: a task or run that becomes final is handed
//! out in [`Applied`] and forgotten, and so are the values of shared memory.
//!
//! This crate may not: read a clock, draw randomness, log, spawn, block, touch a file or a socket,
//! or depend on a crate that does. Times, ids and seeds arrive inside the entry, stamped by the
//! proposer before the append.

#![cfg_attr(
    test,
    expect(
        clippy::needless_raw_string_hashes,
        reason = "expect-test writes its snapshots so"
    )
)]

mod apply;
mod attempts;
mod backoff;
mod bounds;
mod changes;
mod commands;
mod idempotency;
mod invariants;
mod lifecycle;
mod memory;
mod open_nodes;
mod queues;
mod restore;
mod runs;
mod schedules;
mod signatures;
mod state;
mod triggers;
mod waiting;

#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;

pub use apply::Applied;
pub use invariants::{InvariantId, Violation};
pub use memory::{MemoryPage, MemoryQuery, NamespaceView};
pub use open_nodes::{Experience, OpenNode};
pub use queues::ReadyQueue;
pub use restore::RestoreError;
pub use state::{NodeUse, State};

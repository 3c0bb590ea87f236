//! The coordinator: orders commands, grants work, watches nodes, tells subscribers.
//!
//! [`engine::Engine`] is all of it as a value without threads or sockets; [`hive::Hive`] runs one
//! on real threads and hands out cheap handles. What it needs from the world is in [`ports`].
//!
//! This crate may not: speak HTTP or SQL, open files or sockets, read a clock other than through
//! [`ports::Clock`], or decide what a command does (the core decides).

mod admission;
mod applier;
mod attendance;
mod breakers;
mod dispatcher;
pub mod engine;
mod gathering;
pub mod hive;
mod holdings;
mod journal_desk;
mod leases;
mod links;
mod liveness;
mod log_clock;
mod loops;
mod moves;
#[cfg(test)]
mod observed;
mod placement;
pub mod ports;
mod recent_memory;
mod seat_watch;
mod sequencer;
mod snapshot;
mod stats;
mod stopwatch;
mod task_token;
mod view;
mod view_guard;

pub use admission::{Caller, Unwelcome, may_connect, may_speak_for};
pub use attendance::{AskId, LastCalls, SessionSign, SessionTimers};
pub use breakers::Breakers;
pub use engine::{
    CHECKPOINT_EVENTS_DEFAULT, Engine, EngineOptions, Input, Now, OVERLAP_FROM_DEFAULT, Output,
    Parts, ProposeError,
};
pub use hive::{Ask, Ended, Hive, HiveThreads, NodeConnection};
pub use holdings::{HOLDINGS_MAX, Holdings, INPUTS_PREPARED_MAX};
pub use leases::Leases;
pub use links::{ConnectionId, EPOCH, ToNode};
pub use liveness::{ClassTimers, LeaseTimers};
pub use log_clock::LogClock;
pub use seat_watch::SeatWatch;
pub use sequencer::Ticket;
pub use snapshot::{explain_requirements, explain_task};
pub use stats::{COMMIT_BUCKETS_MS, DECISION_BUCKETS_US, EngineStats};
pub use task_token::{TASK_TOKEN_PREFIX, TaskTokenKey, task_idempotency_key};
pub use view::{Recent, View};
pub use view_guard::ViewGuard;

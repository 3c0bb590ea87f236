//! What callers can ask of a swarm: each operation once, with its name, route, permission,
//! input, output and handler.
//!
//! [`registry`] lists them. A surface turns a request into a [`Context`] and a [`Request`], asks
//! [`Operation::authorise`] and then [`Operation::perform`], and shows the [`Reply`] or the
//! [`OperationError`] in its own form. Every error has a code of [`error_codes`].
//!
//! This crate may not: own state, know HTTP beyond the words in the registry, decide what a
//! command does (the core decides), or write anything but through the log and the byte stores.

mod agents;
mod analysis;
mod artifacts;
mod backups;
mod benchmark;
mod body;
mod caller_marks;
mod check;
mod configuration;
pub mod context;
mod declare;
mod error;
pub mod error_codes;
pub mod events;
mod exchange;
mod fields;
mod instances;
pub mod join;
mod lookup;
mod memory;
mod memory_gauge;
pub mod memory_merge;
pub mod node_requests;
mod nodes;
mod operation;
mod paging;
mod parameter_fault;
mod parameters;
mod permission;
mod plans;
mod redis_mirror;
mod rfc3339;
mod run_names;
mod runs;
mod schedules;
mod sessions;
mod space_gauge;
pub mod system;
mod tasks;
mod templates;
pub mod tokens;
mod triggers;
mod usage;
pub mod views;

pub use artifacts::missing_artifacts;
pub use caller_marks::{is_idempotency_key, trace_parent};
pub use configuration::{
    Changes, Configuration, ConfigurationError, SettingProblem, SettingView, SettingsView,
    SharedConfiguration,
};
pub use context::{Context, Principal, ServerInfo, Services};
pub use error::{OperationError, code_of};
pub use error_codes::{ErrorCode, error_pages};
pub use exchange::{ByteStream, Reply, ReplyBody, Request, RequestBody, Shape};
pub use lookup::AnyTask;
pub use memory::{
    Applied, Became, ChangesPage, ChangesQuestion, Delivery, Direction, Embedder, Item, ItemPut,
    MemoryDesk, Outcome, Peer, PeerFault, PeerLink, PeerNameError, PeerReport, Peers,
    RUN_MEMORY_KEPT_MS, Secrets, Tally, may_read_namespace, nearest_namespace,
    remove_memory_of_ended_runs, sync_with_peer,
};
pub use memory_gauge::{MemoryExcess, MemoryGauge};
pub use operation::{Cost, Method, Operation, Repetition};
pub use parameters::PathParameters;
pub use permission::{Permission, TaskRule};
pub use redis_mirror::MirroredSwarm;
pub use rfc3339::{NotATimestamp, Timestamp};
pub use schedules::SystemCalendar;
pub use sessions::{aliases, line as agent_line};
pub use skep_mirror::{MirrorCounts, MirrorStats};
pub use skep_tiers::TierCounts;
pub use space_gauge::SpaceGauge;
pub use usage::{CallCounters, Component, keep_calls, sum_up_calls};

/// What stands before the path of every operation.
pub const API_PREFIX: &str = "/api/v2";

/// All operations.
pub fn registry() -> Vec<Operation> {
    [
        tasks::operations(),
        runs::operations(),
        plans::operations(),
        schedules::operations(),
        triggers::operations(),
        nodes::operations(),
        agents::operations(),
        sessions::operations(),
        instances::operations(),
        artifacts::operations(),
        memory::operations(),
        events::operations(),
        tokens::operations(),
        join::operations(),
        system::operations(),
        backups::operations(),
        benchmark::operations(),
        analysis::operations(),
        usage::operations(),
        configuration::operations(),
    ]
    .concat()
}

//! A node: joins a coordinator, runs what it is given, and keeps results until they are answered.
//!
//! [`Node::start`] takes the state directory, measures the machine and reads the spool;
//! [`Node::run`] lasts until the node is told to stop or the coordinator ends it. What to
//! connect, say, start, stop and write is decided by [`skep_wire::NodeEnd`]; this crate is the
//! shell around it:
//!
//! ```text
//! event loop (one task)    the brain, the WebSocket, timers; never blocks
//!   | inbox ^              what threads tell it; orders to the spool
//! control task             whoever may look into the state directory parks the node
//! spool thread             results on disk, one sync for a whole batch
//! attempt threads          one for each command: the runner, uploads, the end of the log
//! shipper tasks            one for each command: its output, while it runs
//! custodian task           artifacts and logs that an earlier process left
//! ```
//!
//! Work without a process never leaves the event loop: its result is on disk and sent without a
//! thread or a file of its own.
//!
//! This crate may not: decide what runs where, or report what did not happen.

mod attempt_env;
mod attempt_thread;
mod attempts;
mod availability;
mod clock;
mod connection;
mod control;
mod custodian;
mod error;
mod event_loop;
mod facts;
mod files;
mod hardware;
mod inbox;
mod input_cache;
mod load;
mod log_plan;
mod log_shipper;
mod login;
mod membership;
mod node;
mod options;
mod spool;
mod staging;
mod state_dir;
mod throughput;

pub use availability::{Availability, Hours, Idle, ParseHoursError};
pub use control::{ControlError, Standing, park_local, unpark_local};
pub use error::{FactsError, NodeError, SpoolError};
pub use hardware::measured_hardware;
pub use membership::{Access, Membership};
pub use node::{Node, NodeExit, Shutdown};
pub use options::NodeOptions;

/// How often new output of a running attempt is sent.
pub const LOG_SHIP_MS: u64 = 250;
/// Bytes of output in one request.
pub const LOG_PIECE_BYTES: usize = 256 << 10;
/// How long an ended attempt waits for its output to be sent before its result goes ahead.
pub const LOG_FLUSH_MS: u64 = 2_000;
/// How long output that could not be sent is kept after its attempt ended.
pub const LOG_RETENTION_MS: u64 = 3_600_000;
/// Bound of the first delay before a failed transfer is tried again; it doubles with each.
pub const TRANSFER_RETRY_MS: u64 = 250;
/// Largest such delay.
pub const TRANSFER_RETRY_MAX_MS: u64 = 5_000;
/// How often a waiting transfer looks whether its attempt was stopped.
pub const CANCEL_CHECK_MS: u64 = 100;
/// The event loop looks at the boot clock at least this often.
pub const CLOCK_CHECK_MS: u64 = 1_000;
/// While attempts are about to stand still, the node looks this often whether they do.
pub const FREEZE_CHECK_MS: u64 = 20;
/// How long whoever parks the node on its own machine waits for its attempts to stand still.
pub const CONTROL_TIMEOUT_MS: u64 = 10_000;
/// Pause after a local connection that could not be taken.
pub const CONTROL_RETRY_MS: u64 = 1_000;
/// How often the load is measured and reported.
pub const METRICS_INTERVAL_MS: u64 = 15_000;
/// How often the node looks whether its owner wants it to take work.
pub const AVAILABILITY_CHECK_MS: u64 = 5_000;
/// How often artifacts whose results are not answered are looked after.
pub const CUSTODY_INTERVAL_MS: u64 = 30_000;
/// How often writing is tried again while the disk is full.
pub const DISK_FULL_RETRY_MS: u64 = 1_000;
/// Bytes of downloaded inputs that are kept for other attempts.
pub const INPUT_CACHE_BYTES_MAX: u64 = 4 << 30;
/// Bytes of the spool's file beyond which answered results are cleared out of it.
pub const SPOOL_COMPACT_BYTES: u64 = 4 << 20;
/// Bytes of one result in the spool.
pub const SPOOL_RECORD_BYTES_MAX: usize = 16 << 20;
/// How long a closed connection may take to say goodbye.
pub const CLOSE_TIMEOUT_MS: u64 = 1_000;
/// How long opening a connection may take.
pub const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// How long a node that ends waits for attempts that were stopped, beyond their own grace.
pub const STOP_TIMEOUT_MS: u64 = 20_000;

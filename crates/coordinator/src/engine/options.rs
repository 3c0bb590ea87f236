//! What an engine is made with.

use crate::liveness::LeaseTimers;
use crate::ports::{Calendar, Entropy};
use crate::task_token::TaskTokenKey;
use skep_scheduler::{Policy, Strategy};

/// What an engine is made with.
#[derive(Debug)]
pub struct EngineOptions {
    /// Lease protocol.
    pub timers: LeaseTimers,
    /// Scheduling weights and bounds.
    pub policy: Policy,
    /// For task tokens.
    pub task_token_key: TaskTokenKey,
    /// Told to nodes.
    pub server_version: String,
    /// Events between two checkpoints; a restart replays at most about this many.
    pub checkpoint_events: usize,
    /// Proposals of callers for which the next commit starts before the last one is applied. With fewer
    /// it is quicker to wait for what follows from that, and to write all at once. At least 1.
    pub overlap_from: usize,
}

/// For the option of this name.
pub const OVERLAP_FROM_DEFAULT: usize = 64;

/// Events between two checkpoints, unless the options say otherwise.
pub const CHECKPOINT_EVENTS_DEFAULT: usize = 200_000;

/// What an engine needs from outside besides its options.
pub struct Parts {
    /// How tasks are placed.
    pub strategy: Box<dyn Strategy + Send + Sync>,
    /// Ids and seeds.
    pub entropy: Box<dyn Entropy>,
    /// When schedules are due.
    pub calendar: Box<dyn Calendar>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("strategy", &self.strategy.name())
            .finish_non_exhaustive()
    }
}

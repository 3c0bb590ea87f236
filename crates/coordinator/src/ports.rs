//! What the coordinator needs from the world, in its own words.

use skep_model::attempt::LogIndex;
use skep_model::command::{Command, LogEntry};
use skep_model::event::EntryEvents;
use skep_model::memory::MemoryEffect;
use skep_model::row::{Row, RowChange};
use skep_model::run::RunRecord;
use skep_model::schedule::{Timing, Utc, next_due};
use skep_model::task::FinishedTask;
use skep_model::time::UnixMillis;
use std::sync::Arc;

/// BLAKE3 over everything the state machine said so far; equal on every replica at equal index.
pub type StateDigest = [u8; 32];

/// Everything that one group commit makes durable, in one transaction.
#[derive(Debug, Default)]
pub struct Commit {
    /// New log entries, with rising indexes and no gap. May be empty.
    pub entries: Vec<(LogIndex, LogEntry)>,
    /// What entries of *earlier* commits led to. All of it can be computed again from the log, so
    /// losing it in a crash loses nothing.
    pub derived: Derived,
}

impl Commit {
    /// About how many proposals its entries came from: writes to shared memory share entries.
    pub(crate) fn proposals(&self) -> usize {
        let proposals = self.entries.iter().map(|(_, entry)| match &entry.command {
            Command::WriteMemory { writes, .. } => writes.len(),
            _ => 1,
        });
        proposals.sum()
    }
}

/// The read side: what applied entries led to.
#[derive(Debug, Default)]
pub struct Derived {
    /// Events per entry, each with the digest after it.
    pub events: Vec<(Arc<EntryEvents>, StateDigest)>,
    /// Tasks that became final.
    pub tasks: Vec<Arc<FinishedTask>>,
    /// Runs that became final.
    pub runs: Vec<Arc<RunRecord>>,
    /// What shared memory holds now, in the order in which it came about.
    pub memory: Vec<MemoryEffect>,
    /// The rows that changed since the last checkpoint, complete up to an index.
    pub checkpoint: Option<Checkpoint>,
}

impl Derived {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.tasks.is_empty()
            && self.runs.is_empty()
            && self.memory.is_empty()
            && self.checkpoint.is_none()
    }
}

/// Live rows as they stand at an index, as a change to the checkpoint before.
#[derive(Debug)]
pub struct Checkpoint {
    /// The last entry whose effects the rows hold.
    pub index: LogIndex,
    /// The digest after that entry.
    pub digest: StateDigest,
    /// Written and removed rows.
    pub changes: Vec<RowChange>,
}

/// The ordered, durable log, with the read side beside it.
pub trait Journal: Send {
    /// Makes the commit durable. When it returns `Ok`, the entries MUST survive a power cut, and
    /// no other entries will ever stand at their indexes. On `Err` the caller MUST NOT acknowledge
    /// anything any more and MUST stop: what is on disk is not known.
    ///
    /// # Errors
    /// The disk or the database refused; see [`JournalError`].
    fn commit(&mut self, commit: &Commit) -> Result<(), JournalError>;

    /// Called when no commit came for a while: time for upkeep, such as indexing history for
    /// search. Returns whether more is left to do. MUST NOT take longer than a commit may wait.
    ///
    /// # Errors
    /// As for [`Self::commit`]: the next commit is not tried.
    fn idle(&mut self) -> Result<bool, JournalError> {
        Ok(false)
    }

    /// Whether somebody waits for upkeep: then [`Self::idle`] is called although it had nothing
    /// left to do, and soon.
    fn is_upkeep_wanted(&self) -> bool {
        false
    }
}

/// Why a commit failed. None of these can be retried.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// No space is left; nothing of the commit was stored.
    #[error("the disk is full: {detail}")]
    DiskFull {
        /// What the system said.
        detail: String,
    },
    /// Writing or syncing failed; what is on disk is not known.
    #[error("the log could not be made durable: {detail}")]
    NotDurable {
        /// What the system said.
        detail: String,
    },
    /// The stored data contradicts itself.
    #[error("the log is damaged: {detail}")]
    Damaged {
        /// Where and how.
        detail: String,
    },
}

/// What a store hands over at start: the last checkpoint and the log after it.
#[derive(Debug)]
pub struct Recovered {
    /// Index of the checkpoint; 0 without one.
    pub checkpoint_index: LogIndex,
    /// Digest at the checkpoint.
    pub checkpoint_digest: StateDigest,
    /// The live rows of the checkpoint.
    pub rows: Vec<Row>,
    /// Entries after the checkpoint, each with the digest that was stored for it, if it was.
    pub entries: Vec<(LogIndex, LogEntry, Option<StateDigest>)>,
}

/// Wall-clock time and the passing of time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970; may jump.
    fn wall(&self) -> UnixMillis;
    /// Milliseconds since some fixed point, also counting sleep of the machine; never goes back.
    fn elapsed_ms(&self) -> u64;
    /// As [`Self::elapsed_ms`], but in microseconds: for how long something took, not for what is
    /// due. A clock that is no finer keeps the default.
    fn elapsed_us(&self) -> u64 {
        self.elapsed_ms().saturating_mul(1_000)
    }
}

/// What schedules are due when: time zones are a matter of the machine.
pub trait Calendar: Send + Sync + std::fmt::Debug {
    /// The first due time after `after` of a schedule that was due at `due`; none when there is
    /// none, or when the time zone is not known here.
    fn next(&self, timing: &Timing, due: UnixMillis, after: UnixMillis) -> Option<UnixMillis>;
}

/// A calendar without time zones: all there is is UTC.
#[derive(Debug, Clone, Copy)]
pub struct UtcCalendar;

impl Calendar for UtcCalendar {
    fn next(&self, timing: &Timing, due: UnixMillis, after: UnixMillis) -> Option<UnixMillis> {
        match timing {
            Timing::Every { .. } => timing.next_in_spans(due, after),
            Timing::Cron { expression, zone } if zone == "UTC" => {
                next_due(&expression.parse().ok()?, &Utc, after)
            }
            Timing::Cron { .. } => None,
        }
    }
}

/// Fresh ids and seeds.
pub trait Entropy: Send + std::fmt::Debug {
    /// 128 bits for an id: a UUIDv7 in production.
    fn id(&mut self) -> u128;
    /// A seed for one log entry.
    fn seed(&mut self) -> u64;
}

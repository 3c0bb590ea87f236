//! The place where somebody asks for a compaction of shared memory, and where the journal, which
//! alone writes, says how far it came.

use parking_lot::{Condvar, Mutex};
use skep_model::memory::Namespace;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the database takes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreBytes {
    /// Bytes of the database file.
    pub database: u64,
    /// Bytes of the write-ahead log beside it.
    pub wal: u64,
    /// Bytes of pages in the database that hold nothing. They are used again before it grows.
    pub free: u64,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CompactionReport {
    /// As measured before its first step.
    pub before: StoreBytes,
    /// As measured behind its last step so far.
    pub after: StoreBytes,
    /// Versions that were removed because the retention policy does not keep them.
    pub versions: u64,
    /// Values that no version had any more.
    pub values: u64,
    /// Writes to the tables of the search that put their parts together.
    pub search_writes: u64,
    /// Pages that were given back to the file system.
    pub pages_returned: u64,
    /// Whether the write-ahead log was emptied; a reader in the way keeps it.
    pub wal_emptied: bool,
    /// Whether all steps are done; else it goes on by itself.
    pub finished: bool,
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompactionError {
    /// Another one is under way.
    #[error("a compaction of {} is under way; ask again when it has ended", shown(.0.as_ref()))]
    OtherUnderWay(Option<Namespace>),
    /// A step failed, or the journal ended.
    #[error("the compaction ended early: {0}")]
    Failed(String),
}

fn shown(scope: Option<&Namespace>) -> String {
    scope.map_or_else(
        || "all namespaces".to_owned(),
        |namespace| format!("`{namespace}`"),
    )
}

/// What is asked for, and how far it came.
#[derive(Debug, Default)]
struct Round {
    /// Counts the compactions that were asked for.
    number: u64,
    /// Of the one that is asked for or under way.
    scope: Option<Namespace>,
    open: bool,
    /// Whether the journal has begun with it.
    begun: bool,
    report: CompactionReport,
    failed: Option<String>,
    /// Whether no journal is there that could do it.
    closed: bool,
}

/// Why nothing is compacted where no journal is.
const CLOSED: &str = "the coordinator stops";

/// What is asked for: one namespace, or all of them.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) scope: Option<Namespace>,
}

/// Asks the journal to compact, a small step at a time. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Compactor(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    round: Mutex<Round>,
    changed: Condvar,
}

impl Compactor {
    /// Compacts one namespace or all of them, and the files in any case. Waits for the end, but no
    /// longer than `wait`: what is not done by then goes on, and the report says so. Whoever asks
    /// for the same while it is under way waits for the same end. Blocks.
    ///
    /// # Errors
    /// Another scope is under way, or a step failed.
    pub fn compact(
        &self,
        scope: Option<Namespace>,
        wait: Duration,
    ) -> Result<CompactionReport, CompactionError> {
        let deadline = Instant::now() + wait;
        let mut round = self.0.round.lock();
        if round.closed {
            return Err(CompactionError::Failed(CLOSED.to_owned()));
        }
        if !round.open {
            *round = Round {
                number: round.number + 1,
                scope,
                open: true,
                ..Round::default()
            };
        } else if round.scope != scope {
            return Err(CompactionError::OtherUnderWay(round.scope.clone()));
        }
        let number = round.number;
        while round.open && round.number == number {
            if self.0.changed.wait_until(&mut round, deadline).timed_out() {
                break;
            }
        }
        match &round.failed {
            Some(detail) if round.number == number => Err(CompactionError::Failed(detail.clone())),
            _ => Ok(round.report),
        }
    }

    /// A journal is there.
    pub(crate) fn open(&self) {
        self.0.round.lock().closed = false;
    }

    /// No journal is there any more; what was under way has failed.
    pub(crate) fn close(&self) {
        self.0.round.lock().closed = true;
        self.fail(CLOSED);
    }

    /// Whether there is something to do.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.round.lock().open
    }

    /// The scope of a compaction that was asked for and is not begun yet.
    pub(crate) fn begin(&self) -> Option<Asked> {
        let mut round = self.0.round.lock();
        let fresh = round.open && !round.begun;
        fresh.then(|| {
            round.begun = true;
            Asked {
                scope: round.scope.clone(),
            }
        })
    }

    /// Says how far it came; `finished` ends it.
    pub(crate) fn tell(&self, report: CompactionReport) {
        let mut round = self.0.round.lock();
        round.report = report;
        round.open = !report.finished;
        self.0.changed.notify_all();
    }

    /// Ends it without having done all.
    pub(crate) fn fail(&self, detail: &str) {
        let mut round = self.0.round.lock();
        if round.open {
            round.open = false;
            round.failed = Some(detail.to_owned());
            self.0.changed.notify_all();
        }
    }
}

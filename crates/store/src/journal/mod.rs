//! The ordered log as a table: one transaction and one sync per group commit.

mod compaction;
mod derived;
mod indexer;
mod memory;
mod memory_indexer;
mod memory_keys;
mod retention;
mod sweep;
mod wal_mover;

pub(crate) use indexer::{RUNS_INDEXED, TASKS_INDEXED};
pub(crate) use memory_indexer::MEMORY_INDEXED;
pub(crate) use memory_keys::{memory_listed, memory_unlisted};

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;

use crate::chain::{self, ChainHash};
use crate::data_dir::DataDir;
use crate::database::PAGE_BYTES;
use crate::recovery::LogHead;
use crate::sealed;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use skep_coordinator::ports::{Commit, Journal, JournalError};
use skep_model::attempt::LogIndex;
use skep_model::command::{LOG_FORMAT, LogEntry};
use std::ops::Range;
use wal_mover::WalMover;

/// Scratch space above this is given back after a commit.
const SCRATCH_BYTES_KEPT_MAX: usize = 4 << 20;

/// Pages that a commit changes besides those of its own bytes, about.
const PAGES_PER_COMMIT: u64 = 4;

/// History rows added to the search at a time: a few milliseconds, as long as a commit.
const ROWS_INDEXED_PER_IDLE: u32 = 500;

/// What a journal wrote since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Group commits.
    pub commits: u64,
    /// Log entries.
    pub entries: u64,
    /// Encoded bytes of log entries.
    pub bytes: u64,
}

/// The journal over `SQLite`. Belongs to one thread, which writes everything.
#[derive(Debug)]
pub struct SqliteJournal {
    /// Ends before the connection, which then closes the database.
    mover: WalMover,
    connection: Connection,
    head: LogHead,
    stats: JournalStats,
    scratch: Vec<u8>,
    /// Whether the last look at the search left something to do.
    search_unfinished: bool,
    /// After a failure what is on disk is not known: nothing may follow.
    broken: bool,
    /// Keeps the ownership of the directory, and its reserve of space.
    dir: DataDir,
    /// What is no longer kept goes by this, if anything ever goes.
    upkeep: Option<sweep::Upkeep>,
    /// The sweep under way.
    round: Option<sweep::Round>,
    /// How far old versions of shared memory were looked at.
    memory_aged: sweep::Aged,
    /// Versions of shared memory that are in no list yet, at most.
    memory_unlisted: u64,
    /// What somebody asked for.
    compaction: compaction::Compaction,
}

/// Entries of a commit in their stored form; bytes lie in the scratch space.
#[derive(Debug)]
struct EncodedEntries {
    rows: Vec<(LogIndex, Range<usize>, ChainHash)>,
}

impl SqliteJournal {
    pub(crate) fn new(
        connection: Connection,
        head: LogHead,
        memory_unlisted: u64,
        dir: DataDir,
    ) -> Self {
        let compaction = compaction::Compaction::of(dir.compactor().clone());
        Self {
            compaction,
            mover: WalMover::new(dir.database_path()),
            connection,
            head,
            stats: JournalStats::default(),
            scratch: Vec::new(),
            search_unfinished: false,
            broken: false,
            dir,
            upkeep: None,
            round: None,
            memory_aged: sweep::Aged::default(),
            memory_unlisted,
        }
    }

    /// The last durable entry; 0 without one.
    pub const fn last_index(&self) -> LogIndex {
        self.head.last
    }

    /// What was written since the journal was opened.
    pub const fn stats(&self) -> JournalStats {
        self.stats
    }

    /// Encodes the entries and links them into the chain.
    fn encode(&mut self, entries: &[(LogIndex, LogEntry)]) -> Result<EncodedEntries, JournalError> {
        self.scratch.clear();
        let mut head = (self.head.last, self.head.last_hash);
        let mut rows = Vec::with_capacity(entries.len());
        for (index, entry) in entries {
            if *index != head.0.next() {
                return Err(JournalError::Damaged {
                    detail: format!("entry {index} was to follow entry {}", head.0),
                });
            }
            let start = self.scratch.len();
            sealed::encode(&mut self.scratch, entry).map_err(|error| refused("encode", &error))?;
            let span = start..self.scratch.len();
            let body = &self.scratch[span.clone()];
            head = (
                *index,
                chain::link(&head.1, *index, i64::from(LOG_FORMAT), body),
            );
            rows.push((head.0, span, head.1));
        }
        Ok(EncodedEntries { rows })
    }

    fn write(&mut self, commit: &Commit) -> Result<(), JournalError> {
        self.mover.check()?;
        let encoded = self.encode(&commit.entries)?;
        let bytes = self.scratch.len();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(classify("begin a commit"))?;
        insert_entries(&transaction, &encoded, &self.scratch)?;
        // The bytes of the entries are handed to the database: the space can be used again.
        derived::write(
            &transaction,
            &commit.derived,
            self.head.checkpoint,
            &mut self.scratch,
        )?;
        let mut unlisted = self.memory_unlisted + commit.derived.memory.len() as u64;
        if unlisted > memory_keys::VERSIONS_UNLISTED_MAX {
            memory_keys::list(&transaction)?;
            unlisted = 0;
        }
        transaction.commit().map_err(classify("commit"))?;

        self.memory_unlisted = unlisted;
        if let Some((index, _, hash)) = encoded.rows.last() {
            self.head.last = *index;
            self.head.last_hash = *hash;
        }
        if let Some(checkpoint) = &commit.derived.checkpoint {
            self.head.checkpoint = checkpoint.index;
        }
        self.stats.commits += 1;
        self.stats.entries += encoded.rows.len() as u64;
        self.stats.bytes += bytes as u64;
        self.scratch.clear();
        self.scratch.shrink_to(SCRATCH_BYTES_KEPT_MAX);
        // What an entry leads to takes about as much as the entry.
        let pages = 2 * bytes as u64 / PAGE_BYTES as u64;
        self.mover.note(PAGES_PER_COMMIT + pages);
        Ok(())
    }

    /// Runs `work`; after a failure the journal refuses everything.
    fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        if self.broken {
            return Err(JournalError::NotDurable {
                detail: "an earlier write failed; restart the coordinator".to_owned(),
            });
        }
        let result = work(self);
        let Err(error) = &result else { return result };
        if !self.connection.is_autocommit() {
            self.broken = true;
            return Err(JournalError::NotDurable {
                detail: "a failed write could not be rolled back".to_owned(),
            });
        }
        // A full disk stored nothing and harmed nothing: what is tried again may fit.
        if matches!(error, JournalError::DiskFull { .. }) {
            self.give_back_reserve();
        } else {
            self.broken = true;
        }
        result
    }

    fn upkeep_piece(&mut self) -> Result<bool, JournalError> {
        let added = self.index_search(ROWS_INDEXED_PER_IDLE)?;
        if added >= ROWS_INDEXED_PER_IDLE || self.search_unfinished {
            return Ok(true);
        }
        let sweeps = self.sweep_idle()?;
        Ok(self.compact_step()? || sweeps)
    }

    /// Gives back the space that was kept for this moment, so that results and cancellations of
    /// work that was accepted before can still be stored.
    fn give_back_reserve(&self) {
        match self.dir.release_ballast() {
            Ok(true) => tracing::error!("the disk is full; the reserve was given back, free space"),
            Ok(false) => tracing::error!("the disk is full and no reserve is left, free space"),
            Err(error) => tracing::error!(%error, "the disk is full; the reserve stays"),
        }
    }
}

impl Journal for SqliteJournal {
    fn commit(&mut self, commit: &Commit) -> Result<(), JournalError> {
        if commit.entries.is_empty() && commit.derived.is_empty() {
            return Ok(());
        }
        self.guarded(|journal| journal.write(commit))?;
        self.sweep_behind_commit();
        Ok(())
    }

    fn idle(&mut self) -> Result<bool, JournalError> {
        self.upkeep_piece()
            .inspect_err(|error| self.compaction.fail(error))
    }

    fn is_upkeep_wanted(&self) -> bool {
        self.compaction.is_wanted() && !self.broken
    }
}

fn insert_entries(
    transaction: &Transaction<'_>,
    encoded: &EncodedEntries,
    bytes: &[u8],
) -> Result<(), JournalError> {
    let insert = || -> rusqlite::Result<()> {
        let mut statement =
            transaction.prepare_cached("INSERT INTO log VALUES (?1, ?2, ?3, ?4)")?;
        for (index, span, hash) in &encoded.rows {
            let body = &bytes[span.clone()];
            statement.execute(rusqlite::params![index.0 as i64, LOG_FORMAT, body, hash])?;
        }
        Ok(())
    };
    insert().map_err(classify("store log entries"))
}

/// What an error of `SQLite` means for durability.
fn classify(step: &'static str) -> impl FnOnce(rusqlite::Error) -> JournalError {
    use rusqlite::ErrorCode;
    move |error| {
        let detail = format!("could not {step}: {error}");
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => JournalError::DiskFull { detail },
            Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch,
            ) => JournalError::Damaged { detail },
            _ => JournalError::NotDurable { detail },
        }
    }
}

fn refused(step: &str, error: &postcard::Error) -> JournalError {
    JournalError::NotDurable {
        detail: format!("could not {step} a row: {error}"),
    }
}

//! Keeps what the coordinator must not forget: the log, the history, artifacts, logs of attempts.
//!
//! Open a [`DataDir`] (one owner at a time), open its [`Store`], and [`Store::recover`]: it gives
//! the last checkpoint with the log after it, and the [`SqliteJournal`] that makes new entries
//! durable. [`Archive`] answers questions about what is final; [`BlobStore`] keeps the bytes of
//! artifacts under their hashes; [`AttemptLogs`] keeps what attempts printed. [`backup`] makes,
//! checks and restores copies of all of it; a [`RetentionPolicy`] says what may go.
//!
//! Everything here blocks; callers bring the threads. A failed sync, a wrong checksum or a gap in
//! the log is an error that ends the owner, never something to work around.
//!
//! This crate may not: know HTTP, decide anything about tasks, or spawn.

mod anchors;
mod archive;
mod attempt_logs;
pub mod backup;
mod blobs;
mod chain;
mod claude_flow_memory;
mod compaction;
mod data_dir;
mod database;
mod error;
mod file_sweep;
mod journal;
mod key_locks;
mod memory_row;
mod migrations;
mod provenance;
mod recovery;
mod retention;
mod row_key;
mod sealed;
mod search_text;
mod shards;
mod space;
mod store;
mod verify;
mod wal_scan;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod golden_tests;

pub use archive::{
    Archive, ArtifactReference, HistoryCursor, MEMORY_HITS_MAX, MemoryHead, MemoryHit, MemoryHits,
    MemoryNear, MemorySearch, NearValue, NearValues, Page, PageStart, RunFilter, SNIPPET_MARK,
    SearchHit, SearchPage, SearchedNamespaces, Sizes, TaskFilter,
};
pub use attempt_logs::{AttemptLogError, AttemptLogs, LogLine};
pub use blobs::{BlobError, BlobStatus, BlobStore};
pub use claude_flow_memory::{ClaudeFlowEntry, read_claude_flow_memory};
pub use compaction::{CompactionError, CompactionReport, Compactor, StoreBytes};
pub use data_dir::{DataDir, OpenOptions};
pub use error::StoreError;
pub use file_sweep::{FileSweepError, FileSweeper};
pub use journal::{JournalStats, SqliteJournal};
pub use provenance::Provenance;
pub use retention::{
    EVENT_ENTRIES_KEPT_MAX, EVENTS_KEPT_MS, FILES_GRACE_MS, FILES_GRACE_MS_MIN, FileSweepReport,
    HISTORY_KEPT_MS, LOG_ENTRIES_KEPT, PolicyError, RetentionPolicy, SweepReport,
};
pub use space::SpaceState;
pub use store::Store;
pub use verify::{Finding, VerifyReport};

//! Removes files that no row needs any more: artifacts without a reference, logs of tasks that are
//! gone, uploads that nobody goes on with.
//!
//! A file is judged by what was true at one moment, and only once the database has caught up with
//! it. Whatever used an artifact before that moment is then in its index; an artifact that was
//! written or asked for later was touched, and stays.

use crate::anchors::{Anchor, AnchorName};
use crate::archive::Archive;
use crate::attempt_logs::{AttemptLogError, AttemptLogs};
use crate::blobs::{BlobError, BlobStore};
use crate::error::StoreError;
use crate::retention::{FileSweepReport, RetentionPolicy, before};
use crate::row_key;
use rusqlite::{Connection, params};
use skep_model::attempt::{ArtifactHash, LogIndex};
use skep_model::ids::TaskId;
use skep_model::row::RowKey;
use skep_model::time::UnixMillis;
use std::time::{Duration, SystemTime};

/// Why a sweep of files stopped. It goes on with the next call.
#[derive(Debug, thiserror::Error)]
pub enum FileSweepError {
    /// The database could not be read, or a directory not listed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An artifact could not be removed.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A log could not be removed.
    #[error(transparent)]
    AttemptLog(#[from] AttemptLogError),
}

/// Removes files that no row needs any more. Reads the database, never writes it: any thread that
/// may block can own one, beside the journal. There MUST be only one per data directory.
#[derive(Debug)]
pub struct FileSweeper {
    archive: Archive,
    blobs: BlobStore,
    logs: AttemptLogs,
    /// The next of the 256 parts of each directory.
    shard: u8,
    artifacts_by: Option<Moment>,
    logs_by: Option<Moment>,
}

/// A moment that files are judged by.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: UnixMillis,
    /// The last log entry then.
    head: LogIndex,
}

impl Moment {
    /// Files that were touched since then stay.
    fn untouched_since(self, policy: &RetentionPolicy) -> SystemTime {
        let then = before(self.at, policy.files_grace_ms);
        SystemTime::UNIX_EPOCH + Duration::from_millis(then.0)
    }
}

/// How far the database has come.
#[derive(Debug, Clone, Copy)]
struct Progress {
    head: LogIndex,
    /// What entries up to here led to is stored.
    derived: LogIndex,
    /// Live tasks are known as of here.
    checkpoint: LogIndex,
}

impl FileSweeper {
    /// Made from the parts of one data directory.
    pub const fn new(archive: Archive, blobs: BlobStore, logs: AttemptLogs) -> Self {
        Self {
            archive,
            blobs,
            logs,
            shard: 0,
            artifacts_by: None,
            logs_by: None,
        }
    }

    /// One of the 256 pieces of a round; the round goes on with the next call while there is
    /// more.
    pub fn sweep(
        &mut self,
        now: UnixMillis,
        policy: &RetentionPolicy,
    ) -> Result<FileSweepReport, FileSweepError> {
        let progress = self.archive.read(progress)?;
        let present = Moment {
            at: now,
            head: progress.head,
        };
        let artifacts_by = *self.artifacts_by.get_or_insert(present);
        let logs_by = *self.logs_by.get_or_insert(present);
        let mut report = FileSweepReport::default();
        let indexed = progress.derived >= artifacts_by.head;
        if indexed {
            self.sweep_blobs(artifacts_by.untouched_since(policy), &mut report)?;
        }
        // A task that is neither in the history nor live is known to be gone only from here on.
        let known = progress.checkpoint >= logs_by.head;
        if known {
            self.sweep_logs(logs_by.untouched_since(policy), &mut report)?;
        }
        if self.shard == 0 {
            report.uploads = self.blobs.sweep_parts(present.untouched_since(policy))? as u64;
        }
        self.shard = self.shard.wrapping_add(1);
        report.more = self.shard != 0;
        // The next round judges by a later moment, unless the database has not come to this one:
        // a busy log would stay ahead of it for ever.
        if !report.more {
            self.artifacts_by = self.artifacts_by.filter(|_| !indexed);
            self.logs_by = self.logs_by.filter(|_| !known);
        }
        Ok(report)
    }

    fn sweep_blobs(
        &self,
        then: SystemTime,
        report: &mut FileSweepReport,
    ) -> Result<(), FileSweepError> {
        for hash in self.blobs.hashes_in_shard(self.shard)? {
            if self
                .archive
                .read(|connection| is_referenced(connection, hash))?
            {
                continue;
            }
            if let Some(bytes) = self.blobs.remove_untouched(hash, then)? {
                report.artifacts += 1;
                report.bytes += bytes;
            }
        }
        Ok(())
    }

    fn sweep_logs(
        &self,
        then: SystemTime,
        report: &mut FileSweepReport,
    ) -> Result<(), FileSweepError> {
        for (task, attempt) in self.logs.in_shard(self.shard)? {
            if self.archive.read(|connection| is_known(connection, task))? {
                continue;
            }
            if let Some(bytes) = self.logs.remove_untouched(task, attempt, then)? {
                report.attempt_logs += 1;
                report.bytes += bytes;
            }
        }
        Ok(())
    }
}

fn progress(connection: &Connection) -> Result<Progress, StoreError> {
    let newest = |table: &str| {
        connection
            .prepare_cached(&format!("SELECT coalesce(max(idx), 0) FROM {table}"))
            .and_then(|mut select| select.query_row([], |row| row.get::<_, i64>(0)))
            .map(|index| LogIndex(index as u64))
            .map_err(StoreError::database("read the end of the log"))
    };
    Ok(Progress {
        head: newest("log")?,
        derived: newest("events")?,
        checkpoint: Anchor::load(connection, AnchorName::Checkpoint)?.index,
    })
}

fn is_referenced(connection: &Connection, hash: ArtifactHash) -> Result<bool, StoreError> {
    exists(
        connection,
        "SELECT EXISTS (SELECT 1 FROM artifacts WHERE hash = ?1)
         OR EXISTS (SELECT 1 FROM memory WHERE artifact = ?1)",
        params![hash.0],
    )
}

/// Whether the task is in the history or lives.
fn is_known(connection: &Connection, task: TaskId) -> Result<bool, StoreError> {
    let key = RowKey::Task(task);
    let (kind, id) = row_key::columns(&key);
    exists(
        connection,
        "SELECT EXISTS (SELECT 1 FROM tasks WHERE id = ?2)
         OR EXISTS (SELECT 1 FROM live WHERE kind = ?1 AND key = ?2)",
        params![kind, id.as_slice()],
    )
}

fn exists(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<bool, StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut select| select.query_row(params, |row| row.get(0)))
        .map_err(StoreError::database("look for what needs a file"))
}

#[cfg(test)]
mod tests;

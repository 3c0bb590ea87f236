//! How long what is final is kept, and what a sweep removed.
//!
//! Two sweeps share one policy. [`crate::SqliteJournal`] removes rows, because it alone writes: a
//! bounded piece in a pause between commits, or once in a while behind a commit when there is no
//! pause. [`crate::FileSweeper`] removes files that no row needs any more, beside it.
//!
//! Nothing after the last checkpoint is removed, nothing of a run that is not final, and no task
//! whose artifacts a live task is still going to read.

use skep_model::limits::IDEMPOTENCY_RETENTION_MS;
use skep_model::time::UnixMillis;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// How long final tasks and runs are kept: 30 days.
pub const HISTORY_KEPT_MS: u64 = 30 * DAY_MS;
/// How long events are kept: 7 days.
pub const EVENTS_KEPT_MS: u64 = 7 * DAY_MS;
/// Log entries whose events are kept; the oldest give way.
pub const EVENT_ENTRIES_KEPT_MAX: u64 = 1_000_000;
/// Log entries kept before the last checkpoint, for those who examine what happened. A restart
/// needs none of them.
pub const LOG_ENTRIES_KEPT: u64 = 100_000;
/// Files that nothing needs are kept this long after they were last written or asked for.
pub const FILES_GRACE_MS: u64 = DAY_MS;
/// The shortest such grace. A report must be in the log this long after its artifacts were asked
/// for, or they may be gone.
pub const FILES_GRACE_MS_MIN: u64 = HOUR_MS;

/// How long what is final is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Final tasks, and runs with all their tasks, go this long after they became final; versions
    /// of shared memory that were replaced, or say that an entry ended, this long after they were
    /// written.
    pub history_kept_ms: u64,
    /// Events go after this long.
    pub events_kept_ms: u64,
    /// Events of at most this many log entries are kept.
    pub event_entries_kept_max: u64,
    /// Log entries kept before the last checkpoint.
    pub log_entries_kept: u64,
    /// Artifacts and logs of attempts that nothing refers to, and uploads that nobody goes on
    /// with, go this long after they were last written or asked for.
    pub files_grace_ms: u64,
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self {
            history_kept_ms: HISTORY_KEPT_MS,
            events_kept_ms: EVENTS_KEPT_MS,
            event_entries_kept_max: EVENT_ENTRIES_KEPT_MAX,
            log_entries_kept: LOG_ENTRIES_KEPT,
            files_grace_ms: FILES_GRACE_MS,
        }
    }
}

/// Why a policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A remembered idempotency key would answer with a run that is gone.
    #[error(
        "history is to be kept for {given_ms} ms, and idempotency keys answer with it for \
         {IDEMPOTENCY_RETENTION_MS} ms: keep it at least as long"
    )]
    HistoryTooShort {
        /// What was asked for.
        given_ms: u64,
    },
    /// Artifacts could go between their upload and the report that names them.
    #[error(
        "files are to be kept for {given_ms} ms after their last use: FILES_GRACE_MS_MIN is \
         {FILES_GRACE_MS_MIN}"
    )]
    GraceTooShort {
        /// What was asked for.
        given_ms: u64,
    },
}

impl RetentionPolicy {
    /// Refuses a policy that would break a promise.
    pub const fn check(&self) -> Result<(), PolicyError> {
        if self.history_kept_ms < IDEMPOTENCY_RETENTION_MS {
            return Err(PolicyError::HistoryTooShort {
                given_ms: self.history_kept_ms,
            });
        }
        if self.files_grace_ms < FILES_GRACE_MS_MIN {
            return Err(PolicyError::GraceTooShort {
                given_ms: self.files_grace_ms,
            });
        }
        Ok(())
    }
}

/// What was removed from the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Tasks of the history.
    pub tasks: u64,
    /// Runs of the history.
    pub runs: u64,
    /// Log entries whose events were removed.
    pub event_entries: u64,
    /// Log entries.
    pub log_entries: u64,
    /// Versions of entries in shared memory.
    pub memory_versions: u64,
    /// Whether the round goes on: sweep again.
    pub more: bool,
}

impl SweepReport {
    /// Adds a later piece to this one.
    pub const fn add(&mut self, later: &Self) {
        self.tasks += later.tasks;
        self.runs += later.runs;
        self.event_entries += later.event_entries;
        self.log_entries += later.log_entries;
        self.memory_versions += later.memory_versions;
        self.more = later.more;
    }
}

/// What was removed from the directories of artifacts and logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileSweepReport {
    /// Artifacts that nothing refers to.
    pub artifacts: u64,
    /// Logs of attempts of tasks that are gone.
    pub attempt_logs: u64,
    /// Uploads that nobody went on with.
    pub uploads: u64,
    /// Bytes of the artifacts and logs.
    pub bytes: u64,
    /// Whether the round goes on: sweep again.
    pub more: bool,
}

impl FileSweepReport {
    /// Adds a later piece to this one.
    pub const fn add(&mut self, later: &Self) {
        self.artifacts += later.artifacts;
        self.attempt_logs += later.attempt_logs;
        self.uploads += later.uploads;
        self.bytes += later.bytes;
        self.more = later.more;
    }
}

/// The time `ms` before `now`.
pub(crate) const fn before(now: UnixMillis, ms: u64) -> UnixMillis {
    UnixMillis(now.0.saturating_sub(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_would_break_a_promise_is_refused() {
        assert_eq!(RetentionPolicy::default().check(), Ok(()));
        let short = RetentionPolicy {
            history_kept_ms: IDEMPOTENCY_RETENTION_MS - 1,
            ..RetentionPolicy::default()
        };
        let error = short.check().unwrap_err();
        assert!(
            error.to_string().contains("keep it at least as long"),
            "{error}"
        );
        let hasty = RetentionPolicy {
            files_grace_ms: FILES_GRACE_MS_MIN - 1,
            ..RetentionPolicy::default()
        };
        let error = hasty.check().unwrap_err();
        assert!(error.to_string().contains("FILES_GRACE_MS_MIN"), "{error}");
    }
}

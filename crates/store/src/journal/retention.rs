//! Forgets the oldest part of the log and of the events, a bounded piece at a time.

use super::{SqliteJournal, classify, derived};
use crate::anchors::{Anchor, AnchorName};
use crate::archive::event_row;
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};
use skep_coordinator::ports::{JournalError, StateDigest};
use skep_model::attempt::LogIndex;
use skep_model::time::UnixMillis;

/// Stands in the anchor of the log's start when the events there, and the digest with them, were
/// forgotten before. The chain needs only the hash.
const DIGEST_FORGOTTEN: StateDigest = [0; 32];

impl SqliteJournal {
    /// Removes up to `limit` of the oldest entries that lie before `keep_from`. Nothing after the
    /// last checkpoint is removed, nor the entry at it. The chain is checked from an anchor then.
    /// Gives the number of removed entries; call it again while it is `limit`.
    ///
    /// # Errors
    /// As for a commit: the journal refuses everything after a failure.
    pub fn forget_before(&mut self, keep_from: LogIndex, limit: u32) -> Result<u64, JournalError> {
        let bound = keep_from.min(self.head.checkpoint);
        self.guarded(|journal| {
            let transaction = journal
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(classify("begin to forget log entries"))?;
            let count = forget_log(&transaction, bound, limit)?;
            if count > 0 {
                transaction
                    .commit()
                    .map_err(classify("forget log entries"))?;
            }
            Ok(count)
        })
    }
}

/// Removes up to `limit` log entries before `bound`; gives their number.
pub(super) fn forget_log(
    transaction: &Transaction<'_>,
    bound: LogIndex,
    limit: u32,
) -> Result<u64, JournalError> {
    let database = || classify("forget log entries");
    let oldest: Option<i64> = transaction
        .query_row("SELECT min(idx) FROM log", [], |row| row.get(0))
        .map_err(database())?;
    let Some(oldest) = oldest else { return Ok(0) };
    let end = (oldest as u64)
        .saturating_add(u64::from(limit))
        .min(bound.0);
    if end <= oldest as u64 {
        return Ok(0);
    }
    let index = LogIndex(end - 1);
    let digest: Option<StateDigest> = transaction
        .query_row(
            "SELECT digest FROM events WHERE idx = ?1",
            [index.0 as i64],
            |row| row.get(0),
        )
        .optional()
        .map_err(database())?;
    let anchor = Anchor {
        index,
        digest: digest.unwrap_or(DIGEST_FORGOTTEN),
        log_hash: derived::hash_at(transaction, index)?,
    };
    anchor
        .save(transaction, AnchorName::LogStart)
        .and_then(|()| transaction.execute("DELETE FROM log WHERE idx < ?1", [end as i64]))
        .map(|removed| removed as u64)
        .map_err(database())
}

/// Which events may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventBounds {
    /// Those from here on stay whatever else is true.
    pub(super) keep_from: LogIndex,
    /// Events of at most this many entries stay.
    pub(super) kept_max: u64,
    /// Those before this time go.
    pub(super) cutoff: UnixMillis,
}

/// Removes the events of up to `limit` entries; gives their number.
pub(super) fn forget_events(
    transaction: &Transaction<'_>,
    bounds: EventBounds,
    limit: u32,
) -> Result<u64, JournalError> {
    let database = || classify("forget events");
    let ends: (Option<i64>, Option<i64>) = transaction
        .query_row(
            "SELECT (SELECT min(idx) FROM events), (SELECT max(idx) FROM events)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(database())?;
    let (Some(oldest), Some(newest)) = ends else {
        return Ok(0);
    };
    let (oldest, newest) = (oldest as u64, newest as u64);
    let piece_end = oldest
        .saturating_add(u64::from(limit))
        .min(bounds.keep_from.0);
    // The first entry that the bound on their number leaves.
    let by_count = (newest + 1).saturating_sub(bounds.kept_max).min(piece_end);
    let by_age = first_kept_by_age(transaction, oldest..piece_end, bounds.cutoff)?;
    let end = by_count.max(by_age);
    if end <= oldest {
        return Ok(0);
    }
    transaction
        .execute("DELETE FROM events WHERE idx < ?1", [end as i64])
        .map(|removed| removed as u64)
        .map_err(database())
}

/// The first entry of the range that is not older than the cutoff; time never goes back from one
/// entry to the next.
fn first_kept_by_age(
    transaction: &Transaction<'_>,
    range: std::ops::Range<u64>,
    cutoff: UnixMillis,
) -> Result<u64, JournalError> {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_older(transaction, middle, cutoff)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn is_older(
    transaction: &Transaction<'_>,
    index: u64,
    cutoff: UnixMillis,
) -> Result<bool, JournalError> {
    let database = || classify("read the age of events");
    let mut statement = transaction
        .prepare_cached("SELECT idx, digest, body FROM events WHERE idx = ?1")
        .map_err(database())?;
    let mut rows = statement.query([index as i64]).map_err(database())?;
    let Some(row) = rows.next().map_err(database())? else {
        // A row that is missing keeps nothing back.
        return Ok(true);
    };
    match event_row(row) {
        Ok(entry) => Ok(entry.at < cutoff),
        Err(error) => {
            tracing::error!(index, %error, "damaged events are kept; run the doctor");
            Ok(false)
        }
    }
}

/// The time of the last checkpoint; nothing can be said about it before the first one.
pub(super) fn checkpoint_time(
    transaction: &Transaction<'_>,
) -> Result<Option<UnixMillis>, JournalError> {
    use crate::{recovery, row_key};
    use skep_model::row::{Row, RowKey};

    let database = || classify("read the time of the checkpoint");
    let (kind, key) = row_key::columns(&RowKey::Clock);
    let mut statement = transaction
        .prepare_cached("SELECT kind, key, body FROM live WHERE kind = ?1 AND key = ?2")
        .map_err(database())?;
    let mut rows = statement
        .query(params![kind, key.as_slice()])
        .map_err(database())?;
    let Some(row) = rows.next().map_err(database())? else {
        return Ok(None);
    };
    match recovery::live_row(row) {
        Ok(Row::Clock(time)) => Ok(Some(time)),
        Ok(_) => Ok(None),
        Err(error) => {
            tracing::error!(%error, "nothing of the history is removed; run the doctor");
            Ok(None)
        }
    }
}

//! Forgets the oldest part of the log, a bounded piece at a time.

use super::{SqliteJournal, classify, derived};
use crate::anchors::{Anchor, AnchorName};
use rusqlite::{TransactionBehavior, params};
use skep_coordinator::ports::JournalError;
use skep_model::attempt::LogIndex;

impl SqliteJournal {
    /// Removes up to `limit` of the oldest entries that lie before `keep_from`, with their events.
    /// Nothing after the last checkpoint is removed, nor an entry whose events were not stored.
    /// Gives the number of removed entries; call it again while it is `limit`.
    ///
    /// # Errors
    /// As for a commit: the journal refuses everything after a failure.
    pub fn forget_before(&mut self, keep_from: LogIndex, limit: u32) -> Result<u64, JournalError> {
        let bound = keep_from.0.min(self.head.checkpoint.0);
        self.guarded(|journal| journal.forget(bound, limit))
    }

    fn forget(&mut self, bound: u64, limit: u32) -> Result<u64, JournalError> {
        let database = || classify("forget log entries");
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(database())?;
        let (last, count): (Option<i64>, i64) = transaction
            .query_row(
                "SELECT max(idx), count(*) FROM
                     (SELECT idx FROM log WHERE idx < ?1 ORDER BY idx LIMIT ?2)",
                params![bound as i64, limit],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .map_err(database())?;
        let Some(last) = last else { return Ok(0) };
        let digest: Option<[u8; 32]> = transaction
            .query_row(
                "SELECT max(digest) FROM events WHERE idx = ?1",
                [last],
                |row| row.get(0),
            )
            .map_err(database())?;
        let Some(digest) = digest else { return Ok(0) };
        let index = LogIndex(last as u64);
        let anchor = Anchor {
            index,
            digest,
            log_hash: derived::hash_at(&transaction, index)?,
        };
        anchor
            .save(&transaction, AnchorName::LogStart)
            .and_then(|()| transaction.execute("DELETE FROM log WHERE idx <= ?1", [last]))
            .and_then(|_| transaction.execute("DELETE FROM events WHERE idx <= ?1", [last]))
            .map_err(database())?;
        transaction.commit().map_err(database())?;
        Ok(count as u64)
    }
}

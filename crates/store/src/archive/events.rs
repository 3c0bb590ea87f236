//! Events of the past, for subscribers that come back after a long time.

use super::{Archive, bounded, collect};
use crate::error::StoreError;
use crate::sealed::{self, Table};
use rusqlite::{Row, params};
use skep_model::attempt::LogIndex;
use skep_model::event::{EntryEvents, EventCursor};

impl Archive {
    /// Entries with events after the cursor, oldest first. The first one may hold events at or
    /// before the cursor too: positions count from the first event of an entry, so entries are
    /// given whole.
    pub fn events_after(
        &self,
        cursor: EventCursor,
        limit: usize,
    ) -> Result<Vec<EntryEvents>, StoreError> {
        // One more, for the entry at the cursor that may have nothing left.
        let limit = bounded(limit);
        let sql = "SELECT idx, digest, body FROM events WHERE idx >= ?1 ORDER BY idx LIMIT ?2";
        let mut entries = self.read(|connection| {
            let params = params![cursor.index.0 as i64, limit as i64 + 1];
            collect(connection, sql, params, event_row)
        })?;
        entries.retain(|entry| {
            entry.index > cursor.index || entry.events.len() > cursor.ordinal as usize + 1
        });
        entries.truncate(limit);
        Ok(entries)
    }

    /// The oldest entry whose events are kept; none before the first one.
    pub fn first_event_index(&self) -> Result<Option<LogIndex>, StoreError> {
        self.event_index("SELECT min(idx) FROM events")
    }

    /// The newest entry whose events are here; none before the first one.
    pub fn last_event_index(&self) -> Result<Option<LogIndex>, StoreError> {
        self.event_index("SELECT max(idx) FROM events")
    }

    fn event_index(&self, sql: &str) -> Result<Option<LogIndex>, StoreError> {
        let index = self.read(|connection| {
            connection
                .query_row(sql, [], |row| row.get::<_, Option<i64>>(0))
                .map_err(StoreError::database("read the places of events"))
        })?;
        Ok(index.map(|index| LogIndex(index as u64)))
    }
}

/// Decodes a row of `events` with the columns idx, digest, body.
pub(crate) fn event_row(row: &Row<'_>) -> Result<EntryEvents, StoreError> {
    let columns = || -> rusqlite::Result<_> {
        Ok((
            row.get::<_, i64>(0)?,
            row.get_ref(1)?.as_blob()?,
            row.get_ref(2)?.as_blob()?,
        ))
    };
    let (index, digest, body) = columns().map_err(StoreError::database("read events"))?;
    sealed::unseal(body, Table::Events, &[&index.to_le_bytes(), digest]).map_err(|error| {
        StoreError::damaged(
            format!("the events of log entry {index}"),
            error.to_string(),
        )
    })
}

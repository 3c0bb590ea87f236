//! What a coordinator starts from: the checkpoint and the log after it, checked.

use crate::anchors::{Anchor, AnchorName};
use crate::chain::{ChainHash, ChainWalk, StoredEntry};
use crate::error::StoreError;
use crate::sealed::{self, Table};
use rusqlite::Connection;
use skep_coordinator::ports::Recovered;
use skep_model::attempt::LogIndex;
use skep_model::row::Row;

/// Where the log ends and where its checkpoint is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogHead {
    pub(crate) last: LogIndex,
    pub(crate) last_hash: ChainHash,
    pub(crate) checkpoint: LogIndex,
}

/// Reads and checks the checkpoint and all entries after it.
pub(crate) fn recover(connection: &Connection) -> Result<(Recovered, LogHead), StoreError> {
    let checkpoint = Anchor::load(connection, AnchorName::Checkpoint)?;
    let start = Anchor::load(connection, AnchorName::LogStart)?;
    if start.index > checkpoint.index {
        return Err(StoreError::damaged(
            "the log",
            format!(
                "it starts after entry {} although the checkpoint is at {}",
                start.index, checkpoint.index
            ),
        ));
    }
    let rows = live_rows(connection)?;
    if checkpoint.index == LogIndex(0) && !rows.is_empty() {
        return Err(StoreError::damaged(
            "the checkpoint",
            "its place in the log is missing although its rows are there",
        ));
    }
    let mut walk = ChainWalk::after(checkpoint.index, checkpoint.log_hash);
    let mut entries = Vec::new();
    for_each_entry(connection, checkpoint.index, |entry| {
        let decoded = walk.step(entry)?;
        entries.push((entry.index, decoded, entry.digest()?));
        Ok(())
    })?;
    let (last, last_hash) = walk.head();
    check_nothing_ahead(connection, last)?;
    tracing::info!(
        checkpoint = checkpoint.index.0,
        rows = rows.len(),
        entries = entries.len(),
        "checked the log"
    );
    let recovered = Recovered {
        checkpoint_index: checkpoint.index,
        checkpoint_digest: checkpoint.digest,
        rows,
        entries,
    };
    Ok((
        recovered,
        LogHead {
            last,
            last_hash,
            checkpoint: checkpoint.index,
        },
    ))
}

/// Calls `visit` with each stored entry after this one, in order.
pub(crate) fn for_each_entry(
    connection: &Connection,
    after: LogIndex,
    mut visit: impl FnMut(&StoredEntry) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let read = StoreError::database;
    let sql = format!(
        "{} WHERE log.idx > ?1 ORDER BY log.idx",
        StoredEntry::SELECT
    );
    let mut statement = connection.prepare(&sql).map_err(read("read the log"))?;
    let mut rows = statement
        .query([after.0 as i64])
        .map_err(read("read the log"))?;
    while let Some(row) = rows.next().map_err(read("read the log"))? {
        visit(&StoredEntry::read(row).map_err(read("read a log entry"))?)?;
    }
    Ok(())
}

/// Calls `visit` with each live row's place and value.
fn live_rows(connection: &Connection) -> Result<Vec<Row>, StoreError> {
    let read = StoreError::database;
    let mut statement = connection
        .prepare("SELECT kind, key, body FROM live ORDER BY kind, key")
        .map_err(read("read the checkpoint"))?;
    let mut found = statement.query([]).map_err(read("read the checkpoint"))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(read("read the checkpoint"))? {
        rows.push(live_row(row)?);
    }
    Ok(rows)
}

/// Decodes a row of `live` with the columns kind, key, body.
pub(crate) fn live_row(row: &rusqlite::Row<'_>) -> Result<Row, StoreError> {
    let column = |at| -> rusqlite::Result<&[u8]> { Ok(row.get_ref(at)?.as_blob()?) };
    let parts = || Ok((row.get::<_, i64>(0)?, column(1)?, column(2)?));
    let (kind, key, body) = parts().map_err(StoreError::database("read a live row"))?;
    sealed::unseal(body, Table::Live, &[&kind.to_le_bytes(), key]).map_err(|error| {
        let key = hex(key);
        StoreError::damaged(format!("live row {kind}/{key}"), error.to_string())
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Events are written after their entries: events of an entry that is not there mean that the end
/// of the log was lost.
fn check_nothing_ahead(connection: &Connection, last: LogIndex) -> Result<(), StoreError> {
    let newest: Option<i64> = connection
        .query_row("SELECT max(idx) FROM events", [], |row| row.get(0))
        .map_err(StoreError::database("read the newest events"))?;
    match newest {
        Some(newest) if newest as u64 > last.0 => Err(StoreError::damaged(
            format!("log entry {}", last.next()),
            format!("it is missing although events up to entry {newest} are stored"),
        )),
        _ => Ok(()),
    }
}

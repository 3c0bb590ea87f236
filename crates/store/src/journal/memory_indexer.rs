//! Fills the search of shared memory behind its versions, in idle time.

use super::classify;
use super::indexer::{progress, save_progress};
use crate::memory_row::{COLUMNS, StoredRow};
use crate::search_text;
use rusqlite::{OptionalExtension, Transaction, params};
use skep_coordinator::ports::JournalError;
use skep_model::memory::{MemoryRecord, MemoryTag, RecordState};

/// Name in `meta` of the last version in the search.
pub(crate) const MEMORY_INDEXED: &str = "search_memory";
/// Bytes of values looked at before a pause: a few milliseconds, as long as a commit.
const BYTES_PER_PIECE: u64 = 1 << 20;

/// Adds up to `limit` versions to the search; gives the number, and whether more are left.
pub(super) fn index_memory(
    transaction: &Transaction<'_>,
    limit: u32,
) -> Result<(u32, bool), JournalError> {
    let database = || classify("fill the search of shared memory");
    let start = progress(transaction, MEMORY_INDEXED)?;
    let sql = format!("SELECT {COLUMNS} FROM memory WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let mut statement = transaction.prepare_cached(&sql).map_err(database())?;
    let mut rows = statement.query(params![start, limit]).map_err(database())?;
    let (mut added, mut bytes, mut last) = (0, 0, start);
    while let Some(row) = rows.next().map_err(database())? {
        last = row.get(0).map_err(database())?;
        added += 1;
        match StoredRow::read(row) {
            Ok(stored) => {
                bytes += stored.value_bytes();
                index_row(transaction, stored)?;
            }
            // Whoever asks for this row is refused; the search of all others goes on.
            Err(error) => tracing::error!(
                row = last,
                %error,
                "a damaged version is left out of the search; run the doctor"
            ),
        }
        if bytes >= BYTES_PER_PIECE {
            break;
        }
    }
    if added > 0 {
        save_progress(transaction, MEMORY_INDEXED, last)?;
    }
    Ok((added, added >= limit || bytes >= BYTES_PER_PIECE))
}

fn index_row(transaction: &Transaction<'_>, stored: StoredRow) -> Result<(), JournalError> {
    let is_entry = match stored.state {
        RecordState::Written => true,
        RecordState::Deleted | RecordState::Expired => false,
        // It was never the entry.
        RecordState::Conflict | RecordState::Lost => return Ok(()),
    };
    let place = params![stored.namespace.as_str(), stored.key.as_str()];
    let database = || classify("fill the search of shared memory");
    // The newer version comes later in this walk, and takes the place of the old one.
    if is_entry && is_replaced(transaction, &stored)? {
        return Ok(());
    }
    let old: Option<i64> = transaction
        .prepare_cached("SELECT seq FROM memory_indexed WHERE namespace = ?1 AND key = ?2")
        .and_then(|mut select| select.query_row(place, |row| row.get(0)).optional())
        .map_err(database())?;
    if let Some(old) = old {
        transaction
            .prepare_cached("DELETE FROM memory_search WHERE rowid = ?1")
            .and_then(|mut delete| delete.execute([old]))
            .and_then(|_| transaction.prepare_cached("DELETE FROM memory_vectors WHERE seq = ?1"))
            .and_then(|mut delete| delete.execute([old]))
            .and_then(|_| {
                transaction
                    .prepare_cached("DELETE FROM memory_indexed WHERE namespace = ?1 AND key = ?2")
            })
            .and_then(|mut delete| delete.execute(place))
            .map_err(database())?;
    }
    if !is_entry {
        return Ok(());
    }
    let seq = stored.seq;
    match stored.into_record(transaction) {
        Ok(record) => insert(transaction, seq, &record),
        Err(error) => {
            tracing::error!(row = seq, %error, "a damaged value is left out of the search");
            Ok(())
        }
    }
}

fn is_replaced(transaction: &Transaction<'_>, stored: &StoredRow) -> Result<bool, JournalError> {
    transaction
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM memory_keys JOIN memory USING (namespace, version)
             WHERE memory_keys.namespace = ?1 AND memory_keys.key = ?2
             AND memory_keys.version > ?3 AND memory.state < 3)",
        )
        .and_then(|mut select| {
            let (namespace, key) = (stored.namespace.as_str(), stored.key.as_str());
            let version = stored.version.0 as i64;
            select.query_row(params![namespace, key, version], |row| row.get(0))
        })
        .map_err(classify("look for a newer version"))
}

fn insert(
    transaction: &Transaction<'_>,
    seq: i64,
    record: &MemoryRecord,
) -> Result<(), JournalError> {
    let Some(put) = &record.put else {
        return Ok(());
    };
    let (namespace, key) = (record.namespace.as_str(), record.key.as_str());
    let tags: Vec<_> = put.tags.iter().map(MemoryTag::as_str).collect();
    let text = search_text::memory(&put.value);
    transaction
        .prepare_cached(
            "INSERT INTO memory_search (rowid, key, tags, text) VALUES (?1, ?2, ?3, ?4)",
        )
        .and_then(|mut insert| insert.execute(params![seq, key, tags.join(" "), text]))
        .and_then(|_| transaction.prepare_cached("INSERT INTO memory_indexed VALUES (?1, ?2, ?3)"))
        .and_then(|mut insert| insert.execute(params![namespace, key, seq]))
        .map_err(classify("fill the search of shared memory"))?;
    let Some(embedding) = &put.embedding else {
        return Ok(());
    };
    transaction
        .prepare_cached("INSERT INTO memory_vectors VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| {
            let model = embedding.model().unwrap_or_default();
            insert.execute(params![seq, model, embedding.as_bytes()])
        })
        .map(drop)
        .map_err(classify("store where a value lies"))
}

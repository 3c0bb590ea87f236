//! Removes versions of shared memory that are no longer kept. The version that an entry has now,
//! and conflicts that are open, always stay.

use super::super::indexer::{progress, save_progress};
use super::super::memory_indexer::MEMORY_INDEXED;
use super::super::{classify, memory_keys, retention::checkpoint_time};
use super::removal;
use crate::retention::SweepReport;
use rusqlite::{Transaction, params};
use skep_coordinator::ports::JournalError;
use skep_model::time::UnixMillis;
use std::collections::BTreeSet;

/// Name in `meta` of the last version whose key was cut to `MEMORY_VERSIONS_KEPT`.
const MEMORY_TRIMMED: &str = "trimmed_memory";
/// Versions looked at for their age in each round: one day's worth of rounds sees a million.
const AGED_PER_ROUND: u32 = 1_000;

type Result<T> = std::result::Result<T, JournalError>;

/// The last version that was looked at for its age. The walk starts again when it came to the end,
/// and with each start of the journal.
#[derive(Debug, Default)]
pub(in crate::journal) struct Aged(i64);

/// What is no longer kept, and how much is looked at for it in one piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Versions before this time go.
    pub(super) cutoff: UnixMillis,
    /// Rows of one piece.
    pub(super) limit: u32,
}

/// Whether there is anything that could be removed at all.
pub(super) fn is_due(transaction: &Transaction<'_>) -> Result<bool> {
    transaction
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM memory)")
        .and_then(|mut select| select.query_row([], |row| row.get(0)))
        .map_err(classify("look at shared memory"))
}

/// One piece, of versions that are all in the list of their entries: first the keys that were written since the last one, then some of the old versions.
/// Gives how many rows of the first kind it looked at; as many as the limit mean that there are
/// more.
pub(super) fn step(
    transaction: &Transaction<'_>,
    bounds: Bounds,
    aged: &mut Aged,
    report: &mut SweepReport,
) -> Result<u32> {
    memory_keys::list(transaction)?;
    let trimmed = trim(transaction, bounds.limit, report)?;
    if trimmed < bounds.limit {
        age(transaction, bounds.cutoff, aged, report)?;
    }
    Ok(trimmed)
}

/// Cuts the keys of the next `limit` rows; gives the number of rows.
fn trim(transaction: &Transaction<'_>, limit: u32, report: &mut SweepReport) -> Result<u32> {
    let database = || classify("cut the history of shared memory");
    let start = progress(transaction, MEMORY_TRIMMED)?;
    let rows = transaction
        .prepare_cached(
            "SELECT seq, namespace, key FROM memory WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )
        .and_then(|mut select| {
            let rows = select.query_map(params![start, limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<(i64, String, String)>>>()
        })
        .map_err(database())?;
    let Some(last) = rows.last().map(|(seq, ..)| *seq) else {
        return Ok(0);
    };
    let keys: BTreeSet<_> = rows
        .iter()
        .map(|(_, name, key)| (name.as_str(), key.as_str()))
        .collect();
    for (namespace, key) in keys {
        removal::beyond_number(transaction, (namespace, key), report)?;
    }
    save_progress(transaction, MEMORY_TRIMMED, last)?;
    Ok(rows.len() as u32)
}

/// Removes old versions that are not the entry any more. Versions after the last checkpoint, and
/// those that the search has not seen, stay.
fn age(
    transaction: &Transaction<'_>,
    cutoff: UnixMillis,
    aged: &mut Aged,
    report: &mut SweepReport,
) -> Result<()> {
    let Some(checkpoint) = checkpoint_time(transaction)? else {
        return Ok(());
    };
    let start = aged.0;
    let indexed = progress(transaction, MEMORY_INDEXED)?;
    let end: Option<i64> = transaction
        .prepare_cached(
            "SELECT max(seq) FROM (SELECT seq FROM memory
             WHERE seq > ?1 AND seq <= ?2 AND written_at < ?3 ORDER BY seq LIMIT ?4)",
        )
        .and_then(|mut select| {
            let before = cutoff.min(checkpoint).0 as i64;
            let params = params![start, indexed, before, AGED_PER_ROUND];
            select.query_row(params, |row| row.get(0))
        })
        .map_err(classify("look for old versions"))?;
    let Some(end) = end else {
        aged.0 = 0;
        return Ok(());
    };
    removal::beyond_age(transaction, (start, end), cutoff, None, report)?;
    aged.0 = end;
    Ok(())
}

//! Lists which versions an entry has, behind the versions themselves.
//!
//! The list is in the order of the keys. Were it filled by each commit, the commit would write a page
//! for each of its keys; many versions at a time share pages.

use super::classify;
use super::indexer::{progress, save_progress};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use skep_coordinator::ports::JournalError;

/// Name in `meta` of the last version in the list.
const MEMORY_LISTED: &str = "listed_memory";
/// Versions that may wait for their place in the list. Whoever asks for the versions of an entry looks
/// through all of them, which takes a few milliseconds.
pub(super) const VERSIONS_UNLISTED_MAX: u64 = 8_192;

type Result<T> = std::result::Result<T, JournalError>;

/// The last version in the list; 0 before the first one.
pub(crate) fn memory_listed(connection: &Connection) -> rusqlite::Result<i64> {
    let listed: Option<[u8; 8]> = connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([MEMORY_LISTED], |row| row.get(0))
        .optional()?;
    Ok(listed.map_or(0, i64::from_le_bytes))
}

/// How many versions wait for their place in the list, at most.
pub(crate) fn memory_unlisted(connection: &Connection) -> rusqlite::Result<u64> {
    let last: i64 =
        connection.query_row("SELECT coalesce(max(seq), 0) FROM memory", [], |row| {
            row.get(0)
        })?;
    Ok(last.saturating_sub(memory_listed(connection)?) as u64)
}

/// Lists all versions that wait. Gives their number.
pub(super) fn list(transaction: &Transaction<'_>) -> Result<u64> {
    let database = || classify("list the versions of shared memory");
    let start = progress(transaction, MEMORY_LISTED)?;
    let mut rows = transaction
        .prepare_cached("SELECT namespace, key, version, seq FROM memory WHERE seq > ?1")
        .and_then(|mut select| {
            let rows = select.query_map([start], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<(String, String, i64, i64)>>>()
        })
        .map_err(database())?;
    let Some(last) = rows.iter().map(|(.., seq)| *seq).max() else {
        return Ok(0);
    };
    rows.sort_unstable();
    let mut insert = transaction
        .prepare_cached("INSERT OR IGNORE INTO memory_keys VALUES (?1, ?2, ?3)")
        .map_err(database())?;
    for (namespace, key, version, _) in &rows {
        insert
            .execute(params![namespace, key, version])
            .map_err(database())?;
    }
    save_progress(transaction, MEMORY_LISTED, last)?;
    Ok(rows.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{journal_in, memory, memory_put};
    use skep_coordinator::ports::Journal;
    use skep_model::memory::MemoryValue;

    fn put(key: &str, version: u64) -> skep_model::memory::MemoryEffect {
        memory_put(key, version, MemoryValue::Json("1".into()))
    }

    #[test]
    fn a_commit_lists_what_waits_when_it_is_too_much() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = journal_in(directory.path());
        let most = (1..=VERSIONS_UNLISTED_MAX).map(|version| put("a", version));
        journal.commit(&memory(most.collect())).unwrap();
        assert_eq!(memory_listed(&journal.connection).unwrap(), 0);
        let unlisted = memory_unlisted(&journal.connection).unwrap();
        assert_eq!(unlisted, VERSIONS_UNLISTED_MAX);

        let one_more = put("b", VERSIONS_UNLISTED_MAX + 1);
        journal.commit(&memory(vec![one_more])).unwrap();
        assert_eq!(memory_unlisted(&journal.connection).unwrap(), 0);
        let listed = memory_listed(&journal.connection).unwrap();
        assert_eq!(listed as u64, VERSIONS_UNLISTED_MAX + 1);
    }

    #[test]
    fn what_waited_when_the_journal_was_closed_is_counted_when_it_opens() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = journal_in(directory.path());
        journal
            .commit(&memory(vec![put("a", 1), put("a", 2)]))
            .unwrap();
        drop(journal);
        assert_eq!(journal_in(directory.path()).memory_unlisted, 2);
    }

    #[test]
    fn a_version_that_was_of_another_entry_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = journal_in(directory.path());
        journal.commit(&memory(vec![put("a", 1)])).unwrap();
        journal.commit(&memory(vec![put("a", 1)])).unwrap();
        let error = journal.commit(&memory(vec![put("b", 1)])).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    }
}

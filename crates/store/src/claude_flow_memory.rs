//! Reads the database in which Claude-Flow keeps its memory.

use crate::error::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// An entry, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaudeFlowEntry {
    /// Where.
    pub namespace: String,
    /// Its name.
    pub key: String,
    /// A text, often of JSON.
    pub value: String,
    /// What else was said, a text of JSON.
    pub metadata: Option<String>,
    /// When it was made, Unix seconds.
    pub created_at_s: Option<u64>,
    /// When it ends, Unix seconds.
    pub expires_at_s: Option<u64>,
}

/// All entries of a `.swarm/memory.db`, by namespace and key. Nothing in it is changed.
///
/// # Errors
/// It cannot be read, or is another database.
pub fn read_claude_flow_memory(path: &Path) -> Result<Vec<ClaudeFlowEntry>, StoreError> {
    let failed = || StoreError::database("read the memory of Claude-Flow");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed())?;
    let sql = "SELECT namespace, key, value, metadata, created_at, ttl, expires_at
         FROM memory_entries ORDER BY namespace, key";
    let mut select = connection.prepare(sql).map_err(failed())?;
    let seconds = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let rows = select.query_map([], |row| {
        let created_at_s = seconds(row.get(4)?);
        let ends = seconds(row.get(6)?);
        // Some versions write the time to live alone.
        let lived = seconds(row.get(5)?).filter(|ttl| *ttl > 0);
        let reckoned = created_at_s
            .zip(lived)
            .map(|(made, ttl)| made.saturating_add(ttl));
        Ok(ClaudeFlowEntry {
            namespace: row.get::<_, Option<String>>(0)?.unwrap_or_default(),
            key: row.get(1)?,
            value: row.get(2)?,
            metadata: row.get(3)?,
            created_at_s,
            expires_at_s: ends.or(reckoned),
        })
    });
    let rows = rows.map_err(failed())?;
    rows.collect::<Result<_, _>>().map_err(failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_with_their_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("memory.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE memory_entries (id INTEGER PRIMARY KEY, key TEXT NOT NULL,
                     value TEXT NOT NULL, namespace TEXT NOT NULL DEFAULT 'default', metadata TEXT,
                     created_at INTEGER, updated_at INTEGER, accessed_at INTEGER,
                     access_count INTEGER DEFAULT 0, ttl INTEGER, expires_at INTEGER,
                     UNIQUE (key, namespace));
                 INSERT INTO memory_entries (key, value, namespace, metadata, created_at, ttl,
                     expires_at)
                 VALUES ('b', '{\"x\":1}', 'default', '{\"m\":1}', 100, 60, 160),
                        ('a', 'text', 'default', NULL, 100, 60, NULL),
                        ('c', '7', 'other', NULL, 100, NULL, NULL);",
            )
            .unwrap();
        let entries = read_claude_flow_memory(&path).unwrap();
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| {
                (
                    entry.namespace.as_str(),
                    entry.key.as_str(),
                    entry.expires_at_s,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("default", "a", Some(160)),
                ("default", "b", Some(160)),
                ("other", "c", None),
            ]
        );
        assert_eq!(entries[1].metadata.as_deref(), Some("{\"m\":1}"));
    }

    #[test]
    fn another_database_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE t (a)")
            .unwrap();
        assert!(read_claude_flow_memory(&path).is_err());
        assert!(read_claude_flow_memory(&directory.path().join("none.db")).is_err());
    }
}

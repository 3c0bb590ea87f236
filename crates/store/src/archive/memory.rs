//! Versions of shared memory with their values. What an entry is now is said by the live state.

use super::{Archive, bounded, collect};
use crate::error::StoreError;
use crate::journal::memory_listed;
use crate::memory_row::{COLUMNS, StoredRow};
use rusqlite::{Row, params};
use skep_model::memory::{MemoryKey, MemoryRecord, MemoryVersion, Namespace};
use std::cmp::Reverse;

/// A version without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryHead {
    /// The version; `put` is left out.
    pub record: MemoryRecord,
    /// How many bytes its value has; 0 when it is an end.
    pub value_bytes: u64,
}

impl Archive {
    /// A version of an entry with its value; none if it is not kept any more, or not stored yet.
    pub fn memory(
        &self,
        namespace: &Namespace,
        key: &MemoryKey,
        version: MemoryVersion,
    ) -> Result<Option<MemoryRecord>, StoreError> {
        let sql = select_versions("WHERE namespace = ?1 AND version = ?3 AND key = ?2");
        let place = params![namespace.as_str(), key.as_str(), version.0 as i64];
        self.read(|connection| {
            let rows = collect(connection, &sql, place, StoredRow::read)?;
            let row = rows.into_iter().next();
            row.map(|row| row.into_record(connection)).transpose()
        })
    }

    /// The versions of an entry before one, or all that are kept; the newest first. Conflicts and
    /// writes that lost are among them.
    pub fn memory_history(
        &self,
        namespace: &Namespace,
        key: &MemoryKey,
        before: Option<MemoryVersion>,
        limit: usize,
    ) -> Result<Vec<MemoryHead>, StoreError> {
        let before = before.map_or(i64::MAX, |version| version.0 as i64);
        let limit = bounded(limit);
        let newest_first = "ORDER BY version DESC LIMIT ?4";
        let unlisted = select_versions(&format!(
            "NOT INDEXED WHERE seq > ?5 AND namespace = ?1 AND key = ?2 AND version < ?3 {newest_first}"
        ));
        let listed = select_versions(&format!(
            "WHERE namespace = ?1 AND version IN (SELECT version FROM memory_keys
             WHERE namespace = ?1 AND key = ?2 AND version < ?3 {newest_first}) ORDER BY version DESC"
        ));
        self.read(|connection| {
            let place = (namespace.as_str(), key.as_str());
            // What is listed meanwhile is found twice.
            let seen = memory_listed(connection)
                .map_err(StoreError::database("read the versions of an entry"))?;
            let tail = params![place.0, place.1, before, limit as i64, seen];
            let mut heads = collect(connection, &unlisted, tail, head)?;
            let rest = params![place.0, place.1, before, limit as i64];
            heads.extend(collect(connection, &listed, rest, head)?);
            heads.sort_by_key(|head| Reverse(head.record.version));
            heads.dedup_by_key(|head| head.record.version);
            heads.truncate(limit);
            Ok(heads)
        })
    }
}

fn head(row: &Row<'_>) -> Result<MemoryHead, StoreError> {
    let row = StoredRow::read(row)?;
    Ok(MemoryHead {
        value_bytes: row.value_bytes(),
        record: row.into_head(),
    })
}

fn select_versions(rest: &str) -> String {
    format!("SELECT {COLUMNS} FROM memory {rest}")
}

//! Reads what is final: history, events, references to artifacts. Never writes.

mod artifacts;
mod events;
mod listing;
mod lookup;
mod memory;
mod memory_near;
mod memory_search;
mod namespaces;
mod search;

#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod search_tests;
#[cfg(test)]
mod tests;

pub use artifacts::ArtifactReference;
pub(crate) use events::event_row;
pub use listing::{HistoryCursor, Page, PageStart, RunFilter, TaskFilter};
pub use lookup::Sizes;
pub use memory::MemoryHead;
pub use memory_near::{MemoryNear, NearValue, NearValues};
pub use memory_search::{MEMORY_HITS_MAX, MemoryHit, MemoryHits, MemorySearch, SNIPPET_MARK};
pub use namespaces::SearchedNamespaces;
pub use search::{SearchHit, SearchPage};

use crate::data_dir::DataDir;
use crate::database;
use crate::error::StoreError;
use crate::sealed::{self, Table};
use parking_lot::Mutex;
use rusqlite::Connection;
use serde::de::DeserializeOwned;
use skep_model::limits::PAGE_ITEMS_MAX;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Reading connections of a directory that someone else owns.
const READERS_OF_A_GUEST: usize = 1;

/// Reads what is final. Cheap to clone; clones share a bounded number of connections, and each
/// question is one short read transaction.
#[derive(Debug, Clone)]
pub struct Archive {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
    /// Keeps the ownership of the directory, where we have it.
    _dir: Option<DataDir>,
}

impl Archive {
    pub(crate) fn open_owned(dir: &DataDir) -> Result<Self, StoreError> {
        let readers = dir.options().readers.max(1);
        Self::open_with(dir.database_path(), readers, Some(dir.clone()))
    }

    /// Opens the archive of a data directory without owning it: beside a running coordinator, or
    /// to examine a directory that does not start.
    pub fn open_as_guest(directory: &Path) -> Result<Self, StoreError> {
        Self::open_with(directory.join("skep.db"), READERS_OF_A_GUEST, None)
    }

    fn open_with(path: PathBuf, readers: usize, dir: Option<DataDir>) -> Result<Self, StoreError> {
        let connections = (0..readers)
            .map(|_| database::open_reader(&path).map(Mutex::new))
            .collect::<Result<_, _>>()?;
        let pool = Pool {
            path,
            connections,
            next: AtomicUsize::new(0),
            _dir: dir,
        };
        Ok(Self {
            pool: Arc::new(pool),
        })
    }

    /// Runs `work` on a free connection, or waits for one.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connections = &self.pool.connections;
        if let Some(free) = connections.iter().find_map(Mutex::try_lock) {
            return work(&free);
        }
        let turn = self.pool.next.fetch_add(1, Ordering::Relaxed) % connections.len();
        work(&connections[turn].lock())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.pool.path
    }
}

/// Decodes a history row with the columns seq, id, body.
pub(crate) fn history_row<T: DeserializeOwned>(
    row: &rusqlite::Row<'_>,
    table: Table,
) -> Result<(i64, T), StoreError> {
    let columns = || -> rusqlite::Result<_> {
        Ok((
            row.get::<_, i64>(0)?,
            row.get_ref(1)?.as_blob()?,
            row.get_ref(2)?.as_blob()?,
        ))
    };
    let (seq, id, body) = columns().map_err(StoreError::database("read the history"))?;
    let value = sealed::unseal(body, table, &[id]).map_err(|error| {
        StoreError::damaged(
            format!("row {seq} of the history ({table:?})"),
            error.to_string(),
        )
    })?;
    Ok((seq, value))
}

/// All rows of a query, each turned into a value.
pub(crate) fn collect<T>(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    mut decode: impl FnMut(&rusqlite::Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let error = || StoreError::database("query the archive");
    let mut statement = connection.prepare_cached(sql).map_err(error())?;
    let mut rows = statement.query(params).map_err(error())?;
    let mut values = Vec::new();
    while let Some(row) = rows.next().map_err(error())? {
        values.push(decode(row)?);
    }
    Ok(values)
}

/// A limit that a caller may ask for.
pub(crate) fn bounded(limit: usize) -> usize {
    limit.clamp(1, PAGE_ITEMS_MAX)
}

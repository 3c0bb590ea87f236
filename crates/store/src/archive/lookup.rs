//! Single tasks and runs by id or name, and sizes.

use super::memory_search::MEMORY_PROGRESS;
use super::search::{HISTORY_PROGRESS, behind};
use super::{Archive, collect, history_row};
use crate::database::file_bytes;
use crate::error::StoreError;
use crate::sealed::Table;
use rusqlite::params;
use skep_model::ids::{RunId, TaskId};
use skep_model::run::RunRecord;
use skep_model::task::FinishedTask;

/// How large the database is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of the database file.
    pub database_bytes: u64,
    /// Bytes of the write-ahead log beside it.
    pub wal_bytes: u64,
    /// Entries in the log.
    pub log_entries: u64,
    /// Tasks in the history, as far as none was removed.
    pub tasks: u64,
    /// Runs in the history, as far as none was removed.
    pub runs: u64,
    /// Versions of shared memory, as far as none was removed.
    pub memory_versions: u64,
    /// Rows of the history and of shared memory that the search does not reach yet.
    pub search_behind: u64,
}

impl Archive {
    /// A task that is final.
    pub fn task(&self, id: TaskId) -> Result<Option<FinishedTask>, StoreError> {
        let sql = "SELECT seq, id, body FROM tasks WHERE id = ?1";
        self.one(sql, params![id.as_u128().to_be_bytes()], Table::Tasks)
    }

    /// The task of this name in a run, if it is final. The newest one, should a run have two.
    pub fn task_by_name(&self, run: RunId, name: &str) -> Result<Option<FinishedTask>, StoreError> {
        let sql = "SELECT seq, id, body FROM tasks WHERE run = ?1 AND name = ?2
                   ORDER BY seq DESC LIMIT 1";
        self.one(
            sql,
            params![run.as_u128().to_be_bytes(), name],
            Table::Tasks,
        )
    }

    /// A run that is final.
    pub fn run(&self, id: RunId) -> Result<Option<RunRecord>, StoreError> {
        let sql = "SELECT seq, id, body FROM runs WHERE id = ?1";
        self.one(sql, params![id.as_u128().to_be_bytes()], Table::Runs)
    }

    /// How large the database is. Cheap: nothing is counted row by row.
    pub fn sizes(&self) -> Result<Sizes, StoreError> {
        let sql = "SELECT
            (SELECT coalesce(max(idx) - min(idx) + 1, 0) FROM log),
            (SELECT coalesce(max(seq) - min(seq) + 1, 0) FROM tasks),
            (SELECT coalesce(max(seq) - min(seq) + 1, 0) FROM runs),
            (SELECT coalesce(max(seq) - min(seq) + 1, 0) FROM memory)";
        self.read(|connection| {
            let (log_entries, tasks, runs, memory) = connection
                .prepare_cached(sql)
                .and_then(|mut statement| {
                    statement.query_row([], |row| {
                        Ok((
                            row.get::<_, i64>(0)?,
                            row.get::<_, i64>(1)?,
                            row.get::<_, i64>(2)?,
                            row.get::<_, i64>(3)?,
                        ))
                    })
                })
                .map_err(StoreError::database("measure the database"))?;
            let (database_bytes, wal_bytes) = file_bytes(self.path())
                .map_err(StoreError::file("read the size of", self.path()))?;
            Ok(Sizes {
                database_bytes,
                wal_bytes,
                log_entries: log_entries as u64,
                tasks: tasks as u64,
                runs: runs as u64,
                memory_versions: memory as u64,
                search_behind: behind(connection, &HISTORY_PROGRESS)?
                    + behind(connection, &[MEMORY_PROGRESS])?,
            })
        })
    }

    fn one<T: serde::de::DeserializeOwned>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        table: Table,
    ) -> Result<Option<T>, StoreError> {
        let rows = self
            .read(|connection| collect(connection, sql, params, |row| history_row(row, table)))?;
        Ok(rows.into_iter().next().map(|(_, value)| value))
    }
}

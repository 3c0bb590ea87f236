//! Full text search over final tasks and runs.

use super::Archive;
use super::listing::{HistoryCursor, PageStart, RunFilter, TaskFilter};
use crate::error::StoreError;
use crate::journal::{RUNS_INDEXED, TASKS_INDEXED};
use rusqlite::{Connection, OptionalExtension};
use skep_model::run::RunRecord;
use skep_model::task::FinishedTask;

/// Something that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchHit {
    /// A run.
    Run(Box<RunRecord>),
    /// A task.
    Task(Box<FinishedTask>),
}

/// What matches, newest first: on the first page the runs, then the tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPage {
    /// What matches.
    pub hits: Vec<SearchHit>,
    /// Where the next page of tasks begins, if there is one.
    pub next: Option<HistoryCursor>,
    /// History rows that the search does not reach yet: what became final just now is missing.
    pub behind: u64,
}

impl Archive {
    /// Runs and tasks with all of these words; the last word may be the beginning of one. No text
    /// is an error: it is never read as a query language.
    pub fn search(
        &self,
        text: &str,
        cursor: Option<HistoryCursor>,
        limit: usize,
    ) -> Result<SearchPage, StoreError> {
        let mut hits = Vec::new();
        if cursor.is_none() {
            let filter = RunFilter {
                search: Some(text.to_owned()),
                ..RunFilter::default()
            };
            let runs = self.runs(&filter, PageStart::Newest, limit)?;
            hits.extend(
                runs.items
                    .into_iter()
                    .map(|(_, run)| SearchHit::Run(Box::new(run))),
            );
        }
        let filter = TaskFilter {
            search: Some(text.to_owned()),
            ..TaskFilter::default()
        };
        let start = cursor.map_or(PageStart::Newest, PageStart::Before);
        let tasks = self.tasks(&filter, start, limit)?;
        let next = tasks
            .items
            .last()
            .filter(|_| tasks.more)
            .map(|(place, _)| *place);
        hits.extend(
            tasks
                .items
                .into_iter()
                .map(|(_, task)| SearchHit::Task(Box::new(task))),
        );
        Ok(SearchPage {
            hits,
            next,
            behind: self.read(|connection| behind(connection, &HISTORY_PROGRESS))?,
        })
    }
}

/// The tables of the history, and the names in `meta` of their last rows in the search.
pub(super) const HISTORY_PROGRESS: [(&str, &str); 2] =
    [("tasks", TASKS_INDEXED), ("runs", RUNS_INDEXED)];

/// Rows of these tables that the search does not reach yet.
pub(super) fn behind(connection: &Connection, tables: &[(&str, &str)]) -> Result<u64, StoreError> {
    let mut total = 0;
    for (table, progress) in tables {
        let count = || -> rusqlite::Result<i64> {
            let done: Option<[u8; 8]> = connection
                .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
                .query_row([progress], |row| row.get(0))
                .optional()?;
            let newest: i64 = connection
                .prepare_cached(&format!("SELECT coalesce(max(seq), 0) FROM {table}"))?
                .query_row([], |row| row.get(0))?;
            Ok(newest - done.map_or(0, i64::from_le_bytes))
        };
        total += count()
            .map_err(StoreError::database("measure the search"))?
            .max(0) as u64;
    }
    Ok(total)
}

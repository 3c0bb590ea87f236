//! Pages of the history, newest first.

use super::{Archive, bounded, collect, history_row};
use crate::error::StoreError;
use crate::sealed::Table;
use crate::search_text;
use rusqlite::types::Value;
use serde::de::DeserializeOwned;
use skep_model::ids::RunId;
use skep_model::run::{RunRecord, RunState};
use skep_model::task::{FinishedTask, TaskState};
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// Place of an item in the history; rises with the time at which items became final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HistoryCursor(i64);

impl HistoryCursor {
    pub(crate) const fn new(seq: i64) -> Self {
        Self(seq)
    }

    pub(crate) const fn seq(self) -> i64 {
        self.0
    }
}

impl fmt::Display for HistoryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for HistoryCursor {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PageStart {
    /// With the newest item.
    #[default]
    Newest,
    /// With the newest item that is older than this one.
    Before(HistoryCursor),
    /// So that it ends with the oldest item that is newer than this one.
    After(HistoryCursor),
}

/// Items of the history, newest first, each with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<(HistoryCursor, T)>,
    /// Whether there are more in the direction that was asked for.
    pub more: bool,
}

/// Which tasks are wanted. The default wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Of this run.
    pub run: Option<RunId>,
    /// In this state.
    pub state: Option<TaskState>,
    /// With names that begin so.
    pub name_prefix: Option<String>,
    /// With these words in name, labels or error, or in name or labels of their (final) run.
    pub search: Option<String>,
}

/// Which runs are wanted. The default wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// In this state.
    pub state: Option<RunState>,
    /// With names that begin so.
    pub name_prefix: Option<String>,
    /// With these words in name or labels.
    pub search: Option<String>,
}

impl Archive {
    /// Tasks that are final.
    pub fn tasks(
        &self,
        filter: &TaskFilter,
        start: PageStart,
        limit: usize,
    ) -> Result<Page<FinishedTask>, StoreError> {
        let mut query = Query::default();
        if let Some(run) = filter.run {
            query.add("run = ?", run.as_u128().to_be_bytes().to_vec());
        }
        if let Some(state) = filter.state {
            query.add("state = ?", state as i64);
            if state != TaskState::Succeeded {
                // Repeats the condition of the index, or it could not be used.
                query.conditions.push("state <> 6");
            }
        }
        query.add_name_prefix(filter.name_prefix.as_deref());
        if let Some(text) = &filter.search {
            let Some(words) = search_text::query(text) else {
                return Ok(Page::empty());
            };
            query.add(
                "(seq IN (SELECT rowid FROM task_search WHERE task_search MATCH ?) OR run IN
                 (SELECT id FROM runs WHERE seq IN
                 (SELECT rowid FROM run_search WHERE run_search MATCH ?)))",
                words.clone(),
            );
            query.params.push(words.into());
        }
        self.page("tasks", Table::Tasks, query, start, bounded(limit))
    }

    /// Runs that are final.
    pub fn runs(
        &self,
        filter: &RunFilter,
        start: PageStart,
        limit: usize,
    ) -> Result<Page<RunRecord>, StoreError> {
        let mut query = Query::default();
        if let Some(state) = filter.state {
            query.add("state = ?", state as i64);
        }
        query.add_name_prefix(filter.name_prefix.as_deref());
        if let Some(text) = &filter.search {
            let Some(words) = search_text::query(text) else {
                return Ok(Page::empty());
            };
            query.add(
                "seq IN (SELECT rowid FROM run_search WHERE run_search MATCH ?)",
                words,
            );
        }
        self.page("runs", Table::Runs, query, start, bounded(limit))
    }

    fn page<T: DeserializeOwned>(
        &self,
        name: &str,
        table: Table,
        mut query: Query,
        start: PageStart,
        limit: usize,
    ) -> Result<Page<T>, StoreError> {
        let order = match start {
            PageStart::Newest => "DESC",
            PageStart::Before(cursor) => {
                query.add("seq < ?", cursor.seq());
                "DESC"
            }
            PageStart::After(cursor) => {
                query.add("seq > ?", cursor.seq());
                "ASC"
            }
        };
        let sql = query.sql(name, order, limit + 1);
        let mut items = self.read(|connection| {
            let params = rusqlite::params_from_iter(query.params.iter());
            collect(connection, &sql, params, |row| {
                let (seq, value) = history_row(row, table)?;
                Ok((HistoryCursor::new(seq), value))
            })
        })?;
        let more = items.len() > limit;
        items.truncate(limit);
        if order == "ASC" {
            items.reverse();
        }
        Ok(Page { items, more })
    }
}

impl<T> Page<T> {
    const fn empty() -> Self {
        Self {
            items: Vec::new(),
            more: false,
        }
    }
}

/// Conditions, all of which must hold, with the values for their question marks.
#[derive(Debug, Default)]
struct Query {
    conditions: Vec<&'static str>,
    params: Vec<Value>,
}

impl Query {
    fn add(&mut self, condition: &'static str, value: impl Into<Value>) {
        self.conditions.push(condition);
        self.params.push(value.into());
    }

    fn add_name_prefix(&mut self, prefix: Option<&str>) {
        if let Some(prefix) = prefix.filter(|prefix| !prefix.is_empty()) {
            self.add("substr(name, 1, ?) = ?", prefix.chars().count() as i64);
            self.params.push(prefix.to_owned().into());
        }
    }

    fn sql(&self, table: &str, order: &str, limit: usize) -> String {
        let filter = if self.conditions.is_empty() {
            "1".to_owned()
        } else {
            self.conditions.join(" AND ")
        };
        format!(
            "SELECT seq, id, body FROM {table} WHERE {filter} ORDER BY seq {order} LIMIT {limit}"
        )
    }
}

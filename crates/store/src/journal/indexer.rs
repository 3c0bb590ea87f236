//! Fills the full text search behind the history, in idle time.

use super::memory_indexer::index_memory;
use super::{SqliteJournal, classify, memory_keys};
use crate::sealed::{self, Table};
use crate::search_text;
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};
use skep_coordinator::ports::JournalError;
use skep_model::run::RunRecord;
use skep_model::task::FinishedTask;

/// Name in `meta` of the last task row in the search.
pub(crate) const TASKS_INDEXED: &str = "search_tasks";
/// Name in `meta` of the last run row in the search.
pub(crate) const RUNS_INDEXED: &str = "search_runs";

impl SqliteJournal {
    /// Adds up to `limit` tasks, as many runs, and as many versions of shared memory to the search.
    /// Gives the number added; 0 means
    /// that the search is up to date. Kept off the path of commits because it costs several times
    /// what the history rows cost.
    ///
    /// # Errors
    /// As for a commit: the journal refuses everything after a failure.
    pub fn index_search(&mut self, limit: u32) -> Result<u32, JournalError> {
        self.guarded(|journal| {
            let transaction = journal
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(classify("begin to fill the search"))?;
            let listed = memory_keys::list(&transaction)?;
            let (versions, more) = index_memory(&transaction, limit)?;
            let history = index_tasks(&transaction, limit)? + index_runs(&transaction, limit)?;
            let added = history + versions;
            if added > 0 || listed > 0 {
                transaction.commit().map_err(classify("fill the search"))?;
            }
            journal.memory_unlisted = 0;
            journal.search_unfinished = more;
            Ok(added)
        })
    }
}

fn index_tasks(transaction: &Transaction<'_>, limit: u32) -> Result<u32, JournalError> {
    let rows = "SELECT seq, id, body FROM tasks WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut insert = transaction
        .prepare_cached(
            "INSERT INTO task_search (rowid, name, labels, error) VALUES (?1, ?2, ?3, ?4)",
        )
        .map_err(classify("prepare the search"))?;
    index_rows(
        transaction,
        (TASKS_INDEXED, rows, Table::Tasks),
        limit,
        |seq, task: &FinishedTask| {
            let spec = &task.record.spec;
            let labels = search_text::labels(&spec.labels);
            insert.execute(params![seq, spec.name, labels, search_text::error(task)])
        },
    )
}

fn index_runs(transaction: &Transaction<'_>, limit: u32) -> Result<u32, JournalError> {
    let rows = "SELECT seq, id, body FROM runs WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut insert = transaction
        .prepare_cached("INSERT INTO run_search (rowid, name, labels) VALUES (?1, ?2, ?3)")
        .map_err(classify("prepare the search"))?;
    index_rows(
        transaction,
        (RUNS_INDEXED, rows, Table::Runs),
        limit,
        |seq, run: &RunRecord| {
            insert.execute(params![
                seq,
                run.spec.name,
                search_text::labels(&run.spec.labels)
            ])
        },
    )
}

fn index_rows<T: serde::de::DeserializeOwned>(
    transaction: &Transaction<'_>,
    (progress, sql, table): (&str, &str, Table),
    limit: u32,
    mut add: impl FnMut(i64, &T) -> rusqlite::Result<usize>,
) -> Result<u32, JournalError> {
    let database = || classify("fill the search");
    let mut last = self::progress(transaction, progress)?;
    let mut added = 0;
    let mut statement = transaction.prepare_cached(sql).map_err(database())?;
    let mut rows = statement.query(params![last, limit]).map_err(database())?;
    while let Some(row) = rows.next().map_err(database())? {
        last = row.get(0).map_err(database())?;
        let id: [u8; 16] = row.get(1).map_err(database())?;
        let body = row.get_ref(2).map_err(database())?;
        let body = body
            .as_blob()
            .map_err(|error| classify("fill the search")(error.into()))?;
        match sealed::unseal(body, table, &[&id]) {
            Ok(value) => {
                add(last, &value).map_err(database())?;
            }
            // Whoever asks for this row is refused; the search of all others goes on.
            Err(error) => tracing::error!(
                row = last,
                ?table,
                %error,
                "a damaged row of the history is left out of the search; run the doctor"
            ),
        }
        added += 1;
    }
    if added > 0 {
        save_progress(transaction, progress, last)?;
    }
    Ok(added)
}

/// The last row of a walk that `meta` remembers under this name; 0 before the first one.
pub(super) fn progress(transaction: &Transaction<'_>, name: &str) -> Result<i64, JournalError> {
    let done: Option<[u8; 8]> = transaction
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")
        .and_then(|mut select| select.query_row([name], |row| row.get(0)).optional())
        .map_err(classify("read how far a walk came"))?;
    Ok(done.map_or(0, i64::from_le_bytes))
}

/// Remembers the last row of a walk.
pub(super) fn save_progress(
    transaction: &Transaction<'_>,
    name: &str,
    last: i64,
) -> Result<(), JournalError> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute(params![name, last.to_le_bytes()]))
        .map(drop)
        .map_err(classify("remember how far a walk came"))
}

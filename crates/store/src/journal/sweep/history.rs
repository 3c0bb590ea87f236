//! Removes old tasks and runs from the history.
//!
//! The row with the largest number stays in both tables: SQLite would give its number again, and
//! numbers are places in pages and in the search.

use crate::journal::classify;
use crate::journal::retention::checkpoint_time;
use crate::recovery;
use crate::retention::SweepReport;
use crate::row_key;
use crate::sealed::{self, Table};
use rusqlite::{OptionalExtension, Transaction, params};
use skep_coordinator::ports::JournalError;
use skep_model::ids::TaskId;
use skep_model::row::{Row, RowKey};
use skep_model::task::{FinishedTask, TaskRecord};
use skep_model::time::UnixMillis;
use std::collections::HashSet;

/// Live tasks outside runs that may read the artifacts of others, as far as they are remembered;
/// with more, tasks outside runs stay.
const INPUTS_REMEMBERED_MAX: usize = 1_000_000;

/// Above 100 percent: a segment of the search is never rewritten only because of what was removed.
const DELETE_MERGE_NEVER: i64 = 101;

/// A walk through the history, oldest first.
#[derive(Debug)]
pub(super) struct Scan {
    /// What became final before this is due.
    cutoff: UnixMillis,
    /// Tasks whose artifacts a live task is going to read; none when there are too many to know.
    inputs: Option<HashSet<TaskId>>,
    at: Place,
}

#[derive(Debug)]
enum Place {
    /// Learning what live tasks need, after the live row with this key.
    Inputs(Vec<u8>),
    /// Tasks after this number.
    Tasks(i64),
    /// Runs after this number.
    Runs(i64),
}

/// A row of the history that is old enough.
struct OldTask {
    seq: i64,
    id: [u8; 16],
    run: Option<[u8; 16]>,
    body: Vec<u8>,
}

impl Scan {
    /// Begins a walk. Nothing is due that became final after the last checkpoint: what the live
    /// tasks of that time need is known only as of then.
    pub(super) fn new(
        transaction: &Transaction<'_>,
        cutoff: UnixMillis,
    ) -> Result<Self, JournalError> {
        let checkpoint = checkpoint_time(transaction)?.unwrap_or_default();
        let cutoff = cutoff.min(checkpoint);
        // The oldest row says whether there is anything to do at all.
        let due = !old_tasks(transaction, 0, 1, cutoff)?.is_empty();
        let at = if due {
            Place::Inputs(Vec::new())
        } else {
            Place::Runs(0)
        };
        Ok(Self {
            cutoff,
            inputs: Some(HashSet::new()),
            at,
        })
    }

    /// One piece; none when the walk is over.
    pub(super) fn step(
        mut self,
        transaction: &Transaction<'_>,
        limit: u32,
        report: &mut SweepReport,
    ) -> Result<Option<Self>, JournalError> {
        let next = match std::mem::replace(&mut self.at, Place::Runs(0)) {
            Place::Inputs(after) => Some(
                self.learn_inputs(transaction, &after, limit)?
                    .map_or(Place::Tasks(0), Place::Inputs),
            ),
            Place::Tasks(after) => Some(
                self.remove_tasks(transaction, after, limit, report)?
                    .map_or(Place::Runs(0), Place::Tasks),
            ),
            Place::Runs(after) => self
                .remove_runs(transaction, after, limit, report)?
                .map(Place::Runs),
        };
        Ok(next.map(|at| Self { at, ..self }))
    }

    /// Reads live tasks; gives the place to go on from.
    fn learn_inputs(
        &mut self,
        transaction: &Transaction<'_>,
        after: &[u8],
        limit: u32,
    ) -> Result<Option<Vec<u8>>, JournalError> {
        let database = || classify("read the live tasks");
        let kind = row_key::columns(&RowKey::Task(TaskId::from_u128(0))).0;
        let mut statement = transaction
            .prepare_cached(
                "SELECT kind, key, body FROM live WHERE kind = ?1 AND key > ?2
                 ORDER BY key LIMIT ?3",
            )
            .map_err(database())?;
        let mut rows = statement
            .query(params![kind, after, limit])
            .map_err(database())?;
        let (mut count, mut last) = (0, None);
        while let Some(row) = rows.next().map_err(database())? {
            count += 1;
            last = Some(row.get(1).map_err(database())?);
            match recovery::live_row(row) {
                Ok(Row::Task(task)) => self.note_inputs(&task),
                Ok(_) => {}
                Err(error) => {
                    // It may need anything.
                    tracing::error!(%error, "old tasks outside runs stay; run the doctor");
                    self.inputs = None;
                }
            }
        }
        Ok(last.filter(|_| count == limit))
    }

    /// Tasks of a run read from tasks of the same run only, which stay while it lives.
    fn note_inputs(&mut self, task: &TaskRecord) {
        let read = task.spec.work.inputs();
        if task.run.is_some() || read.is_empty() {
            return;
        }
        if let Some(inputs) = &mut self.inputs {
            inputs.extend(read.iter().map(|input| input.from));
        }
        self.inputs = self
            .inputs
            .take()
            .filter(|inputs| inputs.len() <= INPUTS_REMEMBERED_MAX);
    }

    fn remove_tasks(
        &self,
        transaction: &Transaction<'_>,
        after: i64,
        limit: u32,
        report: &mut SweepReport,
    ) -> Result<Option<i64>, JournalError> {
        let rows = old_tasks(transaction, after, limit, self.cutoff)?;
        if after == 0 && !rows.is_empty() {
            keep_merges_small(transaction)?;
        }
        let mut left = i64::from(limit);
        for row in &rows {
            if self.may_go(transaction, row)? {
                left -= remove_task(transaction, row, report)?;
            }
            left -= 1;
            if left <= 0 {
                return Ok(Some(row.seq));
            }
        }
        Ok(None)
    }

    fn may_go(&self, transaction: &Transaction<'_>, row: &OldTask) -> Result<bool, JournalError> {
        let Some(run) = &row.run else {
            let id = TaskId::from_u128(u128::from_be_bytes(row.id));
            return Ok(self.inputs.as_ref().is_some_and(|ids| !ids.contains(&id)));
        };
        // A run that is not in the history is live, and all its tasks stay.
        transaction
            .prepare_cached("SELECT finished_at < ?2 FROM runs WHERE id = ?1")
            .and_then(|mut select| {
                select
                    .query_row(params![run, self.cutoff.0 as i64], |row| {
                        row.get::<_, Option<bool>>(0)
                    })
                    .optional()
            })
            .map(|old| old.flatten().unwrap_or(false))
            .map_err(classify("look up the run of an old task"))
    }

    fn remove_runs(
        &self,
        transaction: &Transaction<'_>,
        after: i64,
        limit: u32,
        report: &mut SweepReport,
    ) -> Result<Option<i64>, JournalError> {
        let database = || classify("remove old runs");
        let mut rows = transaction
            .prepare_cached(
                "SELECT seq, finished_at,
                     NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.run = runs.id)
                 FROM runs WHERE seq > ?1 AND seq < (SELECT max(seq) FROM runs)
                 ORDER BY seq LIMIT ?2",
            )
            .and_then(|mut select| {
                select
                    .query_map(params![after, limit], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                    })?
                    .collect::<rusqlite::Result<Vec<(i64, Option<i64>, bool)>>>()
            })
            .map_err(database())?;
        let old =
            |row: &(i64, Option<i64>, bool)| row.1.is_some_and(|at| at < self.cutoff.0 as i64);
        // Runs, too, are in the order of time.
        rows.truncate(rows.iter().take_while(|row| old(row)).count());
        for (seq, ..) in rows.iter().filter(|(_, _, empty)| *empty) {
            transaction
                .prepare_cached("DELETE FROM run_search WHERE rowid = ?1")
                .and_then(|mut delete| delete.execute([seq]))
                .and_then(|_| transaction.prepare_cached("DELETE FROM runs WHERE seq = ?1"))
                .and_then(|mut delete| delete.execute([seq]))
                .map_err(database())?;
            report.runs += 1;
        }
        Ok(rows
            .last()
            .map(|(seq, ..)| *seq)
            .filter(|_| rows.len() == limit as usize))
    }
}

/// By default the search rewrites a whole segment once a tenth of it was removed: a fifth of a
/// second in the way of a commit, for 100,000 tasks. What was removed goes with the merges that
/// new rows cause, which are as large as what came in.
fn keep_merges_small(transaction: &Transaction<'_>) -> Result<(), JournalError> {
    for table in ["task_search", "run_search"] {
        transaction
            .execute(
                &format!("INSERT INTO {table} ({table}, rank) VALUES ('deletemerge', ?1)"),
                [DELETE_MERGE_NEVER],
            )
            .map_err(classify("configure the search"))?;
    }
    Ok(())
}

/// Up to `limit` tasks after this number that became final before the cutoff. The history is in
/// the order of time: the first one that is younger ends the search.
fn old_tasks(
    transaction: &Transaction<'_>,
    after: i64,
    limit: u32,
    cutoff: UnixMillis,
) -> Result<Vec<OldTask>, JournalError> {
    let database = || classify("read old tasks");
    let mut statement = transaction
        .prepare_cached(
            "SELECT seq, id, run, body, finished_at FROM tasks
             WHERE seq > ?1 AND seq < (SELECT max(seq) FROM tasks) ORDER BY seq LIMIT ?2",
        )
        .map_err(database())?;
    let mut rows = statement.query(params![after, limit]).map_err(database())?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(database())? {
        let read = || -> rusqlite::Result<_> {
            let task = OldTask {
                seq: row.get(0)?,
                id: row.get(1)?,
                run: row.get(2)?,
                body: row.get(3)?,
            };
            Ok((task, row.get::<_, i64>(4)?))
        };
        let (task, finished_at) = read().map_err(database())?;
        if finished_at as u64 >= cutoff.0 {
            break;
        }
        found.push(task);
    }
    Ok(found)
}

/// Removes a task with its references to artifacts; gives the number of those. A body that cannot
/// be read stays, for it does not say which artifacts it had.
fn remove_task(
    transaction: &Transaction<'_>,
    row: &OldTask,
    report: &mut SweepReport,
) -> Result<i64, JournalError> {
    let database = || classify("remove an old task");
    let task: FinishedTask = match sealed::unseal(&row.body, Table::Tasks, &[&row.id]) {
        Ok(task) => task,
        Err(error) => {
            tracing::error!(row = row.seq, %error, "a damaged task is kept; run the doctor");
            return Ok(0);
        }
    };
    let artifacts = task.report.map_or_else(Vec::new, |report| report.artifacts);
    let mut forget = transaction
        .prepare_cached("DELETE FROM artifacts WHERE hash = ?1 AND task_seq = ?2")
        .map_err(database())?;
    for artifact in &artifacts {
        forget
            .execute(params![artifact.blake3.0, row.seq])
            .map_err(database())?;
    }
    transaction
        .prepare_cached("DELETE FROM task_search WHERE rowid = ?1")
        .and_then(|mut delete| delete.execute([row.seq]))
        .and_then(|_| transaction.prepare_cached("DELETE FROM tasks WHERE seq = ?1"))
        .and_then(|mut delete| delete.execute([row.seq]))
        .map_err(database())?;
    report.tasks += 1;
    Ok(artifacts.len() as i64)
}

//! Writes the read side: events, history, shared memory, checkpoint. All of it can be computed again from the
//! log, so a row that is there already (after a crash) is left as it is.

use super::{classify, memory, refused};
use crate::anchors::{Anchor, AnchorName};
use crate::chain::GENESIS;
use crate::row_key;
use crate::sealed::{self, Table};
use rusqlite::{OptionalExtension, Transaction, params};
use skep_coordinator::ports::{Checkpoint, Derived, JournalError, StateDigest};
use skep_model::attempt::LogIndex;
use skep_model::event::EntryEvents;
use skep_model::row::RowChange;
use skep_model::run::RunRecord;
use skep_model::task::FinishedTask;
use std::sync::Arc;

type Result<T> = std::result::Result<T, JournalError>;

/// Writes all of it into the transaction. `scratch` is overwritten.
pub(super) fn write(
    transaction: &Transaction<'_>,
    derived: &Derived,
    last_checkpoint: LogIndex,
    scratch: &mut Vec<u8>,
) -> Result<()> {
    write_events(transaction, &derived.events, scratch)?;
    write_tasks(transaction, &derived.tasks, scratch)?;
    write_runs(transaction, &derived.runs, scratch)?;
    memory::write(transaction, &derived.memory, scratch)?;
    match &derived.checkpoint {
        Some(checkpoint) => write_checkpoint(transaction, checkpoint, last_checkpoint, scratch),
        None => Ok(()),
    }
}

fn write_events(
    transaction: &Transaction<'_>,
    events: &[(Arc<EntryEvents>, StateDigest)],
    scratch: &mut Vec<u8>,
) -> Result<()> {
    let database = || classify("store events");
    let mut insert = transaction
        .prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3) ON CONFLICT (idx) DO NOTHING")
        .map_err(database())?;
    for (entry, digest) in events {
        let key: [&[u8]; 2] = [&entry.index.0.to_le_bytes(), digest];
        sealed::seal(scratch, Table::Events, &key, entry.as_ref())
            .map_err(|e| refused("encode", &e))?;
        let new = insert
            .execute(params![entry.index.0 as i64, digest, scratch.as_slice()])
            .map_err(database())?;
        if new == 0 {
            check_same_digest(transaction, entry.index, digest)?;
        }
    }
    Ok(())
}

/// The same entry gave another digest than the last time: state would differ from what was told.
fn check_same_digest(
    transaction: &Transaction<'_>,
    index: LogIndex,
    digest: &StateDigest,
) -> Result<()> {
    let stored: Vec<u8> = transaction
        .prepare_cached("SELECT digest FROM events WHERE idx = ?1")
        .and_then(|mut select| select.query_row([index.0 as i64], |row| row.get(0)))
        .map_err(classify("read a digest"))?;
    if stored == digest {
        return Ok(());
    }
    Err(JournalError::Damaged {
        detail: format!("entry {index} led to another state than when it was first applied"),
    })
}

fn write_tasks(
    transaction: &Transaction<'_>,
    tasks: &[Arc<FinishedTask>],
    scratch: &mut Vec<u8>,
) -> Result<()> {
    let database = || classify("store finished tasks");
    let mut insert = transaction
        .prepare_cached(
            "INSERT INTO tasks (id, run, state, finished_at, name, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING",
        )
        .map_err(database())?;
    let mut insert_artifact = transaction
        .prepare_cached("INSERT OR IGNORE INTO artifacts VALUES (?1, ?2)")
        .map_err(database())?;
    for task in tasks {
        let record = &task.record;
        let id = record.id.as_u128().to_be_bytes();
        sealed::seal(scratch, Table::Tasks, &[&id], task.as_ref())
            .map_err(|e| refused("encode", &e))?;
        let new = insert
            .execute(params![
                id,
                record.run.map(|run| run.as_u128().to_be_bytes()),
                record.state as i64,
                task.finished_at.0 as i64,
                record.spec.name,
                scratch.as_slice(),
            ])
            .map_err(database())?;
        let Some(report) = task.report.as_ref().filter(|_| new == 1) else {
            continue;
        };
        let seq = transaction.last_insert_rowid();
        for artifact in &report.artifacts {
            insert_artifact
                .execute(params![artifact.blake3.0, seq])
                .map_err(database())?;
        }
    }
    Ok(())
}

fn write_runs(
    transaction: &Transaction<'_>,
    runs: &[Arc<RunRecord>],
    scratch: &mut Vec<u8>,
) -> Result<()> {
    let database = || classify("store finished runs");
    let mut insert = transaction
        .prepare_cached(
            "INSERT INTO runs (id, state, finished_at, name, body)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO NOTHING",
        )
        .map_err(database())?;
    for run in runs {
        let id = run.id.as_u128().to_be_bytes();
        sealed::seal(scratch, Table::Runs, &[&id], run.as_ref())
            .map_err(|e| refused("encode", &e))?;
        let finished_at = run.finished_at.map(|at| at.0 as i64);
        insert
            .execute(params![
                id,
                run.state as i64,
                finished_at,
                run.spec.name,
                scratch.as_slice()
            ])
            .map_err(database())?;
    }
    Ok(())
}

fn write_checkpoint(
    transaction: &Transaction<'_>,
    checkpoint: &Checkpoint,
    last_checkpoint: LogIndex,
    scratch: &mut Vec<u8>,
) -> Result<()> {
    if checkpoint.index < last_checkpoint {
        return Err(JournalError::Damaged {
            detail: format!(
                "a checkpoint at entry {} was to follow one at {last_checkpoint}",
                checkpoint.index
            ),
        });
    }
    let database = || classify("store the checkpoint");
    let mut put = transaction
        .prepare_cached("INSERT OR REPLACE INTO live VALUES (?1, ?2, ?3)")
        .map_err(database())?;
    let mut delete = transaction
        .prepare_cached("DELETE FROM live WHERE kind = ?1 AND key = ?2")
        .map_err(database())?;
    for change in &checkpoint.changes {
        match change {
            RowChange::Put(key, row) => {
                let (kind, key) = row_key::columns(key);
                let context: [&[u8]; 2] = [&kind.to_le_bytes(), key.as_slice()];
                sealed::seal(scratch, Table::Live, &context, row)
                    .map_err(|error| refused("encode", &error))?;
                put.execute(params![kind, key.as_slice(), scratch.as_slice()])
            }
            RowChange::Delete(key) => {
                let (kind, key) = row_key::columns(key);
                delete.execute(params![kind, key.as_slice()])
            }
        }
        .map_err(database())?;
    }
    let anchor = Anchor {
        index: checkpoint.index,
        digest: checkpoint.digest,
        log_hash: hash_at(transaction, checkpoint.index)?,
    };
    anchor
        .save(transaction, AnchorName::Checkpoint)
        .map_err(database())
}

/// The chain hash of a stored entry.
pub(super) fn hash_at(transaction: &Transaction<'_>, index: LogIndex) -> Result<[u8; 32]> {
    if index == LogIndex(0) {
        return Ok(GENESIS);
    }
    transaction
        .prepare_cached("SELECT hash FROM log WHERE idx = ?1")
        .and_then(|mut select| {
            select
                .query_row([index.0 as i64], |row| row.get(0))
                .optional()
        })
        .map_err(classify("read the hash of a log entry"))?
        .ok_or_else(|| JournalError::Damaged {
            detail: format!("entry {index} is not in the log, so nothing can be anchored there"),
        })
}

//! The coordinator's disk: commits are atomic, and volatile until they are synced.

use skep_coordinator::ports::{Commit, Recovered, StateDigest};
use skep_model::attempt::LogIndex;
use skep_model::command::LogEntry;
use skep_model::event::EntryEvents;
use skep_model::ids::{RunId, TaskId};
use skep_model::memory::{MemoryEffect, MemoryKey, MemoryRecord, MemoryVersion, Namespace};
use skep_model::row::{Row, RowChange, RowKey};
use skep_model::run::RunRecord;
use skep_model::task::FinishedTask;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What survives a crash.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Encoded, as a real disk would have them.
    log: BTreeMap<LogIndex, Vec<u8>>,
    digests: BTreeMap<LogIndex, StateDigest>,
    pub(crate) events: BTreeMap<LogIndex, Arc<EntryEvents>>,
    pub(crate) tasks: BTreeMap<TaskId, Arc<FinishedTask>>,
    pub(crate) runs: BTreeMap<RunId, Arc<RunRecord>>,
    pub(crate) memory: BTreeMap<(Namespace, MemoryKey, MemoryVersion), Arc<MemoryRecord>>,
    rows: BTreeMap<RowKey, Row>,
    checkpoint: (LogIndex, StateDigest),
}

impl Disk {
    /// Stores all of a commit.
    pub(crate) fn store(&mut self, commit: &Commit) -> Result<(), String> {
        for (index, entry) in &commit.entries {
            let expected = self
                .log
                .last_key_value()
                .map_or(LogIndex(1), |(last, _)| last.next());
            if *index != expected {
                return Err(format!(
                    "log entry {index} was written where {expected} should be"
                ));
            }
            let body = postcard::to_stdvec(entry).map_err(|error| error.to_string())?;
            self.log.insert(*index, body);
        }
        for (events, digest) in &commit.derived.events {
            if let Some(stored) = self.digests.insert(events.index, *digest)
                && stored != *digest
            {
                return Err(format!("entry {} got another digest", events.index));
            }
            self.events.insert(events.index, Arc::clone(events));
        }
        for task in &commit.derived.tasks {
            self.tasks.insert(task.record.id, Arc::clone(task));
        }
        for run in &commit.derived.runs {
            self.runs.insert(run.id, Arc::clone(run));
        }
        for effect in &commit.derived.memory {
            if let MemoryEffect::Recorded(record) = effect {
                let place = (record.namespace.clone(), record.key.clone(), record.version);
                self.memory.insert(place, Arc::clone(record));
            }
        }
        if let Some(checkpoint) = &commit.derived.checkpoint {
            for change in &checkpoint.changes {
                match change {
                    RowChange::Put(key, row) => self.rows.insert(key.clone(), row.clone()),
                    RowChange::Delete(key) => self.rows.remove(key),
                };
            }
            self.checkpoint = (checkpoint.index, checkpoint.digest);
        }
        Ok(())
    }

    /// What a restarted coordinator reads.
    pub(crate) fn recover(&self) -> Result<Recovered, String> {
        let (checkpoint_index, checkpoint_digest) = self.checkpoint;
        let mut entries = Vec::new();
        for (index, body) in self.log.range(checkpoint_index.next()..) {
            let entry: LogEntry = postcard::from_bytes(body).map_err(|error| error.to_string())?;
            entries.push((*index, entry, self.digests.get(index).copied()));
        }
        Ok(Recovered {
            checkpoint_index,
            checkpoint_digest,
            rows: self.rows.values().cloned().collect(),
            entries,
        })
    }
}

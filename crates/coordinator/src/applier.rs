//! Applies durable entries to the state and keeps what follows from them for the archive.

use crate::ports::{Checkpoint, Derived, JournalError, Recovered, StateDigest};
use crate::stats::EngineStats;
use crate::view::View;
use skep_core::State;
use skep_model::attempt::LogIndex;
use skep_model::command::LogEntry;
use skep_model::event::{EntryEvents, Event};
use skep_model::ids::NodeId;
use skep_model::node::NodeState;
use skep_model::planted::{PlantedBug, planted};
use skep_model::task::{AttemptEnd, TaskState};
use std::sync::Arc;

/// What was just applied, for those who act on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reaction<'a> {
    pub(crate) state: &'a State,
    pub(crate) events: &'a Arc<EntryEvents>,
}

impl Reaction<'_> {
    /// Whether it may have changed how long nodes hold their work.
    pub(crate) fn changes_holds(&self) -> bool {
        let changes =
            |event: &Event| matches!(event, Event::NodeUpdated { .. } | Event::NodeParked { .. });
        self.events.events.iter().any(changes)
    }

    /// Nodes that need not be listened for any more.
    pub(crate) fn removed_nodes(&self) -> Vec<NodeId> {
        let gone = |event: &Event| match event {
            Event::NodeRemoved { node }
            | Event::NodeChanged {
                node,
                state: NodeState::Lost | NodeState::Left,
            } => Some(*node),
            _ => None,
        };
        self.events.events.iter().filter_map(gone).collect()
    }
}

/// An entry that was applied.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) events: Arc<EntryEvents>,
    /// As [`skep_core::Applied::write_ends`].
    pub(crate) write_ends: Vec<u32>,
}

/// Applies entries in order and chains their digests.
#[derive(Debug)]
pub(crate) struct Applier {
    digest: StateDigest,
    applied: LogIndex,
    derived: Derived,
    events_since_checkpoint: usize,
    checkpoint_events: usize,
}

impl Applier {
    /// Replays the recovered log and compares each digest that was stored.
    pub(crate) fn recover(
        recovered: Recovered,
        checkpoint_events: usize,
    ) -> Result<(Self, View), JournalError> {
        let state = State::restore(recovered.rows).map_err(|error| JournalError::Damaged {
            detail: error.to_string(),
        })?;
        let mut view = View {
            state,
            applied: recovered.checkpoint_index,
            ..View::default()
        };
        let mut applier = Self {
            digest: recovered.checkpoint_digest,
            applied: recovered.checkpoint_index,
            derived: Derived::default(),
            events_since_checkpoint: 0,
            checkpoint_events,
        };
        let mut stats = EngineStats::default();
        let mut entries = recovered.entries;
        if planted(PlantedBug::NewestEntrySkipped) {
            entries.pop();
        }
        for (index, entry, stored) in entries {
            applier.apply(&mut view, index, &entry, &mut stats);
            if stored.is_some_and(|stored| stored != applier.digest) {
                return Err(JournalError::Damaged {
                    detail: format!(
                        "replaying log entry {index} gave another state digest than the one \
                         stored: run the version of skep that wrote it, or restore a backup"
                    ),
                });
            }
            if stored.is_some() {
                applier.drop_archived(&mut view, index);
            }
        }
        Ok((applier, view))
    }

    /// The rows of this entry are in the archive already.
    fn drop_archived(&mut self, view: &mut View, index: LogIndex) {
        self.derived.events.clear();
        self.derived.tasks.clear();
        self.derived.runs.clear();
        self.derived.memory.clear();
        view.recent.archived(index);
    }

    pub(crate) fn apply(
        &mut self,
        view: &mut View,
        index: LogIndex,
        entry: &LogEntry,
        stats: &mut EngineStats,
    ) -> Done {
        let applied = view.state.apply(index, entry);
        let events = Arc::new(EntryEvents {
            index,
            at: view.state.now(),
            actor: entry.actor,
            events: applied.events,
        });
        self.applied = index;
        view.applied = index;
        self.digest = chain(&self.digest, &events);
        self.events_since_checkpoint += events.events.len();
        count(stats, &events);
        let tasks: Vec<_> = applied.finished.into_iter().map(Arc::new).collect();
        let runs: Vec<_> = applied.finished_runs.into_iter().map(Arc::new).collect();
        view.recent.add(&events, &tasks, &runs);
        view.recent.remember(index, &applied.memory);
        self.derived.events.push((Arc::clone(&events), self.digest));
        self.derived.tasks.extend(tasks);
        self.derived.runs.extend(runs);
        self.derived.memory.extend(applied.memory);
        Done {
            events,
            write_ends: applied.write_ends,
        }
    }

    pub(crate) fn has_derived(&self) -> bool {
        !self.derived.is_empty()
    }

    /// Hands over what waits, with a checkpoint when one is due.
    pub(crate) fn take_derived(&mut self, state: &mut State, force_checkpoint: bool) -> Derived {
        let mut derived = std::mem::take(&mut self.derived);
        let due = self.events_since_checkpoint >= self.checkpoint_events
            || (force_checkpoint && self.events_since_checkpoint > 0);
        if due && derived.checkpoint.is_none() {
            self.events_since_checkpoint = 0;
            derived.checkpoint = Some(Checkpoint {
                index: self.applied,
                digest: self.digest,
                changes: state.take_changes(),
            });
        }
        derived
    }

    /// The commit that carried these rows was not stored: they go with the next one, before those
    /// that came about meanwhile.
    pub(crate) fn take_back(&mut self, mut derived: Derived) {
        let newer = std::mem::take(&mut self.derived);
        derived.events.extend(newer.events);
        derived.tasks.extend(newer.tasks);
        derived.runs.extend(newer.runs);
        derived.memory.extend(newer.memory);
        self.derived = derived;
    }
}

/// The digest after an entry: BLAKE3 over the digest before it and what the state said to it.
fn chain(digest: &StateDigest, events: &EntryEvents) -> StateDigest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(digest);
    let encoded = postcard::to_io(events, &mut hasher);
    encoded.expect("events are plain data and a hasher takes all bytes");
    *hasher.finalize().as_bytes()
}

fn count(stats: &mut EngineStats, entry: &EntryEvents) {
    stats.entries_applied += 1;
    for event in &entry.events {
        match event {
            Event::TaskSubmitted { .. } => stats.tasks_submitted += 1,
            Event::TaskLeased { .. } => stats.attempts_granted += 1,
            Event::TaskFinished { state, .. } => {
                let slot = match state {
                    TaskState::Succeeded => 0,
                    TaskState::Failed => 1,
                    TaskState::Cancelled => 2,
                    TaskState::Expired => 3,
                    _ => 4,
                };
                stats.tasks_finished[slot] += 1;
            }
            Event::AttemptEnded {
                ended: AttemptEnd::Lost,
                ..
            } => stats.leases_lost += 1,
            Event::ReportRefused { .. } => stats.reports_fenced += 1,
            Event::MemoryWritten { .. } | Event::MemoryDeleted { .. } => stats.memory_writes += 1,
            Event::MemoryRefused { .. } => stats.memory_refused += 1,
            Event::MemoryExpired { .. } => stats.memory_expired += 1,
            _ => {}
        }
    }
}

//! What readers see: the live state, and what left it but may not be in the archive yet.

use crate::attendance::LastCalls;
use crate::breakers::Breakers;
use crate::holdings::Holdings;
use crate::leases::Leases;
use crate::log_clock::LogClock;
use crate::recent_memory::RecentMemory;
use skep_core::State;
use skep_model::attempt::LogIndex;
use skep_model::event::{EntryEvents, EventCursor};
use skep_model::ids::{NodeId, RunId, TaskId};
use skep_model::limits;
use skep_model::memory::{MemoryEffect, MemoryKey, MemoryRecord, MemoryVersion, Namespace};
use skep_model::run::RunRecord;
use skep_model::task::FinishedTask;
use skep_wire::payload::NodeMetrics;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The state after the last committed entry, with the part of history that is still on its way
/// to the archive. Nothing in here is uncommitted.
#[derive(Debug, Default)]
pub struct View {
    /// Everything live.
    pub state: State,
    /// What became final or was said lately.
    pub recent: Recent,
    /// Nodes that are connected and agreed on what they hold, and seats of attached agents that ask
    /// for work. Only they get any: a node that the log calls ready may be gone since a restart.
    pub connected: BTreeSet<NodeId>,
    /// Connected nodes that said that they have more than they can do. They get no more for now.
    pub overloaded: BTreeSet<NodeId>,
    /// What connected nodes reported about themselves last. Not part of the log.
    pub metrics: BTreeMap<NodeId, NodeMetrics>,
    /// Nodes that fail one attempt after another. Not part of the log.
    pub breakers: Breakers,
    /// Who has which artifacts. Not part of the log.
    pub holdings: Holdings,
    /// The newest entry that is applied.
    pub applied: LogIndex,
    /// By what the log counts time.
    pub log_clock: LogClock,
    /// Until when nodes hold their work. Not part of the log.
    pub leases: Leases,
    /// When attached agents made their last calls. Not part of the log.
    pub last_calls: LastCalls,
}

impl View {
    /// Learns from an applied entry what is not part of the state.
    pub(crate) fn observe(&mut self, entry: &EntryEvents) {
        self.breakers.observe(&self.state, &self.recent, entry);
        self.holdings.observe(&self.state, &self.recent, entry);
    }
}

impl View {
    /// A node has more than it can do, or not any more.
    pub(crate) fn note_load(&mut self, node: NodeId, overloaded: bool) {
        if overloaded {
            self.overloaded.insert(node);
        } else {
            self.overloaded.remove(&node);
        }
    }
}

/// Final tasks and runs that the archive may lack, and the newest events.
///
/// Readers that combine this with the archive look here first: an item moves from here to the
/// archive and never back, so looking in this order cannot miss it.
#[derive(Debug, Default)]
pub struct Recent {
    events: VecDeque<Arc<EntryEvents>>,
    tasks: BTreeMap<TaskId, Arc<FinishedTask>>,
    runs: BTreeMap<RunId, Arc<RunRecord>>,
    memory: RecentMemory,
    /// Which tasks and runs each entry added, so that archived ones can be dropped.
    added: VecDeque<(LogIndex, Vec<TaskId>, Vec<RunId>)>,
    archived: LogIndex,
}

impl Recent {
    /// The final task, if it is here.
    pub fn task(&self, task: TaskId) -> Option<Arc<FinishedTask>> {
        self.tasks.get(&task).cloned()
    }

    /// The final run, if it is here.
    pub fn run(&self, run: RunId) -> Option<Arc<RunRecord>> {
        self.runs.get(&run).cloned()
    }

    /// All final tasks that are here, by id.
    pub fn finished(&self) -> impl DoubleEndedIterator<Item = &Arc<FinishedTask>> {
        self.tasks.values()
    }

    /// All final runs that are here, by id.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Arc<RunRecord>> {
        self.runs.values()
    }

    /// A version of an entry of shared memory, if it is here.
    pub fn memory(
        &self,
        namespace: &Namespace,
        key: &MemoryKey,
        version: MemoryVersion,
    ) -> Option<Arc<MemoryRecord>> {
        self.memory.get(namespace, key, version)
    }

    /// All versions of an entry of shared memory that are here, oldest first.
    pub fn memory_versions(
        &self,
        namespace: &Namespace,
        key: &MemoryKey,
    ) -> impl DoubleEndedIterator<Item = &Arc<MemoryRecord>> {
        self.memory.versions(namespace, key)
    }

    pub(crate) fn remember(&mut self, index: LogIndex, effects: &[MemoryEffect]) {
        self.memory.add(index, effects);
    }

    /// Index of the oldest entry whose events are here.
    pub fn first_index(&self) -> Option<LogIndex> {
        self.events.front().map(|entry| entry.index)
    }

    /// Entries at or after the cursor's entry; the caller drops the ordinals it has seen.
    /// `None` when the cursor lies before what is kept here: ask the archive first.
    pub fn events_after(&self, cursor: EventCursor) -> Option<Vec<Arc<EntryEvents>>> {
        let first = self.first_index()?;
        if cursor.index.next() < first {
            return None;
        }
        let start = self
            .events
            .partition_point(|entry| entry.index < cursor.index);
        Some(self.events.iter().skip(start).cloned().collect())
    }

    pub(crate) fn add(
        &mut self,
        events: &Arc<EntryEvents>,
        tasks: &[Arc<FinishedTask>],
        runs: &[Arc<RunRecord>],
    ) {
        self.events.push_back(Arc::clone(events));
        if !tasks.is_empty() || !runs.is_empty() {
            self.added.push_back((
                events.index,
                tasks.iter().map(|task| task.record.id).collect(),
                runs.iter().map(|run| run.id).collect(),
            ));
        }
        self.tasks
            .extend(tasks.iter().map(|task| (task.record.id, Arc::clone(task))));
        self.runs
            .extend(runs.iter().map(|run| (run.id, Arc::clone(run))));
        self.drop_old_events();
    }

    /// Everything up to this entry is in the archive.
    pub(crate) fn archived(&mut self, index: LogIndex) {
        self.archived = self.archived.max(index);
        self.memory.archived(index);
        while self
            .added
            .front()
            .is_some_and(|(added, _, _)| *added <= index)
        {
            let Some((_, tasks, runs)) = self.added.pop_front() else {
                break;
            };
            for task in tasks {
                self.tasks.remove(&task);
            }
            for run in runs {
                self.runs.remove(&run);
            }
        }
        self.drop_old_events();
    }

    /// Keeps every event that is not archived, and of the others the newest.
    fn drop_old_events(&mut self) {
        while self.events.len() > limits::ENTRIES_IN_MEMORY_MAX
            && self
                .events
                .front()
                .is_some_and(|entry| entry.index <= self.archived)
        {
            self.events.pop_front();
        }
    }
}

//! Which nodes have the inputs of waiting tasks on their disks already, as far as is known.
//!
//! A node that handed artifacts in keeps them, and one that was given them as inputs keeps them,
//! too, until its cache is full. What is gone by then is only downloaded: a wrong guess costs
//! time, never correctness. So this is kept in memory, bounded, and begins empty after a restart.
//! Artifacts are counted by the task that handed them in: an input names such a task.

use crate::view::Recent;
use skep_core::State;
use skep_model::event::{EntryEvents, Event};
use skep_model::ids::{NodeId, TaskId};
use skep_model::task::{AttemptEnd, FinishedTask, TaskSpec, TaskState};
use skep_scheduler::{HOLDERS_MAX, HeldInput, TaskInputs};
use std::collections::{BTreeMap, BTreeSet};

/// Tasks whose artifacts are known to lie somewhere; those used longest ago give way.
pub const HOLDINGS_MAX: usize = 20_000;
/// Waiting tasks for which it is worked out where their inputs lie; others are placed without.
pub const INPUTS_PREPARED_MAX: usize = 20_000;

/// What one task handed in, and who has it.
#[derive(Debug)]
struct Produced {
    bytes: u64,
    /// At most [`HOLDERS_MAX`], the newest last.
    holders: Vec<NodeId>,
    used: u64,
}

/// Where the inputs of one waiting task lie.
#[derive(Debug)]
struct Prepared {
    total_bytes: u64,
    held: Vec<HeldInput>,
}

/// Who has which artifacts.
#[derive(Debug, Default)]
pub struct Holdings {
    produced: BTreeMap<TaskId, Produced>,
    /// The same tasks in the order of their last use.
    by_use: BTreeMap<u64, TaskId>,
    uses: u64,
    prepared: BTreeMap<TaskId, Prepared>,
}

impl Holdings {
    /// Where the inputs of a ready task lie.
    pub fn inputs(&self, task: TaskId) -> TaskInputs<'_> {
        self.prepared
            .get(&task)
            .map_or(TaskInputs::NONE, |prepared| TaskInputs {
                total_bytes: prepared.total_bytes,
                held: &prepared.held,
            })
    }

    /// Takes in what an entry led to.
    pub(crate) fn observe(&mut self, state: &State, recent: &Recent, entry: &EntryEvents) {
        for event in &entry.events {
            match event {
                Event::TaskFinished { task, .. } => {
                    self.prepared.remove(task);
                    if let Some(finished) = recent.task(*task) {
                        self.finished(&finished);
                    }
                }
                Event::AttemptEnded {
                    task,
                    node,
                    ended,
                    retry_at,
                    ..
                } => {
                    let Some(record) = state.task(*task) else {
                        continue;
                    };
                    if matches!(ended, AttemptEnd::Reported(_)) {
                        self.was_given_inputs(&record.spec, *node);
                    }
                    if retry_at.is_none() {
                        self.prepare(*task, &record.spec);
                    }
                }
                Event::TaskChanged {
                    task,
                    state: TaskState::Ready,
                    ..
                }
                | Event::TaskSubmitted {
                    task,
                    state: TaskState::Ready,
                    ..
                } => {
                    if let Some(record) = state.task(*task) {
                        self.prepare(*task, &record.spec);
                    }
                }
                Event::NodeRemoved { node } => self.forget(*node),
                _ => {}
            }
        }
    }

    fn finished(&mut self, finished: &FinishedTask) {
        let record = &finished.record;
        let Some(last) = record.ended_attempts.last() else {
            return;
        };
        if matches!(last.ended, AttemptEnd::Reported(_)) {
            self.was_given_inputs(&record.spec, last.node);
        }
        let Some(report) = finished.report.as_ref() else {
            return;
        };
        let bytes = report.artifacts.iter().map(|artifact| artifact.bytes).sum();
        if record.state == TaskState::Succeeded && bytes > 0 {
            self.produced.insert(
                record.id,
                Produced {
                    bytes,
                    holders: vec![last.node],
                    used: 0,
                },
            );
            self.touch(record.id);
        }
    }

    /// An attempt with this specification ran on the node.
    fn was_given_inputs(&mut self, spec: &TaskSpec, node: NodeId) {
        for from in inputs_of(spec) {
            let Some(produced) = self.produced.get_mut(&from) else {
                continue;
            };
            produced.holders.retain(|holder| *holder != node);
            if produced.holders.len() == HOLDERS_MAX {
                produced.holders.remove(0);
            }
            produced.holders.push(node);
            self.touch(from);
        }
    }

    fn touch(&mut self, task: TaskId) {
        let Some(produced) = self.produced.get_mut(&task) else {
            return;
        };
        self.uses += 1;
        let before = std::mem::replace(&mut produced.used, self.uses);
        self.by_use.remove(&before);
        self.by_use.insert(self.uses, task);
        if self.by_use.len() > HOLDINGS_MAX
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.produced.remove(&oldest);
        }
    }

    /// Works out where the inputs of a task lie that can be granted now.
    fn prepare(&mut self, task: TaskId, spec: &TaskSpec) {
        self.prepared.remove(&task);
        let mut total_bytes = 0_u64;
        let mut by_node: BTreeMap<NodeId, u64> = BTreeMap::new();
        for produced in inputs_of(spec)
            .iter()
            .filter_map(|from| self.produced.get(from))
        {
            total_bytes = total_bytes.saturating_add(produced.bytes);
            for holder in &produced.holders {
                let held = by_node.entry(*holder).or_default();
                *held = held.saturating_add(produced.bytes);
            }
        }
        if total_bytes == 0 || self.prepared.len() >= INPUTS_PREPARED_MAX {
            return;
        }
        let held = by_node
            .into_iter()
            .map(|(node, bytes)| HeldInput { node, bytes });
        let mut held: Vec<_> = held.collect();
        held.sort_by_key(|held| std::cmp::Reverse(held.bytes));
        held.truncate(HOLDERS_MAX);
        self.prepared.insert(task, Prepared { total_bytes, held });
    }

    fn forget(&mut self, node: NodeId) {
        for produced in self.produced.values_mut() {
            produced.holders.retain(|holder| *holder != node);
        }
        for prepared in self.prepared.values_mut() {
            prepared.held.retain(|held| held.node != node);
        }
    }
}

/// The tasks whose artifacts an attempt is given, each once.
fn inputs_of(spec: &TaskSpec) -> BTreeSet<TaskId> {
    spec.work.inputs().iter().map(|input| input.from).collect()
}

#[cfg(test)]
mod tests;

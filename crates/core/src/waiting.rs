//! Where waiting tasks wait: queues for an agent, timers for a time.

use crate::queues::Queues;
use crate::state::TaskSlot;
use skep_model::ids::TaskId;
use skep_model::task::{TaskRecord, TaskState};
use skep_model::time::UnixMillis;
use std::collections::BTreeSet;

/// What is due for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Its retry delay ends.
    Retry(TaskId),
    /// It expires.
    Deadline(TaskId),
}

/// What is due when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Timers(BTreeSet<(UnixMillis, Timer)>);

impl Timers {
    pub(crate) fn next(&self) -> Option<UnixMillis> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the earliest timer if it is due.
    pub(crate) fn pop_due(&mut self, now: UnixMillis) -> Option<Timer> {
        let (at, timer) = *self.0.first()?;
        if at > now {
            return None;
        }
        self.0.pop_first();
        Some(timer)
    }
}

/// When a task's retry delay ends, if it waits for that.
pub(crate) fn retry_at(record: &TaskRecord) -> Option<UnixMillis> {
    match record.state {
        TaskState::Pending => record.not_before,
        _ => None,
    }
}

/// Queues and timers. A task is in those that its record calls for: to change a record, remove
/// the task, change it, and add it again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) queues: Queues,
    pub(crate) timers: Timers,
}

impl Waiting {
    pub(crate) fn add(&mut self, slot: &TaskSlot) {
        let record = &slot.record;
        if record.state == TaskState::Ready {
            self.queues.add(slot);
        }
        if let Some(at) = retry_at(record) {
            self.timers.0.insert((at, Timer::Retry(record.id)));
        }
        if let Some(at) = record.spec.deadline {
            self.timers.0.insert((at, Timer::Deadline(record.id)));
        }
    }

    pub(crate) fn remove(&mut self, slot: &TaskSlot) {
        let record = &slot.record;
        if record.state == TaskState::Ready {
            self.queues.remove(slot);
        }
        if let Some(at) = retry_at(record) {
            self.timers.0.remove(&(at, Timer::Retry(record.id)));
        }
        if let Some(at) = record.spec.deadline {
            self.timers.0.remove(&(at, Timer::Deadline(record.id)));
        }
    }
}

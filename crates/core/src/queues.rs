//! Queues of ready tasks, one per requirements, priority and run.

use crate::signatures::SignatureId;
use crate::state::{TaskSlot, queue_priority};
use skep_model::ids::RunId;
use skep_model::requirements::Requirements;
use skep_model::task::{ReadyKey, TaskRecord};
use std::collections::{BTreeMap, BTreeSet};

/// Ready tasks that a scheduler may treat alike.
#[derive(Debug, Clone, Copy)]
pub struct ReadyQueue<'a> {
    /// What all of them need.
    pub requirements: &'a Requirements,
    /// The run of all of them.
    pub run: Option<RunId>,
    /// Their priority before ageing.
    pub priority: u8,
    /// The tasks, first come first.
    pub tasks: &'a BTreeSet<ReadyKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct QueueKey {
    signature: SignatureId,
    priority: u8,
    run: Option<RunId>,
}

impl QueueKey {
    fn of(slot: &TaskSlot) -> Self {
        let record = &slot.record;
        Self {
            signature: slot.signature,
            priority: queue_priority(record.spec.priority, record.had_needs),
            run: record.run,
        }
    }

    const fn first_of(signature: SignatureId) -> Self {
        Self {
            signature,
            priority: 0,
            run: None,
        }
    }
}

fn place_of(record: &TaskRecord) -> ReadyKey {
    ReadyKey {
        ready_at: record.ready_at,
        sequence: record.sequence,
        task: record.id,
    }
}

/// All ready tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Queues {
    queues: BTreeMap<QueueKey, BTreeSet<ReadyKey>>,
}

impl Queues {
    pub(crate) fn add(&mut self, slot: &TaskSlot) {
        let queue = self.queues.entry(QueueKey::of(slot)).or_default();
        queue.insert(place_of(&slot.record));
    }

    pub(crate) fn remove(&mut self, slot: &TaskSlot) {
        let key = QueueKey::of(slot);
        let Some(queue) = self.queues.get_mut(&key) else {
            return;
        };
        queue.remove(&place_of(&slot.record));
        if queue.is_empty() {
            self.queues.remove(&key);
        }
    }

    pub(crate) fn of_signature<'a>(
        &'a self,
        requirements: &'a Requirements,
        signature: SignatureId,
    ) -> impl Iterator<Item = ReadyQueue<'a>> {
        let next = SignatureId(signature.0 + 1);
        self.queues
            .range(QueueKey::first_of(signature)..QueueKey::first_of(next))
            .map(move |(key, tasks)| ReadyQueue {
                requirements,
                run: key.run,
                priority: key.priority,
                tasks,
            })
    }
}

//! Entries whose time is over.

use super::telling::tell_settled;
use crate::apply::Step;
use crate::state::State;
use skep_model::command::Actor;
use skep_model::event::Event;
use skep_model::limits::MEMORY_EXPIRED_PER_COMMAND_MAX;
use skep_model::memory::{
    MemoryEffect, MemoryKey, MemoryProvenance, MemoryRecord, Namespace, RecordState,
};
use std::sync::Arc;

impl State {
    /// Collects entries that are over, up to a bound: the next timer is due at once then.
    pub(crate) fn end_expired_entries(&mut self, step: &mut Step) {
        for _ in 0..MEMORY_EXPIRED_PER_COMMAND_MAX {
            let Some((at, namespace, key)) = self.memory.expiries.first().cloned() else {
                return;
            };
            if at > self.now {
                return;
            }
            self.end_entry(step, &namespace, &key);
        }
    }

    /// Ends an entry. One that was only remembered as deleted goes without a word.
    pub(super) fn end_entry(&mut self, step: &mut Step, namespace: &Namespace, key: &MemoryKey) {
        let changes = &mut self.changes;
        let Some(entry) = self.memory.remove(namespace, key, changes) else {
            return;
        };
        if entry.deleted {
            self.memory.forget_if_idle(namespace, changes);
            return;
        }
        let version = self.memory.next_version(namespace, changes);
        self.memory.forget_if_idle(namespace, changes);
        for conflict in &entry.conflicts {
            tell_settled(step, (namespace, key), conflict.version);
        }
        let record = MemoryRecord {
            namespace: namespace.clone(),
            key: key.clone(),
            version,
            state: RecordState::Expired,
            put: None,
            expires_at: None,
            written_at: self.now,
            actor: Actor::Coordinator,
            provenance: MemoryProvenance::default(),
            stamp: None,
            replaced: Some(entry.version),
        };
        step.applied
            .memory
            .push(MemoryEffect::Recorded(Arc::new(record)));
        step.emit(Event::MemoryExpired {
            namespace: namespace.clone(),
            key: key.clone(),
            version,
            replaced: entry.version,
        });
    }
}

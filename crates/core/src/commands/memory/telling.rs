//! What is said about conflicts when a write makes or settles them.

use crate::apply::Step;
use skep_model::event::Event;
use skep_model::memory::{
    MemoryEffect, MemoryEntry, MemoryKey, MemoryVersion, MemoryWrite, Namespace, OpenConflict,
};

/// Says which conflicts are over; gives the others.
pub(super) fn settle(
    step: &mut Step,
    write: &MemoryWrite,
    current: Option<Box<MemoryEntry>>,
    over: &[MemoryVersion],
) -> Vec<OpenConflict> {
    let conflicts = current.map_or_else(Vec::new, |entry| entry.conflicts);
    if conflicts.is_empty() {
        return conflicts;
    }
    let (settled, open): (Vec<_>, Vec<_>) = conflicts
        .into_iter()
        .partition(|conflict| over.contains(&conflict.version));
    for conflict in settled {
        tell_settled(step, (&write.namespace, &write.key), conflict.version);
    }
    open
}

/// Says that a conflict is over.
pub(super) fn tell_settled(
    step: &mut Step,
    (namespace, key): (&Namespace, &MemoryKey),
    version: MemoryVersion,
) {
    step.applied.memory.push(MemoryEffect::Settled {
        namespace: namespace.clone(),
        key: key.clone(),
        version,
    });
    step.emit(Event::MemoryConflictSettled {
        namespace: namespace.clone(),
        key: key.clone(),
        version,
    });
}

/// Says that two values were written apart.
pub(super) fn tell_conflict(
    step: &mut Step,
    write: &MemoryWrite,
    version: MemoryVersion,
    (current, open): (MemoryVersion, bool),
) {
    step.emit(Event::MemoryConflict {
        namespace: write.namespace.clone(),
        key: write.key.clone(),
        version,
        current,
        open,
    });
}

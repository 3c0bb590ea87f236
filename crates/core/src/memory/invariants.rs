//! What always holds of shared memory.

use crate::invariants::{ensure, same};
use crate::memory::{Memory, Totals};
use crate::state::State;
use skep_model::memory::{MemoryEntry, NamespaceSettings};
use std::collections::BTreeSet;

fn entries(memory: &Memory) -> impl Iterator<Item = &MemoryEntry> {
    let slots = memory.namespaces.values();
    slots.flat_map(|slot| slot.entries.values().map(Box::as_ref))
}

/// Counts, quotas, expiries and conflicts are those of the entries.
pub(crate) fn memory_indexes_match_entries(state: &State) -> Result<(), String> {
    let memory = &state.memory;
    same("entries", &memory.entries, &entries(memory).count())?;
    let expiries = entries(memory).filter_map(|entry| {
        let end = entry.expires_at?;
        Some((end, entry.namespace.clone(), entry.key.clone()))
    });
    same("expiries", &memory.expiries, &expiries.collect())?;
    for (name, slot) in &memory.namespaces {
        same("name of a namespace", &slot.record.namespace, name)?;
        for (key, entry) in &slot.entries {
            same("place", &(&entry.namespace, &entry.key), &(name, key))?;
        }
        let mut totals = Totals::default();
        slot.entries.values().for_each(|entry| totals.count(entry));
        same("totals", &slot.totals, &totals)?;
    }
    Ok(())
}

/// Each version of a namespace was given by it, and once only.
pub(crate) fn memory_versions_were_given(state: &State) -> Result<(), String> {
    for (name, slot) in &state.memory.namespaces {
        let mut seen = BTreeSet::new();
        for entry in slot.entries.values() {
            let open = entry.conflicts.iter().map(|conflict| conflict.version);
            for version in open.chain([entry.version]) {
                let given = version <= slot.record.last_version && seen.insert(version);
                ensure(given, || format!("{name} {}: version {version}", entry.key))?;
            }
        }
    }
    Ok(())
}

/// No namespace is kept in which nothing is and about which nothing was said.
pub(crate) fn namespaces_have_reasons(state: &State) -> Result<(), String> {
    for (name, slot) in &state.memory.namespaces {
        let said = slot.record.settings != NamespaceSettings::default();
        ensure(said || !slot.entries.is_empty(), || {
            format!("{name} is empty")
        })?;
    }
    Ok(())
}

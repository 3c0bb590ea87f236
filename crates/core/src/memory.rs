//! Shared memory without its values: namespaces, entries, and the indexes over them.

mod invariants;
mod reading;
mod restoring;
mod scanning;
#[cfg(test)]
mod tests;

pub(crate) use invariants::{
    memory_indexes_match_entries, memory_versions_were_given, namespaces_have_reasons,
};
pub use reading::{MemoryPage, MemoryQuery, NamespaceView};

use crate::changes::Changes;
use skep_model::memory::{
    MemoryEntry, MemoryKey, MemoryVersion, Namespace, NamespaceRecord, NamespaceSettings,
};
use skep_model::planted::{PlantedBug, planted};
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// All namespaces, and when what ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) namespaces: BTreeMap<Namespace, NamespaceSlot>,
    /// When entries end, deleted ones that are remembered included.
    pub(crate) expiries: BTreeSet<(UnixMillis, Namespace, MemoryKey)>,
    /// Entries in all namespaces, deleted ones that are remembered included.
    pub(crate) entries: usize,
    /// The largest version of namespaces that were forgotten: new ones start behind it, so that
    /// none of their versions is given twice.
    pub(crate) floor: MemoryVersion,
}

/// A namespace and what is derived from its entries.
#[derive(Debug, Clone)]
pub(crate) struct NamespaceSlot {
    pub(crate) record: NamespaceRecord,
    /// Boxed: tree nodes are moved on inserts.
    pub(crate) entries: BTreeMap<MemoryKey, Box<MemoryEntry>>,
    pub(crate) totals: Totals,
}

/// What the entries of a namespace come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Entries that are not deleted.
    pub(crate) live: u64,
    /// What these take of the quota.
    pub(crate) bytes: u64,
    /// Entries with open conflicts.
    pub(crate) conflicted: BTreeSet<MemoryKey>,
}

/// An entry as it was before a write, to undo it.
#[derive(Debug)]
pub(crate) struct Saved {
    namespace: Namespace,
    key: MemoryKey,
    entry: Option<Box<MemoryEntry>>,
    record: Option<NamespaceRecord>,
    floor: MemoryVersion,
}

impl NamespaceSlot {
    pub(crate) fn new(record: NamespaceRecord) -> Self {
        Self {
            record,
            entries: BTreeMap::new(),
            totals: Totals::default(),
        }
    }
}

impl Totals {
    pub(crate) fn count(&mut self, entry: &MemoryEntry) {
        if !entry.deleted {
            self.live += 1;
            self.bytes += entry.bytes;
        }
        if !entry.conflicts.is_empty() {
            self.conflicted.insert(entry.key.clone());
        }
    }

    fn discount(&mut self, entry: &MemoryEntry) {
        if !entry.deleted {
            self.live -= 1;
            self.bytes -= entry.bytes;
        }
        if !entry.conflicts.is_empty() {
            self.conflicted.remove(&entry.key);
        }
    }
}

impl Memory {
    pub(crate) fn get(&self, namespace: &Namespace, key: &MemoryKey) -> Option<&MemoryEntry> {
        let slot = self.namespaces.get(namespace)?;
        slot.entries.get(key).map(Box::as_ref)
    }

    /// The namespace; made if it is new.
    pub(crate) fn slot_mut(&mut self, namespace: &Namespace) -> &mut NamespaceSlot {
        if !self.namespaces.contains_key(namespace) {
            let record = NamespaceRecord {
                namespace: namespace.clone(),
                settings: NamespaceSettings::default(),
                last_version: self.floor,
            };
            let slot = NamespaceSlot::new(record);
            self.namespaces.insert(namespace.clone(), slot);
        }
        self.namespaces
            .get_mut(namespace)
            .expect("it was put in just now, if it was missing")
    }

    /// Puts an entry in the place of the one that has its key.
    pub(crate) fn set(&mut self, entry: Box<MemoryEntry>, changes: &mut Changes) {
        changes.memory(&entry.namespace, &entry.key);
        if let Some(end) = entry.expires_at {
            let due = (end, entry.namespace.clone(), entry.key.clone());
            self.expiries.insert(due);
        }
        let expires_at = entry.expires_at;
        let namespace = entry.namespace.clone();
        let slot = self.slot_mut(&namespace);
        let (entries, totals) = (&mut slot.entries, &mut slot.totals);
        let old = if let Some(place) = entries.get_mut(&entry.key) {
            totals.discount(place);
            totals.count(&entry);
            Some(std::mem::replace(place, entry))
        } else {
            totals.count(&entry);
            entries.insert(entry.key.clone(), entry)
        };
        match old {
            Some(old) if old.expires_at != expires_at => self.forget_expiry(&old),
            Some(_) => {}
            None => self.entries += 1,
        }
    }

    /// Takes an entry out. Its namespace stays; see [`Self::forget_if_idle`].
    pub(crate) fn remove(
        &mut self,
        namespace: &Namespace,
        key: &MemoryKey,
        changes: &mut Changes,
    ) -> Option<Box<MemoryEntry>> {
        let slot = self.namespaces.get_mut(namespace)?;
        let entry = slot.entries.remove(key)?;
        slot.totals.discount(&entry);
        self.entries -= 1;
        self.forget_expiry(&entry);
        changes.memory(namespace, key);
        Some(entry)
    }

    fn forget_expiry(&mut self, entry: &MemoryEntry) {
        if let Some(end) = entry.expires_at {
            let due = (end, entry.namespace.clone(), entry.key.clone());
            self.expiries.remove(&due);
        }
    }

    /// Gives the next version of a namespace.
    pub(crate) fn next_version(
        &mut self,
        namespace: &Namespace,
        changes: &mut Changes,
    ) -> MemoryVersion {
        changes.namespace(namespace);
        let record = &mut self.slot_mut(namespace).record;
        record.last_version = record.last_version.next();
        record.last_version
    }

    /// Forgets a namespace in which nothing is and about which nothing was said.
    pub(crate) fn forget_if_idle(&mut self, namespace: &Namespace, changes: &mut Changes) {
        let Some(slot) = self.namespaces.get(namespace) else {
            return;
        };
        if !slot.entries.is_empty() || slot.record.settings != NamespaceSettings::default() {
            return;
        }
        let forgets = planted(PlantedBug::MemoryVersionsStartAnew);
        if slot.record.last_version > self.floor && !forgets {
            self.floor = slot.record.last_version;
            changes.memory_floor();
        }
        self.namespaces.remove(namespace);
        changes.namespace(namespace);
    }

    /// What a write of this key may change.
    pub(crate) fn save(&self, namespace: &Namespace, key: &MemoryKey) -> Saved {
        let slot = self.namespaces.get(namespace);
        Saved {
            namespace: namespace.clone(),
            key: key.clone(),
            entry: slot.and_then(|slot| slot.entries.get(key).cloned()),
            record: slot.map(|slot| slot.record.clone()),
            floor: self.floor,
        }
    }

    /// Makes it as it was. Later writes must have been undone before.
    pub(crate) fn undo(&mut self, saved: Saved, changes: &mut Changes) {
        match saved.entry {
            Some(entry) => self.set(entry, changes),
            None => {
                self.remove(&saved.namespace, &saved.key, changes);
            }
        }
        match saved.record {
            Some(record) => self.slot_mut(&saved.namespace).record = record,
            None => {
                self.namespaces.remove(&saved.namespace);
            }
        }
        self.floor = saved.floor;
    }

    /// When the next entry ends.
    pub(crate) fn next_expiry(&self) -> Option<UnixMillis> {
        self.expiries.first().map(|(at, _, _)| *at)
    }
}

//! The ways to read what is known of shared memory.

use crate::state::State;
use skep_model::limits;
use skep_model::memory::{MemoryEntry, MemoryKey, MemoryTag, Namespace, NamespaceRecord};
use skep_model::time::UnixMillis;
use std::ops::Bound;

/// A namespace and how full it is.
#[derive(Debug, Clone, Copy)]
pub struct NamespaceView<'a> {
    /// Name, settings and newest version.
    pub record: &'a NamespaceRecord,
    /// Entries in it.
    pub entries: u64,
    /// What they take of the quota.
    pub bytes: u64,
    /// Entries with open conflicts.
    pub conflicts: usize,
}

/// Which entries are wanted.
#[derive(Debug, Clone, Copy)]
pub struct MemoryQuery<'a> {
    /// In this namespace.
    pub namespace: &'a Namespace,
    /// With keys that begin so.
    pub prefix: &'a str,
    /// With all of these tags.
    pub tags: &'a [MemoryTag],
    /// Written then or later.
    pub since: Option<UnixMillis>,
    /// Written before.
    pub until: Option<UnixMillis>,
    /// With keys behind this one.
    pub after: Option<&'a MemoryKey>,
    /// At most so many.
    pub limit: usize,
}

/// Entries by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryPage<'a> {
    /// The entries.
    pub entries: Vec<&'a MemoryEntry>,
    /// The key to go on after; none at the end. A page that is not full may have one: each page
    /// looks at [`MEMORY_SCAN_MAX`](limits::MEMORY_SCAN_MAX) entries at most.
    pub next: Option<&'a MemoryKey>,
}

impl MemoryQuery<'_> {
    fn wants(&self, entry: &MemoryEntry) -> bool {
        self.since.is_none_or(|since| entry.written_at >= since)
            && self.until.is_none_or(|until| entry.written_at < until)
            && self.tags.iter().all(|tag| entry.tags.contains(tag))
    }
}

impl State {
    /// An entry, as a reader at this time finds it. Use the time of the log, which may be ahead of
    /// the newest entry.
    pub fn memory_entry(
        &self,
        namespace: &Namespace,
        key: &MemoryKey,
        at: UnixMillis,
    ) -> Option<&MemoryEntry> {
        let entry = self.memory.get(namespace, key)?;
        entry.is_readable(at).then_some(entry)
    }

    /// Entries of a namespace by key, as a reader at this time finds them.
    pub fn memory_list(&self, query: &MemoryQuery<'_>, at: UnixMillis) -> MemoryPage<'_> {
        let mut page = MemoryPage::default();
        let Some(slot) = self.memory.namespaces.get(query.namespace) else {
            return page;
        };
        let start = match query.after.map(MemoryKey::as_str) {
            Some(after) if after >= query.prefix => Bound::Excluded(after),
            _ => Bound::Included(query.prefix),
        };
        let range = slot.entries.range::<str, _>((start, Bound::Unbounded));
        let inside = range.take_while(|(key, _)| key.as_str().starts_with(query.prefix));
        let mut last = None;
        for (seen, (key, entry)) in inside.enumerate() {
            if seen >= limits::MEMORY_SCAN_MAX || page.entries.len() >= query.limit {
                page.next = last;
                return page;
            }
            last = Some(key);
            if entry.is_readable(at) && query.wants(entry) {
                page.entries.push(entry);
            }
        }
        page
    }

    /// Entries with open conflicts, by key.
    pub fn memory_conflicts(
        &self,
        namespace: &Namespace,
        after: Option<&MemoryKey>,
    ) -> impl Iterator<Item = &MemoryEntry> {
        let start = after.cloned().map_or(Bound::Unbounded, Bound::Excluded);
        let slot = self.memory.namespaces.get(namespace);
        slot.into_iter().flat_map(move |slot| {
            let keys = slot
                .totals
                .conflicted
                .range((start.clone(), Bound::Unbounded));
            keys.filter_map(|key| slot.entries.get(key).map(Box::as_ref))
        })
    }

    /// A namespace.
    pub fn namespace(&self, namespace: &Namespace) -> Option<NamespaceView<'_>> {
        let slot = self.memory.namespaces.get(namespace)?;
        Some(NamespaceView {
            record: &slot.record,
            entries: slot.totals.live,
            bytes: slot.totals.bytes,
            conflicts: slot.totals.conflicted.len(),
        })
    }

    /// All namespaces, by name.
    pub fn namespaces(&self) -> impl Iterator<Item = NamespaceView<'_>> {
        let names = self.memory.namespaces.keys();
        names.filter_map(|name| self.namespace(name))
    }
}

//! What changed in a namespace, for those who carry it elsewhere: entries, and what is remembered of
//! deleted ones.

use crate::memory::reading::MemoryPage;
use crate::state::State;
use skep_model::limits;
use skep_model::memory::{MemoryEntry, MemoryKey, Namespace};
use skep_model::time::UnixMillis;
use std::ops::Bound;

impl State {
    /// An entry, be it one that is only remembered as deleted; not one whose time is over.
    pub fn memory_remembered(
        &self,
        namespace: &Namespace,
        key: &MemoryKey,
        at: UnixMillis,
    ) -> Option<&MemoryEntry> {
        let entry = self.memory.get(namespace, key)?;
        is_remembered(entry, at).then_some(entry)
    }

    /// Entries behind a key that are wanted, those included that are only remembered as deleted: at
    /// most `limit`, of at most [`MEMORY_SCAN_MAX`](limits::MEMORY_SCAN_MAX) that are looked at.
    pub fn memory_scan(
        &self,
        namespace: &Namespace,
        after: Option<&MemoryKey>,
        at: UnixMillis,
        limit: usize,
        mut is_wanted: impl FnMut(&MemoryEntry) -> bool,
    ) -> MemoryPage<'_> {
        let mut page = MemoryPage::default();
        let Some(slot) = self.memory.namespaces.get(namespace) else {
            return page;
        };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = slot
            .entries
            .range::<MemoryKey, _>((start, Bound::Unbounded));
        let mut last = None;
        for (seen, (key, entry)) in range.enumerate() {
            if seen >= limits::MEMORY_SCAN_MAX || page.entries.len() >= limit {
                page.next = last;
                return page;
            }
            last = Some(key);
            if is_remembered(entry, at) && is_wanted(entry) {
                page.entries.push(entry);
            }
        }
        page
    }
}

fn is_remembered(entry: &MemoryEntry, at: UnixMillis) -> bool {
    entry.expires_at.is_none_or(|end| end > at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::World;

    fn scanned(world: &World, after: Option<&str>, limit: usize) -> (Vec<String>, Option<String>) {
        let namespace: Namespace = Namespace::SWARM.parse().unwrap();
        let after: Option<MemoryKey> = after.map(|key| key.parse().unwrap());
        let at = UnixMillis(100);
        let newer = |entry: &MemoryEntry| entry.version.0 > 1;
        let page = world
            .state
            .memory_scan(&namespace, after.as_ref(), at, limit, newer);
        let shown = page.entries.iter().map(|entry| {
            let mark = if entry.deleted { "-" } else { "" };
            format!("{mark}{}", entry.key)
        });
        (shown.collect(), page.next.map(ToString::to_string))
    }

    #[test]
    fn a_scan_finds_what_is_wanted_page_by_page_and_what_was_deleted() {
        let world = World::after(
            "space swarm rule=:last; at 100; put a; put b; put c ttl=1000; put d; del d; put e",
        );
        let whole = scanned(&world, None, 10);
        assert_eq!(
            whole,
            (["b", "c", "-d", "e"].map(str::to_owned).to_vec(), None)
        );
        let first = scanned(&world, None, 2);
        assert_eq!(
            first,
            (["b", "c"].map(str::to_owned).to_vec(), Some("c".to_owned()))
        );
        let rest = scanned(&world, Some("c"), 10);
        assert_eq!(rest, (["-d", "e"].map(str::to_owned).to_vec(), None));
        let namespace: Namespace = Namespace::SWARM.parse().unwrap();
        let entry = |key: &str, at| {
            let key: MemoryKey = key.parse().unwrap();
            let found = world
                .state
                .memory_remembered(&namespace, &key, UnixMillis(at));
            found.map(|entry| entry.deleted)
        };
        assert_eq!(entry("d", 100), Some(true));
        assert_eq!(entry("c", 100), Some(false));
        assert_eq!(entry("c", 1_100), None);
        assert_eq!(entry("never", 100), None);
    }
}

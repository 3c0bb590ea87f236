//! How far two installations know each other's entries, as it is kept between rounds and restarts.
//!
//! A scan goes through a namespace by key, up to the version that was the newest when it began; what is
//! written meanwhile has a later version and is the next scan's. An entry that could not be taken is
//! tried again in every later round. If there are too many of them to name, the next scan begins
//! before the first one that is not named.

use super::clocks;
use super::items::{Became, Item, Outcome};
use serde::{Deserialize, Serialize};
use skep_model::ids::ReplicaId;
use skep_model::memory::{MemoryEntry, MemoryKey, MemoryVersion};
use std::collections::BTreeSet;

/// Entries that are named to be tried again, in each direction.
pub(super) const AGAIN_MAX: usize = 256;

/// How far one namespace is known, in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The installation that this is about: another one begins anew.
    pub(super) replica: ReplicaId,
    /// What came from there.
    pub(super) pull: Progress,
    /// What went there.
    pub(super) push: Progress,
}

impl Cursor {
    /// Nothing is known yet.
    pub(super) fn fresh(replica: ReplicaId) -> Self {
        Self {
            replica,
            pull: Progress::default(),
            push: Progress::default(),
        }
    }
}

/// How far a namespace is known in one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Everything up to this version was carried, but for `again`.
    pub(super) since: MemoryVersion,
    /// Entries that could not be taken.
    pub(super) again: BTreeSet<MemoryKey>,
    /// A scan that is under way, or was when the connection broke.
    pub(super) scan: Option<Scan>,
}

/// A scan that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scan {
    /// The newest version when it began.
    upto: MemoryVersion,
    /// Entries up to this key are done.
    after: MemoryKey,
    /// Those of them that could not be taken.
    refused: BTreeSet<MemoryKey>,
    /// The oldest version of those that are too many to be named.
    unnamed: Option<MemoryVersion>,
}

impl Progress {
    /// Whether an entry is to be carried to somebody.
    pub(super) fn wants(
        since: MemoryVersion,
        again: &BTreeSet<MemoryKey>,
        reader: ReplicaId,
        entry: &MemoryEntry,
    ) -> bool {
        (entry.version > since || again.contains(&entry.key))
            && !clocks::is_only_of(&entry.effective_stamp().clock, reader)
    }

    /// The key behind which the next page starts.
    pub(super) fn after(&self) -> Option<&MemoryKey> {
        self.scan.as_ref().map(|scan| &scan.after)
    }

    /// Takes note of a page: its entries and what became of them, the newest version there, and where
    /// the next page starts.
    pub(super) fn note_page(
        &mut self,
        newest: MemoryVersion,
        next: Option<MemoryKey>,
        page: &[(Item, Became)],
    ) {
        let scan = self.scan.take();
        let (upto, mut refused, mut unnamed) = match scan {
            Some(scan) => (scan.upto, scan.refused, scan.unnamed),
            None => (newest, BTreeSet::new(), None),
        };
        for (item, became) in page {
            if became.outcome != Outcome::Refused {
                continue;
            }
            if refused.len() < AGAIN_MAX {
                refused.insert(item.key.clone());
            } else {
                let oldest =
                    unnamed.map_or(item.version, |known: MemoryVersion| known.min(item.version));
                unnamed = Some(oldest);
            }
        }
        if let Some(after) = next {
            self.scan = Some(Scan {
                upto,
                after,
                refused,
                unnamed,
            });
            return;
        }
        self.again = refused;
        let before = unnamed.map(|version| MemoryVersion(version.0.saturating_sub(1)));
        self.since = before.map_or(upto, |before| before.min(upto));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::memory::{HybridTime, MemoryStamp, VectorClock};
    use skep_model::time::UnixMillis;

    fn item(key: &str, version: u64, outcome: Outcome) -> (Item, Became) {
        let key: MemoryKey = key.parse().unwrap();
        let stamp = MemoryStamp {
            time: HybridTime {
                wall: UnixMillis(1),
                counter: 0,
                replica: ReplicaId::from_u128(1),
            },
            clock: VectorClock::default(),
        };
        let item = Item {
            key: key.clone(),
            version: MemoryVersion(version),
            stamp,
            put: None,
            task: None,
            run: None,
            why: None,
        };
        let became = Became {
            key,
            outcome,
            code: None,
            detail: None,
        };
        (item, became)
    }

    fn keys(keys: &[&str]) -> BTreeSet<MemoryKey> {
        keys.iter().map(|key| key.parse().unwrap()).collect()
    }

    #[test]
    fn a_scan_ends_at_the_version_that_was_the_newest_when_it_began() {
        let mut progress = Progress::default();
        let (first, second) = (
            [item("a", 3, Outcome::Taken)],
            [item("b", 5, Outcome::Taken)],
        );
        progress.note_page(MemoryVersion(9), Some("a".parse().unwrap()), &first);
        assert_eq!(progress.since, MemoryVersion(0));
        assert_eq!(progress.after().map(MemoryKey::as_str), Some("a"));
        progress.note_page(MemoryVersion(20), None, &second);
        assert_eq!((progress.since, progress.after()), (MemoryVersion(9), None));
    }

    #[test]
    fn what_was_refused_is_tried_again_until_it_is_taken() {
        let mut progress = Progress::default();
        let page = [item("a", 3, Outcome::Refused), item("b", 4, Outcome::Taken)];
        progress.note_page(MemoryVersion(4), None, &page);
        assert_eq!(progress.since, MemoryVersion(4));
        assert_eq!(progress.again, keys(&["a"]));
        progress.note_page(MemoryVersion(4), None, &[item("a", 3, Outcome::Taken)]);
        assert_eq!(progress.again, keys(&[]));
    }

    #[test]
    fn when_too_many_were_refused_the_next_scan_begins_before_those_that_are_not_named() {
        let mut progress = Progress::default();
        let count = AGAIN_MAX as u64 + 2;
        let page: Vec<_> = (0..count)
            .map(|number| item(&format!("{number:04}"), 1_000 - number, Outcome::Refused))
            .collect();
        progress.note_page(MemoryVersion(1_000), None, &page);
        assert_eq!(progress.again.len(), AGAIN_MAX);
        let oldest_unnamed = 1_000 - (count - 1);
        assert_eq!(progress.since, MemoryVersion(oldest_unnamed - 1));
    }
}

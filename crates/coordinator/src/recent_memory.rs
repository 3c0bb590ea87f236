//! Versions of shared memory that the archive may lack.

use skep_model::attempt::LogIndex;
use skep_model::memory::{
    MemoryEffect, MemoryKey, MemoryRecord, MemoryVersion, Namespace, RecordState,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

type Place = (Namespace, MemoryKey, MemoryVersion);

/// Versions by their place, until they are archived.
#[derive(Debug, Default)]
pub(crate) struct RecentMemory {
    records: BTreeMap<Place, Arc<MemoryRecord>>,
    /// Which versions each log entry added, so that archived ones can be dropped.
    added: VecDeque<(LogIndex, Vec<Place>)>,
}

impl RecentMemory {
    pub(crate) fn get(
        &self,
        namespace: &Namespace,
        key: &MemoryKey,
        version: MemoryVersion,
    ) -> Option<Arc<MemoryRecord>> {
        if self.records.is_empty() {
            return None;
        }
        let place = (namespace.clone(), key.clone(), version);
        self.records.get(&place).cloned()
    }

    pub(crate) fn versions(
        &self,
        namespace: &Namespace,
        key: &MemoryKey,
    ) -> impl DoubleEndedIterator<Item = &Arc<MemoryRecord>> {
        let first = (namespace.clone(), key.clone(), MemoryVersion(0));
        let last = (namespace.clone(), key.clone(), MemoryVersion(u64::MAX));
        self.records.range(first..=last).map(|(_, record)| record)
    }

    pub(crate) fn add(&mut self, index: LogIndex, effects: &[MemoryEffect]) {
        let mut places = Vec::new();
        for effect in effects {
            match effect {
                MemoryEffect::Recorded(record) => {
                    let place = (record.namespace.clone(), record.key.clone(), record.version);
                    places.push(place.clone());
                    self.records.insert(place, Arc::clone(record));
                }
                MemoryEffect::Touched {
                    namespace,
                    key,
                    version,
                    expires_at,
                } => self.change((namespace, key, *version), |record| {
                    record.expires_at = *expires_at;
                }),
                MemoryEffect::Settled {
                    namespace,
                    key,
                    version,
                } => self.change((namespace, key, *version), |record| {
                    record.state = RecordState::Lost;
                }),
            }
        }
        if !places.is_empty() {
            self.added.push_back((index, places));
        }
    }

    /// The record on its way to the archive stays as it is: the effect follows it there.
    fn change(
        &mut self,
        (namespace, key, version): (&Namespace, &MemoryKey, MemoryVersion),
        change: impl FnOnce(&mut MemoryRecord),
    ) {
        let place = (namespace.clone(), key.clone(), version);
        if let Some(record) = self.records.get_mut(&place) {
            change(Arc::make_mut(record));
        }
    }

    /// Everything up to this entry is in the archive.
    pub(crate) fn archived(&mut self, index: LogIndex) {
        while let Some((_, places)) = self.added.pop_front_if(|(added, _)| *added <= index) {
            for place in places {
                self.records.remove(&place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::command::Actor;
    use skep_model::memory::MemoryProvenance;
    use skep_model::time::UnixMillis;

    fn record(key: &str, version: u64, state: RecordState) -> Arc<MemoryRecord> {
        Arc::new(MemoryRecord {
            namespace: Namespace::SWARM.parse().unwrap(),
            key: key.parse().unwrap(),
            version: MemoryVersion(version),
            state,
            put: None,
            expires_at: None,
            written_at: UnixMillis(1),
            actor: Actor::Coordinator,
            provenance: MemoryProvenance::default(),
            stamp: None,
            replaced: None,
        })
    }

    #[test]
    fn versions_are_found_until_they_are_archived() {
        let (namespace, key) = ("swarm".parse().unwrap(), "a".parse().unwrap());
        let mut recent = RecentMemory::default();
        let recorded =
            |key, version| MemoryEffect::Recorded(record(key, version, RecordState::Written));
        recent.add(LogIndex(1), &[recorded("a", 1), recorded("ab", 2)]);
        recent.add(LogIndex(2), &[recorded("a", 3)]);
        let versions = |recent: &RecentMemory| {
            let found = recent.versions(&namespace, &key);
            found.map(|one| one.version.0).collect::<Vec<_>>()
        };
        assert_eq!(versions(&recent), [1, 3]);
        recent.archived(LogIndex(1));
        assert_eq!(versions(&recent), [3]);
        assert!(recent.get(&namespace, &key, MemoryVersion(1)).is_none());
        assert!(recent.get(&namespace, &key, MemoryVersion(3)).is_some());
        recent.archived(LogIndex(2));
        assert_eq!(versions(&recent), [0; 0]);
    }

    #[test]
    fn what_happens_to_a_version_on_its_way_is_seen() {
        let (namespace, key): (Namespace, MemoryKey) =
            ("swarm".parse().unwrap(), "a".parse().unwrap());
        let mut recent = RecentMemory::default();
        let waiting = record("a", 1, RecordState::Conflict);
        recent.add(LogIndex(1), &[MemoryEffect::Recorded(Arc::clone(&waiting))]);
        let version = MemoryVersion(1);
        let expires_at = Some(UnixMillis(9));
        recent.add(
            LogIndex(2),
            &[
                MemoryEffect::Touched {
                    namespace: namespace.clone(),
                    key: key.clone(),
                    version,
                    expires_at,
                },
                MemoryEffect::Settled {
                    namespace: namespace.clone(),
                    key: key.clone(),
                    version,
                },
            ],
        );
        let found = recent.get(&namespace, &key, version).unwrap();
        assert_eq!(
            (found.state, found.expires_at),
            (RecordState::Lost, expires_at)
        );
        assert_eq!(waiting.state, RecordState::Conflict);
    }
}

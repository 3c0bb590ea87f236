//! Idempotency keys: what was answered to a request that may be repeated.

use crate::changes::Changes;
use skep_model::command::Idempotency;
use skep_model::ids::{RunId, TaskId};
use skep_model::limits::{IDEMPOTENCY_KEYS_MAX, IDEMPOTENCY_RETENTION_MS};
use skep_model::memory::MemoryVersion;
use skep_model::planted::{PlantedBug, planted};
use skep_model::row::IdempotencyRecord;
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Keys and what their first use made.
#[derive(Debug, Clone, Default)]
pub(crate) struct IdempotencyTable {
    pub(crate) records: BTreeMap<Arc<str>, IdempotencyRecord>,
    pub(crate) expiries: BTreeSet<(UnixMillis, Arc<str>)>,
}

impl IdempotencyTable {
    /// What is remembered of a key that has not expired.
    pub(crate) fn get(&self, key: &str, now: UnixMillis) -> Option<&IdempotencyRecord> {
        self.records
            .get(key)
            .filter(|record| record.expires_at > now)
    }

    /// Remembers what a request made; the keys that expire first give way to it.
    pub(crate) fn remember(
        &mut self,
        request: &Idempotency,
        run: Option<RunId>,
        tasks: Vec<TaskId>,
        now: UnixMillis,
        changes: &mut Changes,
    ) {
        let record = IdempotencyRecord {
            run,
            tasks,
            ..blank(request, now)
        };
        self.take_in(record, changes);
    }

    /// Remembers the versions that a request wrote.
    pub(crate) fn remember_writes(
        &mut self,
        request: &Idempotency,
        versions: Vec<Option<MemoryVersion>>,
        now: UnixMillis,
        changes: &mut Changes,
    ) {
        let record = IdempotencyRecord {
            versions,
            ..blank(request, now)
        };
        self.take_in(record, changes);
    }

    fn take_in(&mut self, record: IdempotencyRecord, changes: &mut Changes) {
        if planted(PlantedBug::IdempotencyForgotten) {
            return;
        }
        self.forget(&record.key, changes);
        self.make_room(IDEMPOTENCY_KEYS_MAX, changes);
        changes.idempotency(&record.key);
        self.insert(record);
    }

    /// Forgets the oldest keys until one more is within `max`.
    fn make_room(&mut self, max: usize, changes: &mut Changes) {
        while self.records.len() >= max {
            let Some((_, oldest)) = self.expiries.first().cloned() else {
                return;
            };
            self.forget(&oldest, changes);
        }
    }

    pub(crate) fn insert(&mut self, record: IdempotencyRecord) {
        let key: Arc<str> = record.key.as_str().into();
        self.expiries.insert((record.expires_at, Arc::clone(&key)));
        self.records.insert(key, record);
    }

    fn forget(&mut self, key: &str, changes: &mut Changes) {
        if let Some((key, record)) = self.records.remove_entry(key) {
            changes.idempotency(&key);
            self.expiries.remove(&(record.expires_at, key));
        }
    }

    /// Forgets the keys that are due.
    pub(crate) fn expire(&mut self, now: UnixMillis, changes: &mut Changes) {
        while let Some((_, key)) = self.expiries.first().filter(|(at, _)| *at <= now).cloned() {
            self.forget(&key, changes);
        }
    }

    /// When the next key is forgotten.
    pub(crate) fn next_expiry(&self) -> Option<UnixMillis> {
        self.expiries.first().map(|(at, _)| *at)
    }
}

/// A record of a request that made nothing yet.
fn blank(request: &Idempotency, now: UnixMillis) -> IdempotencyRecord {
    IdempotencyRecord {
        key: request.key.clone(),
        fingerprint: request.fingerprint,
        run: None,
        tasks: Vec::new(),
        versions: Vec::new(),
        expires_at: now.plus(IDEMPOTENCY_RETENTION_MS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(number: usize) -> Idempotency {
        Idempotency {
            key: format!("key-{number:07}"),
            fingerprint: [0; 32],
        }
    }

    #[test]
    fn the_oldest_keys_give_way_when_the_table_is_full() {
        let mut table = IdempotencyTable::default();
        let mut changes = Changes::default();
        let ages = [3, 1, 2, 4];
        for at in ages {
            let now = UnixMillis(at as u64);
            table.remember(&request(at), None, Vec::new(), now, &mut changes);
        }
        table.make_room(5, &mut changes);
        assert_eq!(table.records.len(), 4);
        table.make_room(3, &mut changes);
        let now = UnixMillis(5);
        let kept = ages.map(|at| table.get(&request(at).key, now).is_some());
        assert_eq!(kept, [true, false, false, true]);
        assert_eq!(table.expiries.len(), 2);
    }
}

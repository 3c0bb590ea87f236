//! Does one write.

use super::judging::{Verdict, check_replicas, seen_conflicts};
use super::telling::{settle, tell_conflict};
use crate::apply::Step;
use crate::state::State;
use skep_model::attempt::ArtifactHash;
use skep_model::event::Event;
use skep_model::limits::{
    CONFLICTS_PER_ENTRY_MAX, MEMORY_ENTRIES_MAX, NAMESPACES_MAX, TOMBSTONE_KEPT_MS,
};
use skep_model::memory::{
    Causality, MemoryChange, MemoryEffect, MemoryEntry, MemoryPut, MemoryRecord, MemoryRefusal,
    MemoryStamp, MemoryValue, MemoryVersion, MemoryWrite, NamespaceSettings, OpenConflict,
    RecordState,
};
use skep_model::refusal::LimitName;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What stands for the hash of the value where an entry is only remembered as deleted.
pub(super) const DELETED_BLAKE3: ArtifactHash = ArtifactHash([0; 32]);

type Result<T> = std::result::Result<T, MemoryRefusal>;

impl State {
    /// Does one write; gives the version that it made, or that it left.
    pub(super) fn write_entry(
        &mut self,
        step: &mut Step,
        write: &MemoryWrite,
    ) -> Result<MemoryVersion> {
        write.check()?;
        self.check_sealed(write)?;
        let (namespace, key) = (&write.namespace, &write.key);
        let now = self.now;
        let current = self.memory.get(namespace, key);
        if current.is_some_and(|entry| !entry.is_readable(now) && !entry.deleted) {
            self.end_entry(step, namespace, key);
        }
        let current = self.memory.get(namespace, key);
        let present = current.filter(|entry| !entry.deleted);
        Self::judge_condition(write, present)?;
        if let MemoryChange::Touch { ttl_ms } = write.change {
            let entry = present.cloned().ok_or(MemoryRefusal::Missing)?;
            return Ok(self.touch(step, entry, ttl_ms));
        }
        let next = self.peek_version(write);
        let verdict = self.judge_write(write, current, next)?;
        let current = current.cloned().map(Box::new);
        let version = match (verdict, current, &write.change) {
            (Verdict::Replace { stamp, concurrent }, current, MemoryChange::Put(put)) => {
                self.replace(step, write, put, (current, stamp, concurrent))?
            }
            (Verdict::Replace { stamp, .. }, current, _) => {
                self.delete(step, write, current, stamp)?
            }
            (Verdict::Lose, Some(current), _) => self.lose(step, write, current)?,
            (Verdict::Wait, Some(current), _) => self.wait(step, write, current)?,
            (Verdict::Lose | Verdict::Wait, None, _) => return Err(MemoryRefusal::Missing),
        };
        debug_assert_eq!(version, next);
        Ok(version)
    }

    /// What a secret namespace holds nobody reads out of the log.
    fn check_sealed(&self, write: &MemoryWrite) -> Result<()> {
        let MemoryChange::Put(put) = &write.change else {
            return Ok(());
        };
        let slot = self.memory.namespaces.get(&write.namespace);
        let is_secret = slot.is_some_and(|slot| slot.record.settings.secret);
        let is_sealed = matches!(put.value, MemoryValue::Sealed(_)) && put.embedding.is_none();
        if is_secret && !is_sealed {
            return Err(MemoryRefusal::NotSealed);
        }
        Ok(())
    }

    /// The version that the next write of its namespace gets.
    fn peek_version(&self, write: &MemoryWrite) -> MemoryVersion {
        let slot = self.memory.namespaces.get(&write.namespace);
        slot.map_or(self.memory.floor, |slot| slot.record.last_version)
            .next()
    }

    fn touch(
        &mut self,
        step: &mut Step,
        mut entry: MemoryEntry,
        ttl_ms: Option<u64>,
    ) -> MemoryVersion {
        entry.expires_at = ttl_ms.map(|ttl_ms| self.now.plus(ttl_ms));
        let (version, expires_at) = (entry.version, entry.expires_at);
        let (namespace, key) = (entry.namespace.clone(), entry.key.clone());
        step.applied.memory.push(MemoryEffect::Touched {
            namespace: namespace.clone(),
            key: key.clone(),
            version,
            expires_at,
        });
        step.emit(Event::MemoryTouched {
            namespace,
            key,
            version,
            expires_at,
        });
        self.memory.set(Box::new(entry), &mut self.changes);
        version
    }

    fn replace(
        &mut self,
        step: &mut Step,
        write: &MemoryWrite,
        put: &Arc<MemoryPut>,
        (current, stamp, concurrent): (Option<Box<MemoryEntry>>, Option<Box<MemoryStamp>>, bool),
    ) -> Result<MemoryVersion> {
        let bytes = put.charged(&write.key);
        let live = current.as_ref().filter(|entry| !entry.deleted);
        self.check_room(
            write,
            current.is_some(),
            live.map(|entry| entry.bytes),
            bytes,
        )?;
        let replaced = live.map(|entry| entry.version);
        let version = self
            .memory
            .next_version(&write.namespace, &mut self.changes);
        let expires_at = put.ttl_ms.map(|ttl_ms| self.now.plus(ttl_ms));
        let mut over = seen_conflicts(write.stamp.as_deref(), current.as_deref());
        over.extend(&write.settles);
        let conflicts = settle(step, write, current, &over);
        let entry = Box::new(MemoryEntry {
            namespace: write.namespace.clone(),
            key: write.key.clone(),
            version,
            deleted: false,
            bytes,
            blake3: put.value.blake3(),
            written_at: self.now,
            expires_at,
            tags: put.tags.clone(),
            stamp: stamp.clone(),
            conflicts,
        });
        self.memory.set(entry, &mut self.changes);
        self.record(
            step,
            write,
            (version, RecordState::Written, replaced),
            stamp,
        );
        step.emit(Event::MemoryWritten {
            namespace: write.namespace.clone(),
            key: write.key.clone(),
            version,
            replaced,
            bytes,
            expires_at,
        });
        if let Some(lost) = replaced.filter(|_| concurrent) {
            tell_conflict(step, write, lost, (version, false));
        }
        Ok(version)
    }

    /// Refuses what would be too much, but never a write that makes the entry smaller.
    fn check_room(
        &self,
        write: &MemoryWrite,
        is_known: bool,
        old_bytes: Option<u64>,
        bytes: u64,
    ) -> Result<()> {
        let memory = &self.memory;
        let slot = memory.namespaces.get(&write.namespace);
        let default = NamespaceSettings::default();
        let settings = slot.map_or(&default, |slot| &slot.record.settings);
        if slot.is_none() {
            let count = memory.namespaces.len() as u64 + 1;
            bound(LimitName::NamespacesMax, NAMESPACES_MAX as u64, count)?;
        }
        if !is_known {
            let count = memory.entries as u64 + 1;
            bound(
                LimitName::MemoryEntriesMax,
                MEMORY_ENTRIES_MAX as u64,
                count,
            )?;
        }
        if !is_known || old_bytes.is_none() {
            // What is remembered as deleted takes a place, too, and keeps it when it comes back.
            let taken = slot.map_or(0, |slot| {
                if is_known {
                    slot.totals.live
                } else {
                    slot.entries.len() as u64
                }
            });
            bound(LimitName::NamespaceEntries, settings.entries_max, taken + 1)?;
        }
        let old_bytes = old_bytes.unwrap_or(0);
        if bytes <= old_bytes {
            return Ok(());
        }
        let total = slot.map_or(0, |slot| slot.totals.bytes) - old_bytes;
        let total = total.saturating_add(bytes);
        bound(LimitName::NamespaceBytes, settings.bytes_max, total)
    }

    fn delete(
        &mut self,
        step: &mut Step,
        write: &MemoryWrite,
        current: Option<Box<MemoryEntry>>,
        stamp: Option<Box<MemoryStamp>>,
    ) -> Result<MemoryVersion> {
        let replaced = current.as_ref().filter(|entry| !entry.deleted);
        let replaced = replaced.map(|entry| entry.version);
        let is_remembered = stamp.is_some() || self.has_rule(write);
        if replaced.is_none() && write.stamp.is_none() {
            return Err(MemoryRefusal::Missing);
        }
        if current.is_none() {
            self.check_room(write, false, Some(0), 0)?;
        }
        let version = self
            .memory
            .next_version(&write.namespace, &mut self.changes);
        let all = current.iter().flat_map(|entry| &entry.conflicts);
        let all: Vec<_> = all.map(|conflict| conflict.version).collect();
        settle(step, write, current, &all);
        if is_remembered {
            let entry = Box::new(MemoryEntry {
                namespace: write.namespace.clone(),
                key: write.key.clone(),
                version,
                deleted: true,
                bytes: 0,
                blake3: DELETED_BLAKE3,
                written_at: self.now,
                expires_at: Some(self.now.plus(TOMBSTONE_KEPT_MS)),
                tags: BTreeSet::new(),
                stamp: stamp.clone(),
                conflicts: Vec::new(),
            });
            self.memory.set(entry, &mut self.changes);
        } else {
            self.memory
                .remove(&write.namespace, &write.key, &mut self.changes);
            self.memory
                .forget_if_idle(&write.namespace, &mut self.changes);
        }
        self.record(
            step,
            write,
            (version, RecordState::Deleted, replaced),
            stamp,
        );
        step.emit(Event::MemoryDeleted {
            namespace: write.namespace.clone(),
            key: write.key.clone(),
            version,
            replaced,
        });
        Ok(version)
    }

    fn has_rule(&self, write: &MemoryWrite) -> bool {
        let slot = self.memory.namespaces.get(&write.namespace);
        slot.is_some_and(|slot| slot.record.settings.rule(write.key.as_str()).is_some())
    }

    /// The entry has seen the write, and stays.
    fn lose(
        &mut self,
        step: &mut Step,
        write: &MemoryWrite,
        mut current: Box<MemoryEntry>,
    ) -> Result<MemoryVersion> {
        let mut stamp = current.effective_stamp();
        if let Some(lost) = &write.stamp {
            stamp.clock.merge(&lost.clock);
        }
        check_replicas(&stamp)?;
        let version = self
            .memory
            .next_version(&write.namespace, &mut self.changes);
        current.stamp = Some(Box::new(stamp));
        let kept = current.version;
        self.memory.set(current, &mut self.changes);
        self.record(
            step,
            write,
            (version, RecordState::Lost, None),
            write.stamp.clone(),
        );
        tell_conflict(step, write, version, (kept, false));
        Ok(version)
    }

    /// The entry stays until somebody decides. Conflicts that the write saw are over.
    fn wait(
        &mut self,
        step: &mut Step,
        write: &MemoryWrite,
        current: Box<MemoryEntry>,
    ) -> Result<MemoryVersion> {
        let Some(stamp) = write.stamp.as_deref() else {
            return Err(MemoryRefusal::Missing);
        };
        let seen = current
            .conflicts
            .iter()
            .filter(|conflict| stamp.clock.compare(&conflict.stamp.clock) == Causality::After);
        let seen: Vec<_> = seen.map(|conflict| conflict.version).collect();
        let open = (current.conflicts.len() - seen.len()) as u64 + 1;
        let max = CONFLICTS_PER_ENTRY_MAX as u64;
        bound(LimitName::ConflictsPerEntryMax, max, open)?;
        let version = self
            .memory
            .next_version(&write.namespace, &mut self.changes);
        let mut entry = current.clone();
        entry.conflicts = settle(step, write, Some(current), &seen);
        entry.conflicts.push(OpenConflict {
            version,
            stamp: stamp.clone(),
        });
        let kept = entry.version;
        self.memory.set(entry, &mut self.changes);
        let stamp = write.stamp.clone();
        self.record(step, write, (version, RecordState::Conflict, None), stamp);
        tell_conflict(step, write, version, (kept, true));
        Ok(version)
    }

    /// Hands a version out to those who keep values.
    fn record(
        &self,
        step: &mut Step,
        write: &MemoryWrite,
        (version, state, replaced): (MemoryVersion, RecordState, Option<MemoryVersion>),
        stamp: Option<Box<MemoryStamp>>,
    ) {
        let put = match &write.change {
            MemoryChange::Put(put) => Some(Arc::clone(put)),
            MemoryChange::Delete | MemoryChange::Touch { .. } => None,
        };
        let ttl_ms = put.as_ref().and_then(|put| put.ttl_ms);
        let record = MemoryRecord {
            namespace: write.namespace.clone(),
            key: write.key.clone(),
            version,
            state,
            put,
            expires_at: ttl_ms.map(|ttl_ms| self.now.plus(ttl_ms)),
            written_at: self.now,
            actor: step.actor,
            provenance: write.provenance.clone(),
            stamp,
            replaced,
        };
        step.applied
            .memory
            .push(MemoryEffect::Recorded(Arc::new(record)));
    }
}

fn bound(limit: LimitName, max: u64, given: u64) -> Result<()> {
    if given <= max {
        return Ok(());
    }
    Err(MemoryRefusal::Limit { limit, max, given })
}

//! Whether a write counts: its condition, and how its stamp stands to the present value.

use super::writing::DELETED_BLAKE3;
use crate::state::State;
use skep_model::attempt::ArtifactHash;
use skep_model::ids::ReplicaId;
use skep_model::limits::{CLOCK_SKEW_MS_MAX, REPLICAS_PER_CLOCK_MAX};
use skep_model::memory::{
    Causality, ConflictStrategy, MemoryChange, MemoryCondition, MemoryEntry, MemoryRefusal,
    MemoryStamp, MemoryVersion, MemoryWrite, OpenConflict,
};
use skep_model::planted::{PlantedBug, planted};
use skep_model::refusal::LimitName;
use skep_model::time::UnixMillis;
use std::cmp::Ordering;

/// What a write that was not refused does to the entry.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It takes its place.
    Replace {
        /// The stamp of the entry then.
        stamp: Option<Box<MemoryStamp>>,
        /// Whether neither saw the other.
        concurrent: bool,
    },
    /// The entry stays; the history keeps the write.
    Lose,
    /// The entry stays until somebody decides.
    Wait,
}

impl State {
    /// Compares the condition of a write with the entry that is there.
    pub(super) fn judge_condition(
        write: &MemoryWrite,
        present: Option<&MemoryEntry>,
    ) -> Result<(), MemoryRefusal> {
        if planted(PlantedBug::MemoryConditionIgnored) {
            return Ok(());
        }
        let current = present.map(|entry| entry.version);
        match (write.condition, current) {
            (MemoryCondition::Absent, Some(current)) => Err(MemoryRefusal::Exists { current }),
            (MemoryCondition::Present, None) => Err(MemoryRefusal::Missing),
            (MemoryCondition::Version(wanted), current) if current != Some(wanted) => {
                Err(MemoryRefusal::VersionDiffers { wanted, current })
            }
            _ => Ok(()),
        }
    }

    /// Judges a put or a delete by its stamp. `current` may be only remembered as deleted.
    pub(super) fn judge_write(
        &self,
        write: &MemoryWrite,
        current: Option<&MemoryEntry>,
        next: MemoryVersion,
    ) -> Result<Verdict, MemoryRefusal> {
        let settled = settled(write, current)?;
        let Some(stamp) = &write.stamp else {
            return Ok(Verdict::Replace {
                stamp: stamp_of_now(self.now, current, &settled, next)?,
                concurrent: false,
            });
        };
        let ahead_ms = stamp.time.wall.since(self.now);
        if ahead_ms > CLOCK_SKEW_MS_MAX {
            let max_ms = CLOCK_SKEW_MS_MAX;
            return Err(MemoryRefusal::StampAhead { ahead_ms, max_ms });
        }
        let Some(current) = current else {
            return Ok(Verdict::Replace {
                stamp: Some(stamp.clone()),
                concurrent: false,
            });
        };
        let here = current.effective_stamp();
        let replace = |concurrent| {
            let stamp = Some(joined(stamp, &here, &settled)?);
            Ok(Verdict::Replace { stamp, concurrent })
        };
        // Whoever names the version has seen it.
        if matches!(write.condition, MemoryCondition::Version(_)) {
            return replace(false);
        }
        let settings = self.namespace(&write.namespace);
        let rule = settings.and_then(|view| view.record.settings.rule(write.key.as_str()));
        let strategy = rule.unwrap_or_default();
        let superseded = Err(MemoryRefusal::Superseded {
            current: current.version,
        });
        let is_later = outranks(write, stamp, current, &here);
        if strategy == ConflictStrategy::LastWriterWins {
            return if is_later { replace(false) } else { superseded };
        }
        match stamp.clock.compare(&here.clock) {
            Causality::After => return replace(false),
            // Both sides merged the same writes, each on a way of its own: both take the same result.
            Causality::Equal if is_later && matches!(strategy, ConflictStrategy::Merge(_)) => {
                return replace(false);
            }
            Causality::Equal | Causality::Before => return superseded,
            Causality::Concurrent => {}
        }
        let deletes = matches!(write.change, MemoryChange::Delete);
        let strategy = match strategy {
            // Who wrote the same has nothing to decide about.
            ConflictStrategy::Manual if says(write) == current.blake3 => {
                ConflictStrategy::VectorClock
            }
            other => other,
        };
        match strategy {
            ConflictStrategy::VectorClock if !is_later => Ok(Verdict::Lose),
            // Nobody can merge with what is gone: a value wins over a removal.
            ConflictStrategy::Merge(_) if deletes => superseded,
            ConflictStrategy::Merge(_) if !current.deleted => Err(MemoryRefusal::MergeNeeded {
                current: current.version,
            }),
            ConflictStrategy::Manual if !current.deleted => {
                let seen = |open: &OpenConflict| {
                    let order = stamp.clock.compare(&open.stamp.clock);
                    matches!(order, Causality::Equal | Causality::Before)
                };
                if current.conflicts.iter().any(seen) {
                    return superseded;
                }
                Ok(Verdict::Wait)
            }
            _ => replace(true),
        }
    }
}

/// The hash of what a write makes of the entry: for a removal, that of one that is only remembered.
fn says(write: &MemoryWrite) -> ArtifactHash {
    match &write.change {
        MemoryChange::Put(put) => put.value.blake3(),
        MemoryChange::Delete | MemoryChange::Touch { .. } => DELETED_BLAKE3,
    }
}

/// Whether a write counts as the later one. Of two at the same moment the larger hash does, for that is
/// the same wherever they are compared.
fn outranks(
    write: &MemoryWrite,
    stamp: &MemoryStamp,
    current: &MemoryEntry,
    here: &MemoryStamp,
) -> bool {
    match stamp.time.moment().cmp(&here.time.moment()) {
        Ordering::Greater => true,
        Ordering::Less => false,
        Ordering::Equal => says(write) > current.blake3,
    }
}

/// The open conflicts that a write from elsewhere has seen: it decides about them.
pub(super) fn seen_conflicts(
    stamp: Option<&MemoryStamp>,
    current: Option<&MemoryEntry>,
) -> Vec<MemoryVersion> {
    let Some(stamp) = stamp else {
        return Vec::new();
    };
    let open = current.map_or(&[][..], |entry| &entry.conflicts);
    let seen = open.iter().filter(|conflict| {
        let order = conflict.stamp.clock.compare(&stamp.clock);
        matches!(order, Causality::Equal | Causality::Before)
    });
    seen.map(|conflict| conflict.version).collect()
}

/// The open conflicts that a write settles.
fn settled<'a>(
    write: &MemoryWrite,
    current: Option<&'a MemoryEntry>,
) -> Result<Vec<&'a OpenConflict>, MemoryRefusal> {
    let open = current.map_or(&[][..], |entry| &entry.conflicts);
    let wanted = write.settles.iter();
    let found = wanted.map(|version| {
        let conflict = open.iter().find(|conflict| conflict.version == *version);
        conflict.ok_or(MemoryRefusal::ConflictUnknown { conflict: *version })
    });
    found.collect()
}

/// The stamp of an entry that is written through the log, after everything in it. None is needed
/// until a write from elsewhere reaches the entry.
fn stamp_of_now(
    now: UnixMillis,
    current: Option<&MemoryEntry>,
    settled: &[&OpenConflict],
    next: MemoryVersion,
) -> Result<Option<Box<MemoryStamp>>, MemoryRefusal> {
    let current = current.filter(|entry| entry.stamp.is_some() || !settled.is_empty());
    let Some(current) = current else {
        return Ok(None);
    };
    let mut stamp = current.effective_stamp();
    let latest = settled.iter().map(|conflict| conflict.stamp.time).max();
    stamp.time = stamp.time.max(latest.unwrap_or(stamp.time));
    stamp.time = stamp.time.tick(now, ReplicaId::HOME);
    for conflict in settled {
        stamp.clock.merge(&conflict.stamp.clock);
    }
    stamp.clock.0.insert(ReplicaId::HOME, next.0);
    check_replicas(&stamp)?;
    Ok(Some(Box::new(stamp)))
}

/// The stamp of an entry that saw both.
fn joined(
    stamp: &MemoryStamp,
    here: &MemoryStamp,
    settled: &[&OpenConflict],
) -> Result<Box<MemoryStamp>, MemoryRefusal> {
    let mut both = stamp.clone();
    both.time = both.time.max(here.time);
    both.clock.merge(&here.clock);
    for conflict in settled {
        both.clock.merge(&conflict.stamp.clock);
    }
    check_replicas(&both)?;
    Ok(Box::new(both))
}

/// Refuses a clock that names too many, so that an entry does not grow with each new writer. This
/// log itself does not count: a write through it adds nobody else, and is never refused for them.
pub(super) fn check_replicas(stamp: &MemoryStamp) -> Result<(), MemoryRefusal> {
    let given = stamp.clock.elsewhere() as u64;
    let max = REPLICAS_PER_CLOCK_MAX as u64;
    if given <= max {
        return Ok(());
    }
    let limit = LimitName::ReplicasPerClockMax;
    Err(MemoryRefusal::Limit { limit, max, given })
}

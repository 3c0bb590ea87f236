//! What is known of an entry, and what a write leaves behind.

use crate::attempt::ArtifactHash;
use crate::command::Actor;
use crate::ids::ReplicaId;
use crate::memory::{
    HybridTime, MemoryKey, MemoryProvenance, MemoryPut, MemoryStamp, MemoryTag, MemoryVersion,
    Namespace, VectorClock,
};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A value that was written apart from the present one and waits for somebody to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenConflict {
    /// The version under which the history has it.
    pub version: MemoryVersion,
    /// Its stamp.
    pub stamp: MemoryStamp,
}

/// What the state keeps of an entry: everything but its value. It takes about 300 bytes of memory,
/// with its place in the indexes, and its key and tags on top of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryEntry {
    /// Where it is.
    pub namespace: Namespace,
    /// Its name.
    pub key: MemoryKey,
    /// Its version; the history has its value under it.
    pub version: MemoryVersion,
    /// Whether it is only remembered as deleted.
    pub deleted: bool,
    /// What it takes of the quota.
    pub bytes: u64,
    /// Hash of its value.
    pub blake3: ArtifactHash,
    /// When it was written.
    pub written_at: UnixMillis,
    /// When it ends.
    pub expires_at: Option<UnixMillis>,
    /// Words that find it.
    pub tags: BTreeSet<MemoryTag>,
    /// Kept only once a write from elsewhere reached it.
    pub stamp: Option<Box<MemoryStamp>>,
    /// Values that wait for somebody to decide.
    pub conflicts: Vec<OpenConflict>,
}

impl MemoryEntry {
    /// Whether a reader at this time finds it.
    pub fn is_readable(&self, at: UnixMillis) -> bool {
        !self.deleted && self.expires_at.is_none_or(|end| end > at)
    }

    /// When and after what it was written.
    pub fn effective_stamp(&self) -> MemoryStamp {
        if let Some(stamp) = &self.stamp {
            return (**stamp).clone();
        }
        MemoryStamp {
            time: home_time(self.written_at, self.version),
            clock: VectorClock(BTreeMap::from([(ReplicaId::HOME, self.version.0)])),
        }
    }
}

/// The time of a write through the log. Two writes of one millisecond have two versions: so the later one
/// is later for others, too.
fn home_time(written_at: UnixMillis, version: MemoryVersion) -> HybridTime {
    HybridTime {
        wall: written_at,
        counter: u32::try_from(version.0).unwrap_or(u32::MAX),
        replica: ReplicaId::HOME,
    }
}

/// What became of a version.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// It was the entry, or still is.
    Written,
    /// It says that the entry was deleted.
    Deleted,
    /// It says that the entry expired.
    Expired,
    /// It waits for somebody to decide between it and the entry.
    Conflict,
    /// It was never the entry: another write won.
    Lost,
}

/// One version of an entry, with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryRecord {
    /// Where.
    pub namespace: Namespace,
    /// Which entry.
    pub key: MemoryKey,
    /// Its version.
    pub version: MemoryVersion,
    /// What became of it.
    pub state: RecordState,
    /// What it says; nothing when it is an end.
    pub put: Option<Arc<MemoryPut>>,
    /// When it ends, as of when it was written or last touched.
    pub expires_at: Option<UnixMillis>,
    /// When it was written.
    pub written_at: UnixMillis,
    /// Who wrote it.
    pub actor: Actor,
    /// For which work, and why.
    pub provenance: MemoryProvenance,
    /// When and after what it was made elsewhere.
    pub stamp: Option<Box<MemoryStamp>>,
    /// The version that it replaced.
    pub replaced: Option<MemoryVersion>,
}

impl MemoryRecord {
    /// When it was written, as it is compared with what was written elsewhere.
    pub fn moment(&self) -> (UnixMillis, u32) {
        let stamp = self.stamp.as_ref();
        let time = stamp.map_or_else(|| home_time(self.written_at, self.version), |it| it.time);
        time.moment()
    }
}

/// What a log entry did to shared memory, for those who keep its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryEffect {
    /// A version to keep.
    Recorded(Arc<MemoryRecord>),
    /// A version lives longer or shorter.
    Touched {
        /// Where.
        namespace: Namespace,
        /// Which entry.
        key: MemoryKey,
        /// Its version.
        version: MemoryVersion,
        /// When it ends now.
        expires_at: Option<UnixMillis>,
    },
    /// A conflict is no longer open: the version is lost.
    Settled {
        /// Where.
        namespace: Namespace,
        /// Which entry.
        key: MemoryKey,
        /// The version that waited.
        version: MemoryVersion,
    },
}

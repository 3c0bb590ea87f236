//! One write to shared memory.

use crate::attempt::ArtifactHash;
use crate::ids::{RunId, TaskId};
use crate::limits;
use crate::memory::{
    Bytes, Embedding, MemoryKey, MemoryRefusal, MemoryStamp, MemoryTag, MemoryVersion, Namespace,
};
use crate::refusal::LimitName;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemoryValue {
    /// A JSON text; whoever proposes it has checked that it is one.
    Json(Arc<str>),
    /// Any bytes.
    Bytes(Bytes),
    /// More than fits here: an artifact.
    Artifact {
        /// Its hash.
        blake3: ArtifactHash,
        /// Its size.
        bytes: u64,
    },
    /// JSON or bytes that only holders of the swarm's memory key can read.
    Sealed(Bytes),
}

impl MemoryValue {
    /// How many bytes it has; for an artifact, how many that has; as it lies there, if it is sealed.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Json(text) => text.len() as u64,
            Self::Bytes(bytes) | Self::Sealed(bytes) => bytes.as_slice().len() as u64,
            Self::Artifact { bytes, .. } => *bytes,
        }
    }

    /// The hash of its bytes.
    pub fn blake3(&self) -> ArtifactHash {
        match self {
            Self::Json(text) => ArtifactHash::of(text.as_bytes()),
            Self::Bytes(bytes) | Self::Sealed(bytes) => ArtifactHash::of(bytes.as_slice()),
            Self::Artifact { blake3, .. } => *blake3,
        }
    }
}

/// What an entry is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPut {
    /// What it holds.
    pub value: MemoryValue,
    /// How long it lives, in milliseconds from the entry of the log that writes it; for ever
    /// without.
    pub ttl_ms: Option<u64>,
    /// Words that find it.
    pub tags: BTreeSet<MemoryTag>,
    /// What else the writer says about it.
    pub metadata: BTreeMap<String, String>,
    /// Where its meaning lies, for those who look for something like it.
    pub embedding: Option<Embedding>,
}

impl MemoryPut {
    /// A value for ever, about which nothing else is said.
    pub const fn new(value: MemoryValue) -> Self {
        Self {
            value,
            ttl_ms: None,
            tags: BTreeSet::new(),
            metadata: BTreeMap::new(),
            embedding: None,
        }
    }

    /// How many bytes it takes of the quota, under this key.
    pub fn charged(&self, key: &MemoryKey) -> u64 {
        let tags = self.tags.iter().map(|tag| tag.as_str().len());
        let named = key.as_str().len() + tags.sum::<usize>() + self.metadata_bytes();
        let named = named + self.embedding_bytes();
        self.value.bytes().saturating_add(named as u64)
    }

    fn embedding_bytes(&self) -> usize {
        let embedding = self.embedding.as_ref();
        embedding.map_or(0, Embedding::bytes)
    }

    fn metadata_bytes(&self) -> usize {
        let pairs = self.metadata.iter();
        pairs.map(|(name, value)| name.len() + value.len()).sum()
    }
}

/// When a write counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MemoryCondition {
    /// Always.
    #[default]
    Any,
    /// If there is no such entry.
    Absent,
    /// If there is one.
    Present,
    /// If the entry has this version.
    Version(MemoryVersion),
}

/// What is to happen to an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemoryChange {
    /// Make it, or replace all of it.
    Put(Arc<MemoryPut>),
    /// Remove it.
    Delete,
    /// Let it live so long from now, or for ever. Its version stays.
    Touch {
        /// Milliseconds.
        ttl_ms: Option<u64>,
    },
}

/// For which work, and why. Who it was is said by the entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MemoryProvenance {
    /// The task.
    pub task: Option<TaskId>,
    /// The run.
    pub run: Option<RunId>,
    /// The reason, in words.
    pub why: Option<String>,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryWrite {
    /// Where.
    pub namespace: Namespace,
    /// Which entry.
    pub key: MemoryKey,
    /// When it counts.
    pub condition: MemoryCondition,
    /// What happens.
    pub change: MemoryChange,
    /// Open conflicts of the entry that this write settles.
    pub settles: Vec<MemoryVersion>,
    /// For which work, and why.
    pub provenance: MemoryProvenance,
    /// When and after what it was made; without it, now and after everything in the log.
    pub stamp: Option<Box<MemoryStamp>>,
}

impl MemoryWrite {
    /// A write of now, that counts always and says nothing about its reason.
    pub fn new(namespace: Namespace, key: MemoryKey, change: MemoryChange) -> Self {
        Self {
            namespace,
            key,
            condition: MemoryCondition::Any,
            change,
            settles: Vec::new(),
            provenance: MemoryProvenance::default(),
            stamp: None,
        }
    }

    /// About how many bytes it takes in the log.
    pub fn bytes(&self) -> usize {
        const FRAME: usize = 64;
        let named = self.namespace.as_str().len() + self.key.as_str().len();
        let put = match &self.change {
            MemoryChange::Put(put) => match &put.value {
                MemoryValue::Artifact { .. } => put.metadata_bytes() + put.embedding_bytes(),
                _ => put.charged(&self.key) as usize,
            },
            MemoryChange::Delete | MemoryChange::Touch { .. } => 0,
        };
        FRAME + named + put
    }

    /// Whether it keeps to the limits that hold whatever the memory holds.
    pub fn check(&self) -> Result<(), MemoryRefusal> {
        match &self.change {
            MemoryChange::Put(put) => check_put(put)?,
            MemoryChange::Touch { ttl_ms } => check_ttl(*ttl_ms)?,
            MemoryChange::Delete => {}
        }
        let why = self.provenance.why.as_deref().unwrap_or_default();
        within(
            LimitName::MemoryWhyBytesMax,
            limits::MEMORY_WHY_BYTES_MAX,
            why.len() as u64,
        )?;
        within(
            LimitName::ConflictsPerEntryMax,
            limits::CONFLICTS_PER_ENTRY_MAX,
            self.settles.len() as u64,
        )?;
        let replicas = self.stamp.as_ref();
        let replicas = replicas.map_or(0, |stamp| stamp.clock.elsewhere());
        within(
            LimitName::ReplicasPerClockMax,
            limits::REPLICAS_PER_CLOCK_MAX,
            replicas as u64,
        )
    }
}

fn check_put(put: &MemoryPut) -> Result<(), MemoryRefusal> {
    let value_max = match put.value {
        MemoryValue::Artifact { .. } => None,
        MemoryValue::Sealed(_) => Some(limits::MEMORY_SEALED_BYTES_MAX),
        MemoryValue::Json(_) | MemoryValue::Bytes(_) => Some(limits::MEMORY_VALUE_BYTES_MAX),
    };
    if let Some(max) = value_max {
        within(LimitName::MemoryValueBytesMax, max, put.value.bytes())?;
    }
    if put
        .embedding
        .as_ref()
        .is_some_and(|found| !found.is_whole())
    {
        return Err(MemoryRefusal::EmbeddingDamaged);
    }
    within(
        LimitName::MemoryTagsMax,
        limits::MEMORY_TAGS_MAX,
        put.tags.len() as u64,
    )?;
    within(
        LimitName::MemoryMetadataBytesMax,
        limits::MEMORY_METADATA_BYTES_MAX,
        put.metadata_bytes() as u64,
    )?;
    check_ttl(put.ttl_ms)
}

fn check_ttl(ttl_ms: Option<u64>) -> Result<(), MemoryRefusal> {
    let Some(given_ms) = ttl_ms else {
        return Ok(());
    };
    if given_ms < limits::MEMORY_TTL_MS_MIN {
        return Err(MemoryRefusal::TtlTooShort {
            given_ms,
            min_ms: limits::MEMORY_TTL_MS_MIN,
        });
    }
    let (limit, max) = (LimitName::MemoryTtlMsMax, limits::MEMORY_TTL_MS_MAX);
    if given_ms > max {
        return Err(MemoryRefusal::Limit {
            limit,
            max,
            given: given_ms,
        });
    }
    Ok(())
}

fn within(limit: LimitName, max: usize, given: u64) -> Result<(), MemoryRefusal> {
    let max = max as u64;
    if given <= max {
        return Ok(());
    }
    Err(MemoryRefusal::Limit { limit, max, given })
}

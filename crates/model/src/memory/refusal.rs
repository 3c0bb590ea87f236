//! Why a write to shared memory is refused.

use crate::memory::MemoryVersion;
use crate::refusal::LimitName;
use serde::{Deserialize, Serialize};

/// Why one write was refused. New values are only ever appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum MemoryRefusal {
    /// The entry does not have the version that the write names.
    #[error("the write wants version {wanted}, {}: read the entry again", present(.current.as_ref()))]
    VersionDiffers {
        /// What the write named.
        wanted: MemoryVersion,
        /// What it is; none without an entry.
        current: Option<MemoryVersion>,
    },
    /// The entry is there already.
    #[error("the entry is there already, with version {current}")]
    Exists {
        /// Its version.
        current: MemoryVersion,
    },
    /// There is no such entry.
    #[error("there is no such entry, or it has expired")]
    Missing,
    /// The write is older than what is there.
    #[error("the write is older than version {current}, which is there already")]
    Superseded {
        /// The version that is there.
        current: MemoryVersion,
    },
    /// The write did not see the present value, and the namespace wants both merged.
    #[error("the write did not see version {current}: merge both, and write the result over it")]
    MergeNeeded {
        /// The version to merge with.
        current: MemoryVersion,
    },
    /// The entry has no such open conflict.
    #[error("the entry has no open conflict with version {conflict}")]
    ConflictUnknown {
        /// What the write wanted to settle.
        conflict: MemoryVersion,
    },
    /// The clock of the writer is too far ahead.
    #[error("the stamp is {ahead_ms} ms ahead of the log: CLOCK_SKEW_MS_MAX is {max_ms}")]
    StampAhead {
        /// How far.
        ahead_ms: u64,
        /// The largest distance.
        max_ms: u64,
    },
    /// A limit of `model::limits`, or a quota of the namespace.
    #[error("{limit} is {max}: {given} are too many")]
    Limit {
        /// Its name.
        limit: LimitName,
        /// Its value.
        max: u64,
        /// What was given.
        given: u64,
    },
    /// A time to live that is too short.
    #[error("a time to live of {given_ms} ms is too short: MEMORY_TTL_MS_MIN is {min_ms}")]
    TtlTooShort {
        /// What was given.
        given_ms: u64,
        /// The shortest.
        min_ms: u64,
    },
    /// Another write of the same batch was refused, so none was done.
    #[error("write {item} of the same batch was refused, so none was done")]
    BatchRefused {
        /// Which, counted from 0.
        item: u32,
    },
    /// The namespace is secret, and the value would be readable in the log.
    #[error(
        "the namespace is secret: its values are sealed before they enter the log, and have neither \
         artifacts nor embeddings"
    )]
    NotSealed,
    /// The numbers of the embedding are cut off, or too many.
    #[error("the embedding is damaged: its bytes are not 1 to EMBEDDING_DIMENSIONS_MAX numbers")]
    EmbeddingDamaged,
}

fn present(current: Option<&MemoryVersion>) -> String {
    match current {
        Some(version) => format!("the entry has version {version}"),
        None => "and there is no such entry".to_owned(),
    }
}

impl MemoryRefusal {
    /// The version that is there, where the refusal is about it.
    pub const fn current(&self) -> Option<MemoryVersion> {
        match self {
            Self::VersionDiffers { current, .. } => *current,
            Self::Exists { current }
            | Self::Superseded { current }
            | Self::MergeNeeded { current } => Some(*current),
            _ => None,
        }
    }
}

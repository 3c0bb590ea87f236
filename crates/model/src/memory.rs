//! Shared memory: named values that everybody in the swarm reads and writes.
//!
//! An entry stands under a namespace and a key. Each write of it takes the next version of its
//! namespace, so that no version is ever given twice, not even to a key that went and came back.

mod bytes;
mod embedding;
mod entry;
mod names;
mod refusal;
mod settings;
mod stamp;
mod write;

pub use bytes::Bytes;
pub use embedding::{Embedding, EmbeddingFault, similarity};
pub use entry::{MemoryEffect, MemoryEntry, MemoryRecord, OpenConflict, RecordState};
pub use names::{MemoryKey, MemoryTag, Namespace, ParseNameError};
pub use refusal::MemoryRefusal;
pub use settings::{
    ConflictStrategy, MergeFunction, NamespaceRecord, NamespaceSettings, StrategyRule,
};
pub use stamp::{Causality, HybridTime, MemoryStamp, VectorClock};
pub use write::{
    MemoryChange, MemoryCondition, MemoryProvenance, MemoryPut, MemoryValue, MemoryWrite,
};

use serde::{Deserialize, Serialize};
use std::fmt;

/// Version of an entry: a number that its namespace gives once only. Rises from write to write;
/// two neighbours of one key may lie far apart.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct MemoryVersion(pub u64);

impl MemoryVersion {
    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for MemoryVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;

//! What two installations say to each other about entries.

use crate::memory::given::ArtifactReference;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use skep_model::attempt::ArtifactHash;
use skep_model::ids::{ReplicaId, RunId, TaskId};
use skep_model::memory::{
    MemoryKey, MemoryPut, MemoryStamp, MemoryTag, MemoryValue, MemoryVersion, Namespace,
};
use std::collections::{BTreeMap, BTreeSet};

/// Entries of one page, in either direction.
pub(super) const ITEMS_PER_PAGE: usize = 500;
/// Bytes of entries after which a page is full.
pub(super) const BYTES_PER_PAGE: u64 = 1 << 20;

/// What one installation wants to know of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangesQuestion {
    /// The namespace.
    pub namespace: Namespace,
    /// Entries with a later version than this one; 0 for all.
    pub since: MemoryVersion,
    /// And these, whatever their version: they could not be taken before.
    #[serde(default)]
    pub again: BTreeSet<MemoryKey>,
    /// Only behind this key, as `next` of the page before says.
    #[serde(default)]
    pub after: Option<MemoryKey>,
    /// Who asks: the id of the installation. It is not told of what only it has written.
    pub reader: ReplicaId,
}

/// A page of entries.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChangesPage {
    /// Who answers: the id of the installation.
    pub replica: ReplicaId,
    /// The newest version of the namespace; 0 when nothing is in it.
    pub newest: MemoryVersion,
    /// Whether every removal in the namespace is remembered for a time.
    pub remembers_removals: bool,
    /// The entries, by key.
    pub items: Vec<Item>,
    /// The key behind which the next page starts; none on the last one. A page may be empty and not
    /// the last one.
    pub next: Option<MemoryKey>,
}

/// An entry as it is, or that it is gone.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its name.
    pub key: MemoryKey,
    /// Its version there.
    pub version: MemoryVersion,
    /// When and after what it was written, with the ids of installations.
    pub stamp: MemoryStamp,
    /// What it holds; none when it was removed.
    #[serde(default)]
    pub put: Option<ItemPut>,
    /// For which task it was written.
    #[serde(default)]
    pub task: Option<TaskId>,
    /// For which run.
    #[serde(default)]
    pub run: Option<RunId>,
    /// Why.
    #[serde(default)]
    pub why: Option<String>,
}

/// What an entry holds: one of `value`, `base64` and `artifact`, and what is said about it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemPut {
    /// Any JSON.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::memory::given::any_json"
    )]
    #[schemars(with = "Value")]
    pub value: Option<Box<RawValue>>,
    /// Bytes in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// A reference to an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactReference>,
    /// How many milliseconds are left of its time; for ever without.
    #[serde(default)]
    pub left_ms: Option<u64>,
    /// Words that find it.
    #[serde(default)]
    pub tags: BTreeSet<MemoryTag>,
    /// Further texts by name.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Where its meaning lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
    /// The model that said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_model: Option<String>,
}

impl ItemPut {
    /// What an entry holds, with the time that is left.
    pub(super) fn of(put: &MemoryPut, left_ms: Option<u64>) -> Self {
        let embedding = put.embedding.as_ref();
        let mut item = Self {
            left_ms,
            tags: put.tags.clone(),
            metadata: put.metadata.clone(),
            embedding: embedding.map(|embedding| embedding.values().collect()),
            embedding_model: embedding.and_then(|embedding| embedding.model().map(str::to_owned)),
            ..Self::default()
        };
        match &put.value {
            // Whoever proposed it has read it as JSON.
            MemoryValue::Json(text) => {
                item.value = RawValue::from_string(text.as_ref().to_owned()).ok();
            }
            // Sealed ones never get here: secret namespaces are not exchanged.
            MemoryValue::Bytes(bytes) | MemoryValue::Sealed(bytes) => {
                item.base64 = Some(BASE64_STANDARD.encode(bytes.as_slice()));
            }
            MemoryValue::Artifact { blake3, bytes } => {
                item.artifact = Some(ArtifactReference {
                    blake3: *blake3,
                    bytes: *bytes,
                });
            }
        }
        item
    }
}

/// Entries that one installation brings to another.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The namespace.
    pub namespace: Namespace,
    /// The entries; at most 500.
    pub items: Vec<Item>,
}

/// What became of a delivery.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Applied {
    /// What became of each, in their order.
    pub items: Vec<Became>,
}

/// What became of an entry that was brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is the entry now, alone or merged with what was there.
    Taken,
    /// What was there stays until somebody decides.
    Conflict,
    /// It was known.
    Unchanged,
    /// What is there counts as later, and stays.
    Older,
    /// It was not taken in; `code` and `detail` say why.
    Refused,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Became {
    /// Its name.
    pub key: MemoryKey,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What happened in this case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What stands for the hash of the value where an entry is only remembered as deleted.
pub(super) const REMOVED: ArtifactHash = ArtifactHash([0; 32]);

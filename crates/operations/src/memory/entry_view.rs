//! Entries and versions as callers see them.

use super::given::ArtifactReference;
use crate::rfc3339::Timestamp;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use skep_coordinator::View;
use skep_model::attempt::ArtifactHash;
use skep_model::command::Actor;
use skep_model::ids::{RunId, TaskId};
use skep_model::memory::{
    MemoryEntry, MemoryKey, MemoryPut, MemoryRecord, MemoryStamp, MemoryTag, MemoryValue,
    MemoryVersion, Namespace, OpenConflict, RecordState,
};
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// What a reader is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Consistency {
    /// The answer knows of every write that was acknowledged before the question came.
    #[default]
    Strong,
    /// The answer is what this machine knows; `age_ms` says how old that may be.
    Eventual,
}

/// Up to where an answer knows the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub(super) struct Freshness {
    /// The newest entry of the log that the answer knows of.
    applied_index: u64,
    /// Milliseconds since that entry; said for `eventual` reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
}

impl Freshness {
    /// Of what is read from this view at this time.
    pub(super) fn of(view: &View, at: UnixMillis, consistency: Consistency) -> Self {
        let age_ms = at.since(view.state.now());
        Self {
            applied_index: view.applied.0,
            age_ms: (consistency == Consistency::Eventual).then_some(age_ms),
        }
    }
}

/// The value of a version: one of its forms, or none at all for an end.
#[derive(Debug, Clone, Default, Serialize, schemars::JsonSchema)]
pub(super) struct ValueView {
    /// JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    value: Option<Box<RawValue>>,
    /// Bytes, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// More than an entry holds: an artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<ArtifactReference>,
}

impl ValueView {
    pub(super) fn of(value: &MemoryValue) -> Self {
        match value {
            MemoryValue::Json(text) => Self {
                // Whoever proposed it has read it as JSON.
                value: RawValue::from_string(text.as_ref().to_owned()).ok(),
                ..Self::default()
            },
            // A sealed one was opened before; if it were not, nobody could read it here.
            MemoryValue::Bytes(bytes) | MemoryValue::Sealed(bytes) => Self {
                base64: Some(BASE64_STANDARD.encode(bytes.as_slice())),
                ..Self::default()
            },
            MemoryValue::Artifact { blake3, bytes } => Self {
                artifact: Some(ArtifactReference {
                    blake3: *blake3,
                    bytes: *bytes,
                }),
                ..Self::default()
            },
        }
    }

    /// The value as one JSON document: itself, or an object that has its bytes or its artifact.
    pub(super) fn content(&self) -> String {
        match &self.value {
            Some(value) => value.get().to_owned(),
            None => serde_json::to_string(self).expect("texts and numbers can be written as JSON"),
        }
    }
}

/// A version, without its value.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct VersionView {
    /// Its version.
    pub(super) version: MemoryVersion,
    /// What became of it.
    state: RecordState,
    /// Bytes of its value; 0 for an end.
    value_bytes: u64,
    /// Words that find it.
    tags: BTreeSet<MemoryTag>,
    /// What else the writer said about it.
    metadata: BTreeMap<String, String>,
    /// The model that made its embedding, if it has one and the model was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_model: Option<String>,
    /// When it was written.
    written_at: Timestamp,
    /// When it ends.
    expires_at: Option<Timestamp>,
    /// Who wrote it.
    actor: Actor,
    /// For which task.
    task: Option<TaskId>,
    /// For which run.
    run: Option<RunId>,
    /// Why.
    why: Option<String>,
    /// The version that it replaced.
    replaced: Option<MemoryVersion>,
    /// When and after what it was made elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    stamp: Option<Box<MemoryStamp>>,
}

impl VersionView {
    /// A version whose value may have been left out.
    pub(super) fn of(record: &MemoryRecord, value_bytes: u64) -> Self {
        let put = record.put.as_deref();
        Self {
            version: record.version,
            state: record.state,
            value_bytes,
            tags: put.map(|put| put.tags.clone()).unwrap_or_default(),
            metadata: put.map(|put| put.metadata.clone()).unwrap_or_default(),
            embedding_model: put.and_then(embedding_model),
            written_at: record.written_at.into(),
            expires_at: record.expires_at.map(Timestamp),
            actor: record.actor,
            task: record.provenance.task,
            run: record.provenance.run,
            why: record.provenance.why.clone(),
            replaced: record.replaced,
            stamp: record.stamp.clone(),
        }
    }

    pub(super) fn whole(record: &MemoryRecord) -> Self {
        Self::of(record, value_bytes(record.put.as_deref()))
    }

    /// As the live state has it: that knows best when it ends.
    pub(super) fn ending(self, expires_at: Option<UnixMillis>) -> Self {
        Self {
            expires_at: expires_at.map(Timestamp),
            ..self
        }
    }
}

fn embedding_model(put: &MemoryPut) -> Option<String> {
    let model = put.embedding.as_ref()?.model()?;
    Some(model.to_owned())
}

fn value_bytes(put: Option<&MemoryPut>) -> u64 {
    put.map_or(0, |put| put.value.bytes())
}

/// A version with its value.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct EntryView {
    /// Where.
    pub(super) namespace: Namespace,
    /// Its name.
    pub(super) key: MemoryKey,
    /// What is known of the version.
    #[serde(flatten)]
    pub(super) version: VersionView,
    /// The value.
    #[serde(flatten)]
    pub(super) value: ValueView,
    /// Versions that wait for somebody to decide.
    pub(super) conflicts: Vec<MemoryVersion>,
    /// Up to where the answer knows the log.
    #[serde(flatten)]
    pub(super) freshness: Freshness,
}

/// An entry as listings show it.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct HeadView {
    /// Its name.
    key: MemoryKey,
    /// Its version.
    version: MemoryVersion,
    /// What it takes of the quota: key, value, tags and metadata.
    bytes: u64,
    /// BLAKE3 of its value.
    blake3: ArtifactHash,
    /// Words that find it.
    tags: BTreeSet<MemoryTag>,
    /// When it was written.
    written_at: Timestamp,
    /// When it ends.
    expires_at: Option<Timestamp>,
    /// Versions that wait for somebody to decide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    conflicts: Vec<MemoryVersion>,
}

impl From<&MemoryEntry> for HeadView {
    fn from(entry: &MemoryEntry) -> Self {
        Self {
            key: entry.key.clone(),
            version: entry.version,
            bytes: entry.bytes,
            blake3: entry.blake3,
            tags: entry.tags.clone(),
            written_at: entry.written_at.into(),
            expires_at: entry.expires_at.map(Timestamp),
            conflicts: open(&entry.conflicts),
        }
    }
}

/// The versions of open conflicts.
pub(super) fn open(conflicts: &[OpenConflict]) -> Vec<MemoryVersion> {
    conflicts.iter().map(|conflict| conflict.version).collect()
}

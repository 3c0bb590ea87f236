//! Writes as callers describe them, made into writes of the log.

use super::access::{EntryName, may_write, named_tag};
use super::embedding::{EmbeddingWanted, embedding_of};
use super::values::store_value;
use crate::context::{Context, Principal};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use skep_model::attempt::ArtifactHash;
use skep_model::ids::ReplicaId;
use skep_model::memory::{
    MemoryChange, MemoryCondition, MemoryProvenance, MemoryPut, MemoryStamp, MemoryVersion,
    MemoryWrite,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A value as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GivenValue {
    /// A JSON text.
    Json(String),
    /// Any bytes.
    Bytes(Vec<u8>),
    /// Bytes that are here as an artifact.
    Artifact {
        /// Their hash.
        blake3: ArtifactHash,
        /// Their number.
        bytes: u64,
    },
}

/// Bytes that are here as an artifact.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct ArtifactReference {
    /// BLAKE3 of its bytes, 64 hexadecimal digits.
    pub blake3: ArtifactHash,
    /// How many bytes it has.
    pub bytes: u64,
}

/// `null` is a value too.
pub(super) fn any_json<'de, D: Deserializer<'de>>(
    reader: D,
) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(reader).map(Some)
}

/// What an entry is to be.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PutBody {
    /// Any JSON. One of `value`, `base64` and `artifact` is needed.
    #[serde(deserialize_with = "any_json")]
    #[schemars(with = "Value")]
    pub(super) value: Option<Box<RawValue>>,
    /// Bytes in base64.
    pub(super) base64: Option<String>,
    /// An artifact that is the value. Its bytes have to be here.
    pub(super) artifact: Option<ArtifactReference>,
    /// Seconds it lives; for ever without.
    pub(super) ttl_s: Option<u64>,
    /// Words that find it.
    pub(super) tags: BTreeSet<String>,
    /// Further texts by name.
    pub(super) metadata: BTreeMap<String, String>,
    /// Where its meaning lies, for `memory.near`: numbers that a model gave.
    pub(super) embedding: Option<Vec<f32>>,
    /// Name of the model that gave them. Embeddings are compared with those of the same model; without
    /// a name, with those that have none either.
    pub(super) embedding_model: Option<String>,
    /// Ask the model server of the coordinator where it lies, before it is written.
    pub(super) embed: bool,
    /// Why it is written.
    pub(super) why: Option<String>,
    /// Only if the entry has this version. Also as the header `If-Match`.
    pub(super) if_version: Option<u64>,
    /// Only if there is none. Also as the header `If-None-Match: *`.
    pub(super) if_absent: bool,
    /// Only if there is one. Also as the header `If-Match: *`.
    pub(super) if_present: bool,
    /// Conflicts that it settles. They are named by their versions.
    pub(super) settles: Vec<u64>,
    /// For a write from elsewhere. That is another swarm, or a node that was disconnected: `{time:
    /// {wall, counter, replica}, clock: {replica: count}}`.
    pub(super) stamp: Option<Value>,
}

/// How an entry is to be removed.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DeleteBody {
    /// Why it is removed.
    pub(super) why: Option<String>,
    /// Only if the entry has this version. Also as the header `If-Match`.
    pub(super) if_version: Option<u64>,
    /// As of a put.
    pub(super) stamp: Option<Value>,
}

/// How long an entry is to live.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TouchBody {
    /// Seconds from now; for ever without.
    pub(super) ttl_s: Option<u64>,
    /// Only if the entry has this version. Also as the header `If-Match`.
    pub(super) if_version: Option<u64>,
}

impl PutBody {
    fn given(&mut self) -> Result<GivenValue, OperationError> {
        let wrong = |detail: &str| OperationError::new(ErrorCode::FieldInvalid, detail);
        match (self.value.take(), self.base64.take(), self.artifact) {
            (Some(value), None, None) => {
                Ok(GivenValue::Json(String::from(Box::<str>::from(value))))
            }
            (None, Some(text), None) => BASE64_STANDARD
                .decode(text)
                .map(GivenValue::Bytes)
                .map_err(|error| wrong(&format!("`base64` is no base64: {error}"))),
            (None, None, Some(artifact)) => Ok(GivenValue::Artifact {
                blake3: artifact.blake3,
                bytes: artifact.bytes,
            }),
            _ => Err(wrong("give one of `value`, `base64` and `artifact`")),
        }
    }
}

/// A write that puts a value.
pub(super) async fn put(
    context: &Context,
    name: &EntryName,
    mut body: PutBody,
) -> Result<MemoryWrite, OperationError> {
    may_write(context, &name.namespace)?;
    let given = body.given()?;
    let tags = body.tags.iter().map(|tag| named_tag(tag));
    let tags = tags.collect::<Result<_, _>>()?;
    let condition = condition(body.if_version, body.if_absent, body.if_present)?;
    let stamp = stamp(context, name, body.stamp)?;
    let wanted = EmbeddingWanted {
        given: body.embedding,
        model: body.embedding_model,
        ask: body.embed,
    };
    let embedding = embedding_of(context, name, &given, wanted).await?;
    let change = MemoryChange::Put(Arc::new(MemoryPut {
        value: store_value(&context.services, &name.namespace, given).await?,
        ttl_ms: body.ttl_s.map(ttl_ms),
        tags,
        metadata: body.metadata,
        embedding,
    }));
    let settles = body.settles.into_iter().map(MemoryVersion);
    let write = MemoryWrite {
        condition,
        settles: settles.collect(),
        provenance: provenance(context, body.why),
        stamp,
        ..MemoryWrite::new(name.namespace.clone(), name.key.clone(), change)
    };
    checked(name, write)
}

/// A write that removes an entry.
pub(super) fn delete(
    context: &Context,
    name: &EntryName,
    body: DeleteBody,
) -> Result<MemoryWrite, OperationError> {
    may_write(context, &name.namespace)?;
    let write = MemoryWrite {
        condition: condition(body.if_version, false, false)?,
        provenance: provenance(context, body.why),
        stamp: stamp(context, name, body.stamp)?,
        ..MemoryWrite::new(
            name.namespace.clone(),
            name.key.clone(),
            MemoryChange::Delete,
        )
    };
    checked(name, write)
}

/// A write that lets an entry live for longer or shorter.
pub(super) fn touch(
    context: &Context,
    name: &EntryName,
    body: &TouchBody,
) -> Result<MemoryWrite, OperationError> {
    may_write(context, &name.namespace)?;
    let change = MemoryChange::Touch {
        ttl_ms: body.ttl_s.map(ttl_ms),
    };
    let write = MemoryWrite {
        condition: condition(body.if_version, false, false)?,
        provenance: provenance(context, None),
        ..MemoryWrite::new(name.namespace.clone(), name.key.clone(), change)
    };
    checked(name, write)
}

const fn ttl_ms(seconds: u64) -> u64 {
    seconds.saturating_mul(1_000)
}

/// What the core would refuse whatever is there is refused before it costs an entry of the log.
pub(super) fn checked(name: &EntryName, write: MemoryWrite) -> Result<MemoryWrite, OperationError> {
    match write.check() {
        Ok(()) => Ok(write),
        Err(refusal) => Err(super::refusals::refused(name, &refusal)),
    }
}

fn condition(
    version: Option<u64>,
    absent: bool,
    present: bool,
) -> Result<MemoryCondition, OperationError> {
    match (version, absent, present) {
        (None, false, false) => Ok(MemoryCondition::Any),
        (Some(version), false, false) => Ok(MemoryCondition::Version(MemoryVersion(version))),
        (None, true, false) => Ok(MemoryCondition::Absent),
        (None, false, true) => Ok(MemoryCondition::Present),
        _ => Err(OperationError::new(
            ErrorCode::FieldInvalid,
            "give one of `if_version`, `if_absent` and `if_present`",
        )),
    }
}

/// The condition that the headers name, if they do. One that the body names as well is refused.
pub(super) fn with_header_condition(
    context: &Context,
    mut write: MemoryWrite,
) -> Result<MemoryWrite, OperationError> {
    let malformed = |detail: String| OperationError::new(ErrorCode::HeaderMalformed, detail);
    let named = match (
        context.if_match.as_deref(),
        context.if_none_match.as_deref(),
    ) {
        (None, None) => return Ok(write),
        (Some("*"), None) => MemoryCondition::Present,
        (Some(tag), None) => {
            let version = tag
                .parse()
                .map_err(|_| malformed(format!("`If-Match` is `{tag}`; want a version, or `*`")))?;
            MemoryCondition::Version(MemoryVersion(version))
        }
        (None, Some("*")) => MemoryCondition::Absent,
        (None, Some(tag)) => {
            return Err(malformed(format!("`If-None-Match` is `{tag}`; want `*`")));
        }
        (Some(_), Some(_)) => {
            return Err(malformed(
                "`If-Match` and `If-None-Match` exclude each other".to_owned(),
            ));
        }
    };
    if write.condition != MemoryCondition::Any {
        let detail = "the body names a condition, and so do the headers: give one";
        return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
    }
    write.condition = named;
    Ok(write)
}

/// Refuses conditions in headers where they could not be kept.
pub(super) fn refuse_header_condition(context: &Context) -> Result<(), OperationError> {
    if context.if_match.is_none() && context.if_none_match.is_none() {
        return Ok(());
    }
    let detail =
        "this route takes no `If-Match` and no `If-None-Match`; conditions go into the body";
    Err(OperationError::new(ErrorCode::HeaderMalformed, detail))
}

/// For which work it is done, as the caller's token says.
pub(super) fn provenance(context: &Context, why: Option<String>) -> MemoryProvenance {
    let (task, run) = match &context.caller {
        Principal::Task { task, run, .. } => (Some(*task), *run),
        _ => (None, None),
    };
    MemoryProvenance { task, run, why }
}

/// The stamp of a write from elsewhere, if it is one that can be.
fn stamp(
    context: &Context,
    name: &EntryName,
    given: Option<Value>,
) -> Result<Option<Box<MemoryStamp>>, OperationError> {
    let Some(given) = given else {
        return Ok(None);
    };
    if matches!(context.caller, Principal::Task { .. }) {
        let detail = "`stamp` is for writes from elsewhere; a task writes here, so leave it out";
        return Err(OperationError::new(ErrorCode::ScopeMissing, detail));
    }
    let wrong = |detail: String| OperationError::new(ErrorCode::MemoryClockInvalid, detail);
    let stamp: MemoryStamp =
        serde_json::from_value(given).map_err(|error| wrong(format!("`stamp`: {error}")))?;
    let writer = stamp.time.replica;
    if writer == ReplicaId::HOME {
        let detail = "`stamp.time.replica` is this log itself, which stamps its own writes";
        return Err(wrong(detail.to_owned()));
    }
    if stamp.clock.seen(writer) == 0 {
        let detail = format!("`stamp.clock` does not count the write of `{writer}` itself");
        return Err(wrong(detail));
    }
    let view = context.services.hive.view();
    let known = view.state.namespace(&name.namespace);
    let newest = known.map(|known| known.record.last_version.0);
    let seen = stamp.clock.seen(ReplicaId::HOME);
    if newest.is_some_and(|newest| seen > newest) {
        let detail = format!("`stamp.clock` has seen version {seen}, which was never given");
        return Err(wrong(detail));
    }
    Ok(Some(Box::new(stamp)))
}

//! Snapshots: a namespace as it was at one moment, kept as an artifact under a name. It holds all that
//! it takes to restore it as one step, also the bytes of artifacts that are values.
//!
//! The name is an entry of shared memory itself, which refers to the artifact; so the log keeps it,
//! and the bytes stay for as long as the name does.

use super::access::{EntryName, known_namespace, may_use, may_write, named_key, named_namespace};
use super::given::{self, GivenValue};
use super::transfer::{Content, End, FORMAT, Head, line_of, line_of_version};
use super::values::{read_value, store_value};
use super::write::{WriteAnswer, one};
use crate::artifacts;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::exchange::ReplyBody;
use crate::fields::NoParameters;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use serde::Deserialize;
use skep_core::MemoryQuery;
use skep_model::attempt::ArtifactHash;
use skep_model::limits::MEMORY_WRITES_PER_COMMAND_MAX;
use skep_model::memory::{
    MemoryChange, MemoryPut, MemoryRecord, MemoryValue, MemoryVersion, MemoryWrite, Namespace,
};
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where the names of snapshots are, as `NAMESPACE/NAME`.
pub(super) const SNAPSHOTS: &str = "snapshots";
/// Bytes of a snapshot, those of its artifacts included: nearly all of it is one command of the log
/// when it is restored.
const SNAPSHOT_BYTES_MAX: usize = 8 << 20;
/// How often a snapshot is taken or restored anew because entries changed meanwhile.
pub(super) const SNAPSHOT_TRIES_MAX: u32 = 8;

/// Names a snapshot.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotBody {
    /// The namespace.
    namespace: String,
    /// Its name, without `/`.
    name: String,
}

impl SnapshotBody {
    /// The namespace, and the entry that is the snapshot's name.
    pub(super) fn names(&self) -> Result<(Namespace, EntryName), OperationError> {
        let namespace = named_namespace(&self.namespace)?;
        // Namespaces may have a `/` in them: `a/b` of `n` would be `b` of `n/a`.
        if self.name.is_empty() || self.name.contains('/') {
            let detail = format!(
                "`{}` is no name of a snapshot: want 1 or more characters without `/`",
                self.name
            );
            return Err(OperationError::new(ErrorCode::MemoryNameInvalid, detail));
        }
        let entry = EntryName {
            namespace: named_namespace(SNAPSHOTS)?,
            key: named_key(&format!("{namespace}/{}", self.name))?,
        };
        Ok((namespace, entry))
    }
}

/// Keeps a namespace under a name; one that has the name already is replaced.
pub(super) async fn take(
    context: Context,
    _: NoParameters,
    body: SnapshotBody,
) -> Result<WriteAnswer, OperationError> {
    let (namespace, name) = body.names()?;
    may_write(&context, &name.namespace)?;
    refuse_guarded(&context, &namespace)?;
    let (bytes, entries) = lines(&context, &namespace).await?;
    let (blake3, size) = (ArtifactHash::of(&bytes), bytes.len() as u64);
    artifacts::keep(&context, bytes).await?;
    let reference = GivenValue::Artifact {
        blake3,
        bytes: size,
    };
    let value = store_value(&context.services, &name.namespace, reference).await?;
    let put = MemoryPut {
        metadata: BTreeMap::from([("entries".to_owned(), entries.to_string())]),
        ..MemoryPut::new(value)
    };
    let write = MemoryWrite {
        provenance: given::provenance(&context, None),
        ..MemoryWrite::new(
            name.namespace.clone(),
            name.key.clone(),
            MemoryChange::Put(Arc::new(put)),
        )
    };
    one(&context, &name, write).await
}

/// Whoever may read artifacts could read the copy.
fn refuse_guarded(context: &Context, namespace: &Namespace) -> Result<(), OperationError> {
    let view = context.services.hive.view();
    let found = view.state.namespace(namespace);
    let settings = found.map(|found| &found.record.settings);
    let word = match settings {
        Some(settings) if settings.secret => "secret",
        Some(settings) if settings.restricted => "restricted",
        _ => return Ok(()),
    };
    let detail = format!("`{namespace}` is {word}, and its snapshot would lie in the open");
    let error = OperationError::new(ErrorCode::NamespaceForbidden, detail);
    Err(error.with_hint("Use `skep memory export` as an administrator, and keep the file safe."))
}

/// An entry with its version and end.
pub(super) type Listed = (EntryName, MemoryVersion, Option<UnixMillis>);

/// All entries at one moment, as lines.
async fn lines(
    context: &Context,
    namespace: &Namespace,
) -> Result<(Vec<u8>, usize), OperationError> {
    for _ in 0..SNAPSHOT_TRIES_MAX {
        let (head, entries) = listed(context, namespace)?;
        let mut lines = head;
        let mut held = BTreeSet::new();
        let mut is_whole = true;
        for (name, version, expires_at) in &entries {
            // The value of a version never changes; only many later ones let the history lose it.
            match read_value(&context.services, name, *version).await? {
                Some(record) => {
                    let held = &mut held;
                    lines.extend(content_of(context, &record, held, lines.len()).await?);
                    lines.extend(line_of_version(&record, *expires_at, false)?);
                }
                None => is_whole = false,
            }
            check_size(lines.len())?;
        }
        if is_whole {
            let count = entries.len();
            lines.extend(line_of(&End { end: count as u64 })?);
            check_size(lines.len())?;
            return Ok((lines, count));
        }
    }
    Err(contended(namespace))
}

/// A line with the bytes of the artifact that a value is, unless a line before has them: the artifact
/// goes once nothing but the snapshot knows of it.
async fn content_of(
    context: &Context,
    record: &MemoryRecord,
    held: &mut BTreeSet<ArtifactHash>,
    before: usize,
) -> Result<Vec<u8>, OperationError> {
    let value = record.put.as_ref().map(|put| &put.value);
    let Some(MemoryValue::Artifact { blake3, bytes }) = value else {
        return Ok(Vec::new());
    };
    if !held.insert(*blake3) {
        return Ok(Vec::new());
    }
    check_size(
        usize::try_from(*bytes)
            .unwrap_or(usize::MAX)
            .saturating_add(before),
    )?;
    let content = whole_artifact(context, *blake3).await?;
    line_of(&Content {
        content: &BASE64_STANDARD.encode(content),
    })
}

fn check_size(bytes: usize) -> Result<(), OperationError> {
    if bytes <= SNAPSHOT_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("SNAPSHOT_BYTES_MAX is {SNAPSHOT_BYTES_MAX}");
    Err(OperationError::new(ErrorCode::SnapshotTooLarge, detail))
}

/// The first line of a snapshot, and the entries that are there.
pub(super) fn listed(
    context: &Context,
    namespace: &Namespace,
) -> Result<(Vec<u8>, Vec<Listed>), OperationError> {
    let at = context.services.now();
    let view = context.services.hive.view();
    may_use(&view, &context.caller, namespace)?;
    known_namespace(&view, namespace)?;
    let query = MemoryQuery {
        namespace,
        prefix: "",
        tags: &[],
        since: None,
        until: None,
        after: None,
        limit: MEMORY_WRITES_PER_COMMAND_MAX,
    };
    let page = view.state.memory_list(&query, at);
    if page.next.is_some() {
        let detail = format!(
            "MEMORY_WRITES_PER_COMMAND_MAX is {MEMORY_WRITES_PER_COMMAND_MAX}, and `{namespace}` \
             has more entries"
        );
        return Err(OperationError::new(ErrorCode::SnapshotTooLarge, detail));
    }
    let head = line_of(&Head {
        format: FORMAT,
        namespace,
        exported_at: at.into(),
        applied_index: view.applied.0,
    })?;
    let entries = page.entries.into_iter().map(|entry| {
        let name = EntryName {
            namespace: entry.namespace.clone(),
            key: entry.key.clone(),
        };
        (name, entry.version, entry.expires_at)
    });
    Ok((head, entries.collect()))
}

pub(super) fn contended(namespace: &Namespace) -> OperationError {
    let detail =
        format!("`{namespace}` changed {SNAPSHOT_TRIES_MAX} times meanwhile (SNAPSHOT_TRIES_MAX)");
    OperationError::new(ErrorCode::MemoryContended, detail)
}

/// All bytes of an artifact that is no larger than a snapshot.
pub(super) async fn whole_artifact(
    context: &Context,
    hash: ArtifactHash,
) -> Result<Vec<u8>, OperationError> {
    let mut bytes = Vec::new();
    let ReplyBody::Stream(_, mut pieces) = artifacts::content(context, hash).await?.body else {
        return Ok(bytes);
    };
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| OperationError::internal("read a snapshot", &error))?;
        bytes.extend_from_slice(&piece);
        check_size(bytes.len())?;
    }
    if ArtifactHash::of(&bytes) == hash {
        return Ok(bytes);
    }
    let detail = format!("the bytes of artifact `{hash}` are damaged");
    Err(OperationError::new(ErrorCode::Internal, detail))
}

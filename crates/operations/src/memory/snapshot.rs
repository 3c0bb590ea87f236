//! Snapshots: a namespace as it was at one moment, kept as an artifact under a name, and restored
//! as one step.
//!
//! The name is an entry of shared memory itself, which refers to the artifact; so the log keeps it,
//! and the bytes stay for as long as the name does.

use super::access::{EntryName, known_namespace, may_use, may_write, named_key, named_namespace};
use super::entry_view::Consistency;
use super::get::present;
use super::given::{self, GivenValue};
use super::merging::propose;
use super::outcome::Answer;
use super::transfer::{End, FORMAT, Head, Line, line_of, line_of_version, read_line};
use super::values::{read_value, store_value};
use super::write::{WriteAnswer, done, one};
use crate::artifacts;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::exchange::ReplyBody;
use crate::fields::NoParameters;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use skep_core::MemoryQuery;
use skep_model::attempt::ArtifactHash;
use skep_model::limits::MEMORY_WRITES_PER_COMMAND_MAX;
use skep_model::memory::{
    MemoryChange, MemoryCondition, MemoryKey, MemoryPut, MemoryRefusal, MemoryValue, MemoryVersion,
    MemoryWrite, Namespace,
};
use skep_model::time::UnixMillis;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the names of snapshots are, as `NAMESPACE/NAME`.
const SNAPSHOTS: &str = "snapshots";
/// Bytes of a snapshot: all of it is one command of the log when it is restored.
const SNAPSHOT_BYTES_MAX: usize = 8 << 20;
/// How often a snapshot is taken or restored anew because entries changed meanwhile.
const SNAPSHOT_TRIES_MAX: u32 = 8;

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
    fn names(&self) -> Result<(Namespace, EntryName), OperationError> {
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
type Listed = (EntryName, MemoryVersion, Option<UnixMillis>);

/// All entries at one moment, as lines.
async fn lines(
    context: &Context,
    namespace: &Namespace,
) -> Result<(Vec<u8>, usize), OperationError> {
    for _ in 0..SNAPSHOT_TRIES_MAX {
        let (head, entries) = listed(context, namespace)?;
        let mut lines = head;
        let mut is_whole = true;
        for (name, version, expires_at) in &entries {
            // The value of a version never changes; only many later ones let the history lose it.
            match read_value(&context.services, name, *version).await? {
                Some(record) => lines.extend(line_of_version(&record, *expires_at, false)?),
                None => is_whole = false,
            }
            check_size(&lines)?;
        }
        if is_whole {
            let count = entries.len();
            lines.extend(line_of(&End { end: count as u64 })?);
            check_size(&lines)?;
            return Ok((lines, count));
        }
    }
    Err(contended(namespace))
}

fn check_size(lines: &[u8]) -> Result<(), OperationError> {
    if lines.len() <= SNAPSHOT_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("SNAPSHOT_BYTES_MAX is {SNAPSHOT_BYTES_MAX}");
    Err(OperationError::new(ErrorCode::SnapshotTooLarge, detail))
}

fn listed(
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

/// What a restoration did.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Restored {
    /// The namespace.
    namespace: Namespace,
    /// Entries that are as they were.
    written: usize,
    /// Entries that were not there then, and are removed.
    deleted: usize,
    /// Entries of the snapshot whose time is over.
    expired: usize,
    /// The entry of the log that did it; none when there was nothing to do.
    applied_index: Option<u64>,
}

/// Makes a namespace what it was, all of it or nothing.
pub(super) async fn restore(
    context: Context,
    _: NoParameters,
    body: SnapshotBody,
) -> Result<Restored, OperationError> {
    let (namespace, name) = body.names()?;
    may_write(&context, &namespace)?;
    let (puts, expired) = read_snapshot(&context, &namespace, &name).await?;
    for _ in 0..SNAPSHOT_TRIES_MAX {
        let stale = not_in(&context, &namespace, &puts)?;
        let (written, deleted) = (puts.len(), stale.len());
        let writes: Vec<_> = puts.values().cloned().chain(stale).collect();
        if writes.is_empty() {
            return Ok(Restored {
                namespace,
                written,
                deleted,
                expired,
                applied_index: None,
            });
        }
        if writes.len() > MEMORY_WRITES_PER_COMMAND_MAX {
            let detail = format!(
                "MEMORY_WRITES_PER_COMMAND_MAX is {MEMORY_WRITES_PER_COMMAND_MAX}: {written} \
                 entries to write and {deleted} to remove are too many"
            );
            return Err(OperationError::new(ErrorCode::SnapshotTooLarge, detail));
        }
        let names: Vec<_> = writes.iter().map(name_of).collect();
        let proposed = propose(&context, writes, true).await?;
        let refused = names.iter().zip(proposed.answers).find(|(_, answer)| {
            !matches!(
                answer,
                Answer::Done(_) | Answer::Refused(MemoryRefusal::BatchRefused { .. })
            )
        });
        match refused {
            None => {
                return Ok(Restored {
                    namespace,
                    written,
                    deleted,
                    expired,
                    applied_index: Some(proposed.index.0),
                });
            }
            // Entries changed between the look and the write.
            Some((
                _,
                Answer::Refused(MemoryRefusal::Missing | MemoryRefusal::VersionDiffers { .. }),
            )) => {}
            Some((name, answer)) => drop(done(name, answer)?),
        }
    }
    Err(contended(&namespace))
}

fn name_of(write: &MemoryWrite) -> EntryName {
    EntryName {
        namespace: write.namespace.clone(),
        key: write.key.clone(),
    }
}

fn contended(namespace: &Namespace) -> OperationError {
    let detail =
        format!("`{namespace}` changed {SNAPSHOT_TRIES_MAX} times meanwhile (SNAPSHOT_TRIES_MAX)");
    OperationError::new(ErrorCode::MemoryContended, detail)
}

/// The writes that make the entries of a snapshot, and how many are not worth one.
async fn read_snapshot(
    context: &Context,
    namespace: &Namespace,
    name: &EntryName,
) -> Result<(BTreeMap<MemoryKey, MemoryWrite>, usize), OperationError> {
    let unknown = || {
        let detail = format!(
            "`{namespace}` has no snapshot at `{}` in `{SNAPSHOTS}`",
            name.key
        );
        OperationError::new(ErrorCode::SnapshotNotFound, detail)
    };
    let found = present(context, name, Consistency::Strong).await;
    let found = found.map_err(|error| match error.code() {
        ErrorCode::MemoryNotFound | ErrorCode::NamespaceNotFound => unknown(),
        _ => error,
    })?;
    let put = found.record.put.as_ref().ok_or_else(unknown)?;
    let MemoryValue::Artifact { blake3, .. } = put.value else {
        return Err(unknown());
    };
    let bytes = whole_artifact(context, blake3).await?;
    let mut puts = BTreeMap::new();
    let mut expired = 0;
    let mut is_of_namespace = false;
    for line in bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        match read_line(line, Some(namespace), context.services.now())? {
            Line::Entry(name, body) => {
                let mut write = given::put(context, &name, *body).await?;
                write.provenance.why =
                    Some(format!("restored from snapshot `{}`", found.record.key));
                puts.insert(name.key, write);
            }
            Line::Expired => expired += 1,
            Line::Head(named) => is_of_namespace = named.as_deref() == Some(namespace.as_str()),
            Line::End | Line::History => {}
        }
    }
    if !is_of_namespace {
        let detail = format!(
            "what `{}` in `{SNAPSHOTS}` refers to is no snapshot of `{namespace}`",
            name.key
        );
        return Err(OperationError::new(ErrorCode::MemoryImportMalformed, detail));
    }
    Ok((puts, expired))
}

async fn whole_artifact(context: &Context, hash: ArtifactHash) -> Result<Vec<u8>, OperationError> {
    let mut bytes = Vec::new();
    let ReplyBody::Stream(_, mut pieces) = artifacts::content(context, hash).await?.body else {
        return Ok(bytes);
    };
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| OperationError::internal("read a snapshot", &error))?;
        bytes.extend_from_slice(&piece);
        check_size(&bytes)?;
    }
    if ArtifactHash::of(&bytes) == hash {
        return Ok(bytes);
    }
    let detail = format!("the bytes of artifact `{hash}` are damaged");
    Err(OperationError::new(ErrorCode::Internal, detail))
}

/// The removals of entries that the snapshot does not have, each of the version that is there.
fn not_in(
    context: &Context,
    namespace: &Namespace,
    puts: &BTreeMap<MemoryKey, MemoryWrite>,
) -> Result<Vec<MemoryWrite>, OperationError> {
    let view = context.services.hive.view();
    if view.state.namespace(namespace).is_none() {
        return Ok(Vec::new());
    }
    drop(view);
    let (_, entries) = listed(context, namespace)?;
    let stale = entries
        .into_iter()
        .filter(|(name, _, _)| !puts.contains_key(&name.key));
    Ok(stale
        .map(|(name, version, _)| MemoryWrite {
            condition: MemoryCondition::Version(version),
            provenance: given::provenance(context, None),
            ..MemoryWrite::new(name.namespace, name.key, MemoryChange::Delete)
        })
        .collect())
}

//! Restores a namespace from a snapshot.

use super::access::{EntryName, may_write};
use super::entry_view::Consistency;
use super::get::present;
use super::given;
use super::merging::propose;
use super::outcome::Answer;
use super::snapshot::{
    SNAPSHOT_TRIES_MAX, SNAPSHOTS, SnapshotBody, contended, listed, whole_artifact,
};
use super::transfer::{Line, read_line};
use super::write::done;
use crate::artifacts;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use serde::Serialize;
use skep_model::limits::MEMORY_WRITES_PER_COMMAND_MAX;
use skep_model::memory::{
    MemoryChange, MemoryCondition, MemoryKey, MemoryRefusal, MemoryValue, MemoryVersion,
    MemoryWrite, Namespace,
};
use std::collections::BTreeMap;

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
    mut context: Context,
    _: NoParameters,
    body: SnapshotBody,
) -> Result<Restored, OperationError> {
    let (namespace, name) = body.names()?;
    may_write(&context, &namespace)?;
    let (puts, expired) = read_snapshot(&context, &namespace, &name).await?;
    let mut restored = Restored {
        namespace: namespace.clone(),
        written: puts.len(),
        deleted: 0,
        expired,
        applied_index: None,
    };
    for _ in 0..SNAPSHOT_TRIES_MAX {
        let stale = not_in(&context, &namespace, &puts)?;
        let deleted = stale.len();
        check_number(puts.len(), deleted)?;
        let writes: Vec<_> = puts.values().cloned().chain(stale).collect();
        if writes.is_empty() {
            return Ok(restored);
        }
        let names: Vec<_> = writes.iter().map(name_of).collect();
        let proposed = propose(&context, writes, true).await?;
        let first = first_version(&proposed.answers);
        let refused = names.iter().zip(proposed.answers).find(|(_, answer)| {
            !matches!(
                answer,
                Answer::Done(_) | Answer::Refused(MemoryRefusal::BatchRefused { .. })
            )
        });
        match refused {
            None => {
                restored.deleted += deleted;
                restored.applied_index = Some(proposed.index.0);
                let added = not_in(&context, &namespace, &puts)?;
                if !added.iter().any(|write| is_before(write, first)) {
                    return Ok(restored);
                }
                // Somebody put them between the look and the write: the next round does all of it
                // anew as one step, and is no repetition of this one.
                context.idempotency_key = None;
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

fn check_number(written: usize, deleted: usize) -> Result<(), OperationError> {
    if written + deleted <= MEMORY_WRITES_PER_COMMAND_MAX {
        return Ok(());
    }
    let detail = format!(
        "MEMORY_WRITES_PER_COMMAND_MAX is {MEMORY_WRITES_PER_COMMAND_MAX}: {written} entries to \
         write and {deleted} to remove are too many"
    );
    Err(OperationError::new(ErrorCode::SnapshotTooLarge, detail))
}

/// The first version that a command gave.
fn first_version(answers: &[Answer]) -> Option<MemoryVersion> {
    let versions = answers.iter().filter_map(|answer| match answer {
        Answer::Done(written) => Some(written.version),
        _ => None,
    });
    versions.min()
}

/// Whether the entry that a write removes was there before this version of its namespace was given.
fn is_before(removal: &MemoryWrite, first: Option<MemoryVersion>) -> bool {
    match removal.condition {
        MemoryCondition::Version(there) => first.is_some_and(|first| there < first),
        _ => false,
    }
}

fn name_of(write: &MemoryWrite) -> EntryName {
    EntryName {
        namespace: write.namespace.clone(),
        key: write.key.clone(),
    }
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
            Line::Content(bytes) => artifacts::keep(context, bytes).await?,
            Line::Head(named) => is_of_namespace = named.as_deref() == Some(namespace.as_str()),
            Line::End | Line::History => {}
        }
    }
    if !is_of_namespace {
        let detail = format!(
            "what `{}` in `{SNAPSHOTS}` refers to is no snapshot of `{namespace}`",
            name.key
        );
        return Err(OperationError::new(
            ErrorCode::MemoryImportMalformed,
            detail,
        ));
    }
    Ok((puts, expired))
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

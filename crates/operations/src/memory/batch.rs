//! Several writes in one step.

use super::EntryPath;
use super::access::EntryName;
use super::given::{self, DeleteBody, PutBody, TouchBody};
use super::merging::propose;
use super::outcome::{Answer, Written};
use super::write::done;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use serde::{Deserialize, Serialize};
use skep_model::limits::MEMORY_WRITES_PER_COMMAND_MAX;
use skep_model::memory::{MemoryRefusal, MemoryWrite};

/// Writes to do together.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchBody {
    /// At least one; done in this order.
    writes: Vec<BatchWrite>,
    /// Whether none is done when one is refused. Without it, a write that has to be merged is refused
    /// as `memory_contended` when there is an idempotency key: send it alone.
    #[serde(default)]
    all_or_nothing: bool,
}

/// One of them: `put`, `delete` or `touch`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct BatchWrite {
    /// The namespace.
    namespace: String,
    /// The key.
    key: String,
    /// Make the entry, or replace all of it.
    #[serde(default)]
    put: Option<PutBody>,
    /// Remove it.
    #[serde(default)]
    delete: Option<DeleteBody>,
    /// Let it live for longer or shorter.
    #[serde(default)]
    touch: Option<TouchBody>,
}

/// What became of them.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct BatchAnswer {
    /// What became of each, in their order.
    items: Vec<BatchItem>,
    /// How many were done.
    done: usize,
    /// The entry of the log that did it.
    applied_index: u64,
}

/// What became of one write: `written` or `error`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct BatchItem {
    /// What was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<Written>,
    /// Why nothing was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<BatchError>,
}

/// Why a write was not done.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct BatchError {
    /// Stable code.
    code: String,
    /// What happened in this case.
    detail: String,
    /// The version that is there, when the write expected another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_version: Option<u64>,
}

pub(super) async fn batch(
    context: Context,
    _: crate::fields::NoParameters,
    body: BatchBody,
) -> Result<BatchAnswer, OperationError> {
    given::refuse_header_condition(&context)?;
    let count = body.writes.len();
    if !(1..=MEMORY_WRITES_PER_COMMAND_MAX).contains(&count) {
        let detail = format!(
            "a batch is of 1 to {MEMORY_WRITES_PER_COMMAND_MAX} writes \
             (MEMORY_WRITES_PER_COMMAND_MAX), not of {count}"
        );
        return Err(OperationError::new(ErrorCode::LimitExceeded, detail));
    }
    let mut names = Vec::with_capacity(count);
    let mut writes = Vec::with_capacity(count);
    for (item, write) in body.writes.into_iter().enumerate() {
        let path = EntryPath {
            namespace: write.namespace,
            key: write.key,
        };
        let change = (write.put, write.delete, write.touch);
        let (name, write) = given_write(&context, &path, change)
            .await
            .map_err(|error| at_item(item, &error))?;
        names.push(name);
        writes.push(write);
    }
    let all_or_nothing = body.all_or_nothing;
    let proposed = propose(&context, writes, all_or_nothing).await?;
    if all_or_nothing {
        refuse_whole(&names, &proposed.answers)?;
    }
    let answers = names.iter().zip(proposed.answers);
    let items: Vec<_> = answers
        .map(|(name, answer)| item_of(name, answer))
        .collect();
    Ok(BatchAnswer {
        done: items.iter().filter(|item| item.written.is_some()).count(),
        items,
        applied_index: proposed.index.0,
    })
}

type Change = (Option<PutBody>, Option<DeleteBody>, Option<TouchBody>);

async fn given_write(
    context: &Context,
    path: &EntryPath,
    change: Change,
) -> Result<(EntryName, MemoryWrite), OperationError> {
    let name = EntryName::of(path)?;
    let write = match change {
        (Some(put), None, None) => given::put(context, &name, put).await?,
        (None, Some(delete), None) => given::delete(context, &name, delete)?,
        (None, None, Some(touch)) => given::touch(context, &name, &touch)?,
        _ => {
            let detail = "give one of `put`, `delete` and `touch`";
            return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
        }
    };
    Ok((name, write))
}

/// The same error, which says where it is.
fn at_item(item: usize, error: &OperationError) -> OperationError {
    let detail = format!("write {item}: {}", error.detail());
    let located = OperationError::new(error.code(), detail);
    match error.current_version() {
        Some(version) => located.with_current_version(version),
        None => located,
    }
}

/// Of a batch that was refused as a whole, the write that was to blame.
fn refuse_whole(names: &[EntryName], answers: &[Answer]) -> Result<(), OperationError> {
    for (item, (name, answer)) in names.iter().zip(answers).enumerate() {
        if !matches!(
            answer,
            Answer::Done(_) | Answer::Refused(MemoryRefusal::BatchRefused { .. })
        ) {
            done(name, answer.clone()).map_err(|error| at_item(item, &error))?;
        }
    }
    Ok(())
}

fn item_of(name: &EntryName, answer: Answer) -> BatchItem {
    match done(name, answer) {
        Ok(written) => BatchItem {
            written: Some(written),
            error: None,
        },
        Err(error) => BatchItem {
            written: None,
            error: Some(BatchError {
                code: error.code().as_str().to_owned(),
                detail: error.detail().to_owned(),
                current_version: error.current_version(),
            }),
        },
    }
}

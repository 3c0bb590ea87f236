//! Puts, removes and touches one entry.

use super::EntryPath;
use super::access::EntryName;
use super::given::{self, DeleteBody, PutBody, TouchBody, with_header_condition};
use super::merging::propose;
use super::outcome::{Answer, Written};
use super::refusals::refused;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use serde::Serialize;
use skep_model::memory::MemoryWrite;

/// A write that was done.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct WriteAnswer {
    /// What was done.
    #[serde(flatten)]
    pub(super) written: Written,
    /// The entry of the log that did it.
    pub(super) applied_index: u64,
}

pub(super) async fn put(
    context: Context,
    path: EntryPath,
    body: PutBody,
) -> Result<WriteAnswer, OperationError> {
    let name = EntryName::of(&path)?;
    let write = given::put(&context, &name, body).await?;
    let write = with_header_condition(&context, write)?;
    one(&context, &name, write).await
}

pub(super) async fn delete(
    context: Context,
    path: EntryPath,
    body: DeleteBody,
) -> Result<WriteAnswer, OperationError> {
    let name = EntryName::of(&path)?;
    let write = given::delete(&context, &name, body)?;
    let write = with_header_condition(&context, write)?;
    one(&context, &name, write).await
}

pub(super) async fn touch(
    context: Context,
    path: EntryPath,
    body: TouchBody,
) -> Result<WriteAnswer, OperationError> {
    let name = EntryName::of(&path)?;
    let write = given::touch(&context, &name, &body)?;
    let write = with_header_condition(&context, write)?;
    one(&context, &name, write).await
}

/// Does one write.
pub(super) async fn one(
    context: &Context,
    name: &EntryName,
    write: MemoryWrite,
) -> Result<WriteAnswer, OperationError> {
    let proposed = propose(context, vec![write], false).await?;
    let Some(answer) = proposed.answers.into_iter().next() else {
        let detail = "the log did not say what became of the write";
        return Err(OperationError::new(ErrorCode::Internal, detail));
    };
    let written = done(name, answer)?;
    Ok(WriteAnswer {
        written,
        applied_index: proposed.index.0,
    })
}

/// What was done, or why not.
pub(super) fn done(name: &EntryName, answer: Answer) -> Result<Written, OperationError> {
    match answer {
        Answer::Done(written) => Ok(written),
        Answer::Refused(refusal) => Err(refused(name, &refusal)),
        Answer::RefusedBefore => {
            let detail = format!("`{}` in `{}`", name.key, name.namespace);
            Err(OperationError::new(ErrorCode::MemoryRefusedBefore, detail))
        }
    }
}

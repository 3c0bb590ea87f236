//! Proposes writes, and merges the values that were written apart where the namespace wants it.

use super::access::EntryName;
use super::given::GivenValue;
use super::outcome::{Answer, answers};
use super::values::{read_value, sealed, store_value};
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::memory_merge::merge;
use crate::tasks::children::check_fence;
use serde_json::Value;
use skep_model::attempt::LogIndex;
use skep_model::command::Command;
use skep_model::memory::{
    ConflictStrategy, MemoryChange, MemoryCondition, MemoryPut, MemoryRefusal, MemoryValue,
    MemoryVersion, MemoryWrite, MergeFunction,
};
use std::sync::Arc;

/// How often a write is merged anew because somebody else wrote the entry meanwhile.
const MERGE_TRIES_MAX: u32 = 8;

/// What the log said to writes, and under which entry.
#[derive(Debug)]
pub(super) struct Proposed {
    pub(super) answers: Vec<Answer>,
    pub(super) index: LogIndex,
}

/// A write and what it was before it was merged.
struct Attempt {
    write: MemoryWrite,
    original: Option<MemoryWrite>,
}

/// Proposes writes as one command, sealed where their namespace is secret. A write that has to be
/// merged first is merged, and all are proposed again if it is alone or all or nothing is asked for;
/// else it is proposed alone, for what else was done would be done twice.
pub(super) async fn propose(
    context: &Context,
    writes: Vec<MemoryWrite>,
    all_or_nothing: bool,
) -> Result<Proposed, OperationError> {
    let places = writes
        .iter()
        .map(|write| (write.namespace.clone(), write.key.clone()));
    let places: Vec<_> = places.collect();
    check_fence(context)?;
    let may_merge = all_or_nothing || writes.len() == 1;
    let fresh = |write| Attempt {
        write,
        original: None,
    };
    let mut attempts: Vec<_> = writes.into_iter().map(fresh).collect();
    let mut tries = 0;
    loop {
        let writes = attempts.iter().map(|one| one.write.clone()).collect();
        let command = Command::WriteMemory {
            writes: sealed(&context.services, writes).await?,
            all_or_nothing,
            idempotency: context.idempotency(),
        };
        let entry = context.propose(command).await?;
        let mut answers = answers(&entry, &places);
        tries += 1;
        let again = answers.iter().zip(&attempts).position(|(answer, attempt)| {
            match answer {
                Answer::Refused(MemoryRefusal::MergeNeeded { .. }) => true,
                // It was merged with a version that is not there any more.
                Answer::Refused(MemoryRefusal::VersionDiffers { .. }) => attempt.original.is_some(),
                _ => false,
            }
        });
        let Some(again) = again.filter(|_| may_merge && tries <= MERGE_TRIES_MAX) else {
            mark_merged(&mut answers, &attempts);
            let proposed = Proposed {
                answers,
                index: entry.index,
            };
            return if may_merge || context.idempotency_key.is_some() {
                Ok(proposed)
            } else {
                Box::pin(merge_each(context, attempts, proposed)).await
            };
        };
        let attempt = &mut attempts[again];
        if let Some(original) = attempt.original.take() {
            attempt.write = original;
        }
        if let Answer::Refused(MemoryRefusal::MergeNeeded { current }) = answers[again] {
            merge_one(context, attempt, current).await?;
        }
    }
}

/// Of writes that are done one by one, those that have to be merged are merged and proposed alone.
/// Under an idempotency key they are not: a repetition could not be told that they were done.
async fn merge_each(
    context: &Context,
    attempts: Vec<Attempt>,
    mut proposed: Proposed,
) -> Result<Proposed, OperationError> {
    for (attempt, answer) in attempts.into_iter().zip(&mut proposed.answers) {
        if !matches!(answer, Answer::Refused(MemoryRefusal::MergeNeeded { .. })) {
            continue;
        }
        let alone = propose(context, vec![attempt.write], false).await?;
        proposed.index = alone.index;
        if let Some(merged) = alone.answers.into_iter().next() {
            *answer = merged;
        }
    }
    Ok(proposed)
}

/// A merge that was overtaken until the last try is told as what it is.
fn mark_merged(answers: &mut [Answer], attempts: &[Attempt]) {
    for (answer, attempt) in answers.iter_mut().zip(attempts) {
        if attempt.original.is_none() {
            continue;
        }
        match answer {
            Answer::Done(written) => written.merged = true,
            Answer::Refused(MemoryRefusal::VersionDiffers {
                current: Some(current),
                ..
            }) => {
                let current = *current;
                *answer = Answer::Refused(MemoryRefusal::MergeNeeded { current });
            }
            _ => {}
        }
    }
}

/// Makes the write one that saw the present value, if that can still be read; else it is tried
/// again as it is.
async fn merge_one(
    context: &Context,
    attempt: &mut Attempt,
    current: MemoryVersion,
) -> Result<(), OperationError> {
    let name = EntryName {
        namespace: attempt.write.namespace.clone(),
        key: attempt.write.key.clone(),
    };
    let rule = {
        let view = context.services.hive.view();
        let found = view.state.namespace(&name.namespace);
        found.and_then(|found| found.record.settings.rule(name.key.as_str()))
    };
    let present = read_value(&context.services, &name, current).await?;
    let present = present.and_then(|record| record.put.clone());
    let (Some(ConflictStrategy::Merge(function)), Some(present)) = (rule, present) else {
        return Ok(());
    };
    let MemoryChange::Put(put) = &attempt.write.change else {
        return Ok(());
    };
    let merged = merged(&name, function, &present.value, &put.value)?;
    let merged = GivenValue::Json(merged.to_string());
    let put = MemoryPut {
        value: store_value(&context.services, &name.namespace, merged).await?,
        embedding: None,
        ..(**put).clone()
    };
    let write = MemoryWrite {
        condition: MemoryCondition::Version(current),
        change: MemoryChange::Put(Arc::new(put)),
        ..attempt.write.clone()
    };
    attempt.original = Some(std::mem::replace(&mut attempt.write, write));
    Ok(())
}

/// Both values as one.
pub(super) fn merged(
    name: &EntryName,
    function: MergeFunction,
    present: &MemoryValue,
    other: &MemoryValue,
) -> Result<Value, OperationError> {
    let present = json_of(name, "present", present)?;
    let other = json_of(name, "other", other)?;
    merge(function, present, other).map_err(|error| no_merge(name, &error.to_string()))
}

/// A value that can be calculated with.
pub(super) fn json_of(
    name: &EntryName,
    which: &str,
    value: &MemoryValue,
) -> Result<Value, OperationError> {
    let MemoryValue::Json(text) = value else {
        return Err(no_merge(name, &format!("the {which} value is no JSON")));
    };
    serde_json::from_str(text)
        .map_err(|error| no_merge(name, &format!("the {which} value cannot be read: {error}")))
}

pub(super) fn no_merge(name: &EntryName, reason: &str) -> OperationError {
    let detail = format!("`{}` in `{}`: {reason}", name.key, name.namespace);
    OperationError::new(ErrorCode::MemoryMergeFailed, detail)
}

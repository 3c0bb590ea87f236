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
use skep_model::time::UnixMillis;
use std::cmp::Ordering;
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

/// Proposes writes that were made apart. One that cannot be merged fails by itself; the others are done.
///
/// # Errors
/// The log took nothing. Of those that are merged, earlier ones may have been done.
pub(super) async fn propose_apart(
    context: &Context,
    writes: Vec<MemoryWrite>,
) -> Result<Vec<Result<Answer, OperationError>>, OperationError> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    let places = writes
        .iter()
        .map(|write| (write.namespace.clone(), write.key.clone()));
    let places: Vec<_> = places.collect();
    let command = Command::WriteMemory {
        writes: sealed(&context.services, writes.clone()).await?,
        all_or_nothing: false,
        idempotency: None,
    };
    let entry = context.propose(command).await?;
    let mut told = Vec::with_capacity(writes.len());
    for (write, answer) in writes.into_iter().zip(answers(&entry, &places)) {
        if !matches!(answer, Answer::Refused(MemoryRefusal::MergeNeeded { .. })) {
            told.push(Ok(answer));
            continue;
        }
        match propose(context, vec![write], false).await {
            Ok(alone) => told.extend(alone.answers.into_iter().map(Ok)),
            Err(error) if error.code() == ErrorCode::MemoryMergeFailed => told.push(Err(error)),
            Err(error) => return Err(error),
        }
    }
    Ok(told)
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
    let record = read_value(&context.services, &name, current).await?;
    let present = record.as_ref().and_then(|record| record.put.clone());
    let (Some(ConflictStrategy::Merge(function)), Some(record), Some(present)) =
        (rule, record, present)
    else {
        return Ok(());
    };
    let MemoryChange::Put(put) = &attempt.write.change else {
        return Ok(());
    };
    let written = attempt.write.stamp.as_ref();
    let written = written.map(|stamp| stamp.time.moment());
    // Whoever merges the two, and wherever: it is always the later one that comes to the earlier one.
    let earlier_and_later = in_order(
        (record.moment(), &present.value),
        (written.unwrap_or(record.moment()), &put.value),
    );
    let merged = merged(&name, function, earlier_and_later.0, earlier_and_later.1)?;
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

/// When a value was written, wherever that was.
pub(super) type Moment = (UnixMillis, u32);

/// Two values, the earlier one first; of two of one moment that with the smaller hash, as the core counts
/// them.
pub(super) fn in_order<'a>(
    one: (Moment, &'a MemoryValue),
    other: (Moment, &'a MemoryValue),
) -> (&'a MemoryValue, &'a MemoryValue) {
    let one_is_later = match one.0.cmp(&other.0) {
        Ordering::Equal => one.1.blake3() > other.1.blake3(),
        order => order == Ordering::Greater,
    };
    if one_is_later {
        (other.1, one.1)
    } else {
        (one.1, other.1)
    }
}

/// Both values as one.
pub(super) fn merged(
    name: &EntryName,
    function: MergeFunction,
    earlier: &MemoryValue,
    later: &MemoryValue,
) -> Result<Value, OperationError> {
    let earlier = json_of(name, "earlier", earlier)?;
    let later = json_of(name, "later", later)?;
    merge(function, earlier, later).map_err(|error| no_merge(name, &error.to_string()))
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

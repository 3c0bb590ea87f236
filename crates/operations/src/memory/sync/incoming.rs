//! Takes in what another installation brings: each entry as a write with a stamp, on which the
//! strategies of the namespace decide.

use super::clocks::{at_home, is_known};
use super::items::{Became, ITEMS_PER_PAGE, Item, ItemPut, Outcome, REMOVED};
use super::outgoing::{refuse_secret, remembers_removals, replica_of};
use crate::context::{Context, Services};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup;
use crate::memory::access::{EntryName, may_write};
use crate::memory::given::{self, DeleteBody, PutBody};
use crate::memory::merging::propose_apart;
use crate::memory::outcome::{Answer, WriteOutcome};
use crate::memory::write::done;
use skep_model::command::{Actor, Command};
use skep_model::event::Event;
use skep_model::ids::ReplicaId;
use skep_model::limits::MEMORY_TTL_MS_MIN;
use skep_model::memory::{
    ConflictStrategy, MemoryChange, MemoryRefusal, MemoryStamp, MemoryVersion, MemoryWrite,
    Namespace, StrategyRule,
};
use std::sync::Arc;

/// Sees to it that removals in a namespace are remembered from now on, so that they can be told, and that
/// what is removed here does not come back from elsewhere.
///
/// # Errors
/// The log refused.
pub(super) async fn remember_removals(
    services: &Arc<Services>,
    namespace: &Namespace,
) -> Result<(), OperationError> {
    let settings = {
        let view = services.hive.view();
        let kept = view.state.namespace(namespace);
        let settings = kept.map(|kept| kept.record.settings.clone());
        settings.unwrap_or_default()
    };
    if remembers_removals(&settings) {
        return Ok(());
    }
    let mut settings = Box::new(settings);
    settings.strategies.push(StrategyRule {
        prefix: String::new(),
        strategy: ConflictStrategy::default(),
    });
    let command = Command::SetNamespace {
        namespace: namespace.clone(),
        settings,
    };
    let entry = services.hive.propose(Actor::Coordinator, command).await?;
    let refused = entry.events.iter().find_map(|event| match event {
        Event::Refused { reason } => Some(reason.clone()),
        _ => None,
    });
    match refused {
        None => Ok(()),
        Some(reason) => Err(lookup::explain_refusal(services, reason).await),
    }
}

/// Takes in entries of a namespace; says of each what became of it, in their order.
///
/// # Errors
/// The namespace is not open to the caller or not exchanged, or the log took nothing. What was done
/// before stays done.
pub(super) async fn take(
    context: &Context,
    namespace: &Namespace,
    items: &[Item],
) -> Result<Vec<Became>, OperationError> {
    if items.len() > ITEMS_PER_PAGE {
        let detail = format!(
            "a delivery is of at most {ITEMS_PER_PAGE} entries (ITEMS_PER_PAGE), not of {}",
            items.len()
        );
        return Err(OperationError::new(ErrorCode::LimitExceeded, detail));
    }
    refuse_secret(&context.services.hive.view(), namespace)?;
    may_write(context, namespace)?;
    remember_removals(&context.services, namespace).await?;
    let mut became = Vec::with_capacity(items.len());
    let (mut waiting, mut writes) = (Vec::new(), Vec::new());
    for (place, item) in items.iter().enumerate() {
        let name = EntryName {
            namespace: namespace.clone(),
            key: item.key.clone(),
        };
        match write_of(context, &name, item).await {
            Ok(write) if is_news(&context.services, &write) => {
                writes.push(write);
                waiting.push((place, name));
                // What the log says to it takes this place.
                became.push(plain(item, Outcome::Unchanged));
            }
            Ok(_) => became.push(plain(item, Outcome::Unchanged)),
            Err(error) => became.push(refused(item, &error)),
        }
    }
    let answers = propose_apart(context, writes).await?;
    for ((place, name), answer) in waiting.into_iter().zip(answers) {
        became[place] = told(&items[place], &name, answer);
    }
    Ok(became)
}

fn plain(item: &Item, outcome: Outcome) -> Became {
    Became {
        key: item.key.clone(),
        outcome,
        code: None,
        detail: None,
    }
}

fn refused(item: &Item, error: &OperationError) -> Became {
    Became {
        code: Some(error.code().as_str().to_owned()),
        detail: Some(error.detail().to_owned()),
        ..plain(item, Outcome::Refused)
    }
}

/// What became of an entry on which the log decided.
fn told(item: &Item, name: &EntryName, answer: Result<Answer, OperationError>) -> Became {
    let answer = match answer {
        Ok(Answer::Refused(MemoryRefusal::Superseded { .. })) => {
            return plain(item, Outcome::Older);
        }
        Ok(answer) => done(name, answer),
        Err(error) => Err(error),
    };
    match answer {
        Err(error) => refused(item, &error),
        Ok(written) => plain(
            item,
            match written.outcome {
                WriteOutcome::Conflict => Outcome::Conflict,
                WriteOutcome::Lost => Outcome::Older,
                WriteOutcome::Written
                | WriteOutcome::Deleted
                | WriteOutcome::Touched
                | WriteOutcome::Repeated => Outcome::Taken,
            },
        ),
    }
}

/// The write that makes an entry here what it is there.
async fn write_of(
    context: &Context,
    name: &EntryName,
    item: &Item,
) -> Result<MemoryWrite, OperationError> {
    let stamp = stamp_of(&context.services, name, item)?;
    let mut write = match item.put.clone() {
        Some(put) => given::put(context, name, body_of(put)).await?,
        None => given::delete(context, name, DeleteBody::default())?,
    };
    write.stamp = Some(Box::new(stamp));
    write.provenance.task = item.task;
    write.provenance.run = item.run;
    write.provenance.why.clone_from(&item.why);
    given::checked(name, write)
}

fn body_of(put: ItemPut) -> PutBody {
    PutBody {
        value: put.value,
        base64: put.base64,
        artifact: put.artifact,
        ttl_s: put
            .left_ms
            .map(|left| left.max(MEMORY_TTL_MS_MIN).div_ceil(1_000)),
        tags: put.tags.iter().map(ToString::to_string).collect(),
        metadata: put.metadata,
        embedding: put.embedding,
        embedding_model: put.embedding_model,
        ..PutBody::default()
    }
}

/// The stamp as this log reads it.
fn stamp_of(
    services: &Services,
    name: &EntryName,
    item: &Item,
) -> Result<MemoryStamp, OperationError> {
    let wrong = |detail: String| OperationError::new(ErrorCode::MemoryClockInvalid, detail);
    let stamp = at_home(&item.stamp, replica_of(services)).ok_or_else(|| {
        let home = ReplicaId::HOME;
        wrong(format!("`stamp` names `{home}`, which is no installation"))
    })?;
    if stamp.clock.0.is_empty() {
        return Err(wrong("`stamp.clock` counts no write at all".to_owned()));
    }
    let view = services.hive.view();
    let newest = view.state.namespace(&name.namespace);
    let newest = newest.map_or(MemoryVersion(0), |kept| kept.record.last_version);
    let seen = stamp.clock.seen(ReplicaId::HOME);
    if seen > newest.0 {
        let detail = format!(
            "`stamp.clock` has seen version {seen} of `{}` here, which is at {newest}: was this \
             installation put back from a backup?",
            name.namespace
        );
        return Err(wrong(detail));
    }
    Ok(stamp)
}

/// Whether there is anything in a write that is not known.
fn is_news(services: &Services, write: &MemoryWrite) -> bool {
    let Some(stamp) = &write.stamp else {
        return true;
    };
    let says = match &write.change {
        MemoryChange::Put(put) => put.value.blake3(),
        MemoryChange::Delete | MemoryChange::Touch { .. } => REMOVED,
    };
    let at = services.now();
    let view = services.hive.view();
    let present = view
        .state
        .memory_remembered(&write.namespace, &write.key, at);
    !is_known(stamp, says, present)
}

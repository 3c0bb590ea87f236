//! What changed here, for somebody else.

use super::clocks::abroad;
use super::items::{BYTES_PER_PAGE, ChangesPage, ChangesQuestion, ITEMS_PER_PAGE, Item, ItemPut};
use super::progress::Progress;
use crate::context::Services;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::memory::access::EntryName;
use crate::memory::values::{is_secret, read_version};
use skep_coordinator::View;
use skep_model::ids::ReplicaId;
use skep_model::memory::{MemoryKey, MemoryStamp, MemoryVersion, Namespace, NamespaceSettings};
use skep_model::time::UnixMillis;
use std::sync::Arc;

/// An entry that is to be carried, before its value was read.
struct Head {
    name: EntryName,
    version: MemoryVersion,
    is_removed: bool,
    expires_at: Option<UnixMillis>,
    stamp: MemoryStamp,
}

/// What is known before values are read.
struct Found {
    newest: MemoryVersion,
    remembers_removals: bool,
    heads: Vec<Head>,
    next: Option<MemoryKey>,
}

/// The id under which others know this installation.
pub(super) fn replica_of(services: &Services) -> ReplicaId {
    ReplicaId::of_cluster(services.server.cluster)
}

/// Refuses a namespace whose values must not leave this installation.
///
/// # Errors
/// `namespace_forbidden`.
pub(super) fn refuse_secret(view: &View, namespace: &Namespace) -> Result<(), OperationError> {
    if !is_secret(view, namespace) {
        return Ok(());
    }
    let detail = format!("`{namespace}` is secret, and what is secret is not exchanged");
    Err(OperationError::new(ErrorCode::NamespaceForbidden, detail))
}

/// Whether every removal is remembered, so that it can be told.
pub(super) fn remembers_removals(settings: &NamespaceSettings) -> bool {
    settings
        .strategies
        .iter()
        .any(|rule| rule.prefix.is_empty())
}

/// A page of what changed. Whether the caller may read the namespace was checked before.
pub(super) async fn changes(
    services: &Arc<Services>,
    question: &ChangesQuestion,
) -> Result<ChangesPage, OperationError> {
    let here = replica_of(services);
    let at = services.now();
    let found = heads(services, question, at)?;
    let mut items = Vec::with_capacity(found.heads.len());
    for head in found.heads {
        let record = read_version(services, &head.name, head.version).await?;
        // It was replaced so often meanwhile that the version is gone: the next scan has the new one.
        if record.is_none() && !head.is_removed {
            continue;
        }
        let put = record.as_ref().and_then(|record| record.put.as_deref());
        let left_ms = head.expires_at.map(|end| end.since(at));
        let provenance = record.as_ref().map(|record| record.provenance.clone());
        let provenance = provenance.unwrap_or_default();
        items.push(Item {
            key: head.name.key,
            version: head.version,
            stamp: abroad(&head.stamp, here),
            put: put
                .filter(|_| !head.is_removed)
                .map(|put| ItemPut::of(put, left_ms)),
            task: provenance.task,
            run: provenance.run,
            why: provenance.why,
        });
    }
    Ok(ChangesPage {
        replica: here,
        newest: found.newest,
        remembers_removals: found.remembers_removals,
        items,
        next: found.next,
    })
}

fn heads(
    services: &Services,
    question: &ChangesQuestion,
    at: UnixMillis,
) -> Result<Found, OperationError> {
    let namespace = &question.namespace;
    let view = services.hive.view();
    refuse_secret(&view, namespace)?;
    let kept = view.state.namespace(namespace);
    let after = question.after.as_ref();
    let page = view
        .state
        .memory_scan(namespace, after, at, ITEMS_PER_PAGE, |entry| {
            Progress::wants(question.since, &question.again, question.reader, entry)
        });
    let mut found = Found {
        newest: kept.map_or(MemoryVersion(0), |kept| kept.record.last_version),
        remembers_removals: kept.is_some_and(|kept| remembers_removals(&kept.record.settings)),
        heads: Vec::with_capacity(page.entries.len()),
        next: page.next.cloned(),
    };
    let mut bytes = 0_u64;
    for entry in page.entries {
        bytes = bytes.saturating_add(entry.bytes);
        if bytes > BYTES_PER_PAGE && !found.heads.is_empty() {
            found.next = found.heads.last().map(|head| head.name.key.clone());
            break;
        }
        found.heads.push(Head {
            name: EntryName {
                namespace: namespace.clone(),
                key: entry.key.clone(),
            },
            version: entry.version,
            is_removed: entry.deleted,
            expires_at: entry.expires_at.filter(|_| !entry.deleted),
            stamp: entry.effective_stamp(),
        });
    }
    Ok(found)
}

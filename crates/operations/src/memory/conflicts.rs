//! Values that were written apart from each other and wait for somebody to decide.

use super::EntryPath;
use super::access::{EntryName, known_namespace, may_use, named_key, named_namespace};
use super::entry_view::{Consistency, EntryView, HeadView, ValueView, VersionView};
use super::get::present;
use super::given::{self, PutBody};
use super::values::read_version;
use super::write::{WriteAnswer, one};
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::paging::page_limit;
use serde::{Deserialize, Serialize};
use skep_model::limits;
use skep_model::memory::{
    MemoryChange, MemoryCondition, MemoryPut, MemoryVersion, MemoryWrite, Namespace,
};
use std::sync::Arc;

/// Which conflicts to list.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConflictListing {
    /// In this namespace.
    namespace: String,
    /// Items on a page.
    #[schemars(range(min = 1, max = limits::PAGE_ITEMS_MAX))]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Entries with open conflicts.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct ConflictPage {
    /// The namespace.
    namespace: Namespace,
    /// The entries, by key.
    items: Vec<HeadView>,
    /// Where the next page starts; none on the last one.
    next_cursor: Option<String>,
}

pub(super) fn list(
    context: &Context,
    query: &ConflictListing,
) -> Result<ConflictPage, OperationError> {
    let namespace = named_namespace(&query.namespace)?;
    let limit = page_limit(query.limit)?;
    let after = query.cursor.as_deref().map(named_key).transpose()?;
    let view = context.services.hive.view();
    may_use(&view, &context.caller, &namespace)?;
    known_namespace(&view, &namespace)?;
    let open = view.state.memory_conflicts(&namespace, after.as_ref());
    let mut entries: Vec<_> = open.take(limit + 1).collect();
    let more = entries.len() > limit;
    entries.truncate(limit);
    let last = entries.last().map(|entry| entry.key.to_string());
    Ok(ConflictPage {
        items: entries.into_iter().map(HeadView::from).collect(),
        next_cursor: last.filter(|_| more),
        namespace: namespace.clone(),
    })
}

/// A version with its value.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct ConflictView {
    /// What is known of the version.
    #[serde(flatten)]
    version: VersionView,
    /// The value.
    #[serde(flatten)]
    value: ValueView,
}

/// An entry and what waits.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Dispute {
    /// The entry as it is.
    present: EntryView,
    /// The values that wait, in the order in which they came.
    open: Vec<ConflictView>,
}

pub(super) async fn show(context: Context, path: EntryPath) -> Result<Dispute, OperationError> {
    let name = EntryName::of(&path)?;
    let found = present(&context, &name, Consistency::Strong).await?;
    let mut open = Vec::with_capacity(found.conflicts.len());
    for version in &found.conflicts {
        let record = read_version(&context.services, &name, *version).await?;
        open.extend(record.map(|record| {
            let put = record.put.as_deref();
            ConflictView {
                version: VersionView::whole(&record),
                value: put.map(|put| ValueView::of(&put.value)).unwrap_or_default(),
            }
        }));
    }
    Ok(Dispute {
        present: found.view(name),
        open,
    })
}

/// What is to be the entry: a version that is there, or a new value.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Resolution {
    /// The version whose value is to be the entry: the present one, or one that waits.
    take: Option<MemoryVersion>,
    /// Or else what the entry is to be. `if_version` names the version that was decided on;
    /// `settles` the conflicts that are over, all unless it names some.
    put: Option<PutBody>,
    /// Only if the entry still has this version.
    if_version: Option<MemoryVersion>,
    /// Why it was decided so.
    why: Option<String>,
}

pub(super) async fn resolve(
    context: Context,
    path: EntryPath,
    decided: Resolution,
) -> Result<WriteAnswer, OperationError> {
    given::refuse_header_condition(&context)?;
    let name = EntryName::of(&path)?;
    let found = present(&context, &name, Consistency::Strong).await?;
    if found.conflicts.is_empty() {
        let detail = format!(
            "nothing waits for a decision about `{}` in `{}`",
            name.key, name.namespace
        );
        return Err(OperationError::new(
            ErrorCode::MemoryConflictUnknown,
            detail,
        ));
    }
    let mut write = match (decided.take, decided.put) {
        (Some(version), None) => {
            let is_there = version == found.record.version || found.conflicts.contains(&version);
            taken(&context, &name, version, is_there).await?
        }
        (None, Some(put)) => given::put(&context, &name, put).await?,
        _ => {
            let detail = "give one of `take` and `put`";
            return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
        }
    };
    // Whoever decided has seen what is there now, unless another version is named.
    let seen = decided.if_version.unwrap_or(found.record.version);
    if write.condition == MemoryCondition::Any {
        write.condition = MemoryCondition::Version(seen);
    }
    if write.settles.is_empty() {
        write.settles = found.conflicts;
    }
    if write.provenance.why.is_none() {
        write.provenance.why = decided.why;
    }
    let write = given::checked(&name, write)?;
    one(&context, &name, write).await
}

/// A write of a value that is there already.
async fn taken(
    context: &Context,
    name: &EntryName,
    version: MemoryVersion,
    is_there: bool,
) -> Result<MemoryWrite, OperationError> {
    super::access::may_write(context, &name.namespace)?;
    let unknown = || {
        let detail = format!(
            "version {version} of `{}` in `{}` is neither the present one nor one that waits",
            name.key, name.namespace
        );
        OperationError::new(ErrorCode::MemoryConflictUnknown, detail)
    };
    if !is_there {
        return Err(unknown());
    }
    let record = read_version(&context.services, name, version).await?;
    let record = record.ok_or_else(unknown)?;
    // A version that says nothing is one that was deleted elsewhere.
    let change = match &record.put {
        None => MemoryChange::Delete,
        Some(put) => {
            let now = context.services.now();
            let left = record
                .expires_at
                .map(|end| end.since(now).max(limits::MEMORY_TTL_MS_MIN));
            MemoryChange::Put(Arc::new(MemoryPut {
                ttl_ms: left,
                ..(**put).clone()
            }))
        }
    };
    Ok(MemoryWrite {
        provenance: given::provenance(context, None),
        ..MemoryWrite::new(name.namespace.clone(), name.key.clone(), change)
    })
}

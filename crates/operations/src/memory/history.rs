//! The versions of an entry.

use super::EntryPath;
use super::access::{EntryName, may_use_history};
use super::entry_view::VersionView;
use crate::context::Context;
use crate::error::OperationError;
use crate::lookup;
use crate::paging::page_limit;
use crate::views::Page;
use serde::Deserialize;
use skep_model::limits;
use skep_model::memory::MemoryVersion;
use std::collections::BTreeMap;

/// Which versions to list.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryListing {
    /// The namespace. In a URL, a `/` in it is written `%2F`.
    namespace: String,
    /// The key. In a URL, a `/` in it is written `%2F`.
    key: String,
    /// Items on a page.
    #[schemars(range(min = 1, max = limits::PAGE_ITEMS_MAX))]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<MemoryVersion>,
}

/// The history keeps the newest versions of each key. Its end is not told from a key that never
/// was: both have no versions.
pub(super) async fn history(
    context: Context,
    query: HistoryListing,
) -> Result<Page<VersionView>, OperationError> {
    let path = EntryPath {
        namespace: query.namespace,
        key: query.key,
    };
    let name = EntryName::of(&path)?;
    {
        let view = context.services.hive.view();
        may_use_history(&view, &context.caller, &name.namespace)?;
    }
    let limit = page_limit(query.limit)?;
    let versions = versions(&context, &name, query.cursor, limit + 1).await?;
    let mut items: Vec<_> = versions.into_values().rev().take(limit + 1).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().map(|item| item.version.to_string());
    Ok(Page {
        items,
        next_cursor: last.filter(|_| more),
    })
}

/// Versions before one, from the view first: what leaves it meanwhile is in the archive then.
async fn versions(
    context: &Context,
    name: &EntryName,
    before: Option<MemoryVersion>,
    limit: usize,
) -> Result<BTreeMap<MemoryVersion, VersionView>, OperationError> {
    let recent: Vec<_> = {
        let view = context.services.hive.view();
        let versions = view.recent.memory_versions(&name.namespace, &name.key);
        let wanted = versions.filter(|record| before.is_none_or(|before| record.version < before));
        wanted
            .rev()
            .take(limit)
            .map(|record| (record.version, VersionView::whole(record)))
            .collect()
    };
    let name = name.clone();
    let archived = lookup::ask(
        &context.services,
        "read the history of shared memory",
        move |archive| archive.memory_history(&name.namespace, &name.key, before, limit),
    );
    let archived = archived.await?.into_iter();
    let archived = archived.map(|head| {
        let view = VersionView::of(&head.record, head.value_bytes);
        (head.record.version, view)
    });
    // What the view says is newer.
    Ok(archived.chain(recent).collect())
}

//! Namespaces: how full they are, and what is said about them.

use super::access::{known_namespace, may_use, named_namespace};
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::paging::page_limit;
use crate::views::Page;
use serde::{Deserialize, Serialize};
use skep_core::NamespaceView as Kept;
use skep_model::command::Command;
use skep_model::limits;
use skep_model::memory::{MemoryVersion, Namespace, NamespaceSettings, StrategyRule};

/// A namespace.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct NamespaceView {
    /// Its name.
    namespace: Namespace,
    /// Entries in it.
    entries: u64,
    /// What they take of the quota: keys, values, tags and metadata.
    bytes: u64,
    /// Entries for which somebody has to decide between values.
    conflicts: usize,
    /// The newest version that it gave.
    last_version: MemoryVersion,
    /// What operators said.
    settings: NamespaceSettings,
}

impl From<Kept<'_>> for NamespaceView {
    fn from(kept: Kept<'_>) -> Self {
        Self {
            namespace: kept.record.namespace.clone(),
            entries: kept.entries,
            bytes: kept.bytes,
            conflicts: kept.conflicts,
            last_version: kept.record.last_version,
            settings: kept.record.settings.clone(),
        }
    }
}

/// Which namespaces to list.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NamespaceListing {
    /// Only names that begin so.
    prefix: String,
    /// Items on a page.
    #[schemars(range(min = 1, max = limits::PAGE_ITEMS_MAX))]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Names a namespace.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NamespacePath {
    /// The namespace. In a URL, a `/` in it is written `%2F`.
    namespace: String,
}

/// Those that are open to the caller, by name.
pub(super) fn list(
    context: &Context,
    query: &NamespaceListing,
) -> Result<Page<NamespaceView>, OperationError> {
    let limit = page_limit(query.limit)?;
    let view = context.services.hive.view();
    let open = view.state.namespaces().filter(|kept| {
        let name = &kept.record.namespace;
        name.as_str().starts_with(&query.prefix)
            && query
                .cursor
                .as_deref()
                .is_none_or(|cursor| name.as_str() > cursor)
            && may_use(&view, &context.caller, name).is_ok()
    });
    let mut items: Vec<_> = open.take(limit + 1).map(NamespaceView::from).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().map(|item| item.namespace.to_string());
    Ok(Page {
        items,
        next_cursor: last.filter(|_| more),
    })
}

pub(super) fn get(
    context: &Context,
    path: &NamespacePath,
) -> Result<NamespaceView, OperationError> {
    let namespace = named_namespace(&path.namespace)?;
    let view = context.services.hive.view();
    may_use(&view, &context.caller, &namespace)?;
    known_namespace(&view, &namespace)?;
    Ok(view.state.namespace(&namespace).map_or_else(
        || unused(namespace.clone(), NamespaceSettings::default()),
        NamespaceView::from,
    ))
}

/// A namespace in which nothing is.
const fn unused(namespace: Namespace, settings: NamespaceSettings) -> NamespaceView {
    NamespaceView {
        namespace,
        entries: 0,
        bytes: 0,
        conflicts: 0,
        last_version: MemoryVersion(0),
        settings,
    }
}

/// What to change about a namespace; what is left out stays.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NamespaceChange {
    /// Entries it may hold.
    entries_max: Option<u64>,
    /// Bytes it may hold: keys, values, tags and metadata, and the artifacts that values refer to.
    bytes_max: Option<u64>,
    /// What happens to writes from elsewhere, by the beginning of keys; the longest one counts.
    strategies: Option<Vec<StrategyRule>>,
    /// Whether only holders of the scope `admin` read and write it.
    restricted: Option<bool>,
    /// Whether values are sealed before they enter the log. Keys, tags and metadata are not. Can be
    /// changed only while nothing is in the namespace.
    secret: Option<bool>,
}

pub(super) async fn set(
    context: Context,
    path: NamespacePath,
    change: NamespaceChange,
) -> Result<NamespaceView, OperationError> {
    let namespace = named_namespace(&path.namespace)?;
    let present = {
        let view = context.services.hive.view();
        let kept = view.state.namespace(&namespace);
        kept.map_or_else(NamespaceSettings::default, |kept| {
            kept.record.settings.clone()
        })
    };
    let settings = NamespaceSettings {
        entries_max: change.entries_max.unwrap_or(present.entries_max),
        bytes_max: change.bytes_max.unwrap_or(present.bytes_max),
        strategies: change.strategies.unwrap_or(present.strategies),
        restricted: change.restricted.unwrap_or(present.restricted),
        secret: change.secret.unwrap_or(present.secret),
    };
    let mut prefixes: Vec<_> = settings
        .strategies
        .iter()
        .map(|rule| &rule.prefix)
        .collect();
    prefixes.sort_unstable();
    let twice = prefixes.iter().zip(prefixes.iter().skip(1));
    if let Some((prefix, _)) = twice.into_iter().find(|(one, other)| one == other) {
        let detail = format!("`strategies` names the prefix `{prefix}` twice");
        return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
    }
    context
        .propose(Command::SetNamespace {
            namespace: namespace.clone(),
            settings: Box::new(settings.clone()),
        })
        .await?;
    let view = context.services.hive.view();
    let kept = view.state.namespace(&namespace);
    Ok(kept.map_or_else(|| unused(namespace.clone(), settings), NamespaceView::from))
}

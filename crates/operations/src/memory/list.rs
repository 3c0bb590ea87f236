//! Lists entries by key. Everything comes from the live state, so it never lags.

use super::access::{known_namespace, may_use, named_key, named_namespace, named_tag};
use super::entry_view::{Consistency, Freshness, HeadView};
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::paging::page_limit;
use crate::rfc3339::Timestamp;
use serde::{Deserialize, Serialize};
use skep_core::MemoryQuery;
use skep_model::limits;
use skep_model::memory::Namespace;
use skep_model::time::UnixMillis;

/// Which entries to list.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    /// The namespace. In a URL, a `/` in it is written `%2F`.
    namespace: String,
    /// Only keys that begin so.
    #[serde(default)]
    prefix: String,
    /// Only entries with all of these tags, separated by commas.
    tags: Option<String>,
    /// Only entries that were written then or later, e.g. `2026-11-21T10:39:04.123Z`.
    since: Option<String>,
    /// Only entries that were written before.
    until: Option<String>,
    /// Items on a page.
    #[schemars(range(min = 1, max = limits::PAGE_ITEMS_MAX))]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// What the answer has to know of.
    #[serde(default)]
    consistency: Consistency,
}

/// One page of entries.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct EntryPage {
    /// The namespace.
    namespace: Namespace,
    /// The entries, by key.
    items: Vec<HeadView>,
    /// Where the next page starts; none on the last one. A page that is not full may have one.
    next_cursor: Option<String>,
    /// Up to where the answer knows the log.
    #[serde(flatten)]
    freshness: Freshness,
}

pub(super) fn list(context: &Context, query: &Listing) -> Result<EntryPage, OperationError> {
    let namespace = named_namespace(&query.namespace)?;
    let limit = page_limit(query.limit)?;
    let tags = query.tags.as_deref().unwrap_or_default();
    let tags = tags.split(',').filter(|tag| !tag.is_empty());
    let tags: Vec<_> = tags.map(named_tag).collect::<Result<_, _>>()?;
    let after = query.cursor.as_deref().map(named_key).transpose()?;
    let (since, until) = (
        time("since", query.since.as_deref())?,
        time("until", query.until.as_deref())?,
    );
    let at = context.services.now();
    let view = context.services.hive.view();
    may_use(&view, &context.caller, &namespace)?;
    known_namespace(&view, &namespace)?;
    let query_of_core = MemoryQuery {
        namespace: &namespace,
        prefix: &query.prefix,
        tags: &tags,
        since,
        until,
        after: after.as_ref(),
        limit,
    };
    let page = view.state.memory_list(&query_of_core, at);
    Ok(EntryPage {
        items: page.entries.into_iter().map(HeadView::from).collect(),
        next_cursor: page.next.map(|key| key.as_str().to_owned()),
        freshness: Freshness::of(&view, at, query.consistency),
        namespace: namespace.clone(),
    })
}

/// The time in a parameter.
fn time(name: &str, text: Option<&str>) -> Result<Option<UnixMillis>, OperationError> {
    let read = |text: &str| {
        let time: Result<Timestamp, _> = text.parse();
        time.map(|time| time.0).map_err(|error| {
            OperationError::new(ErrorCode::QueryMalformed, format!("`{name}`: {error}"))
        })
    };
    text.map(read).transpose()
}

//! Searches shared memory for words.

use super::access::{may_use, searched_namespaces};
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup;
use crate::paging::page_limit;
use crate::rfc3339::Timestamp;
use serde::{Deserialize, Serialize};
use skep_model::limits;
use skep_model::memory::{MemoryKey, MemoryTag, MemoryVersion, Namespace};
use skep_store::{MEMORY_HITS_MAX, MemoryHit, MemorySearch};
use std::collections::BTreeSet;

/// Pages of the index that one call looks at: hits that are no longer true are left out.
const PAGES_LOOKED_AT_MAX: usize = 8;

/// What to look for.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Looking {
    /// Words, all of which must occur; the last one may be the beginning of one.
    q: String,
    /// Only in this namespace.
    namespace: Option<String>,
    /// Only keys that begin so.
    #[serde(default)]
    prefix: String,
    /// Hits on a page.
    #[schemars(range(min = 1, max = limits::PAGE_ITEMS_MAX))]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<usize>,
}

/// How hits were found.
#[derive(Debug, Clone, Copy, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SearchMode {
    /// By their words.
    Lexical,
}

/// An entry that matches.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct HitView {
    /// Where.
    namespace: Namespace,
    /// Which entry.
    key: MemoryKey,
    /// Its version.
    version: MemoryVersion,
    /// How well it matches; more is better.
    score: f64,
    /// Some words around those that match, which stand between `**`.
    snippet: String,
    /// Words that find it.
    tags: BTreeSet<MemoryTag>,
    /// When it was written.
    written_at: Timestamp,
}

/// What matches, the best first.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct HitPage {
    /// The entries.
    items: Vec<HitView>,
    /// Where the next page starts; none on the last one.
    next_cursor: Option<String>,
    /// How they were found.
    mode: SearchMode,
    /// Newly written versions that the search does not know yet.
    behind: u64,
}

pub(super) async fn search(context: Context, query: Looking) -> Result<HitPage, OperationError> {
    if query.q.trim().is_empty() {
        let detail = "`q` should hold at least one word";
        return Err(OperationError::new(ErrorCode::QueryMalformed, detail));
    }
    let namespaces = searched_namespaces(&context, query.namespace.as_deref())?;
    let limit = page_limit(query.limit)?;
    let mut looking = MemorySearch {
        text: query.q,
        namespaces,
        prefix: query.prefix,
        offset: query.cursor.unwrap_or(0).min(MEMORY_HITS_MAX),
        limit,
    };
    let mut page = HitPage {
        items: Vec::new(),
        next_cursor: None,
        mode: SearchMode::Lexical,
        behind: 0,
    };
    for _ in 0..PAGES_LOOKED_AT_MAX {
        let asked = looking.clone();
        let hits = lookup::ask(&context.services, "search shared memory", move |archive| {
            archive.search_memory(&asked)
        })
        .await?;
        page.behind = hits.behind;
        for hit in hits.hits {
            looking.offset += 1;
            page.items.extend(still_true(&context, hit));
            if page.items.len() == limit {
                page.next_cursor = Some(looking.offset.to_string());
                return Ok(page);
            }
        }
        if !hits.more {
            return Ok(page);
        }
    }
    page.next_cursor = Some(looking.offset.to_string());
    Ok(page)
}

/// A hit, if the entry is there, still has the version, and is open to the caller.
fn still_true(context: &Context, hit: MemoryHit) -> Option<HitView> {
    let at = context.services.now();
    let view = context.services.hive.view();
    may_use(&view, &context.caller, &hit.namespace).ok()?;
    let entry = view.state.memory_entry(&hit.namespace, &hit.key, at)?;
    (entry.version == hit.version).then(|| HitView {
        tags: entry.tags.clone(),
        written_at: entry.written_at.into(),
        namespace: hit.namespace,
        key: hit.key,
        version: hit.version,
        score: hit.score,
        snippet: hit.snippet,
    })
}

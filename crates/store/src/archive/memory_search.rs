//! Full text search over shared memory.

use super::namespaces::SearchedNamespaces;
use super::{Archive, bounded, collect, search};
use crate::error::StoreError;
use crate::journal::MEMORY_INDEXED;
use crate::search_text;
use rusqlite::{Row, params};
use skep_model::memory::{MemoryKey, MemoryVersion, Namespace};

/// Stands before and after the words that match, in a snippet.
pub const SNIPPET_MARK: &str = "**";
/// Pages of a search end here: who wants more has to say more.
pub const MEMORY_HITS_MAX: usize = 10_000;

/// What is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemorySearch {
    /// Words, all of which must occur; the last one may be the beginning of one. No text is an
    /// error: it is never read as a query language.
    pub text: String,
    /// In these namespaces only.
    pub namespaces: SearchedNamespaces,
    /// In keys that begin so.
    pub prefix: String,
    /// Hits to skip.
    pub offset: usize,
    /// Hits wanted.
    pub limit: usize,
}

/// An entry that matches, as far as the search has come. Whoever shows it has to ask the live
/// state whether the entry still has this version.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryHit {
    /// Where.
    pub namespace: Namespace,
    /// Which entry.
    pub key: MemoryKey,
    /// The version that matches.
    pub version: MemoryVersion,
    /// How well it matches: more is better; keys count more than tags, tags more than values.
    pub score: f64,
    /// Some words around those that match, which stand between [`SNIPPET_MARK`]s.
    pub snippet: String,
}

/// What matches, the best first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemoryHits {
    /// What matches.
    pub hits: Vec<MemoryHit>,
    /// Whether there are more.
    pub more: bool,
    /// Versions that the search does not reach yet.
    pub behind: u64,
}

impl Archive {
    /// Searches keys, tags, and the texts in values.
    pub fn search_memory(&self, search: &MemorySearch) -> Result<MemoryHits, StoreError> {
        let behind = self.read(|connection| search::behind(connection, &[MEMORY_PROGRESS]))?;
        let limit = bounded(search.limit);
        let words = search_text::query(&search.text);
        let Some(words) = words.filter(|_| search.offset < MEMORY_HITS_MAX) else {
            return Ok(MemoryHits {
                behind,
                ..MemoryHits::default()
            });
        };
        let sql = "SELECT memory.namespace, memory.key, memory.version, rank,
                 snippet(memory_search, -1, ?6, ?6, '…', 24)
             FROM memory_search JOIN memory ON memory.seq = memory_search.rowid
             WHERE memory_search MATCH ?1
                 AND substr(memory.key, 1, length(?2)) = ?2
                 AND (?3 IS NULL OR memory.namespace IN (SELECT value FROM json_each(?3)))
                 AND (?7 IS NULL OR memory.namespace NOT IN (SELECT value FROM json_each(?7)))
             ORDER BY rank LIMIT ?4 OFFSET ?5";
        let (only, except) = search.namespaces.as_lists();
        let mut hits = self.read(|connection| {
            let params = params![
                words,
                search.prefix,
                only,
                limit as i64 + 1,
                search.offset as i64,
                SNIPPET_MARK,
                except
            ];
            collect(connection, sql, params, hit)
        })?;
        let more = hits.len() > limit;
        hits.truncate(limit);
        Ok(MemoryHits { hits, more, behind })
    }
}

/// The table of versions, and the name in `meta` of the last one in the search.
pub(super) const MEMORY_PROGRESS: (&str, &str) = ("memory", MEMORY_INDEXED);

fn hit(row: &Row<'_>) -> Result<MemoryHit, StoreError> {
    let columns = || -> rusqlite::Result<_> {
        Ok((
            row.get_ref(0)?.as_str()?,
            row.get_ref(1)?.as_str()?,
            row.get::<_, i64>(2)?,
            row.get::<_, f64>(3)?,
            row.get::<_, String>(4)?,
        ))
    };
    let (namespace, key, version, rank, snippet) =
        columns().map_err(StoreError::database("search shared memory"))?;
    let damaged = |error: skep_model::memory::ParseNameError| {
        StoreError::damaged("the search of shared memory", error.to_string())
    };
    Ok(MemoryHit {
        namespace: namespace.parse().map_err(damaged)?,
        key: key.parse().map_err(damaged)?,
        version: MemoryVersion(version as u64),
        score: -rank,
        snippet,
    })
}

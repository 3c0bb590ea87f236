//! Values of shared memory whose meaning is near another one. Looks at every one of them: exact,
//! and fast enough for what one coordinator keeps.

use super::memory_search::MEMORY_PROGRESS;
use super::namespaces::SearchedNamespaces;
use super::{Archive, bounded, search};
use crate::error::StoreError;
use rusqlite::{Row, params};
use skep_model::memory::{Embedding, MemoryKey, MemoryVersion, Namespace, similarity};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Near what, and where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryNear {
    /// What the values shall be near to.
    pub embedding: Embedding,
    /// In these namespaces only.
    pub namespaces: SearchedNamespaces,
    /// In keys that begin so.
    pub prefix: String,
    /// Values wanted.
    pub limit: usize,
}

/// A value that is near. Whoever shows it has to ask the live state whether the entry still has this
/// version.
#[derive(Debug, Clone, PartialEq)]
pub struct NearValue {
    /// Where.
    pub namespace: Namespace,
    /// Which entry.
    pub key: MemoryKey,
    /// The version that was compared.
    pub version: MemoryVersion,
    /// How near: 1 the same meaning, 0 nothing in common.
    pub similarity: f32,
}

/// The nearest values, the nearest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NearValues {
    /// What is near.
    pub values: Vec<NearValue>,
    /// Values there whose embedding is of another model or length, so that nobody can compare them.
    pub incomparable: u64,
    /// Versions that were written and not looked at yet.
    pub behind: u64,
}

/// A row of the scan: its similarity in a form that has an order, and its place.
type Found = Reverse<(u32, i64)>;

impl Archive {
    /// The values nearest to an embedding.
    pub fn nearest_memory(&self, near: &MemoryNear) -> Result<NearValues, StoreError> {
        let limit = bounded(near.limit);
        self.read(|connection| {
            let behind = search::behind(connection, &[MEMORY_PROGRESS])?;
            let (found, incomparable) = scan(connection, near, limit)?;
            let mut values = Vec::with_capacity(found.len());
            for Reverse((order, seq)) in found {
                values.push(value(connection, seq, from_order(order))?);
            }
            Ok(NearValues {
                values,
                incomparable,
                behind,
            })
        })
    }
}

/// The places of the nearest values, the nearest first, and how many could not be compared.
fn scan(
    connection: &rusqlite::Connection,
    near: &MemoryNear,
    limit: usize,
) -> Result<(Vec<Found>, u64), StoreError> {
    let error = || StoreError::database("compare values of shared memory");
    let mut statement = connection
        .prepare_cached(
            "SELECT memory_vectors.seq, memory_vectors.body, memory_vectors.model = ?4
             FROM memory_vectors JOIN memory ON memory.seq = memory_vectors.seq
             WHERE substr(memory.key, 1, length(?1)) = ?1
                 AND (?2 IS NULL OR memory.namespace IN (SELECT value FROM json_each(?2)))
                 AND (?3 IS NULL OR memory.namespace NOT IN (SELECT value FROM json_each(?3)))",
        )
        .map_err(error())?;
    let (only, except) = near.namespaces.as_lists();
    let model = near.embedding.model().unwrap_or_default();
    let mut rows = statement
        .query(params![near.prefix, only, except, model])
        .map_err(error())?;
    let mut nearest: BinaryHeap<Found> = BinaryHeap::with_capacity(limit + 1);
    let mut incomparable = 0;
    while let Some(row) = rows.next().map_err(error())? {
        let seq: i64 = row.get(0).map_err(error())?;
        let body = row.get_ref(1).and_then(|body| Ok(body.as_blob()?));
        let body = body.map_err(error())?;
        let is_same_model: bool = row.get(2).map_err(error())?;
        let found = is_same_model.then(|| similarity(near.embedding.as_bytes(), body));
        let Some(found) = found.flatten() else {
            incomparable += 1;
            continue;
        };
        nearest.push(Reverse((order(found), seq)));
        if nearest.len() > limit {
            nearest.pop();
        }
    }
    Ok((nearest.into_sorted_vec(), incomparable))
}

fn value(
    connection: &rusqlite::Connection,
    seq: i64,
    similarity: f32,
) -> Result<NearValue, StoreError> {
    let read = |row: &Row<'_>| -> rusqlite::Result<(String, String, i64)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    };
    let (namespace, key, version) = connection
        .prepare_cached("SELECT namespace, key, version FROM memory WHERE seq = ?1")
        .and_then(|mut select| select.query_row([seq], read))
        .map_err(StoreError::database("read a near value of shared memory"))?;
    let damaged = |error: skep_model::memory::ParseNameError| {
        StoreError::damaged(format!("row {seq} of shared memory"), error.to_string())
    };
    Ok(NearValue {
        namespace: namespace.parse().map_err(damaged)?,
        key: key.parse().map_err(damaged)?,
        version: MemoryVersion(version as u64),
        similarity,
    })
}

/// A number as one that sorts as it does; `similarity` of finite numbers is never not a number.
const fn order(similarity: f32) -> u32 {
    let bits = similarity.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// What [`order`] was given.
const fn from_order(order: u32) -> f32 {
    f32::from_bits(if order & SIGN == 0 {
        !order
    } else {
        order & !SIGN
    })
}

const SIGN: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_numbers_survives() {
        let sorted = [-1.0, -0.5, -0.0, 0.0, 1e-9, 0.3, 1.0];
        for pair in sorted.windows(2) {
            assert!(order(pair[0]) < order(pair[1]), "{pair:?}");
        }
        for number in sorted {
            assert_eq!(from_order(order(number)).to_bits(), f32::to_bits(number));
        }
    }
}

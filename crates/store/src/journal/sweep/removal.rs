//! Removes rows of versions of shared memory, and the values beside them that no other row has.

use super::super::{classify, retention::checkpoint_time};
use crate::retention::SweepReport;
use rusqlite::{Transaction, params};
use skep_coordinator::ports::JournalError;
use skep_model::limits::MEMORY_VERSIONS_KEPT;
use skep_model::time::UnixMillis;

type Result<T> = std::result::Result<T, JournalError>;

/// Cuts a key to the newest `MEMORY_VERSIONS_KEPT` of its versions that are listed.
pub(in crate::journal) fn beyond_number(
    transaction: &Transaction<'_>,
    (namespace, key): (&str, &str),
    report: &mut SweepReport,
) -> Result<()> {
    let sql = "DELETE FROM memory WHERE namespace = ?1 AND state <> 3
         AND seq < (SELECT max(seq) FROM memory)
         AND version IN (SELECT version FROM memory_keys
             WHERE namespace = ?1 AND key = ?2
             AND version < (SELECT memory.version
                 FROM memory_keys JOIN memory USING (namespace, version)
                 WHERE memory_keys.namespace = ?1 AND memory_keys.key = ?2 AND state < 3
                 ORDER BY memory_keys.version DESC LIMIT 1 OFFSET ?3))
         RETURNING namespace, key, version, blob";
    let kept = MEMORY_VERSIONS_KEPT - 1;
    remove(transaction, sql, params![namespace, key, kept], report)
}

/// Removes versions from before the cutoff that are not the entry any more, of the rows after the
/// first and up to the second of the range, all of which must be listed. What was written after the last checkpoint stays.
pub(in crate::journal) fn beyond_age(
    transaction: &Transaction<'_>,
    (after, last): (i64, i64),
    cutoff: UnixMillis,
    namespace: Option<&str>,
    report: &mut SweepReport,
) -> Result<()> {
    let Some(checkpoint) = checkpoint_time(transaction)? else {
        return Ok(());
    };
    let cutoff = cutoff.min(checkpoint).0 as i64;
    let sql = "DELETE FROM memory AS old WHERE seq > ?1 AND seq <= ?2 AND written_at < ?3
         AND (?4 IS NULL OR namespace = ?4)
         AND state <> 3 AND seq < (SELECT max(seq) FROM memory)
         AND (state <> 0 OR EXISTS (SELECT 1
             FROM memory_keys AS listed JOIN memory AS new USING (namespace, version)
             WHERE listed.namespace = old.namespace AND listed.key = old.key
             AND listed.version > old.version AND new.state < 3))
         RETURNING namespace, key, version, blob";
    let params = params![after, last, cutoff, namespace];
    remove(transaction, sql, params, report)
}

fn remove(
    transaction: &Transaction<'_>,
    sql: &str,
    params: impl rusqlite::Params,
    report: &mut SweepReport,
) -> Result<()> {
    let database = || classify("remove versions of shared memory");
    let removed = transaction
        .prepare_cached(sql)
        .and_then(|mut delete| {
            let rows = delete.query_map(params, |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<(String, String, i64, Option<[u8; 32]>)>>>()
        })
        .map_err(database())?;
    report.memory_versions += removed.len() as u64;
    for (namespace, key, version, blob) in removed {
        transaction
            .prepare_cached(
                "DELETE FROM memory_keys WHERE namespace = ?1 AND key = ?2 AND version = ?3",
            )
            .and_then(|mut delete| delete.execute(params![namespace, key, version]))
            .map_err(database())?;
        let Some(blob) = blob else { continue };
        transaction
            .prepare_cached(
                "DELETE FROM memory_blobs WHERE hash = ?1
                 AND NOT EXISTS (SELECT 1 FROM memory WHERE blob = ?1)",
            )
            .and_then(|mut delete| delete.execute([blob]))
            .map_err(database())?;
    }
    Ok(())
}

//! Compacts shared memory and the files, in steps that are no longer than a commit: in idle time,
//! and now and then behind a commit when there is none.

#[cfg(test)]
mod tests;

use super::indexer::progress;
use super::memory_indexer::MEMORY_INDEXED;
use super::sweep::removal;
use super::{SqliteJournal, classify, memory_keys};
use crate::compaction::{CompactionReport, Compactor, StoreBytes};
use crate::database::{self, BUSY_TIMEOUT};
use crate::retention::{SweepReport, before};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use skep_coordinator::ports::JournalError;
use skep_model::memory::Namespace;
use skep_model::time::UnixMillis;
use std::time::Duration;

/// Versions looked at in one step; most need nothing but a look.
const VERSIONS_PER_STEP: u32 = 200;
/// Values beside their rows looked at in one step.
const VALUES_PER_STEP: u32 = 500;
/// Pages of the search that one step puts together.
const SEARCH_PAGES_PER_STEP: u32 = 32;
/// Pages that one step gives back: half a megabyte.
const PAGES_PER_STEP: u64 = 64;
/// Rows that a merge of the search writes even when nothing is left to do.
const MERGE_IDLE_WRITES: i64 = 2;

type Result<T> = std::result::Result<T, JournalError>;

/// The journal's end of a [`Compactor`].
#[derive(Debug)]
pub(super) struct Compaction {
    compactor: Compactor,
    under_way: Option<UnderWay>,
}

#[derive(Debug, Clone)]
struct UnderWay {
    scope: Option<Namespace>,
    stage: Stage,
    report: CompactionReport,
}

/// What comes next. Rows are named by the last one that was looked at.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Versions { after: i64 },
    Values { after: i64 },
    Search { begun: bool },
    Pages,
    WriteAheadLog,
}

impl Compaction {
    pub(super) fn of(compactor: Compactor) -> Self {
        compactor.open();
        Self {
            compactor,
            under_way: None,
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.compactor.is_wanted()
    }

    /// Ends what was asked for: upkeep is not possible.
    pub(super) fn fail(&mut self, error: &JournalError) {
        self.under_way = None;
        self.compactor.fail(&error.to_string());
    }
}

impl Drop for Compaction {
    fn drop(&mut self) {
        self.compactor.close();
    }
}

impl SqliteJournal {
    /// One step of a compaction, if one is asked for. Says whether more is left.
    pub(super) fn compact_step(&mut self) -> Result<bool> {
        if let Some(asked) = self.compaction.compactor.begin() {
            let before = self.measure()?;
            self.compaction.under_way = Some(UnderWay {
                scope: asked.scope,
                stage: Stage::Versions { after: 0 },
                report: CompactionReport {
                    before,
                    after: before,
                    ..CompactionReport::default()
                },
            });
        }
        let Some(mut work) = self.compaction.under_way.take() else {
            return Ok(false);
        };
        let next = self.guarded(|journal| {
            let next = journal.step(&mut work)?;
            work.report.after = journal.measure()?;
            Ok(next)
        });
        let next = next.inspect_err(|error| self.compaction.fail(error))?;
        work.report.finished = next.is_none();
        self.compaction.compactor.tell(work.report);
        let more = next.is_some();
        self.compaction.under_way = next.map(|stage| UnderWay { stage, ..work });
        Ok(more)
    }

    fn step(&mut self, work: &mut UnderWay) -> Result<Option<Stage>> {
        match work.stage {
            Stage::Versions { after } => self.versions(after, work).map(Some),
            Stage::Values { after } => self.values(after, &mut work.report).map(Some),
            Stage::Search { begun } => self.search(begun, &mut work.report).map(Some),
            Stage::Pages => self.pages(&mut work.report).map(Some),
            Stage::WriteAheadLog => {
                work.report.wal_emptied = empty_wal(&self.connection)?;
                Ok(None)
            }
        }
    }

    /// Removes what retention does not keep; without a policy only what every key has too much of.
    fn versions(&mut self, after: i64, work: &mut UnderWay) -> Result<Stage> {
        let cutoff = self.history_cutoff();
        let scope = work.scope.as_ref().map(Namespace::as_str);
        self.within(|transaction| {
            memory_keys::list(transaction)?;
            let mut rows = rows_after(transaction, after)?;
            let Some(last) = rows.last().map(|(seq, ..)| *seq) else {
                return Ok(Stage::Values { after: 0 });
            };
            rows.retain(|(_, namespace, _)| scope.is_none_or(|scope| scope == namespace));
            let mut report = SweepReport::default();
            for (_, namespace, key) in &rows {
                removal::beyond_number(transaction, (namespace, key), &mut report)?;
            }
            if let Some(cutoff) = cutoff {
                let indexed = progress(transaction, MEMORY_INDEXED)?;
                let range = (after, last.min(indexed));
                removal::beyond_age(transaction, range, cutoff, scope, &mut report)?;
            }
            work.report.versions += report.memory_versions;
            Ok(Stage::Versions { after: last })
        })
    }

    fn history_cutoff(&self) -> Option<UnixMillis> {
        let upkeep = self.upkeep.as_ref()?;
        let (now, policy) = upkeep.terms();
        Some(before(now, policy.history_kept_ms))
    }

    /// Removes values beside their rows that no version has.
    fn values(&mut self, after: i64, report: &mut CompactionReport) -> Result<Stage> {
        let database = || classify("remove values that nothing has");
        self.within(|transaction| {
            let last: Option<i64> = transaction
                .prepare_cached(
                    "SELECT max(id) FROM (SELECT id FROM memory_blobs
                     WHERE id > ?1 ORDER BY id LIMIT ?2)",
                )
                .and_then(|mut select| {
                    select.query_row(params![after, VALUES_PER_STEP], |row| row.get(0))
                })
                .map_err(database())?;
            let Some(last) = last else {
                return Ok(Stage::Search { begun: false });
            };
            let removed = transaction
                .prepare_cached(
                    "DELETE FROM memory_blobs WHERE id > ?1 AND id <= ?2
                     AND NOT EXISTS (SELECT 1 FROM memory WHERE blob = memory_blobs.hash)",
                )
                .and_then(|mut delete| delete.execute([after, last]))
                .map_err(database())?;
            report.values += removed as u64;
            Ok(Stage::Values { after: last })
        })
    }

    /// Puts the parts of the search together, as its `optimize` does, but a few pages at a time: a
    /// negative number begins that, and positive ones go on.
    fn search(&mut self, begun: bool, report: &mut CompactionReport) -> Result<Stage> {
        let database = || classify("put the search together");
        let pages = i64::from(SEARCH_PAGES_PER_STEP);
        self.within(|transaction| {
            let writes = || -> rusqlite::Result<i64> {
                transaction.query_row("SELECT total_changes()", [], |row| row.get(0))
            };
            let before = writes().map_err(database())?;
            transaction
                .prepare_cached(
                    "INSERT INTO memory_search (memory_search, rank) VALUES ('merge', ?1)",
                )
                .and_then(|mut merge| merge.execute([if begun { pages } else { -pages }]))
                .map_err(database())?;
            let written = writes().map_err(database())? - before;
            if written >= MERGE_IDLE_WRITES {
                report.search_writes += written as u64;
                return Ok(Stage::Search { begun: true });
            }
            Ok(if begun {
                Stage::Pages
            } else {
                Stage::Search { begun: true }
            })
        })
    }

    /// Gives empty pages at the end of the file back, where the file was made for it.
    fn pages(&self, report: &mut CompactionReport) -> Result<Stage> {
        let database = || classify("give empty pages back");
        let pages_free = |connection: &Connection| pragma(connection, "freelist_count");
        let before = pages_free(&self.connection)?;
        if before == 0 || !database::returns_pages(&self.connection).map_err(database())? {
            return Ok(Stage::WriteAheadLog);
        }
        let sql = format!("PRAGMA incremental_vacuum({PAGES_PER_STEP})");
        let mut statement = self.connection.prepare_cached(&sql).map_err(database())?;
        let mut rows = statement.query([]).map_err(database())?;
        // Each page that is given back is a row.
        while rows.next().map_err(database())?.is_some() {}
        drop(rows);
        drop(statement);
        let after = pages_free(&self.connection)?;
        report.pages_returned += before.saturating_sub(after);
        Ok(if after == 0 || after == before {
            Stage::WriteAheadLog
        } else {
            Stage::Pages
        })
    }

    fn within<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(classify("begin a step of a compaction"))?;
        let done = work(&transaction)?;
        transaction
            .commit()
            .map_err(classify("commit a step of a compaction"))?;
        Ok(done)
    }

    fn measure(&self) -> Result<StoreBytes> {
        let sizes = database::file_bytes(&self.dir.database_path());
        let (database, wal) = sizes.map_err(|error| JournalError::NotDurable {
            detail: format!("could not measure the database: {error}"),
        })?;
        let free = pragma(&self.connection, "freelist_count")?
            .saturating_mul(pragma(&self.connection, "page_size")?);
        Ok(StoreBytes {
            database,
            wal,
            free,
        })
    }
}

type VersionRow = (i64, String, String);

fn rows_after(transaction: &Transaction<'_>, after: i64) -> Result<Vec<VersionRow>> {
    transaction
        .prepare_cached(
            "SELECT seq, namespace, key FROM memory WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )
        .and_then(|mut select| {
            let rows = select.query_map(params![after, VERSIONS_PER_STEP], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            rows.collect()
        })
        .map_err(classify("look at versions of shared memory"))
}

fn pragma(connection: &Connection, name: &str) -> Result<u64> {
    connection
        .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
        .map(|number| number as u64)
        .map_err(classify("measure the database"))
}

/// Moves the write-ahead log into the database and empties it; nobody is waited for.
fn empty_wal(connection: &Connection) -> Result<bool> {
    let emptied = connection
        .busy_timeout(Duration::ZERO)
        .and_then(|()| database::checkpoint(connection));
    connection
        .busy_timeout(BUSY_TIMEOUT)
        .and(emptied)
        .map(|busy| !busy)
        .map_err(classify("empty the write-ahead log"))
}

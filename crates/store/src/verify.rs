//! Checks everything that is stored, for the doctor. Slow on purpose. A coordinator may go on
//! beside it; only the check of the file itself is one long read, during which the write-ahead log
//! cannot start anew.

use crate::anchors::{Anchor, AnchorName};
use crate::archive::{Archive, collect, event_row, history_row};
use crate::chain::{ChainWalk, StoredEntry};
use crate::error::StoreError;
use crate::journal::memory_listed;
use crate::memory_row::{self, StoredRow};
use crate::recovery;
use crate::sealed::Table;
use rusqlite::{Connection, Row, params};
use skep_model::run::RunRecord;
use skep_model::task::FinishedTask;

/// Rows checked in one read transaction.
const ROWS_PER_READ: i64 = 1_000;
/// Findings reported; a ruined disk would give millions.
const FINDINGS_MAX: usize = 100;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What, where, and what to do.
    pub message: String,
}

/// What was checked and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Log entries whose hash and encoding are right.
    pub log_entries: u64,
    /// Entries whose events are right.
    pub events: u64,
    /// Tasks of the history that are right.
    pub tasks: u64,
    /// Runs of the history that are right.
    pub runs: u64,
    /// Versions of shared memory that are right.
    pub memory_versions: u64,
    /// Live rows of the checkpoint that are right.
    pub live_rows: u64,
    /// What is wrong, at most 100 findings; empty if all is well.
    pub findings: Vec<Finding>,
}

/// Lets the connection see the search tables as they are now. The check alone compares them with
/// what the connection remembers of them, and reports what was written since as damage.
fn renew_searches(connection: &Connection) -> Result<(), StoreError> {
    for table in ["task_search", "run_search", "memory_search"] {
        let sql = format!("SELECT rowid FROM {table} WHERE {table} MATCH 'a' LIMIT 1");
        collect(connection, &sql, [], |_| Ok(()))?;
    }
    Ok(())
}

impl Archive {
    /// Checks the file, the whole hash chain, and every stored body.
    ///
    /// # Errors
    /// Only if nothing can be read at all; damage is a finding.
    pub fn verify_all(&self) -> Result<VerifyReport, StoreError> {
        let mut report = VerifyReport::default();
        self.verify_file(&mut report)?;
        self.verify_log(&mut report);
        report.events = self.verify_table(
            "SELECT idx, digest, body FROM events WHERE idx > ?1 ORDER BY idx LIMIT ?2",
            &mut report.findings,
            |_, row| event_row(row).map(drop),
        );
        report.tasks = self.verify_table(
            "SELECT seq, id, body, run, state, finished_at, name FROM tasks
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            &mut report.findings,
            check_task,
        );
        report.runs = self.verify_table(
            "SELECT seq, id, body, state, finished_at, name FROM runs
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            &mut report.findings,
            |_, row| check_run(row),
        );
        let sql = format!(
            "SELECT {}, written_at, blob, artifact FROM memory
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            memory_row::COLUMNS
        );
        report.memory_versions = self.verify_table(&sql, &mut report.findings, check_memory);
        self.verify_memory_list(&mut report.findings);
        report.live_rows = self.verify_live(&mut report.findings);
        Ok(report)
    }

    /// The list of each entry's versions must have all that were listed, and no others.
    fn verify_memory_list(&self, findings: &mut Vec<Finding>) {
        let sql = "SELECT namespace, key, version FROM memory WHERE seq <= ?1
             EXCEPT SELECT namespace, key, version FROM memory_keys
             UNION ALL SELECT namespace, key, version FROM memory_keys AS listed
             WHERE NOT EXISTS (SELECT 1 FROM memory WHERE namespace = listed.namespace
                 AND version = listed.version AND key = listed.key) LIMIT ?2";
        let wrong = self.read(|connection| {
            let step = || StoreError::database("check the versions of shared memory");
            let listed = memory_listed(connection).map_err(step())?;
            collect(
                connection,
                sql,
                params![listed, FINDINGS_MAX as i64],
                |row| {
                    let place = || Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?));
                    let (namespace, key, version): (String, String, i64) =
                        place().map_err(step())?;
                    Ok(StoreError::damaged(
                        format!("version {version} of `{key}` in `{namespace}`"),
                        "the list of the entry's versions does not agree that it is there",
                    ))
                },
            )
        });
        match wrong {
            Ok(wrong) => wrong.iter().for_each(|error| note(findings, error)),
            Err(error) => note(findings, &error),
        }
    }

    fn verify_file(&self, report: &mut VerifyReport) -> Result<(), StoreError> {
        let answers = self.read(|connection| {
            let at_one_moment = connection
                .unchecked_transaction()
                .map_err(StoreError::database("begin to check the file"))?;
            renew_searches(&at_one_moment)?;
            collect(&at_one_moment, "PRAGMA integrity_check(20)", [], |row| {
                row.get::<_, String>(0)
                    .map_err(StoreError::database("check the file"))
            })
        });
        match answers {
            Ok(answers) => {
                let wrong = answers.into_iter().filter(|answer| answer != "ok");
                report.findings.extend(wrong.map(|answer| Finding {
                    message: format!("the database file: {answer}; restore a backup"),
                }));
                Ok(())
            }
            Err(error @ StoreError::Damaged { .. }) => {
                note(&mut report.findings, &error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Stops at the first broken link: what follows has nothing to be compared with.
    fn verify_log(&self, report: &mut VerifyReport) {
        let mut check = || {
            let start = self.read(|connection| Anchor::load(connection, AnchorName::LogStart))?;
            let mut walk = ChainWalk::after(start.index, start.log_hash);
            let sql = format!(
                "{} WHERE log.idx > ?1 ORDER BY log.idx LIMIT ?2",
                StoredEntry::SELECT
            );
            loop {
                let after = walk.head().0.0 as i64;
                let entries = self.read(|connection| {
                    collect(connection, &sql, params![after, ROWS_PER_READ], |row| {
                        StoredEntry::read(row).map_err(StoreError::database("read a log entry"))
                    })
                })?;
                if entries.is_empty() {
                    return Ok(());
                }
                for entry in &entries {
                    walk.step(entry)?;
                    entry.digest()?;
                    report.log_entries += 1;
                }
            }
        };
        if let Err(error) = check() {
            note(&mut report.findings, &error);
        }
    }

    /// Checks all rows of a table whose first column is its integer key; gives how many are right.
    fn verify_table(
        &self,
        sql: &str,
        findings: &mut Vec<Finding>,
        check: impl Fn(&Connection, &Row<'_>) -> Result<(), StoreError>,
    ) -> u64 {
        count_right(findings, 0_i64, |after| {
            self.read(|connection| {
                collect(connection, sql, params![after, ROWS_PER_READ], |row| {
                    let key = row.get(0).map_err(StoreError::database("read a key"))?;
                    Ok(Checked {
                        key,
                        result: check(connection, row),
                    })
                })
            })
        })
    }

    fn verify_live(&self, findings: &mut Vec<Finding>) -> u64 {
        let sql = "SELECT kind, key, body FROM live WHERE (kind, key) > (?1, ?2)
                   ORDER BY kind, key LIMIT ?3";
        count_right(findings, (0_i64, Vec::<u8>::new()), |(kind, key)| {
            self.read(|connection| {
                collect(connection, sql, params![kind, key, ROWS_PER_READ], |row| {
                    let key = || Ok((row.get(0)?, row.get(1)?));
                    let key = key().map_err(StoreError::database("read a key"))?;
                    Ok(Checked {
                        key,
                        result: recovery::live_row(row).map(drop),
                    })
                })
            })
        })
    }
}

/// Checks a row with the columns seq, id, body, run, state, `finished_at`, name: what filters use
/// must be what the body says, and its artifacts must be found by their hashes.
fn check_task(connection: &Connection, row: &Row<'_>) -> Result<(), StoreError> {
    let (seq, task) = history_row::<FinishedTask>(row, Table::Tasks)?;
    let record = &task.record;
    let columns =
        || -> rusqlite::Result<_> { Ok((row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?)) };
    let found: (Option<[u8; 16]>, i64, i64, String) =
        columns().map_err(StoreError::database("read a task of the history"))?;
    let run = record.run.map(|run| run.as_u128().to_be_bytes());
    let finished_at = task.finished_at.0 as i64;
    if found
        != (
            run,
            record.state as i64,
            finished_at,
            record.spec.name.clone(),
        )
    {
        return Err(differs(seq, "Tasks"));
    }
    for artifact in task.report.iter().flat_map(|report| &report.artifacts) {
        let known: bool = connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM artifacts WHERE hash = ?1 AND task_seq = ?2)",
            )
            .and_then(|mut select| {
                select.query_row(params![artifact.blake3.0, seq], |row| row.get(0))
            })
            .map_err(StoreError::database("look for an artifact"))?;
        if !known {
            return Err(StoreError::damaged(
                format!("the index of artifact `{}`", artifact.blake3),
                format!("it does not know task `{}`, which handed it in", record.id),
            ));
        }
    }
    Ok(())
}

/// Checks a row with the columns seq, id, body, state, `finished_at`, name.
fn check_run(row: &Row<'_>) -> Result<(), StoreError> {
    let (seq, run) = history_row::<RunRecord>(row, Table::Runs)?;
    let columns = || -> rusqlite::Result<_> { Ok((row.get(3)?, row.get(4)?, row.get(5)?)) };
    let found: (i64, Option<i64>, String) =
        columns().map_err(StoreError::database("read a run of the history"))?;
    let finished_at = run.finished_at.map(|at| at.0 as i64);
    if found == (run.state as i64, finished_at, run.spec.name.clone()) {
        Ok(())
    } else {
        Err(differs(seq, "Runs"))
    }
}

/// Checks a row with the columns of a version, then `written_at`, blob, artifact: these must be what
/// the body says, and the value beside it must have its hash.
fn check_memory(connection: &Connection, row: &Row<'_>) -> Result<(), StoreError> {
    let stored = StoredRow::read(row)?;
    let columns = || -> rusqlite::Result<_> { Ok((row.get(7)?, row.get(8)?, row.get(9)?)) };
    let found: (i64, Option<[u8; 32]>, Option<[u8; 32]>) =
        columns().map_err(StoreError::database("read a version of shared memory"))?;
    let expected = (
        stored.written_at().0 as i64,
        stored.blob().map(|hash| hash.0),
        stored.artifact().map(|hash| hash.0),
    );
    if found != expected {
        return Err(StoreError::damaged(
            format!("row {} of shared memory", stored.seq),
            "its columns do not say what its body says",
        ));
    }
    let blob = stored.blob();
    blob.map_or(Ok(()), |hash| memory_row::blob(connection, hash).map(drop))
}

fn differs(seq: i64, table: &str) -> StoreError {
    StoreError::damaged(
        format!("row {seq} of the history ({table})"),
        "its columns do not say what its body says",
    )
}

/// A row that was read, and whether it is right.
struct Checked<K> {
    key: K,
    result: Result<(), StoreError>,
}

/// Reads pages of rows, each after the key before it, until one is empty or cannot be read.
fn count_right<K>(
    findings: &mut Vec<Finding>,
    start: K,
    page_after: impl Fn(&K) -> Result<Vec<Checked<K>>, StoreError>,
) -> u64 {
    let mut right = 0;
    let mut after = start;
    loop {
        let rows = match page_after(&after) {
            Ok(rows) if rows.is_empty() => return right,
            Ok(rows) => rows,
            Err(error) => {
                note(findings, &error);
                return right;
            }
        };
        for row in rows {
            match row.result {
                Ok(()) => right += 1,
                Err(error) => note(findings, &error),
            }
            after = row.key;
        }
    }
}

fn note(findings: &mut Vec<Finding>, error: &StoreError) {
    if findings.len() < FINDINGS_MAX {
        findings.push(Finding {
            message: error.to_string(),
        });
    }
}

//! Which final tasks handed in which artifacts.

use super::{Archive, bounded, collect, history_row};
use crate::error::StoreError;
use crate::sealed::Table;
use rusqlite::params;
use skep_model::attempt::{ArtifactHash, ArtifactRecord};
use skep_model::ids::{RunId, TaskId};
use skep_model::task::FinishedTask;

/// One artifact of one final task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactReference {
    /// The task.
    pub task: TaskId,
    /// Its name.
    pub task_name: String,
    /// Its run.
    pub run: Option<RunId>,
    /// The artifact.
    pub artifact: ArtifactRecord,
}

impl Archive {
    /// What the final tasks of a run handed in, in the order in which they became final.
    pub fn artifacts_of_run(
        &self,
        run: RunId,
        limit: usize,
    ) -> Result<Vec<ArtifactReference>, StoreError> {
        let sql = "SELECT seq, id, body FROM tasks WHERE run = ?1
                   AND seq IN (SELECT task_seq FROM artifacts) ORDER BY seq LIMIT ?2";
        let limit = bounded(limit);
        let tasks = self.read(|connection| {
            let params = params![run.as_u128().to_be_bytes(), limit as i64];
            collect(connection, sql, params, |row| {
                history_row(row, Table::Tasks)
            })
        })?;
        let references = tasks.into_iter().flat_map(|(_, task)| references(task));
        Ok(references.take(limit).collect())
    }

    /// Which final tasks handed in these bytes. Empty when none did, and the bytes may go.
    pub fn artifact_references(
        &self,
        hash: ArtifactHash,
        limit: usize,
    ) -> Result<Vec<ArtifactReference>, StoreError> {
        let sql = "SELECT seq, id, body FROM tasks WHERE seq IN
                   (SELECT task_seq FROM artifacts WHERE hash = ?1) ORDER BY seq LIMIT ?2";
        let limit = bounded(limit);
        let tasks = self.read(|connection| {
            collect(connection, sql, params![hash.0, limit as i64], |row| {
                history_row(row, Table::Tasks)
            })
        })?;
        let references = tasks.into_iter().flat_map(|(_, task)| references(task));
        Ok(references
            .filter(|found| found.artifact.blake3 == hash)
            .take(limit)
            .collect())
    }
}

fn references(task: FinishedTask) -> Vec<ArtifactReference> {
    let record = task.record;
    let artifacts = task.report.map_or_else(Vec::new, |report| report.artifacts);
    let refer = |artifact| ArtifactReference {
        task: record.id,
        task_name: record.spec.name.clone(),
        run: record.run,
        artifact,
    };
    artifacts.into_iter().map(refer).collect()
}

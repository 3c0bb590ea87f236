//! The data directory of a coordinator of this process, opened and recovered.

use crate::exit::{Exit, Failure, chain};
use crate::file_upkeep::FileUpkeep;
use skep_coordinator::ports::{Clock, Recovered};
use skep_model::ids::ClusterId;
use skep_store::backup::{BackupError, apply_staged};
use skep_store::{
    Archive, AttemptLogs, BlobStore, DataDir, FileSweeper, OpenOptions, RetentionPolicy,
    SqliteJournal, Store, StoreError,
};
use std::path::Path;
use std::sync::Arc;

/// All parts of the data of one coordinator.
#[derive(Debug)]
pub(crate) struct OpenedData {
    pub(crate) data: DataDir,
    pub(crate) cluster: ClusterId,
    pub(crate) archive: Archive,
    pub(crate) blobs: BlobStore,
    pub(crate) logs: AttemptLogs,
}

/// Opens a data directory, makes it if it is missing, and checks its log. The journal forgets by
/// itself what the policy gives up.
pub(crate) fn open(
    directory: &Path,
    retention: RetentionPolicy,
    clock: &Arc<dyn Clock>,
) -> Result<(OpenedData, Recovered, SqliteJournal), Failure> {
    let applied = apply_staged(directory).map_err(|error| {
        let text = chain(&error);
        match error {
            BackupError::InUse { .. } => Failure::new(Exit::Conflict, "data_dir_in_use", text),
            _ => Failure::new(Exit::Storage, "store_unusable", text),
        }
    })?;
    if let Some(applied) = applied {
        tracing::warn!(
            replaced = ?applied.replaced,
            "a backup that was staged took the place of the data"
        );
    }
    let open = || -> Result<_, StoreError> {
        let data = DataDir::open(directory, OpenOptions::default())?;
        let store = Store::open(&data)?;
        let opened = OpenedData {
            cluster: store.cluster(),
            archive: store.archive(),
            blobs: data.blobs()?,
            logs: data.attempt_logs()?,
            data,
        };
        let (recovered, journal) = store.recover()?;
        let journal = journal.with_retention(retention, Arc::clone(clock));
        Ok((opened, recovered, journal))
    };
    open().map_err(|error| storage(&error))
}

impl OpenedData {
    /// Begins to remove files that no row needs any more.
    pub(crate) fn file_upkeep(
        &self,
        retention: RetentionPolicy,
        clock: &Arc<dyn Clock>,
    ) -> std::io::Result<FileUpkeep> {
        let (archive, blobs) = (self.archive.clone(), self.blobs.clone());
        let sweeper = FileSweeper::new(archive, blobs, self.logs.clone());
        FileUpkeep::start(sweeper, retention, Arc::clone(clock))
    }
}

fn storage(error: &StoreError) -> Failure {
    let text = chain(error);
    match error {
        StoreError::InUse { .. } => Failure::new(Exit::Conflict, "data_dir_in_use", text)
            .hint("stop the other coordinator, or choose another directory with SKEP_HOME"),
        _ => Failure::new(Exit::Storage, "store_unusable", text),
    }
}

//! Compacts what shared memory takes on disk.

use super::access::{known_namespace, named_namespace};
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use serde::{Deserialize, Serialize};
use skep_store::{CompactionError, CompactionReport, StoreBytes};
use std::time::Duration;

/// How long the answer is waited for; the work goes on behind it.
const WAIT: Duration = Duration::from_secs(30);

/// What to compact.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Compaction {
    /// Whose old versions to remove; those of all namespaces when left out. Values that nothing has,
    /// the search and the files are compacted in any case.
    namespace: Option<String>,
}

/// What the database takes on disk, in bytes.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct BytesView {
    /// Database and write-ahead log together.
    total: u64,
    /// The database file.
    database: u64,
    /// The write-ahead log beside it.
    wal: u64,
    /// Of the database, pages that hold nothing; they are used again before it grows.
    free: u64,
}

impl From<StoreBytes> for BytesView {
    fn from(bytes: StoreBytes) -> Self {
        Self {
            total: bytes.database + bytes.wal,
            database: bytes.database,
            wal: bytes.wal,
            free: bytes.free,
        }
    }
}

/// What a compaction did.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct CompactionView {
    /// Whether all steps are done. If not, the rest is done in idle time, and `after` is as of now.
    finished: bool,
    /// As measured before the first step.
    before: BytesView,
    /// As measured behind the last step.
    after: BytesView,
    /// Versions removed that the retention policy does not keep.
    versions_removed: u64,
    /// Values removed that no version had any more.
    values_removed: u64,
    /// Writes that put the search together.
    search_writes: u64,
    /// Pages given back to the file system.
    pages_returned: u64,
    /// Whether the write-ahead log was emptied; a reader in the way keeps it.
    wal_emptied: bool,
}

impl From<CompactionReport> for CompactionView {
    fn from(report: CompactionReport) -> Self {
        Self {
            finished: report.finished,
            before: report.before.into(),
            after: report.after.into(),
            versions_removed: report.versions,
            values_removed: report.values,
            search_writes: report.search_writes,
            pages_returned: report.pages_returned,
            wal_emptied: report.wal_emptied,
        }
    }
}

pub(super) async fn compact(
    context: Context,
    _: NoParameters,
    wanted: Compaction,
) -> Result<CompactionView, OperationError> {
    let services = &context.services;
    let scope = wanted.namespace.as_deref().map(named_namespace);
    let scope = scope.transpose()?;
    if let Some(namespace) = &scope {
        known_namespace(&services.hive.view(), namespace)?;
    }
    let compactor = services.data_dir.compactor().clone();
    let done = tokio::task::spawn_blocking(move || compactor.compact(scope, WAIT));
    let report = done
        .await
        .map_err(|error| OperationError::internal("compact the store", &error))?
        .map_err(|error| {
            let code = match &error {
                CompactionError::OtherUnderWay(_) => ErrorCode::CompactionUnderWay,
                CompactionError::Failed(_) => ErrorCode::CompactionFailed,
            };
            OperationError::new(code, error.to_string())
        })?;
    Ok(report.into())
}

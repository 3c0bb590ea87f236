//! Restores a backup into the place of the coordinator's own data, at its next start.

use super::{DIRECTORY, failed};
use crate::context::{Context, Services};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use serde::{Deserialize, Serialize};
use skep_model::attempt::ArtifactHash;
use skep_model::ids::ClusterId;
use skep_store::backup::{self, BackupError};
use std::path::{Path, PathBuf};

/// Backups that are looked at to find one by its id.
const BACKUPS_MAX: usize = 10_000;
/// What a backup says about itself.
const MANIFEST: &str = "manifest.json";
/// Bytes of that which are read; far more than any has.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;

/// Which backup.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupToRestore {
    /// Its id, if it lies below `backups` beside the data; or its absolute path on the coordinator's
    /// machine.
    backup: String,
}

/// A backup that takes the place of the data at the next start.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Staged {
    /// Its id.
    id: String,
    /// Where it lies.
    path: PathBuf,
    /// When it takes effect.
    takes_effect: &'static str,
    /// The id that the installation has then.
    restored_as: ClusterId,
    /// The installation that was backed up.
    cluster: ClusterId,
    /// The last entry of the log that it holds.
    log_index: u64,
    /// Files in it; of each, size and hash were checked.
    parts: u64,
    /// Their size.
    bytes: u64,
    /// Artifacts in it.
    artifacts: u64,
    /// Artifacts that it refers to and does not have.
    left_out: Vec<ArtifactHash>,
}

/// What became of what was staged.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Discarded {
    /// Whether anything was staged; nothing is now.
    discarded: bool,
}

pub(super) async fn stage(
    context: Context,
    _: NoParameters,
    wanted: BackupToRestore,
) -> Result<Staged, OperationError> {
    let services = &context.services;
    let (data, now) = (services.data_dir.path().to_owned(), services.now());
    let cluster = ClusterId::from_u128(services.fresh_id());
    let staged = tokio::task::spawn_blocking(move || {
        let path = find(&data, &wanted.backup)?;
        backup::stage(&path, &data, cluster, now)
            .map(|summary| (path, summary))
            .map_err(|error| refused(&error))
    });
    let staged = staged.await;
    let (path, summary) =
        staged.map_err(|error| OperationError::internal("stage a backup", &error))??;
    tracing::warn!(path = %path.display(), "a backup takes the place of the data at the next start");
    Ok(Staged {
        id: summary.manifest.to_string(),
        path,
        takes_effect: "at the next start of the coordinator",
        restored_as: cluster,
        cluster: summary.cluster,
        log_index: summary.log.index.0,
        parts: summary.parts,
        bytes: summary.bytes,
        artifacts: summary.artifacts,
        left_out: summary.left_out.iter().map(|left| left.artifact).collect(),
    })
}

pub(super) async fn discard(
    context: Context,
    _: NoParameters,
) -> Result<Discarded, OperationError> {
    let data = data_of(&context.services);
    let discarded = tokio::task::spawn_blocking(move || backup::discard(&data));
    let discarded = discarded
        .await
        .map_err(|error| OperationError::internal("discard a backup", &error))?
        .map_err(|error| failed(&error))?;
    Ok(Discarded { discarded })
}

fn data_of(services: &Services) -> PathBuf {
    services.data_dir.path().to_owned()
}

/// A backup that cannot be believed is the caller's matter; a disk that fails is not.
fn refused(error: &BackupError) -> OperationError {
    match error {
        BackupError::File { .. } => failed(error),
        other => OperationError::new(ErrorCode::BackupUnusable, other.to_string()),
    }
}

fn find(data: &Path, wanted: &str) -> Result<PathBuf, OperationError> {
    if wanted.starts_with('/') {
        return Ok(PathBuf::from(wanted));
    }
    let unknown = |detail: String| OperationError::new(ErrorCode::BackupUnknown, detail);
    let directory = data.parent().unwrap_or(data).join(DIRECTORY);
    let Ok(entries) = std::fs::read_dir(&directory) else {
        let detail = format!("`{}` has no backups", directory.display());
        return Err(unknown(detail));
    };
    let mut found = entries
        .flatten()
        .take(BACKUPS_MAX)
        .map(|entry| entry.path())
        .filter(|path| id(path).is_some_and(|id| id == wanted));
    found.next().ok_or_else(|| {
        let detail = format!(
            "no backup in `{}` has the id `{wanted}`; name one elsewhere by its path",
            directory.display()
        );
        unknown(detail)
    })
}

/// The id of a backup, if there is one.
fn id(path: &Path) -> Option<String> {
    let manifest = path.join(MANIFEST);
    let metadata = manifest.symlink_metadata().ok()?;
    if !metadata.is_file() || metadata.len() > MANIFEST_BYTES_MAX {
        return None;
    }
    let text = std::fs::read(manifest).ok()?;
    Some(ArtifactHash::of(&text).to_string())
}

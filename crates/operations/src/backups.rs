//! Backups beside the running coordinator.

mod restoring;

use crate::context::Context;
use crate::declare::{ADMIN, act, end};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::operation::{Cost, Operation, Repetition};
use crate::rfc3339::Timestamp;
use serde::{Deserialize, Serialize};
use skep_model::attempt::ArtifactHash;
use skep_model::ids::ClusterId;
use skep_store::backup::{self, BackupError, CreateOptions};
use std::path::{Path, PathBuf};

/// Where backups go that name no place, beside the data directory.
const DIRECTORY: &str = "backups";

pub(crate) fn operations() -> Vec<Operation> {
    const TAKEN: &str = "each call makes a new backup: look at the destination first";
    vec![
        act(
            "system.backup",
            "/system/backup",
            ADMIN,
            "Copies all data of the coordinator to a directory of its machine, and checks the copy.",
        )
        .cost(Cost::High)
        .repetition(Repetition::Acts(TAKEN))
        .takes(create),
        act(
            "system.restore",
            "/system/restore",
            ADMIN,
            "Checks a backup and makes it ready: it takes the place of all data at the next start.",
        )
        .cost(Cost::High)
        .takes(restoring::stage),
        end(
            "system.restore_discard",
            "/system/restore",
            ADMIN,
            "Discards the backup that was made ready, so that the next start changes nothing.",
        )
        .answers(restoring::discard),
    ]
}

/// What to back up, and where to.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct NewBackup {
    /// Absolute path of a new or empty directory of the coordinator's machine; when left out, one
    /// below `backups` beside its data.
    destination: Option<PathBuf>,
    /// Whether to leave out what attempts printed.
    no_logs: bool,
}

/// A backup.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct BackupView {
    /// Hash of its manifest, which tells it from any other.
    id: String,
    /// Where it lies, on the coordinator's machine.
    path: PathBuf,
    /// The installation.
    cluster: ClusterId,
    /// When it was made.
    created_at: Timestamp,
    /// Files in it.
    parts: u64,
    /// Their size.
    bytes: u64,
    /// Artifacts in it.
    artifacts: u64,
    /// Artifacts that could not be copied, missing or damaged; empty when it is whole.
    left_out: Vec<ArtifactHash>,
}

async fn create(
    context: Context,
    _: NoParameters,
    wanted: NewBackup,
) -> Result<BackupView, OperationError> {
    let services = &context.services;
    let now = services.now();
    let data = services.data_dir.path().to_owned();
    let path = match wanted.destination {
        Some(path) if path.is_absolute() => path,
        Some(path) => {
            let detail = format!(
                "`destination` should be an absolute path, not `{}`",
                path.display()
            );
            return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
        }
        None => usual_place(&data, now.into()),
    };
    let options = CreateOptions {
        now,
        attempt_logs: !wanted.no_logs,
    };
    let target = path.clone();
    let made = tokio::task::spawn_blocking(move || {
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(|source| BackupError::File {
                step: "create",
                path: parent.to_owned(),
                source,
            })?;
        }
        backup::create(&data, &target, options)
    });
    let made = made
        .await
        .map_err(|error| OperationError::internal("make a backup", &error))?
        .map_err(|error| failed(&error))?;
    Ok(BackupView {
        id: made.manifest.to_string(),
        path,
        cluster: made.cluster,
        created_at: made.created_at.into(),
        parts: made.parts,
        bytes: made.bytes,
        artifacts: made.artifacts,
        left_out: made.left_out.iter().map(|left| left.artifact).collect(),
    })
}

/// A directory of its own, whose name sorts by time.
fn usual_place(data: &Path, now: Timestamp) -> PathBuf {
    let plain: String = now
        .to_string()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let beside = data.parent().unwrap_or(data);
    beside.join(DIRECTORY).join(format!("skep-backup-{plain}"))
}

fn failed(error: &BackupError) -> OperationError {
    match error {
        BackupError::NotEmpty { .. } | BackupError::InsideDataDirectory { .. } => {
            OperationError::new(ErrorCode::BackupRefused, error.to_string())
        }
        other => {
            let logged = OperationError::internal("make a backup", other);
            tracing::debug!(%logged, "the caller is told the step that failed");
            OperationError::new(ErrorCode::BackupFailed, error.to_string())
        }
    }
}

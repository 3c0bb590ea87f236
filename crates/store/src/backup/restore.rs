//! Makes a data directory from a backup, as another installation.

use super::error::BackupError;
use super::farewell;
use super::files::{self, Draft};
use super::verify::{check, same_content};
use super::{ARTIFACTS, BLOBS, DATABASE, LOGS, Summary};
use crate::database;
use crate::error::StoreError;
use crate::provenance::{Provenance, rename_cluster};
use skep_model::ids::ClusterId;
use skep_model::time::UnixMillis;
use std::path::Path;

/// Checks the backup as [`super::verify`] does, and makes an empty or new directory a data
/// directory that a coordinator goes on from. The directory gets its name when it is complete.
///
/// It is another installation, with the id given: nodes of the old one have to join again, see
/// [`super::owes_farewell`], and the old one may even go on. [`crate::Archive::restored_from`] tells where it came from.
pub fn restore(
    backup: &Path,
    data_dir: &Path,
    cluster: ClusterId,
    now: UnixMillis,
) -> Result<Summary, BackupError> {
    files::refuse_unless_empty(data_dir)?;
    let (manifest, hash) = check(backup)?;
    let draft = Draft::begin(data_dir, "restoring")?;
    for directory in [BLOBS, LOGS] {
        let path = draft.path().join(directory);
        files::make_directory(&path).map_err(BackupError::file("create directory", &path))?;
    }
    for part in &manifest.parts {
        let source = backup.join(&part.name);
        let target = draft.path().join(place(&part.name));
        let content = files::open(&source)
            .and_then(|mut file| files::copy_to(&mut file, &target))
            .map_err(BackupError::file("copy", &source))?;
        // It may have changed since it was checked.
        same_content(part, content)?;
    }
    let provenance = Provenance {
        cluster: manifest.cluster,
        index: manifest.log.index,
        log_hash: manifest.log.hash.0,
        restored_at: now,
    };
    let mut connection = database::open_writer(&draft.path().join(DATABASE), None)?;
    rename_cluster(&mut connection, cluster, &provenance)?;
    connection
        .close()
        .map_err(|(_, error)| StoreError::database("close the restored copy of")(error))?;
    farewell::owe(draft.path())?;
    tracing::info!(
        from = %draft.path().display(),
        to = %draft.target().display(),
        index = manifest.log.index.0,
        "restored a backup"
    );
    draft.finish()?;
    Ok(manifest.summary(hash))
}

/// Where a part of a backup lies in a data directory.
fn place(name: &str) -> String {
    match name.strip_prefix(ARTIFACTS) {
        Some(rest) => format!("{BLOBS}{rest}"),
        None => name.to_owned(),
    }
}

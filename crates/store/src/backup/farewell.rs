//! A restored data directory owes a farewell: its first owner has to let go of the members of the
//! cluster that was backed up. The log says that they belong to it, and it cannot be changed here
//! without breaking its digests; so the owner says it in new entries, and then takes the mark away.

use super::error::BackupError;
use super::files;
use crate::data_dir::DataDir;
use std::fs;
use std::io;
use std::path::Path;

/// Is there as long as the farewell is owed.
const MARK: &str = "farewell-owed";
/// For whoever looks into the directory.
const TEXT: &[u8] = b"restored from a backup: the next start forgets nodes and join tokens\n";

/// Marks a directory in the making.
pub(super) fn owe(directory: &Path) -> Result<(), BackupError> {
    let path = directory.join(MARK);
    files::write_new(&path, TEXT).map_err(BackupError::file("write", path))
}

/// Whether the members of the cluster that was backed up are still to be let go. Until then
/// nobody may be let in.
pub fn owes_farewell(data: &DataDir) -> bool {
    data.path().join(MARK).exists()
}

/// Says that they were let go, durably. To be called once the entries that say so are durable.
pub fn farewell_said(data: &DataDir) -> Result<(), BackupError> {
    let path = data.path().join(MARK);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::file("remove", path)(error))
        }
        _ => crate::space::sync_directory(data.path())
            .map_err(BackupError::file("sync", data.path())),
    }
}

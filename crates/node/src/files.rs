//! Small steps with files that more than one module takes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Only the node's user may look into its files.
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIRECTORY: u32 = 0o700;

/// Makes a directory for the node's user alone, and what lies above it.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_DIRECTORY)
        .create(path)
}

/// Options for a file of the node's user alone, made if it is not there.
pub(crate) fn private_file() -> fs::OpenOptions {
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .create(true)
        .mode(PRIVATE_FILE);
    options
}

/// Puts a file in place whole or not at all, also when the power fails.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = private_file().truncate(true).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    move_for_good(&draft, path)
}

/// Renames within a directory, and makes the new name durable.
pub(crate) fn move_for_good(source: &Path, target: &Path) -> io::Result<()> {
    fs::rename(source, target)?;
    match target.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes a directory if it is there; what cannot be removed is logged and stays.
pub(crate) fn remove_directory(path: &Path) {
    match fs::remove_dir_all(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a directory cannot be removed");
        }
    }
}

//! Files that hold private keys: whole or not at all, and for their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const PRIVATE: u32 = 0o600;
/// Rights of anybody but the owner.
const OTHERS: u32 = 0o077;
/// Bytes of a key file; keys are far smaller.
const BYTES_MAX: u64 = 64 << 10;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("{step} `{path}`")]
    File {
        /// What was done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others than its owner can read it.
    #[error(
        "`{path}` can be read by others (mode {mode:o}): run `chmod 600 {path}`, and make a new key \
         if somebody may have read it"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl KeyFileError {
    fn at(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            step,
            path: path.to_owned(),
            source,
        }
    }
}

/// Reads a key file; `None` when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, KeyFileError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(KeyFileError::at("open", path)(error)),
    };
    let metadata = file.metadata().map_err(KeyFileError::at("look at", path))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(KeyFileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Vec::new();
    let mut bounded = Read::by_ref(&mut file).take(BYTES_MAX + 1);
    bounded
        .read_to_end(&mut bytes)
        .map_err(KeyFileError::at("read", path))?;
    if bytes.len() as u64 > BYTES_MAX {
        let error = io::Error::new(io::ErrorKind::InvalidData, "it is too large for a key file");
        return Err(KeyFileError::at("read", path)(error));
    }
    Ok(Some(bytes))
}

/// Puts a key file in place, durably.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let place = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(PRIVATE)
            .open(&draft)?;
        // A draft that a crash left may have other rights.
        file.set_permissions(fs::Permissions::from_mode(PRIVATE))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(directory_of(path))?.sync_all()
    };
    place().map_err(KeyFileError::at("write", path))
}

/// Where a file lies. The parent of a bare file name is the empty path, which cannot be opened.
fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.key");
        assert!(read(&path).unwrap().is_none());
        write(&path, b"secret").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"secret");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE);
    }

    #[test]
    fn a_bare_file_name_lies_in_the_current_directory() {
        for (file, directory) in [("a.key", "."), ("keys/a.key", "keys"), ("/a.key", "/")] {
            assert_eq!(
                directory_of(Path::new(file)),
                Path::new(directory),
                "{file}"
            );
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_and_not_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.key");
        write(&path, &vec![1; BYTES_MAX as usize]).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().len() as u64, BYTES_MAX);
        write(&path, &vec![1; BYTES_MAX as usize + 1]).unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            matches!(error, KeyFileError::File { step: "read", .. }),
            "{error}"
        );
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.key");
        write(&path, b"secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            matches!(error, KeyFileError::Exposed { mode: 0o640, .. }),
            "{error}"
        );
    }
}

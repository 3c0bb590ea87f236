//! The data directory: one owner, its lock, its secret, its places.

use crate::attempt_logs::AttemptLogs;
use crate::blobs::BlobStore;
use crate::compaction::Compactor;
use crate::error::StoreError;
use crate::space::{self, Ballast, LowSpace, SpaceState};
use rustix::fs::FlockOperation;
use std::fmt;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Only the owner may enter the directory.
const DIRECTORY_MODE: u32 = 0o700;
/// Only the owner may read the files made here.
const FILE_MODE: u32 = 0o600;
/// Space reserved for the end of accepted work when the disk is full.
const BALLAST_BYTES: u64 = 64 << 20;
/// Free space is low below this share of the disk.
const LOW_SPACE_PERCENT: u64 = 5;
/// Free space is low below this.
const LOW_SPACE_BYTES: u64 = 1 << 30;
/// Reading connections unless said otherwise.
const READERS_DEFAULT: usize = 4;
/// Bytes read of another owner's lock file.
const LOCK_TEXT_BYTES_MAX: u64 = 512;

/// How a data directory is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Told to whoever finds the directory in use, e.g. `skep up on port 8600`.
    pub hint: String,
    /// Size of the reserve; 0 for none.
    pub ballast_bytes: u64,
    /// Free space is low below this share of the disk, in percent.
    pub low_space_percent: u64,
    /// Free space is low below this.
    pub low_space_bytes: u64,
    /// Reading connections.
    pub readers: usize,
    /// Largest size of the database file; more is answered like a full disk.
    pub database_bytes_max: Option<u64>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            hint: "skep".to_owned(),
            ballast_bytes: BALLAST_BYTES,
            low_space_percent: LOW_SPACE_PERCENT,
            low_space_bytes: LOW_SPACE_BYTES,
            readers: READERS_DEFAULT,
            database_bytes_max: None,
        }
    }
}

/// An owned data directory. Clones share the ownership; it ends with the last of them, and each
/// part of the store holds one.
#[derive(Debug, Clone)]
pub struct DataDir {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    options: OpenOptions,
    ballast: Ballast,
    secret: Secret,
    compactor: Compactor,
    /// Holds the exclusive lock as long as it is open.
    _lock: File,
}

/// Never printed, not even for debugging.
struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl DataDir {
    /// Takes ownership of the directory; makes it and its parts if they are missing.
    pub fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        make_directory(path)?;
        let path = path
            .canonicalize()
            .map_err(StoreError::file("resolve", path))?;
        refuse_foreign(&path)?;
        let lock = take_lock(&path, &options.hint)?;
        fs::set_permissions(&path, Permissions::from_mode(DIRECTORY_MODE))
            .map_err(StoreError::file("restrict access to", &path))?;
        for part in ["blobs", "logs"] {
            make_directory(&path.join(part))?;
        }
        let secret = Secret(load_or_make_secret(&path)?);
        let ballast = Ballast::new(path.join("ballast"), options.ballast_bytes);
        space::sync_directory(&path).map_err(StoreError::file("sync", &path))?;
        let inner = Inner {
            path,
            options,
            ballast,
            secret,
            compactor: Compactor::default(),
            _lock: lock,
        };
        let dir = Self {
            inner: Arc::new(inner),
        };
        dir.restore_ballast()?;
        Ok(dir)
    }

    /// Where a compaction is asked for; the journal of this directory does it.
    pub fn compactor(&self) -> &Compactor {
        &self.inner.compactor
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The database file.
    pub fn database_path(&self) -> PathBuf {
        self.inner.path.join("skep.db")
    }

    /// Secret of this installation, for authentication codes of task tokens. Never shown.
    pub fn secret(&self) -> &[u8; 32] {
        &self.inner.secret.0
    }

    /// How it was opened.
    pub fn options(&self) -> &OpenOptions {
        &self.inner.options
    }

    /// The bytes of artifacts.
    pub fn blobs(&self) -> Result<BlobStore, StoreError> {
        BlobStore::open(self.clone())
    }

    /// What attempts printed.
    pub fn attempt_logs(&self) -> Result<AttemptLogs, StoreError> {
        AttemptLogs::open(self.clone())
    }

    /// Whether the disk has room for new work.
    pub fn space(&self) -> Result<SpaceState, StoreError> {
        let options = &self.inner.options;
        let low = LowSpace {
            percent: options.low_space_percent,
            bytes: options.low_space_bytes,
        };
        space::measure(&self.inner.path, low)
    }

    /// Gives the reserve back to the disk, so that accepted work can end. Says whether there was
    /// one.
    pub fn release_ballast(&self) -> Result<bool, StoreError> {
        self.inner.ballast.release()
    }

    /// Makes the reserve again if there is plenty of room. Says whether it is there.
    pub fn restore_ballast(&self) -> Result<bool, StoreError> {
        let (SpaceState::Ok { free } | SpaceState::Low { free }) = self.space()?;
        self.inner.ballast.fill(free)
    }
}

fn make_directory(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
        .map_err(StoreError::file("create directory", path))
}

/// A directory with other files is left alone: restricting access to, say, a home directory
/// because of a mistyped option would be worse than a refusal.
fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    let mut entries = fs::read_dir(path).map_err(StoreError::file("list", path))?;
    let ours = path.join("lock").exists() || path.join("skep.db").exists();
    if !ours && entries.next().is_some() {
        return Err(StoreError::ForeignDirectory {
            path: path.to_owned(),
        });
    }
    Ok(())
}

fn take_lock(directory: &Path, hint: &str) -> Result<File, StoreError> {
    let path = directory.join("lock");
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(StoreError::file("open", &path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(in_use(directory, &file)),
        Err(error) => return Err(StoreError::file("lock", &path)(error.into())),
    }
    let hint = hint.lines().next().unwrap_or_default();
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}\n{hint}", std::process::id()))
        .map_err(StoreError::file("write", &path))?;
    Ok(file)
}

fn in_use(directory: &Path, file: &File) -> StoreError {
    let mut text = String::new();
    // The owner may be writing it at this moment; whatever is readable helps.
    let read = file.take(LOCK_TEXT_BYTES_MAX).read_to_string(&mut text);
    let mut lines = text.lines();
    let mut line = || lines.next().filter(|line| !line.is_empty() && read.is_ok());
    StoreError::InUse {
        path: directory.to_owned(),
        pid: line().unwrap_or("unknown").to_owned(),
        hint: line().unwrap_or("unknown").to_owned(),
    }
}

fn load_or_make_secret(directory: &Path) -> Result<[u8; 32], StoreError> {
    let path = directory.join("secret");
    match fs::read(&path) {
        Ok(bytes) => bytes.try_into().map_err(|bytes: Vec<u8>| {
            StoreError::damaged(
                format!("the secret `{}`", path.display()),
                format!("it has {} bytes instead of 32", bytes.len()),
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_secret(directory, &path),
        Err(error) => Err(StoreError::file("read", &path)(error)),
    }
}

fn make_secret(directory: &Path, path: &Path) -> Result<[u8; 32], StoreError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| {
        StoreError::file("draw randomness for", path)(io::Error::other(error.to_string()))
    })?;
    let write = || -> io::Result<()> {
        // Temporary files are readable by their owner only.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&secret)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path)?;
        space::sync_directory(directory)
    };
    write().map_err(StoreError::file("write", path))?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> OpenOptions {
        OpenOptions {
            ballast_bytes: 0,
            ..OpenOptions::default()
        }
    }

    #[test]
    fn a_second_owner_is_refused_and_told_who_the_first_is() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let hint = "the first".to_owned();
        let first = DataDir::open(&path, OpenOptions { hint, ..options() }).unwrap();
        let error = DataDir::open(&path, options()).unwrap_err();
        let StoreError::InUse { pid, hint, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(
            (pid.as_str(), hint.as_str()),
            (std::process::id().to_string().as_str(), "the first")
        );
        drop(first);
        DataDir::open(&path, options()).unwrap();
    }

    #[test]
    fn the_secret_stays_the_same_and_private() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let first = *DataDir::open(&path, options()).unwrap().secret();
        assert_eq!(*DataDir::open(&path, options()).unwrap().secret(), first);
        assert_ne!(first, [0; 32]);
        let shown = format!("{:?}", DataDir::open(&path, options()).unwrap());
        assert!(shown.contains("Secret(..)"), "{shown}");
        for (name, mode) in [("", 0o700), ("secret", 0o600), ("lock", 0o600)] {
            let found = path.join(name).metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{name}");
        }
    }

    #[test]
    fn a_cut_secret_is_refused_and_not_replaced() {
        let parent = tempfile::tempdir().unwrap();
        DataDir::open(parent.path(), options()).unwrap();
        fs::write(parent.path().join("secret"), b"short").unwrap();
        let error = DataDir::open(parent.path(), options()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }

    #[test]
    fn a_directory_with_other_files_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        fs::set_permissions(parent.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(parent.path().join("thesis.txt"), b"precious").unwrap();
        let error = DataDir::open(parent.path(), options()).unwrap_err();
        assert!(
            matches!(error, StoreError::ForeignDirectory { .. }),
            "{error}"
        );
        assert_eq!(
            parent.path().metadata().unwrap().permissions().mode() & 0o777,
            0o755
        );
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn low_space_follows_the_thresholds_given() {
        let parent = tempfile::tempdir().unwrap();
        let low_space_bytes = u64::MAX;
        let low = OpenOptions {
            low_space_bytes,
            ..options()
        };
        assert!(
            DataDir::open(parent.path(), low)
                .unwrap()
                .space()
                .unwrap()
                .is_low()
        );
        let ample = OpenOptions {
            low_space_bytes: 0,
            low_space_percent: 0,
            ..options()
        };
        assert!(
            !DataDir::open(parent.path(), ample)
                .unwrap()
                .space()
                .unwrap()
                .is_low()
        );
    }
}

//! Files of a backup: copied with their hash, listed without following links, synced as a whole.

use super::error::BackupError;
use rustix::fs::OFlags;
use skep_model::attempt::ArtifactHash;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Only the owner may enter the directories made here.
const DIRECTORY_MODE: u32 = 0o700;
/// Only the owner may read the files made here.
const FILE_MODE: u32 = 0o600;
/// Bytes copied at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Size and hash of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) bytes: u64,
    pub(super) blake3: ArtifactHash,
}

/// Opens a regular file to read; never follows a link to it.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// Size and hash of what a file holds now.
pub(super) fn measure(path: &Path) -> io::Result<Content> {
    copy(&mut open(path)?, &mut io::sink())
}

/// Copies a file to a new one, and makes the directories above it.
pub(super) fn copy_to(source: &mut File, target: &Path) -> io::Result<Content> {
    if let Some(parent) = target.parent() {
        make_directory(parent)?;
    }
    let mut copied = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(target)?;
    copy(source, &mut copied)
}

fn copy(source: &mut impl Read, target: &mut impl Write) -> io::Result<Content> {
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    loop {
        let read = match source.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&piece[..read]);
        target.write_all(&piece[..read])?;
        bytes += read as u64;
    }
    Ok(Content {
        bytes,
        blake3: ArtifactHash(*hasher.finalize().as_bytes()),
    })
}

/// Writes a new file.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a directory and those above it.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
}

/// The names of everything below `root` that is not a directory, in order, with `/` between the
/// parts of a name. A link is listed like a file.
pub(super) fn names_below(root: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(root.join(&directory))? {
            let entry = entry?;
            // What is no text cannot be a part; its name is still one to be shown.
            let name = format!("{directory}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                directories.push(name + "/");
            } else {
                names.push(name);
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Refuses a place where something is already.
pub(super) fn refuse_unless_empty(path: &Path) -> Result<(), BackupError> {
    let not_empty = || BackupError::NotEmpty {
        path: path.to_owned(),
    };
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().map_or(Ok(()), |_| Err(not_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(not_empty()),
        Err(error) => Err(BackupError::file("list", path)(error)),
    }
}

/// A directory in the making, beside the place where it will be. Gone if it is not finished.
#[derive(Debug)]
pub(super) struct Draft {
    directory: TempDir,
    target: PathBuf,
    parent: PathBuf,
}

impl Draft {
    /// Begins one for an empty or missing `target`.
    pub(super) fn begin(target: &Path, what: &str) -> Result<Self, BackupError> {
        refuse_unless_empty(target)?;
        let target = std::path::absolute(target).map_err(BackupError::file("resolve", target))?;
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(BackupError::NotEmpty { path: target });
        };
        let parent = parent.to_owned();
        make_directory(&parent).map_err(BackupError::file("create directory", &parent))?;
        let prefix = format!(".{}.{what}-", name.to_string_lossy());
        let directory = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(Permissions::from_mode(DIRECTORY_MODE))
            .tempdir_in(&parent)
            .map_err(BackupError::file("create a directory in", &parent))?;
        Ok(Self {
            directory,
            target,
            parent,
        })
    }

    /// Where it is made.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where it will be.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Makes everything in it durable. One call for the whole file system: a sync per file would
    /// take hours for a million of them.
    pub(super) fn sync(&self) -> Result<(), BackupError> {
        File::open(self.path())
            .and_then(|directory| Ok(rustix::fs::syncfs(&directory)?))
            .map_err(BackupError::file("sync", self.path()))
    }

    /// Gives it its name, durably.
    pub(super) fn finish(self) -> Result<(), BackupError> {
        self.sync()?;
        // Fails if the target came to hold something meanwhile.
        match fs::rename(self.path(), &self.target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                return Err(BackupError::NotEmpty { path: self.target });
            }
            Err(error) => return Err(BackupError::file("name", &self.target)(error)),
        }
        // It has moved: nothing is to be cleaned up.
        let _moved = self.directory.keep();
        File::open(&self.parent)
            .and_then(|parent| parent.sync_all())
            .map_err(BackupError::file("sync", &self.parent))
    }
}

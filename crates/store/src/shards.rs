//! Directories of many files: 256 shards, opened without ever following a symbolic link.

use rustix::fs::{Mode, OFlags, Timespec, Timestamps};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const DIRECTORY_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);

/// A directory that is known by its handle: replacing a parent by a link changes nothing.
#[derive(Debug)]
pub(crate) struct Directory {
    handle: OwnedFd,
    path: PathBuf,
}

impl Directory {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let handle = rustix::fs::open(path, directory_flags(), Mode::empty())?;
        Ok(Self {
            handle,
            path: path.to_owned(),
        })
    }

    /// For messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of this name inside; made if missing.
    pub(crate) fn child(&self, name: &str) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.handle, name, DIRECTORY_MODE) {
            Ok(()) => rustix::fs::fsync(&self.handle)?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let handle = rustix::fs::openat(&self.handle, name, directory_flags(), Mode::empty())?;
        Ok(Self {
            handle,
            path: self.path.join(name),
        })
    }

    /// The shard for a key that is spread evenly by this byte.
    pub(crate) fn shard(&self, byte: u8) -> io::Result<Self> {
        self.child(&format!("{byte:02x}"))
    }

    /// Opens a file to read; none if it is missing.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<File>> {
        self.open_existing(name, OFlags::RDONLY)
    }

    /// Opens a file to read and write; none if it is missing.
    pub(crate) fn write(&self, name: &str) -> io::Result<Option<File>> {
        self.open_existing(name, OFlags::RDWR)
    }

    /// Opens a file to read and write; makes it if missing.
    pub(crate) fn write_or_create(&self, name: &str) -> io::Result<File> {
        self.open_at(name, OFlags::RDWR | OFlags::CREATE)
    }

    /// Moves a file to another directory, durably; replaces what is there.
    pub(crate) fn rename(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        rustix::fs::renameat(&self.handle, name, &to.handle, new_name)?;
        rustix::fs::fsync(&to.handle)?;
        Ok(rustix::fs::fsync(&self.handle)?)
    }

    /// Removes a file. Says whether it was there.
    pub(crate) fn remove(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::unlinkat(&self.handle, name, rustix::fs::AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a file unless it was touched since `then`; gives its size if it went.
    pub(crate) fn remove_untouched(&self, name: &str, then: SystemTime) -> io::Result<Option<u64>> {
        let Some(file) = self.read(name)? else {
            return Ok(None);
        };
        let metadata = file.metadata()?;
        if metadata.modified()? >= then || !self.remove(name)? {
            return Ok(None);
        }
        Ok(Some(metadata.len()))
    }

    /// The names inside.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(self.handle.as_fd())? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn open_existing(&self, name: &str, flags: OFlags) -> io::Result<Option<File>> {
        match self.open_at(name, flags) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open_at(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(&self.handle, name, flags, FILE_MODE)?);
        if file.metadata()?.is_file() {
            return Ok(file);
        }
        Err(io::Error::other(format!(
            "`{}` is not a regular file",
            self.path.join(name).display()
        )))
    }
}

/// Notes that somebody asked for the file: it counts as written just now.
pub(crate) fn touch(file: &File) -> io::Result<()> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    Ok(rustix::fs::futimens(file, &times)?)
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

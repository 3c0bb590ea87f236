//! A directory that is read and filled without ever leaving it, whatever lies inside.
//!
//! Every path is resolved by the kernel with `openat2`: no `..`, no symlink, no way out, even if
//! somebody swaps a directory for a symlink at the same moment.

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2, unlinkat,
};
use rustix::io::Errno;
use rustix::path::Arg;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Entries one walk may see; a workspace with more is refused instead of walked for minutes.
pub(crate) const WALK_ENTRIES_MAX: usize = 2_000_000;

/// A directory with its walls.
#[derive(Debug)]
pub(crate) struct ConfinedDir {
    root: OwnedFd,
}

/// A file below a confined directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WalkEntry {
    /// Relative, `/` between parts; what is not UTF-8 in it is replaced.
    pub(crate) path: String,
    /// Whether it is a regular file, and not a symlink, device, pipe or socket.
    pub(crate) is_regular: bool,
    /// Whether `path` is the true one.
    pub(crate) is_utf8: bool,
}

impl ConfinedDir {
    /// Takes a directory of ours; only what is below it is not trusted.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { root })
    }

    /// Opens a regular file to read it.
    pub(crate) fn open_file(&self, path: &str) -> io::Result<File> {
        // Not blocking, for else a pipe put in its place would hold us until somebody writes.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.resolve(path, flags, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::RegularFile {
            return Ok(file.into());
        }
        Err(io::Error::other("it is not a regular file"))
    }

    /// Makes a new file, in the place of an old one if there is one, and the directories on its
    /// way.
    pub(crate) fn create_file(&self, path: &str, executable: bool) -> io::Result<File> {
        for (end, _) in path.match_indices('/') {
            self.make_directory(&path[..end])?;
        }
        let mode = if executable { 0o755 } else { 0o644 };
        let mode = Mode::from_raw_mode(mode);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        match self.resolve(path, flags, mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
                unlinkat(self.open_directory(parent)?, name, AtFlags::empty())?;
                Ok(self.resolve(path, flags, mode)?.into())
            }
            other => Ok(other?.into()),
        }
    }

    /// Makes a directory below an existing one; one that is there already is fine.
    fn make_directory(&self, path: &str) -> io::Result<()> {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        let parent = self.open_directory(parent)?;
        match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn open_directory(&self, path: impl Arg + Copy) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    fn resolve(&self, path: impl Arg + Copy, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let walls = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        loop {
            match openat2(&self.root, path, flags, mode, walls) {
                // The kernel saw a rename during the walk and is not sure: ask again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other.map_err(Into::into),
            }
        }
    }

    /// Lists what is below, in order, without following symlinks. Directories for which `enter`
    /// says no are left out.
    pub(crate) fn walk(&self, enter: impl Fn(&str) -> bool) -> io::Result<Vec<WalkEntry>> {
        let mut found = Vec::new();
        let mut to_visit = vec![PathBuf::new()];
        let mut seen = 0;
        while let Some(directory) = to_visit.pop() {
            let place = if directory.as_os_str().is_empty() {
                Path::new(".")
            } else {
                &directory
            };
            for entry in Dir::new(self.open_directory(place)?)? {
                let entry = entry?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if name == "." || name == ".." {
                    continue;
                }
                seen += 1;
                if seen > WALK_ENTRIES_MAX {
                    let text = format!("there are more than {WALK_ENTRIES_MAX} entries");
                    return Err(io::Error::other(text));
                }
                let path = directory.join(name);
                let shown = path.to_string_lossy();
                match self.kind(&entry, &path) {
                    FileType::Directory if enter(&shown) => to_visit.push(path),
                    FileType::Directory => {}
                    kind => found.push(WalkEntry {
                        is_utf8: matches!(shown, Cow::Borrowed(_)),
                        path: shown.into_owned(),
                        is_regular: kind == FileType::RegularFile,
                    }),
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Some file systems do not say the type in the listing.
    fn kind(&self, entry: &rustix::fs::DirEntry, path: &Path) -> FileType {
        match entry.file_type() {
            FileType::Unknown => self
                .resolve(path, OFlags::PATH, Mode::empty())
                .and_then(|file| Ok(fstat(file)?))
                .map_or(FileType::Unknown, |stat| {
                    FileType::from_raw_mode(stat.st_mode)
                }),
            known => known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_opened_or_made_outside() {
        let home = tempfile::tempdir().unwrap();
        let inside = home.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(home.path().join("secret"), "x").unwrap();
        symlink("..", inside.join("up")).unwrap();
        symlink("../secret", inside.join("link")).unwrap();
        std::fs::write(inside.join("plain"), "x").unwrap();
        symlink(".", inside.join("here")).unwrap();
        let directory = ConfinedDir::open(&inside).unwrap();
        assert!(directory.open_file("plain").is_ok());
        assert!(directory.open_file("here/plain").is_err());
        for path in [
            "../secret",
            "up/secret",
            "link",
            "/etc/passwd",
            "a/../../secret",
        ] {
            assert!(directory.open_file(path).is_err(), "read {path}");
        }
        assert_eq!(std::fs::read(home.path().join("secret")).unwrap(), b"x");
        for path in ["up/new", "../new", "x/../../new", "/tmp/skep-new"] {
            assert!(directory.create_file(path, false).is_err(), "make {path}");
        }
        assert!(!home.path().join("new").exists());
    }

    #[test]
    fn files_are_made_with_their_directories_and_in_the_place_of_old_ones() {
        let home = tempfile::tempdir().unwrap();
        let directory = ConfinedDir::open(home.path()).unwrap();
        let mut file = directory.create_file("a/b/c", false).unwrap();
        file.write_all(b"text").unwrap();
        assert_eq!(std::fs::read(home.path().join("a/b/c")).unwrap(), b"text");
        symlink("c", home.path().join("a/b/d")).unwrap();
        directory.create_file("a/b/d", true).unwrap();
        assert_eq!(std::fs::read(home.path().join("a/b/c")).unwrap(), b"text");
        assert!(
            home.path()
                .join("a/b/d")
                .symlink_metadata()
                .unwrap()
                .is_file()
        );
    }

    #[test]
    fn a_walk_does_not_follow_symlinks() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("d/e")).unwrap();
        std::fs::write(home.path().join("d/e/file"), "x").unwrap();
        symlink("/usr", home.path().join("d/usr")).unwrap();
        let found = ConfinedDir::open(home.path())
            .unwrap()
            .walk(|_| true)
            .unwrap();
        let listed: Vec<_> = found
            .iter()
            .map(|one| (one.path.as_str(), one.is_regular))
            .collect();
        assert_eq!(listed, [("d/e/file", true), ("d/usr", false)]);
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
        let home = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(home.path().join("pipe"))
            .status()
            .unwrap();
        assert!(made.success());
        assert!(
            ConfinedDir::open(home.path())
                .unwrap()
                .open_file("pipe")
                .is_err()
        );
    }
}

//! A backup that was restored beside a data directory and takes its place at the next start.
//!
//! The staged directory has its name only when it is complete, so its being there is all that is to be
//! known: a start renames the old directory aside and then the staged one into its place. After a crash
//! between the two, the next start does the second.

use super::error::BackupError;
use super::files;
use super::{Summary, restore};
use crate::error::StoreError;
use crate::space::sync_directory;
use rustix::fs::FlockOperation;
use skep_model::ids::ClusterId;
use skep_model::time::UnixMillis;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Behind the name of a data directory: what takes its place.
const STAGED: &str = ".staged";
/// What was there before, with a number.
const REPLACED: &str = ".replaced-";
/// What was staged and is not wanted any more, with a number.
const DISCARDED: &str = ".discarded-";
/// Directories of one kind beside a data directory; more are for a person to look at.
const KEPT_MAX: u32 = 1_000;
/// Links that lead to links; as many as the system follows.
const LINKS_MAX: u32 = 40;
/// The key of secret namespaces, which no backup holds.
const MEMORY_KEY: &str = "memory.key";

/// A data directory that took the place of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Where the data is that was there before; none if there was none.
    pub replaced: Option<PathBuf>,
}

/// Checks a backup and restores it beside a data directory, which may be in use: the next start
/// begins with it. What was staged before is discarded.
///
/// # Errors
/// As of [`super::restore`]; nothing is staged then.
pub fn stage(
    backup: &Path,
    data_dir: &Path,
    cluster: ClusterId,
    now: UnixMillis,
) -> Result<Summary, BackupError> {
    discard(data_dir)?;
    restore(backup, &named(data_dir, STAGED), cluster, now)
}

/// Discards what is staged. Says whether there was anything.
///
/// # Errors
/// The system refused.
pub fn discard(data_dir: &Path) -> Result<bool, BackupError> {
    let staged = named(data_dir, STAGED);
    // Under another name first: half of it must not look like all of it.
    let discarded = free_name(data_dir, DISCARDED)?;
    match fs::rename(&staged, &discarded) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(BackupError::file("rename", staged)(error)),
    }
    sync_parent(data_dir)?;
    fs::remove_dir_all(&discarded).map_err(BackupError::file("remove", discarded))?;
    Ok(true)
}

/// Puts what is staged into the place of a data directory that nobody uses. None if nothing is
/// staged. To be called before the directory is opened.
///
/// # Errors
/// The directory is in use, or the system refused: calling it again goes on.
pub fn apply_staged(data_dir: &Path) -> Result<Option<Applied>, BackupError> {
    let data_dir = &behind_links(data_dir)?;
    let staged = named(data_dir, STAGED);
    if !staged.is_dir() {
        return Ok(None);
    }
    let mut replaced = None;
    // Held until it is replaced: its owner would write on in a directory that is aside.
    let mut _unused = None;
    if data_dir.is_dir() {
        _unused = Some(lock(data_dir)?);
        if !staged.is_dir() {
            // Another start was faster.
            return Ok(None);
        }
        carry_key(data_dir, &staged)?;
        let aside = free_name(data_dir, REPLACED)?;
        fs::rename(data_dir, &aside).map_err(BackupError::file("rename", data_dir))?;
        sync_parent(data_dir)?;
        replaced = Some(aside);
    }
    match fs::rename(&staged, data_dir) {
        Ok(()) => {}
        // Another start was faster; who of both goes on, the lock decides.
        Err(error) if error.kind() == ErrorKind::NotFound && data_dir.is_dir() => {}
        Err(error) => return Err(BackupError::file("rename", staged)(error)),
    }
    sync_parent(data_dir)?;
    Ok(Some(Applied { replaced }))
}

/// Where a data directory lies that its path only links to. It need not be there: after a crash
/// between two renames it is not.
fn behind_links(data_dir: &Path) -> Result<PathBuf, BackupError> {
    let mut path = data_dir.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().map_or(target.clone(), |at| at.join(&target)),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(BackupError::file("read", path)(error)),
        }
    }
    Err(BackupError::file("read", path)(io::Error::other(
        "it links to links, too many of them",
    )))
}

fn lock(data_dir: &Path) -> Result<File, BackupError> {
    let path = data_dir.join("lock");
    let open = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let lock = open.map_err(BackupError::file("open", &path))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(BackupError::InUse {
            path: data_dir.to_owned(),
        }),
        Err(error) => Err(BackupError::file("lock", path)(error.into())),
    }
}

/// The values of secret namespaces stay readable on the machine that has their key.
fn carry_key(data_dir: &Path, staged: &Path) -> Result<(), BackupError> {
    let (source, target) = (data_dir.join(MEMORY_KEY), staged.join(MEMORY_KEY));
    let bytes = match fs::read(&source) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::file("read", source)(error)),
    };
    let draft = staged.join(".memory.key");
    let write = || -> io::Result<()> {
        match fs::remove_file(&draft) {
            // Left by a crash.
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        files::write_new(&draft, &bytes)?;
        fs::rename(&draft, &target)
    };
    write().map_err(BackupError::file("write", &target))?;
    sync_directory(staged).map_err(BackupError::file("sync", staged))
}

fn named(data_dir: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = data_dir.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The first name of this kind that nothing has.
fn free_name(data_dir: &Path, kind: &str) -> Result<PathBuf, BackupError> {
    let names = (1..=KEPT_MAX).map(|number| named(data_dir, &format!("{kind}{number}")));
    let mut free = names.filter(|name| name.symlink_metadata().is_err());
    free.next().ok_or_else(|| {
        let first = named(data_dir, &format!("{kind}1"));
        let text = format!("there are {KEPT_MAX} already (KEPT_MAX): remove some");
        BackupError::file("find a name beside", first)(io::Error::other(text))
    })
}

fn sync_parent(data_dir: &Path) -> Result<(), BackupError> {
    let parent = data_dir.parent().unwrap_or(data_dir);
    sync_directory(parent)
        .map_err(StoreError::file("sync", parent))
        .map_err(BackupError::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::{CreateOptions, create};
    use crate::fixtures::{options, write_everything};
    use crate::{DataDir, Store};

    const CLUSTER: ClusterId = ClusterId::from_u128(7);

    struct Place {
        directory: tempfile::TempDir,
    }

    impl Place {
        /// A data directory with a backup of it beside it.
        fn new() -> Self {
            let place = Self {
                directory: tempfile::tempdir().unwrap(),
            };
            write_everything(&place.data());
            fs::write(place.data().join(MEMORY_KEY), "key").unwrap();
            let options = CreateOptions {
                now: UnixMillis(1),
                attempt_logs: true,
            };
            create(&place.data(), &place.at("backup"), options).unwrap();
            place
        }

        fn at(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn data(&self) -> PathBuf {
            self.at("data")
        }

        fn stage(&self) -> Summary {
            stage(&self.at("backup"), &self.data(), CLUSTER, UnixMillis(2)).unwrap()
        }

        /// Which installation is in the data directory.
        fn cluster(&self) -> ClusterId {
            let dir = DataDir::open(self.data(), options()).unwrap();
            Store::open(&dir).unwrap().cluster()
        }
    }

    #[test]
    fn what_is_staged_takes_the_place_and_what_was_there_is_kept() {
        let place = Place::new();
        let before = place.cluster();
        assert_eq!(apply_staged(&place.data()).unwrap(), None);
        assert!(place.stage().parts > 0);
        assert_eq!(place.cluster(), before, "staging changes nothing");
        let applied = apply_staged(&place.data()).unwrap().unwrap();
        assert_eq!(applied.replaced, Some(place.at("data.replaced-1")));
        assert_eq!(place.cluster(), CLUSTER);
        assert_eq!(fs::read(place.data().join(MEMORY_KEY)).unwrap(), b"key");
        assert!(place.at("data.replaced-1/skep.db").exists());
        assert_eq!(apply_staged(&place.data()).unwrap(), None);
        place.stage();
        let again = apply_staged(&place.data()).unwrap().unwrap();
        assert_eq!(again.replaced, Some(place.at("data.replaced-2")));
    }

    #[test]
    fn a_path_that_links_to_the_data_leads_to_what_is_staged() {
        let place = Place::new();
        let link = place.at("link");
        std::os::unix::fs::symlink("data", &link).unwrap();
        place.stage();
        let applied = apply_staged(&link).unwrap().unwrap();
        assert_eq!(applied.replaced, Some(place.at("data.replaced-1")));
        assert_eq!(place.cluster(), CLUSTER);
        assert!(link.is_symlink());
    }

    #[test]
    fn a_crash_between_the_steps_leaves_the_old_or_leads_to_the_new() {
        let place = Place::new();
        place.stage();
        // As after a crash while the key was carried over.
        fs::write(place.at("data.staged/.memory.key"), "k").unwrap();
        // As after a crash between both renames.
        fs::rename(place.data(), place.at("aside")).unwrap();
        let applied = apply_staged(&place.data()).unwrap().unwrap();
        assert_eq!(applied.replaced, None);
        assert_eq!(place.cluster(), CLUSTER);
    }

    #[test]
    fn a_directory_in_use_stays_in_its_place() {
        let place = Place::new();
        place.stage();
        let owner = DataDir::open(place.data(), options()).unwrap();
        let refused = apply_staged(&place.data()).unwrap_err();
        assert!(matches!(refused, BackupError::InUse { .. }), "{refused}");
        drop(owner);
        assert!(apply_staged(&place.data()).unwrap().is_some());
    }

    #[test]
    fn what_is_discarded_or_damaged_is_not_applied() {
        let place = Place::new();
        place.stage();
        place.stage();
        assert!(discard(&place.data()).unwrap());
        assert!(!discard(&place.data()).unwrap());
        assert_eq!(apply_staged(&place.data()).unwrap(), None);
        fs::write(place.at("backup/skep.db"), "damaged").unwrap();
        assert!(stage(&place.at("backup"), &place.data(), CLUSTER, UnixMillis(2)).is_err());
        assert_eq!(apply_staged(&place.data()).unwrap(), None);
        let left: Vec<_> = fs::read_dir(place.directory.path()).unwrap().collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}

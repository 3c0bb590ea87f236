//! Free space on the disk of the data directory, and the reserve for when it runs out.

use crate::error::StoreError;
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The reserve is only made where this many times its size is free.
const BALLAST_SHARE: u64 = 10;

/// Whether there is room for new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpaceState {
    /// Enough.
    Ok {
        /// Bytes that may still be written.
        free: u64,
    },
    /// Too little to take in new work; what was accepted must still be finished.
    Low {
        /// Bytes that may still be written.
        free: u64,
    },
}

impl SpaceState {
    /// Whether new work should be refused.
    pub const fn is_low(self) -> bool {
        matches!(self, Self::Low { .. })
    }
}

/// Below which free space is low.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LowSpace {
    pub(crate) percent: u64,
    pub(crate) bytes: u64,
}

/// Measures the file system that holds `path`.
pub(crate) fn measure(path: &Path, low: LowSpace) -> Result<SpaceState, StoreError> {
    let stat = rustix::fs::statvfs(path)
        .map_err(|error| StoreError::file("measure the free space of", path)(error.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let total = stat.f_blocks.saturating_mul(stat.f_frsize);
    Ok(judge(free, total, low))
}

fn judge(free: u64, total: u64, low: LowSpace) -> SpaceState {
    if free < low.bytes || u128::from(free) * 100 < u128::from(total) * u128::from(low.percent) {
        SpaceState::Low { free }
    } else {
        SpaceState::Ok { free }
    }
}

/// A file that occupies space until it is needed: a full disk would otherwise leave no room to
/// record the end of work that was accepted.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    pub(crate) const fn new(path: PathBuf, bytes: u64) -> Self {
        Self { path, bytes }
    }

    /// Makes the reserve if it is missing and there is plenty of room. Says whether it is there.
    pub(crate) fn fill(&self, free: u64) -> Result<bool, StoreError> {
        if self
            .path
            .metadata()
            .is_ok_and(|meta| meta.len() >= self.bytes)
        {
            return Ok(true);
        }
        if self.bytes == 0 || free < self.bytes.saturating_mul(BALLAST_SHARE) {
            return Ok(false);
        }
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let result =
            rustix::fs::open(&self.path, flags, Mode::RUSR | Mode::WUSR).and_then(|file| {
                rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?;
                rustix::fs::fsync(&file)
            });
        match result {
            Ok(()) => Ok(true),
            // Without the call, a file of zeros would cost a write of its whole size: rather none.
            // And a quota is no reason not to start.
            Err(Errno::OPNOTSUPP | Errno::NOSPC | Errno::DQUOT) => self.release().map(|_| false),
            Err(error) => {
                self.release()?;
                Err(StoreError::file("reserve space in", &self.path)(
                    error.into(),
                ))
            }
        }
    }

    /// Gives the space back. Says whether there was any.
    pub(crate) fn release(&self) -> Result<bool, StoreError> {
        match std::fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::file("remove", &self.path)(error)),
        }
    }
}

/// Makes names that were added to, or removed from, a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_low_below_either_bound() {
        let low = LowSpace {
            percent: 5,
            bytes: 1_000,
        };
        for (free, total, expected) in [
            (999, 1_000, true),
            (1_000, 1_000, false),
            (4_999, 100_000, true),
            (5_000, 100_000, false),
        ] {
            assert_eq!(
                judge(free, total, low).is_low(),
                expected,
                "{free} of {total}"
            );
        }
    }

    #[test]
    fn the_reserve_occupies_real_blocks_and_can_be_given_back() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ballast");
        let ballast = Ballast::new(path.clone(), 1 << 20);
        assert!(!ballast.fill(1 << 20).unwrap(), "too little room");
        assert!(ballast.fill(u64::MAX).unwrap());
        assert!(path.metadata().unwrap().blocks() * 512 >= 1 << 20);
        assert!(ballast.release().unwrap());
        assert!(!ballast.release().unwrap());
    }
}

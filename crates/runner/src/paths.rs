//! Where the parts of an attempt lie below the runner's state directory.

use skep_model::ids::TaskId;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Only the node's user may look into attempts.
const PRIVATE: u32 = 0o700;

/// The files and directories of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptPaths {
    root: PathBuf,
}

/// A home and a temporary directory that go with the command or gate that had them.
#[derive(Debug)]
pub(crate) struct PrivateDirs {
    pub(crate) home: PathBuf,
    pub(crate) temporary: PathBuf,
}

impl AttemptPaths {
    pub(crate) fn new(state_dir: &Path, task: TaskId, attempt: u32) -> Self {
        let root = attempts_directory(state_dir)
            .join(task.to_string())
            .join(attempt.to_string());
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The output; the only part that outlives the attempt.
    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Where the clean copy for a gate and its private directories go.
    pub(crate) fn gate(&self) -> Self {
        Self {
            root: self.root.join("gate"),
        }
    }

    /// The artifact that is being handed in.
    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staged")
    }

    pub(crate) fn patch(&self) -> PathBuf {
        self.root.join("patch")
    }

    pub(crate) fn make_root(&self) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE)
            .create(&self.root)
    }

    pub(crate) fn make_private_dirs(&self) -> io::Result<PrivateDirs> {
        let dirs = PrivateDirs {
            home: self.root.join("home"),
            temporary: self.root.join("tmp"),
        };
        for path in [&dirs.home, &dirs.temporary] {
            fs::DirBuilder::new().mode(PRIVATE).create(path)?;
        }
        Ok(dirs)
    }

    /// Removes what does not outlive the attempt, the workspace excepted: that has its own end.
    pub(crate) fn remove_leavings(&self) {
        for file in [self.staging(), self.patch()] {
            // Mostly there is none.
            let _ = fs::remove_file(file);
        }
        for directory in ["home", "tmp", "gate"] {
            crate::workspace::remove_directory(&self.root.join(directory));
        }
    }
}

pub(crate) fn attempts_directory(state_dir: &Path) -> PathBuf {
    state_dir.join("attempts")
}

pub(crate) fn probe_directory(state_dir: &Path) -> PathBuf {
    state_dir.join("isolation-probe")
}

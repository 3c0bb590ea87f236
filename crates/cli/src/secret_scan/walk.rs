//! Finds the files below a directory, in the order of their names. Symbolic links are not followed,
//! and of git's own data only its configuration is looked at.

use std::fs::FileType;
use std::path::{Path, PathBuf};

/// Git's own directory.
const GIT: &str = ".git";
/// What is looked at in it.
const GIT_CONFIG: &str = "config";

/// A walk through the files below a directory.
#[derive(Debug)]
pub(super) struct Walk {
    /// What is to be looked at, the next one last, each with its level.
    waiting: Vec<(PathBuf, usize)>,
    levels: usize,
    /// Directories that could not be read.
    pub(super) unreadable: u64,
    /// Directories that lie deeper than was asked for.
    pub(super) deeper: u64,
}

impl Walk {
    pub(super) fn new(root: &Path, levels: usize) -> Self {
        Self {
            waiting: vec![(root.to_owned(), 0)],
            levels,
            unreadable: 0,
            deeper: 0,
        }
    }

    /// The next regular file.
    pub(super) fn next_file(&mut self) -> Option<PathBuf> {
        loop {
            let (path, level) = self.waiting.pop()?;
            let Ok(kind) = path.symlink_metadata().map(|metadata| metadata.file_type()) else {
                self.unreadable += 1;
                continue;
            };
            if kind.is_file() {
                return Some(path);
            }
            if kind.is_dir() {
                self.enter(&path, level);
            }
        }
    }

    fn enter(&mut self, directory: &Path, level: usize) {
        if directory.file_name().is_some_and(|name| name == GIT) {
            let config = directory.join(GIT_CONFIG);
            if config.is_file() {
                self.waiting.push((config, level));
            }
            return;
        }
        if level > self.levels {
            self.deeper += 1;
            return;
        }
        let Ok(entries) = std::fs::read_dir(directory) else {
            self.unreadable += 1;
            return;
        };
        let is_wanted = |kind: &FileType| kind.is_dir() || kind.is_file();
        let mut found: Vec<_> = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| is_wanted(&kind)))
            .map(|entry| (entry.path(), level + 1))
            .collect();
        found.sort();
        found.reverse();
        self.waiting.append(&mut found);
    }
}

//! Files of artifacts that are kept here until the result that names them is answered.

use crate::files::{make_directory, remove_directory};
use parking_lot::Mutex;
use skep_model::attempt::ArtifactHash;
use skep_wire::payload::AttemptKey;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The staging directory: `<task>@<fence>/<hash>`.
#[derive(Debug)]
pub(crate) struct Staging {
    root: PathBuf,
    /// Attempts with files here; most have none, and cost no system call.
    attempts: Mutex<BTreeMap<AttemptKey, Stage>>,
}

/// How far an attempt with files here is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It runs, and uploads them itself.
    HandingIn,
    /// It ended; its result waits for the answer.
    HandedIn,
}

impl Staging {
    /// Opens the directory and removes what belongs to none of these results.
    pub(crate) fn open(root: PathBuf, unanswered: &BTreeSet<AttemptKey>) -> io::Result<Self> {
        make_directory(&root)?;
        let mut attempts = BTreeMap::new();
        for entry in fs::read_dir(&root)? {
            let entry = entry?;
            match parse_key(&entry.file_name().to_string_lossy()) {
                Some(key) if unanswered.contains(&key) => {
                    attempts.insert(key, Stage::HandedIn);
                }
                _ => remove_directory(&entry.path()),
            }
        }
        Ok(Self {
            root,
            attempts: Mutex::new(attempts),
        })
    }

    /// Keeps a file that the runner is about to remove; answers where.
    pub(crate) fn keep(
        &self,
        key: AttemptKey,
        hash: ArtifactHash,
        file: &Path,
    ) -> io::Result<PathBuf> {
        let directory = self.directory(key);
        make_directory(&directory)?;
        self.attempts.lock().entry(key).or_insert(Stage::HandingIn);
        let target = directory.join(hash.to_string());
        match fs::hard_link(file, &target) {
            Ok(()) => {}
            // The same content under another path is here already.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => {
                fs::copy(file, &target)?;
            }
        }
        Ok(target)
    }

    /// An attempt ended; whether its files get to the coordinator is no longer its own concern.
    pub(crate) fn handed_in(&self, key: AttemptKey) {
        if let Some(stage) = self.attempts.lock().get_mut(&key) {
            *stage = Stage::HandedIn;
        }
    }

    /// Whether an attempt has files here.
    pub(crate) fn holds(&self, key: AttemptKey) -> bool {
        self.attempts.lock().contains_key(&key)
    }

    /// Removes the files of an attempt whose result is answered, or not wanted.
    pub(crate) fn release(&self, key: AttemptKey) {
        if self.attempts.lock().remove(&key).is_some() {
            remove_directory(&self.directory(key));
        }
    }

    /// All files of attempts that ended, by attempt.
    pub(crate) fn files(&self) -> Vec<(AttemptKey, Vec<(ArtifactHash, PathBuf)>)> {
        let keys: Vec<AttemptKey> = self
            .attempts
            .lock()
            .iter()
            .filter(|(_, stage)| **stage == Stage::HandedIn)
            .map(|(key, _)| *key)
            .collect();
        keys.into_iter()
            .map(|key| (key, self.files_of(key)))
            .collect()
    }

    /// The files of one attempt.
    pub(crate) fn files_of(&self, key: AttemptKey) -> Vec<(ArtifactHash, PathBuf)> {
        // The attempt may be released at this moment; then it has no files.
        let Ok(entries) = fs::read_dir(self.directory(key)) else {
            return Vec::new();
        };
        let named = entries.flatten().filter_map(|entry| {
            let hash = entry.file_name().to_str()?.parse().ok()?;
            Some((hash, entry.path()))
        });
        named.collect()
    }

    fn directory(&self, key: AttemptKey) -> PathBuf {
        self.root.join(key.to_string())
    }
}

fn parse_key(name: &str) -> Option<AttemptKey> {
    let (task, fence) = name.split_once('@')?;
    Some(AttemptKey::new(task.parse().ok()?, fence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::attempt::{Fence, LogIndex};
    use skep_model::ids::TaskId;

    fn key(number: u64) -> AttemptKey {
        AttemptKey::new(
            TaskId::from_u128(7),
            Fence {
                epoch: 1,
                index: LogIndex(number),
            },
        )
    }

    #[test]
    fn files_of_unanswered_results_survive_a_restart_and_others_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("staging");
        let file = directory.path().join("file");
        fs::write(&file, b"bytes").unwrap();
        let hash = ArtifactHash::of(b"bytes");
        let staging = Staging::open(root.clone(), &BTreeSet::new()).unwrap();
        for number in [1, 2, 3] {
            staging.keep(key(number), hash, &file).unwrap();
            staging.keep(key(number), hash, &file).unwrap();
        }
        staging.release(key(3));
        staging.handed_in(key(2));
        let ended: Vec<_> = staging.files().into_iter().map(|(key, _)| key).collect();
        assert_eq!(ended, [key(2)], "attempt 1 still uploads its own");
        fs::remove_file(&file).unwrap();
        let staging = Staging::open(root.clone(), &BTreeSet::from([key(1), key(3)])).unwrap();
        let files = staging.files();
        assert_eq!(files.len(), 1, "{files:?}");
        let (found, kept) = &files[0];
        assert_eq!((*found, kept[0].0), (key(1), hash));
        assert_eq!(fs::read(&kept[0].1).unwrap(), b"bytes");
        staging.release(key(1));
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    }
}

//! The opposite of durability, on purpose: puts the coordinator's data back to an earlier state
//! while the coordinator is down. A checker that does not notice is worth nothing.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Kill of the coordinator after which its data is copied.
const COPIED_AT: usize = 1;
/// Kill after which the copy takes the place of the data.
const PUT_BACK_AT: usize = 3;

/// Kept data of a coordinator.
#[derive(Debug)]
pub(crate) struct Sabotage {
    data: PathBuf,
    copy: PathBuf,
    kills: usize,
}

impl Sabotage {
    pub(crate) fn new(data: PathBuf, copy: PathBuf) -> Self {
        Self {
            data,
            copy,
            kills: 0,
        }
    }

    /// Does its work; the coordinator is down.
    pub(crate) fn coordinator_was_killed(&mut self) -> Result<()> {
        self.kills += 1;
        if self.kills == COPIED_AT {
            copy_directory(&self.data, &self.copy).context("copy the coordinator's data")?;
        }
        if self.kills == PUT_BACK_AT {
            fs::remove_dir_all(&self.data).context("remove the coordinator's data")?;
            fs::rename(&self.copy, &self.data).context("put back the coordinator's data")?;
        }
        Ok(())
    }
}

fn copy_directory(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            // Takes the permissions along.
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_the_first_kill_is_back_after_the_third() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let file = data.join("deep/log");
        fs::create_dir_all(data.join("deep")).unwrap();
        let mut sabotage = Sabotage::new(data, directory.path().join("copy"));
        let mut seen = Vec::new();
        for kill in 1..=4 {
            fs::write(&file, format!("{kill}")).unwrap();
            sabotage.coordinator_was_killed().unwrap();
            seen.push(fs::read_to_string(&file).unwrap());
        }
        assert_eq!(seen, ["1", "2", "1", "4"]);
    }
}

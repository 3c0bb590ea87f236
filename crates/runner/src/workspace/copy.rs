//! Copies a directory as it is, without following symlinks.

use super::WorkspaceError;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Copies directories, regular files and symlinks (as symlinks); pipes and the like are left out.
pub(super) fn copy_tree(source: &Path, target: &Path) -> Result<(), WorkspaceError> {
    let mut to_copy = vec![(source.to_owned(), target.to_owned())];
    while let Some((from, to)) = to_copy.pop() {
        let at = |source| WorkspaceError::Copy {
            path: from.clone(),
            source,
        };
        fs::create_dir(&to).map_err(at)?;
        for entry in fs::read_dir(&from).map_err(at)? {
            let entry = entry.map_err(at)?;
            let place = to.join(entry.file_name());
            if entry.file_type().map_err(at)?.is_dir() {
                to_copy.push((entry.path(), place));
            } else {
                copy_entry(&entry, &place).map_err(at)?;
            }
        }
    }
    Ok(())
}

fn copy_entry(entry: &fs::DirEntry, place: &Path) -> io::Result<()> {
    let kind = entry.file_type()?;
    if kind.is_symlink() {
        symlink(fs::read_link(entry.path())?, place)
    } else if kind.is_file() {
        fs::copy(entry.path(), place).map(drop)
    } else {
        Ok(())
    }
}

//! Removes what attempts leave behind, also when they made it hard to remove.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What a sweep leaves alone.
const LOG_FILE: &str = "log";
/// Name of the note, beside a worktree, that says where git keeps its part of it.
const ADMIN_NOTE_SUFFIX: &str = ".git-admin";

/// Removes a directory of ours with all it holds; failure is logged, since the next sweep tries
/// again.
pub(crate) fn remove_directory(path: &Path) {
    let mut removed = fs::remove_dir_all(path);
    if matches!(&removed, Err(error) if error.kind() == io::ErrorKind::PermissionDenied) {
        make_writable(path);
        removed = fs::remove_dir_all(path);
    }
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "remove a directory of an attempt");
        }
        _ => {}
    }
}

/// A program may have taken the rights from its directories. Symlinks are not followed.
fn make_writable(path: &Path) {
    let mut to_visit = vec![path.to_owned()];
    while let Some(directory) = to_visit.pop() {
        // Whatever cannot be opened up shows in the second removal.
        let _ = fs::set_permissions(&directory, fs::Permissions::from_mode(0o700));
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        to_visit.extend(
            entries
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
}

/// Remembers git's part of a worktree for a sweep after a crash.
pub(super) fn note_admin_directory(worktree: &Path, admin: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    fs::write(note_path(worktree), admin.as_os_str().as_bytes())
}

/// Removes a worktree with git's part of it.
pub(super) fn remove_worktree(worktree: &Path) {
    use std::os::unix::ffi::OsStringExt;
    let note = note_path(worktree);
    if let Ok(bytes) = fs::read(&note) {
        let admin = PathBuf::from(std::ffi::OsString::from_vec(bytes));
        if belongs_to(&admin, worktree) {
            remove_directory(&admin);
        }
    }
    remove_directory(worktree);
    // Without a note there was no worktree.
    let _ = fs::remove_file(note);
}

fn note_path(worktree: &Path) -> PathBuf {
    let mut name = worktree.as_os_str().to_owned();
    name.push(ADMIN_NOTE_SUFFIX);
    PathBuf::from(name)
}

/// Git reuses names, so a stale note could point at the worktree of somebody else.
fn belongs_to(admin: &Path, worktree: &Path) -> bool {
    let is_worktree_entry = admin
        .parent()
        .is_some_and(|parent| parent.ends_with("worktrees"));
    let expected = worktree.join(".git");
    is_worktree_entry
        && fs::read_to_string(admin.join("gitdir"))
            .is_ok_and(|text| Path::new(text.trim_end()) == expected)
}

/// Removes what a crashed node left in one attempt's directory: everything but the log.
pub(crate) fn sweep_attempt(attempt: &Path) {
    let Ok(entries) = fs::read_dir(attempt) else {
        return;
    };
    let (directories, files): (Vec<_>, Vec<_>) = entries
        .flatten()
        .partition(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    // First, since the notes about worktrees are among the files.
    for directory in directories {
        remove_worktrees_in(&directory.path());
        remove_worktree(&directory.path());
    }
    for file in files.iter().filter(|file| file.file_name() != LOG_FILE) {
        // What cannot be removed now is tried again at the next sweep.
        let _ = fs::remove_file(file.path());
    }
}

/// A gate's worktree is one level down.
fn remove_worktrees_in(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if entry
            .file_name()
            .to_string_lossy()
            .ends_with(ADMIN_NOTE_SUFFIX)
        {
            let note = entry.path().to_string_lossy().into_owned();
            remove_worktree(Path::new(note.trim_end_matches(ADMIN_NOTE_SUFFIX)));
        }
    }
}

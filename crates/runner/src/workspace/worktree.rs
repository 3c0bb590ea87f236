//! A worktree of a repository: added for an attempt, read afterwards, removed.
//!
//! The worktree's `.git` file is the attempt's to change, so it is read once, before the command
//! runs. Later calls name git's directories themselves and never look at what lies in the
//! worktree.

use super::git::{Repository, TASK_TRAILER};
use super::removal::{note_admin_directory, remove_directory, remove_worktree};
use super::{Owner, Snapshot, WorkspaceError};
use skep_model::work::GitResult;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug)]
pub(super) struct Worktree {
    repository: Repository,
    directory: PathBuf,
    /// Git's part of it, below the repository's `worktrees`.
    admin_directory: PathBuf,
    /// The commit it started from.
    base: String,
    pub(super) result: GitResult,
}

impl Worktree {
    pub(super) fn add(
        repository: Repository,
        directory: &Path,
        commit: &str,
        result: GitResult,
    ) -> Result<Self, WorkspaceError> {
        let mut command = repository.command("worktree");
        command.args(["add", "--detach", "--quiet", "--end-of-options"]);
        command.arg(directory).arg(commit);
        let locked = repository.lock();
        repository.answer("worktree add", command)?;
        drop(locked);
        let admin_directory = match admin_directory_of(directory) {
            Ok(admin) => admin,
            Err(source) => {
                remove_directory(directory);
                return Err(WorkspaceError::Make {
                    path: directory.to_owned(),
                    source,
                });
            }
        };
        Ok(Self {
            repository,
            directory: directory.to_owned(),
            admin_directory,
            base: commit.to_owned(),
            result,
        })
    }

    /// Another worktree of the same repository.
    pub(super) fn at(&self, directory: &Path, commit: &str) -> Result<Self, WorkspaceError> {
        Self::add(
            self.repository.clone(),
            directory,
            commit,
            GitResult::Discard,
        )
    }

    /// Git's own data, so that `git log`, `status` and `diff` work inside. The attempt cannot
    /// write there: it could plant hooks and settings for later.
    pub(super) fn read_paths(&self) -> Vec<PathBuf> {
        vec![
            self.repository.common_directory().to_owned(),
            self.admin_directory.clone(),
        ]
    }

    /// Records all files that git does not ignore as a commit that no branch points to.
    pub(super) fn snapshot(&self, owner: Owner<'_>) -> Result<Snapshot, WorkspaceError> {
        self.remove_nested_repositories()
            .map_err(|source| WorkspaceError::Read {
                path: self.directory.clone(),
                source,
            })?;
        let mut add = self.command("add");
        add.args(["--all", "--", "."]);
        for input in owner.input_directories {
            add.arg(format!(":(top,exclude,literal){input}"));
        }
        self.repository.answer("add", add)?;
        let tree = self
            .repository
            .answer("write-tree", self.command("write-tree"))?;
        let message = format!(
            "Changes of {task}\n\n{TASK_TRAILER}: {task}\nSkep-Attempt: {attempt}",
            task = owner.task,
            attempt = owner.attempt
        );
        let mut commit = self.command("commit-tree");
        commit.args(["-p", &self.base, "-m", &message, &tree]);
        let commit = self.repository.answer("commit-tree", commit)?;
        Ok(Snapshot { tree, commit })
    }

    /// Git runs `git status` inside of nested repositories, with their settings, and settings
    /// can name programs. Without their `.git` they are plain directories.
    fn remove_nested_repositories(&self) -> io::Result<()> {
        let mut to_visit = vec![self.directory.clone()];
        while let Some(directory) = to_visit.pop() {
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                let is_git = entry.file_name().eq_ignore_ascii_case(".git");
                match (is_git && directory != self.directory, kind.is_dir()) {
                    (true, true) => fs::remove_dir_all(entry.path())?,
                    (true, false) => fs::remove_file(entry.path())?,
                    (false, true) if !is_git => to_visit.push(entry.path()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    pub(super) fn write_patch(&self, tree: &str, target: &Path) -> Result<(), WorkspaceError> {
        let file = fs::File::create(target).map_err(|source| WorkspaceError::Make {
            path: target.to_owned(),
            source,
        })?;
        let mut diff = self.command("diff-tree");
        diff.args(["-r", "-p", "--binary", "--full-index", "--no-color"])
            .args(["--no-ext-diff", "--no-textconv", "--no-renames"])
            .args([self.base.as_str(), tree, "--"]);
        self.repository.answer_into("diff-tree", diff, file)
    }

    /// Points the branch at the commit, unless somebody else made it meanwhile.
    pub(super) fn make_branch(
        &self,
        branch: &str,
        commit: &str,
        owner: Owner<'_>,
    ) -> Result<(), WorkspaceError> {
        let _locked = self.repository.lock();
        let present = self.repository.check_branch(branch, owner)?;
        let absent = "0".repeat(commit.len());
        let full_name = format!("refs/heads/{branch}");
        let expected = present.as_deref().unwrap_or(&absent);
        let update = [
            "-m",
            "skep",
            "--end-of-options",
            &full_name,
            commit,
            expected,
        ];
        self.repository.ask("update-ref", update).map(drop)
    }

    pub(super) fn remove(&self) {
        let _locked = self.repository.lock();
        remove_worktree(&self.directory);
    }

    /// A git command that knows its directories from us and from nowhere else.
    fn command(&self, step: &str) -> Command {
        let mut command = self.repository.command(step);
        command
            .current_dir(&self.directory)
            .env("GIT_DIR", &self.admin_directory)
            .env("GIT_COMMON_DIR", self.repository.common_directory())
            .env("GIT_WORK_TREE", &self.directory);
        command
    }
}

fn admin_directory_of(worktree: &Path) -> io::Result<PathBuf> {
    let pointer = fs::read_to_string(worktree.join(".git"))?;
    let admin = pointer
        .strip_prefix("gitdir: ")
        .map(|path| PathBuf::from(path.trim_end()))
        .ok_or_else(|| io::Error::other("git wrote an unknown `.git` file"))?;
    note_admin_directory(worktree, &admin)?;
    Ok(admin)
}

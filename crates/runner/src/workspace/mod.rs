//! The directory an attempt runs in: made, snapshotted, cleaned up.

mod copy;
mod git;
mod removal;
mod worktree;

pub(crate) use git::RepositoryLocks;
pub(crate) use removal::{remove_directory, sweep_attempt};

use skep_model::work::{GitResult, Workspace};
use std::io;
use std::path::{Path, PathBuf};
use worktree::Worktree;

/// Why a workspace could not be made, read or written back.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// A directory could not be made.
    #[error("make the workspace directory `{path}`")]
    Make {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The directory of the node is not there.
    #[error("the workspace `{path}` is not an absolute path of a directory on this node")]
    NoSuchDirectory {
        /// The path.
        path: String,
    },
    /// Git could not be started or listened to.
    #[error("run `git {step}` (git must be installed on this node)")]
    GitMissing {
        /// Its subcommand.
        step: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Git answered with an error.
    #[error("`git {step}` failed in `{repository}`: {answer}")]
    Git {
        /// Its subcommand.
        step: String,
        /// The repository.
        repository: PathBuf,
        /// What git said.
        answer: String,
    },
    /// The reference names no commit.
    #[error("`{reference}` names no commit in `{repository}`: commit something or name another")]
    NoCommit {
        /// The reference.
        reference: String,
        /// The repository.
        repository: PathBuf,
    },
    /// The result branch cannot be made.
    #[error("the branch `{branch}` exists in `{repository}` already: delete it or name another")]
    BranchTaken {
        /// Its name.
        branch: String,
        /// The repository.
        repository: PathBuf,
    },
    /// The clean copy for a gate could not be made.
    #[error("copy the workspace for a gate at `{path}`")]
    Copy {
        /// Where it failed.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The workspace could not be read after the command.
    #[error("read the workspace `{path}` after the command")]
    Read {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A workspace that is ready.
#[derive(Debug)]
pub(crate) struct Prepared {
    directory: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Ours, and gone with the attempt.
    Fresh,
    /// The node owner's.
    Existing { writable: bool },
    /// Ours, but registered in a repository.
    Git(Box<Worktree>),
}

/// Who asks for a workspace; goes into names and commit messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// The task, as text.
    pub(crate) task: &'a str,
    /// The attempt.
    pub(crate) attempt: u32,
    /// Directories, relative to the workspace, that are inputs and not changes.
    pub(crate) input_directories: &'a [String],
}

/// What the command left in a git workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    tree: String,
    commit: String,
}

impl Prepared {
    /// Makes the workspace; `directory` is where it goes unless the plan names one.
    pub(crate) fn make(
        wanted: &Workspace,
        directory: &Path,
        owner: Owner<'_>,
        locks: &RepositoryLocks,
    ) -> Result<Self, WorkspaceError> {
        match wanted {
            Workspace::None => {
                std::fs::create_dir(directory).map_err(|source| WorkspaceError::Make {
                    path: directory.to_owned(),
                    source,
                })?;
                Ok(Self {
                    directory: directory.to_owned(),
                    kind: Kind::Fresh,
                })
            }
            Workspace::Dir { path, writable } => existing(path, *writable),
            Workspace::Git {
                repository,
                reference,
                result,
            } => {
                let repository = git::Repository::open(repository, locks)?;
                if let GitResult::Branch(branch) = result {
                    repository.check_branch(branch, owner)?;
                }
                let base = repository.commit_of(reference)?;
                let worktree = Worktree::add(repository, directory, &base, result.clone())?;
                Ok(Self {
                    directory: directory.to_owned(),
                    kind: Kind::Git(Box::new(worktree)),
                })
            }
        }
    }

    /// Where the command runs.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether the command may change it.
    pub(crate) fn is_writable(&self) -> bool {
        !matches!(self.kind, Kind::Existing { writable: false })
    }

    /// What the command must be able to read besides the workspace itself.
    pub(crate) fn read_paths(&self) -> Vec<PathBuf> {
        match &self.kind {
            Kind::Git(worktree) => worktree.read_paths(),
            Kind::Fresh | Kind::Existing { .. } => Vec::new(),
        }
    }

    /// Records what the command left, where somebody will want it.
    pub(crate) fn snapshot(
        &self,
        owner: Owner<'_>,
        for_gates: bool,
    ) -> Result<Option<Snapshot>, WorkspaceError> {
        match &self.kind {
            Kind::Git(worktree) if for_gates || worktree.result != GitResult::Discard => {
                worktree.snapshot(owner).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Makes a copy for a gate at `directory`. An existing directory cannot be copied cheaply; a
    /// gate runs in it as it is.
    pub(crate) fn clean_copy(
        &self,
        directory: &Path,
        snapshot: Option<&Snapshot>,
    ) -> Result<Self, WorkspaceError> {
        match (&self.kind, snapshot) {
            (Kind::Existing { writable }, _) => Ok(Self {
                directory: self.directory.clone(),
                kind: Kind::Existing {
                    writable: *writable,
                },
            }),
            (Kind::Git(worktree), Some(snapshot)) => Ok(Self {
                directory: directory.to_owned(),
                kind: Kind::Git(Box::new(worktree.at(directory, &snapshot.commit)?)),
            }),
            _ => {
                copy::copy_tree(&self.directory, directory)?;
                Ok(Self {
                    directory: directory.to_owned(),
                    kind: Kind::Fresh,
                })
            }
        }
    }

    /// Whether a clean copy lacks the inputs, because they are no part of the changes.
    pub(crate) fn copy_needs_inputs(&self) -> bool {
        matches!(self.kind, Kind::Git(_))
    }

    /// Writes the patch, if one was asked for; says whether it did.
    pub(crate) fn write_patch(
        &self,
        snapshot: Option<&Snapshot>,
        target: &Path,
    ) -> Result<bool, WorkspaceError> {
        match (&self.kind, snapshot) {
            (Kind::Git(worktree), Some(snapshot)) if worktree.result == GitResult::Patch => {
                worktree.write_patch(&snapshot.tree, target).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// Makes the result branch, if one was asked for.
    pub(crate) fn make_branch(
        &self,
        snapshot: Option<&Snapshot>,
        owner: Owner<'_>,
    ) -> Result<(), WorkspaceError> {
        if let (Kind::Git(worktree), Some(snapshot)) = (&self.kind, snapshot)
            && let GitResult::Branch(branch) = &worktree.result
        {
            return worktree.make_branch(branch, &snapshot.commit, owner);
        }
        Ok(())
    }
}

impl Drop for Prepared {
    /// What is ours goes, on every way out.
    fn drop(&mut self) {
        match &self.kind {
            Kind::Existing { .. } => {}
            Kind::Fresh => remove_directory(&self.directory),
            Kind::Git(worktree) => worktree.remove(),
        }
    }
}

fn existing(path: &str, writable: bool) -> Result<Prepared, WorkspaceError> {
    let directory = PathBuf::from(path);
    if directory.is_absolute() && directory.is_dir() {
        return Ok(Prepared {
            directory,
            kind: Kind::Existing { writable },
        });
    }
    Err(WorkspaceError::NoSuchDirectory {
        path: path.to_owned(),
    })
}

//! Runs git on a repository of the node, without running anything that the repository brings.

use super::{Owner, WorkspaceError};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest time of one git call; a checkout of a very large repository takes minutes.
const GIT_TIME_MAX: Duration = Duration::from_mins(15);

/// Settings that win over every configuration file. Hooks and the file system monitor are
/// programs named by a repository, so they never run.
const SAFE_SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "advice.detachedHead=false",
    "diff.noprefix=false",
    "diff.mnemonicPrefix=false",
];

/// Environment of every git call; nothing else is inherited but `PATH` and `HOME`.
const SAFE_ENVIRONMENT: &[(&str, &str)] = &[
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ASKPASS", "/bin/false"),
    ("GIT_EDITOR", "/bin/false"),
    ("GIT_AUTHOR_NAME", "Skep"),
    ("GIT_AUTHOR_EMAIL", "skep@localhost"),
    ("GIT_COMMITTER_NAME", "Skep"),
    ("GIT_COMMITTER_EMAIL", "skep@localhost"),
    ("LC_ALL", "C"),
];

/// Marks the commits of a task, so that its next attempt may replace the branch of the last.
pub(super) const TASK_TRAILER: &str = "Skep-Task";

/// One lock per repository: git's worktree list is not made for many writers.
#[derive(Debug, Default)]
pub(crate) struct RepositoryLocks {
    by_path: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>>,
}

/// A repository of the node.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    /// Where the plan says it is.
    path: PathBuf,
    /// Where its objects and branches are.
    common_directory: PathBuf,
    lock: Arc<Mutex<()>>,
}

impl Repository {
    pub(super) fn open(path: &str, locks: &RepositoryLocks) -> Result<Self, WorkspaceError> {
        let path = PathBuf::from(path);
        if !path.is_absolute() || !path.is_dir() {
            return Err(WorkspaceError::NoSuchDirectory {
                path: path.display().to_string(),
            });
        }
        let mut repository = Self {
            path: path.clone(),
            common_directory: path,
            lock: Arc::default(),
        };
        let question = ["--path-format=absolute", "--git-common-dir"];
        let answer = repository.ask("rev-parse", question)?;
        repository.common_directory = PathBuf::from(answer);
        let mut by_path = locks.by_path.lock();
        let lock = by_path.entry(repository.common_directory.clone());
        repository.lock = Arc::clone(lock.or_default());
        drop(by_path);
        Ok(repository)
    }

    pub(super) fn common_directory(&self) -> &Path {
        &self.common_directory
    }

    /// Serialises changes of the repository's worktree list and branches.
    pub(super) fn lock(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.lock.lock()
    }

    /// The commit that a branch, tag or hash names.
    pub(super) fn commit_of(&self, reference: &str) -> Result<String, WorkspaceError> {
        let commit = format!("{reference}^{{commit}}");
        let question = ["--verify", "--quiet", "--end-of-options", commit.as_str()];
        self.ask("rev-parse", question)
            .map_err(|error| match error {
                WorkspaceError::Git { .. } => WorkspaceError::NoCommit {
                    reference: reference.to_owned(),
                    repository: self.path.clone(),
                },
                other => other,
            })
    }

    /// Refuses a result branch that could not be made later; gives the commit it has now if an
    /// earlier attempt of the same task made it.
    pub(super) fn check_branch(
        &self,
        branch: &str,
        owner: Owner<'_>,
    ) -> Result<Option<String>, WorkspaceError> {
        let full_name = format!("refs/heads/{branch}");
        self.ask("check-ref-format", ["--branch", branch])?;
        let question = [
            "--verify",
            "--quiet",
            "--end-of-options",
            full_name.as_str(),
        ];
        let Ok(present) = self.ask("rev-parse", question) else {
            return Ok(None);
        };
        let format = format!("--format=%(trailers:key={TASK_TRAILER},valueonly)");
        let made_by = self.ask("log", ["-1", format.as_str(), present.as_str(), "--"])?;
        let is_checked_out = self
            .ask("worktree", ["list", "--porcelain"])?
            .lines()
            .any(|line| line.strip_prefix("branch ") == Some(&full_name));
        if made_by.trim() == owner.task && !is_checked_out {
            return Ok(Some(present));
        }
        Err(WorkspaceError::BranchTaken {
            branch: branch.to_owned(),
            repository: self.path.clone(),
        })
    }

    /// Runs git in the repository and gives its answer without the last line break.
    pub(super) fn ask<S: AsRef<OsStr>>(
        &self,
        step: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String, WorkspaceError> {
        let mut command = self.command(step);
        command.args(arguments);
        self.answer(step, command)
    }

    /// A git command with everything dangerous turned off.
    pub(super) fn command(&self, step: &str) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .current_dir(&self.path)
            .stdin(Stdio::null());
        for name in ["PATH", "HOME"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(SAFE_ENVIRONMENT.iter().copied());
        for setting in SAFE_SETTINGS {
            command.args(["-c", setting]);
        }
        command.arg(step);
        command
    }

    /// Runs a command to its end and gives its answer without the last line break.
    pub(super) fn answer(&self, step: &str, command: Command) -> Result<String, WorkspaceError> {
        let failed = |source| not_run(step, source);
        let mut answer = tempfile::tempfile().map_err(failed)?;
        self.answer_into(step, command, answer.try_clone().map_err(failed)?)?;
        let text = read_from_start(&mut answer).map_err(failed)?;
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// Runs a command to its end, with its answer into a file; an exit code other than 0 is an
    /// error, and so is a git that does not end.
    pub(super) fn answer_into(
        &self,
        step: &str,
        mut command: Command,
        answer: File,
    ) -> Result<(), WorkspaceError> {
        let failed = |source| not_run(step, source);
        // A file and not a pipe: nobody has to read it while the command runs.
        let mut complaint = tempfile::tempfile().map_err(failed)?;
        let complaint_of_child = complaint.try_clone().map_err(failed)?;
        command.stdout(answer).stderr(complaint_of_child);
        let mut child = command.process_group(0).spawn().map_err(failed)?;
        let is_late = !ends_within(&child, GIT_TIME_MAX).map_err(failed)?;
        if is_late {
            // It may have ended in between; then there is nothing to kill.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        }
        let status = child.wait().map_err(failed)?;
        if status.success() && !is_late {
            return Ok(());
        }
        let text = read_from_start(&mut complaint).map_err(failed)?;
        Err(WorkspaceError::Git {
            step: step.to_owned(),
            repository: self.path.clone(),
            answer: match text.trim() {
                _ if is_late => format!("it did not end within {} s", GIT_TIME_MAX.as_secs()),
                "" => status.to_string(),
                text => text.replace('\n', "; "),
            },
        })
    }
}

fn not_run(step: &str, source: io::Error) -> WorkspaceError {
    WorkspaceError::GitMissing {
        step: step.to_owned(),
        source,
    }
}

fn ends_within(child: &Child, time_max: Duration) -> io::Result<bool> {
    let handle = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let deadline = Instant::now() + time_max;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).expect("it is at most `GIT_TIME_MAX`");
        match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&timeout)) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(ended) => return Ok(ended > 0),
        }
    }
}

fn read_from_start(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_noticed() {
        let start = |seconds| Command::new("sleep").arg(seconds).spawn().unwrap();
        let mut quick = start("0");
        assert!(ends_within(&quick, GIT_TIME_MAX).unwrap());
        quick.wait().unwrap();
        let mut slow = start("60");
        assert!(!ends_within(&slow, Duration::from_millis(20)).unwrap());
        slow.kill().unwrap();
        slow.wait().unwrap();
    }
}

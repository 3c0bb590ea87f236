//! What an attempt does: the kinds of work, workspaces, artifacts and gates.

use crate::ids::TaskId;
use crate::requirements::Performer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a task runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Goes the whole way of a task without a child process. Exists for measuring.
    Noop,
    /// A child process.
    Command(Box<CommandWork>),
    /// Something that an attached agent does as it thinks best. No node runs it.
    Described(Box<DescribedWork>),
}

impl Work {
    /// Who can do it.
    pub const fn performer(&self) -> Performer {
        match self {
            Self::Noop | Self::Command(_) => Performer::Node,
            Self::Described(_) => Performer::AttachedAgent,
        }
    }

    /// Artifacts of other tasks that an attempt is given.
    pub fn inputs(&self) -> &[Input] {
        match self {
            Self::Noop => &[],
            Self::Command(command) => &command.inputs,
            Self::Described(described) => &described.inputs,
        }
    }

    /// Milliseconds until an attempt is ended.
    pub fn timeout_ms(&self) -> Option<u64> {
        match self {
            Self::Noop => None,
            Self::Command(command) => Some(command.timeout_ms),
            Self::Described(described) => described.timeout_ms,
        }
    }
}

/// Work that is described in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DescribedWork {
    /// What is to be done; at most `INSTRUCTIONS_BYTES_MAX` bytes.
    pub instructions: String,
    /// What is to be there in the end, if it was said; bounded like the instructions.
    pub expected: Option<String>,
    /// Artifacts of other tasks that are needed for it.
    pub inputs: Vec<Input>,
    /// Milliseconds from when it was begun until the attempt is ended as timed out.
    pub timeout_ms: Option<u64>,
}

/// A child process with its workspace, inputs, artifacts and gates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CommandWork {
    /// Program and arguments, or a script.
    pub invocation: Invocation,
    /// Variables set for the child, beyond the node's allow-list.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub workspace: Workspace,
    /// Absolute paths on the node, outside the workspace, that the command may read.
    pub reads: Vec<String>,
    /// Artifacts of other tasks that are placed into the workspace first.
    pub inputs: Vec<Input>,
    /// Files that are handed in after the command succeeded.
    pub artifacts: Vec<ArtifactPattern>,
    /// Checks that decide whether the result is accepted.
    pub gates: Vec<Gate>,
    /// Milliseconds until the attempt is stopped.
    pub timeout_ms: u64,
    /// Milliseconds between TERM and KILL.
    pub kill_grace_ms: u64,
}

/// How the child process is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Invocation {
    /// Program and arguments, found in `PATH`, no shell.
    Argv(Vec<String>),
    /// A script for `sh -eu`.
    Shell(String),
}

/// The directory an attempt runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Workspace {
    /// A fresh, empty directory.
    None,
    /// An existing directory of the node, used as it is and not removed.
    Dir {
        /// Absolute path on the node.
        path: String,
        /// Whether the attempt may write there.
        writable: bool,
    },
    /// A worktree of a git repository.
    Git {
        /// Absolute path of the repository on the node.
        repository: String,
        /// Branch, tag or commit; `HEAD` unless said.
        reference: String,
        /// What becomes of the attempt's changes.
        result: GitResult,
    },
}

/// What becomes of changes made in a git workspace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GitResult {
    /// They are thrown away with the worktree.
    #[default]
    Discard,
    /// They are handed in as the artifact `changes.patch`.
    Patch,
    /// They are committed to this branch of the repository.
    Branch(String),
}

/// Artifacts of another task that this one reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Input {
    /// The task whose artifacts are wanted.
    pub from: TaskId,
    /// Its name, used as the directory below `into`.
    pub name: String,
    /// Glob over artifact paths; `**` takes all.
    pub glob: String,
    /// Directory in the workspace, relative; files land in `into/<name>/<path>`.
    pub into: String,
}

/// Files to hand in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ArtifactPattern {
    /// Name under which the files are listed.
    pub name: String,
    /// Glob relative to the workspace; never leaves it and never follows symlinks.
    pub glob: String,
    /// Whether the attempt fails when nothing matches.
    pub required: bool,
}

/// A check that runs after the command, in a clean copy of its workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Gate {
    /// Shown in results and evidence.
    pub name: String,
    /// What is run; exit code 0 passes.
    pub invocation: Invocation,
    /// Milliseconds until the gate is stopped and counts as failed.
    pub timeout_ms: u64,
}

//! Why an attempt could not be started or its results not be taken in.

use crate::glob::GlobError;
use crate::isolation::ProbeError;
use crate::spec::PortError;
use crate::supervised::SupervisedError;
use crate::workspace::WorkspaceError;
use skep_model::attempt::Outcome;
use skep_model::isolation::IsolationLevel;
use skep_model::limits::{ARTIFACT_BYTES_MAX, ARTIFACTS_PER_ATTEMPT_MAX, ERROR_TEXT_MAX};
use std::error::Error;
use std::io;
use std::path::PathBuf;

/// Why an attempt could not be started or its results not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The machine does not give what the task asks for.
    #[error("the task asks for isolation `{wanted}`, this machine gives `{measured}`{hint}")]
    IsolationUnavailable {
        /// Asked for.
        wanted: IsolationLevel,
        /// Found by the probe.
        measured: IsolationLevel,
        /// Which probe was not stopped.
        hint: String,
    },
    /// The isolation could not be measured.
    #[error(transparent)]
    IsolationUnknown(#[from] ProbeError),
    /// The attempt's own directory or log.
    #[error("prepare the attempt's directory `{path}`")]
    Directory {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The workspace could not be made.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// A path of the node that the plan names cannot be given.
    #[error("the path `{path}` cannot be given to the attempt: {reason}")]
    NodePath {
        /// The path.
        path: String,
        /// Why not.
        reason: &'static str,
    },
    /// An input could not be placed.
    #[error("place input `{name}` into the workspace: {source}")]
    Input {
        /// Name of the input.
        name: String,
        /// Why not.
        source: PortError,
    },
    /// The command could not be started.
    #[error(transparent)]
    Command(#[from] SupervisedError),
    /// Processes that nothing could kill.
    #[error("{0} processes of the attempt could not be killed")]
    Survivors(usize),
    /// A pattern that cannot be used.
    #[error("artifact `{name}`")]
    ArtifactPattern {
        /// Name of the pattern.
        name: String,
        /// What is wrong with it.
        #[source]
        source: GlobError,
    },
    /// A required pattern matched nothing.
    #[error("artifact `{name}`: no file matches `{glob}`")]
    ArtifactMissing {
        /// Name of the pattern.
        name: String,
        /// The pattern.
        glob: String,
    },
    /// The one file a pattern names is none that may be handed in.
    #[error("artifact `{name}`: `{path}` is a symlink or not a regular file")]
    ArtifactRefused {
        /// Name of the pattern.
        name: String,
        /// The path.
        path: String,
    },
    /// A file that matches cannot be named in a report.
    #[error(
        "artifact `{name}`: the name of `{path}` is not UTF-8 and cannot be reported: rename the \
         file, or narrow the pattern"
    )]
    ArtifactNameNotUtf8 {
        /// Name of the pattern.
        name: String,
        /// The path, with replacements for what is not UTF-8.
        path: String,
    },
    /// A file that matches has a name that would garble every listing.
    #[error(
        "artifact `{name}`: the name of `{path}` has a control character: rename the file, or \
         narrow the pattern"
    )]
    ArtifactNameControl {
        /// Name of the pattern.
        name: String,
        /// The path, escaped.
        path: String,
    },
    /// Too many files match.
    #[error(
        "{count} artifacts match, the limit is {max} (`ARTIFACTS_PER_ATTEMPT_MAX`): \
         pack them or narrow the patterns",
        max = ARTIFACTS_PER_ATTEMPT_MAX
    )]
    TooManyArtifacts {
        /// How many.
        count: usize,
    },
    /// One file is too large.
    #[error("artifact `{path}` is larger than {max} bytes (`ARTIFACT_BYTES_MAX`)",
        max = ARTIFACT_BYTES_MAX)]
    ArtifactTooLarge {
        /// The path.
        path: String,
    },
    /// A file could not be read or staged.
    #[error("take in artifact `{path}`")]
    ArtifactRead {
        /// The path.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The receiver did not take a file.
    #[error("hand in artifact `{path}`: {source}")]
    ArtifactPut {
        /// The path.
        path: String,
        /// Why not.
        source: PortError,
    },
}

impl AttemptError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::IsolationUnavailable { .. } | Self::IsolationUnknown(_) => {
                "isolation_unavailable"
            }
            Self::Directory { .. } => "directory_failed",
            Self::Workspace(WorkspaceError::BranchTaken { .. }) => "branch_taken",
            Self::Workspace(_) | Self::NodePath { .. } => "workspace_failed",
            Self::Input { .. } => "input_failed",
            Self::Command(SupervisedError::Launch(_)) => "launch_failed",
            Self::Command(_) => "supervisor_failed",
            Self::Survivors(_) => "processes_left",
            Self::ArtifactPattern { .. }
            | Self::ArtifactRefused { .. }
            | Self::ArtifactNameControl { .. } => "artifact_refused",
            Self::ArtifactNameNotUtf8 { .. } => "artifact_name_not_utf8",
            Self::ArtifactMissing { .. } => "artifact_missing",
            Self::TooManyArtifacts { .. } | Self::ArtifactTooLarge { .. } => "artifact_limit",
            Self::ArtifactRead { .. } | Self::ArtifactPut { .. } => "artifact_failed",
        }
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        let mut message = with_causes(&self);
        if let Some((cut, _)) = message.char_indices().nth(ERROR_TEXT_MAX) {
            message.truncate(cut);
        }
        Outcome::Error {
            code: self.code().to_owned(),
            message,
        }
    }
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some sources are part of the message already, because they are boxed.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

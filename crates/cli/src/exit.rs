//! Exit codes of `skep`: a promise to scripts, listed in `docs/exit-codes.md`.

use skep_client::ClientError;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Failed in a way nobody expected.
    Failed = 1,
    /// A wait ended in another state than asked for.
    OtherState = 2,
    /// Not authenticated, or not allowed.
    Denied = 3,
    /// Coordinator or node cannot be reached.
    Unreachable = 4,
    /// The task or run itself failed.
    TaskFailed = 5,
    /// Invalid input or plan.
    Invalid = 6,
    /// No such thing.
    NotFound = 7,
    /// Conflict with the present state.
    Conflict = 8,
    /// A limit or quota refused it.
    Refused = 9,
    /// The command line cannot be understood.
    Usage = 64,
    /// The data directory or the disk cannot be used; the coordinator stopped rather than lie.
    Storage = 70,
    /// Try again later.
    Temporary = 75,
    /// A timeout passed.
    TimedOut = 124,
    /// Interrupted by a signal.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a failed command says, and its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Stable word, e.g. `task_not_found`.
    pub(crate) code: String,
    /// What was wrong and where.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
    pub(crate) retryable: bool,
    /// The single errors, when there are several, as JSON objects.
    pub(crate) errors: Vec<serde_json::Value>,
}

/// Result of a command.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self {
            exit,
            code: code.to_owned(),
            message: message.into(),
            hint: None,
            retryable: false,
            errors: Vec::new(),
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The exit code for an HTTP status of the API.
pub(crate) const fn exit_of_status(status: u16) -> Exit {
    match status {
        400 | 413 | 415 | 422 => Exit::Invalid,
        401 | 403 => Exit::Denied,
        404 | 410 => Exit::NotFound,
        409 | 412 => Exit::Conflict,
        429 | 503 => Exit::Temporary,
        504 => Exit::TimedOut,
        507 => Exit::Refused,
        _ => Exit::Failed,
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Problem(problem) => Self {
                exit: exit_of_status(problem.status),
                code: problem.code,
                message: problem.detail,
                hint: problem.hint,
                retryable: problem.retryable,
                errors: Vec::new(),
            },
            untrusted @ ClientError::Untrusted { .. } => {
                Self::new(Exit::Denied, "coordinator_untrusted", chain(&untrusted))
            }
            file @ ClientError::File { .. } => Self::new(Exit::Failed, "io_failed", chain(&file)),
            other => Self::new(Exit::Unreachable, "coordinator_unreachable", chain(&other))
                .hint("start one with `skep up`, or set SKEP_URL to the one you mean"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Failed, "io_failed", error.to_string())
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

//! Why an operation was not done, in words that are the same on every surface.

use crate::error_codes::{ErrorCode, Repeat};
use skep_coordinator::{ProposeError, Unwelcome};
use skep_model::refusal::{LimitName, Refusal};

/// How long a caller should wait when nothing better is known.
const RETRY_AFTER_MS_DEFAULT: u64 = 1_000;

/// A refused or failed operation. Boxed inside: it travels through every `Result`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", .0.code.as_str(), .0.detail)]
pub struct OperationError(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    code: ErrorCode,
    detail: String,
    hint: Option<String>,
    retry_after_ms: Option<u64>,
    current_version: Option<u64>,
}

impl OperationError {
    /// The error with this code and what happened in this case.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            detail: detail.into(),
            hint: None,
            retry_after_ms: None,
            current_version: None,
        }))
    }

    /// Advice for this case, instead of the general advice of the code.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// When to try again.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.0.retry_after_ms = Some(ms);
        self
    }

    /// The version that is there instead of the one that the request expected.
    #[must_use]
    pub fn with_current_version(mut self, version: u64) -> Self {
        self.0.current_version = Some(version);
        self
    }

    /// The version that is there instead of the one that the request expected.
    pub fn current_version(&self) -> Option<u64> {
        self.0.current_version
    }

    /// Logs the cause for the operator and tells the caller only that something broke.
    pub fn internal(step: &str, cause: &dyn std::error::Error) -> Self {
        tracing::error!(step, cause = %chain(cause), "an operation broke");
        Self::new(ErrorCode::Internal, format!("`{step}` failed"))
    }

    /// Stable code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// What happened in this case.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What to do.
    pub fn hint(&self) -> &str {
        self.0
            .hint
            .as_deref()
            .unwrap_or_else(|| self.0.code.advice())
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.0.code.repeat() == Repeat::Later
    }

    /// Whole seconds to wait, if waiting helps.
    pub fn retry_after_s(&self) -> Option<u64> {
        let overload = matches!(self.0.code.status(), 429 | 503);
        let ms = self
            .0
            .retry_after_ms
            .or(overload.then_some(RETRY_AFTER_MS_DEFAULT))?;
        Some(ms.div_ceil(1_000).max(1))
    }
}

/// The error and its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<Refusal> for OperationError {
    fn from(refusal: Refusal) -> Self {
        Self::new(code_of(&refusal), refusal.to_string())
    }
}

impl From<Unwelcome> for OperationError {
    fn from(reason: Unwelcome) -> Self {
        let code = ErrorCode::from_word(reason.code());
        let code = code.expect("a test compares the words with the table");
        Self::new(code, reason.to_string())
    }
}

impl From<ProposeError> for OperationError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Overloaded { retry_after_ms } => {
                Self::new(ErrorCode::Overloaded, "the queue before the log is full")
                    .retry_after_ms(retry_after_ms)
            }
            ProposeError::StorageFull => Self::new(
                ErrorCode::StorageLow,
                "no space is left in the data directory",
            ),
            ProposeError::Stopped => Self::new(
                ErrorCode::OutcomeUnknown,
                "the coordinator stopped before it answered",
            ),
        }
    }
}

/// The code under which a refusal of the core is shown.
pub const fn code_of(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::TaskNotLive(_) => ErrorCode::TaskNotFound,
        Refusal::RunNotLive(_) => ErrorCode::RunNotFound,
        Refusal::NodeUnknown(_) | Refusal::EnrolmentUnknown(_) | Refusal::NotASeat(_) => {
            ErrorCode::NodeNotFound
        }
        Refusal::AgentUnknown(_) => ErrorCode::AgentNotFound,
        Refusal::TokenUnknown(_) => ErrorCode::TokenNotFound,
        Refusal::TaskState { .. } => ErrorCode::TaskStateConflict,
        Refusal::RunState { .. } => ErrorCode::RunStateConflict,
        Refusal::DependencyNotLive { .. } => ErrorCode::DependencyNotLive,
        Refusal::Cycle(_) => ErrorCode::NeedsCycle,
        Refusal::DuplicateTask(_) | Refusal::DuplicateRun(_) => ErrorCode::IdTaken,
        Refusal::StaleFence { .. } => ErrorCode::FenceStale,
        Refusal::Limit {
            limit: LimitName::TasksLiveMax,
            ..
        } => ErrorCode::SwarmFull,
        Refusal::Limit { .. } => ErrorCode::LimitExceeded,
        Refusal::IdempotencyMismatch(_) => ErrorCode::IdempotencyMismatch,
        Refusal::NameTaken(_) => ErrorCode::NameTaken,
        Refusal::NoRoom { .. } => ErrorCode::GrantImpossible,
        Refusal::GateEvidenceMissing { .. } => ErrorCode::GateEvidenceMissing,
        Refusal::NodeBusy { .. } => ErrorCode::NodeBusy,
        Refusal::NodeGone(_) => ErrorCode::NodeGone,
        Refusal::ParkTime(_) => ErrorCode::ParkTimeInvalid,
        Refusal::InstanceReplaced(_) => ErrorCode::InstanceReplaced,
        Refusal::AgentComesWithNode(_) => ErrorCode::AgentComesWithNode,
        Refusal::JoinTokenUnknown(_) => ErrorCode::JoinTokenUnknown,
        Refusal::JoinTokenExpired(_) => ErrorCode::JoinTokenExpired,
        Refusal::JoinTokenUsedUp(_) => ErrorCode::JoinTokenUsedUp,
        Refusal::InstanceOld(_) => ErrorCode::InstanceOld,
        Refusal::NodeCloned(_) => ErrorCode::NodeCloned,
        Refusal::SecrecyTooLate(_) => ErrorCode::MemoryNamespaceInUse,
        Refusal::PerformerMismatch(_) => ErrorCode::TaskInvalid,
        Refusal::ScheduleUnknown(_) => ErrorCode::ScheduleNotFound,
        Refusal::ScheduleNotDue(_) => ErrorCode::ScheduleNotDue,
        Refusal::TriggerUnknown(_) | Refusal::TriggerNotPending(_) => ErrorCode::TriggerNotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::ids::{NodeId, TaskId};

    #[test]
    fn an_overload_says_when_to_come_back() {
        let error = OperationError::from(ProposeError::Overloaded {
            retry_after_ms: 1_200,
        });
        assert_eq!(
            (error.code(), error.retry_after_s()),
            (ErrorCode::Overloaded, Some(2))
        );
        assert!(error.is_retryable());
    }

    #[test]
    fn who_may_not_come_in_is_told_a_code_of_the_table() {
        let node = NodeId::from_u128(5);
        for (reason, expected) in [
            (Unwelcome::NotJoined(node), ErrorCode::LoginRefused),
            (Unwelcome::NotApproved(node), ErrorCode::NodeNotApproved),
            (
                Unwelcome::NotYourNode { caller: node, node },
                ErrorCode::NotYourNode,
            ),
            (Unwelcome::KeyNeeded(node), ErrorCode::NotYourNode),
        ] {
            assert_eq!(OperationError::from(reason).code(), expected);
        }
    }

    #[test]
    fn a_refusal_keeps_the_words_of_the_core() {
        let refusal = Refusal::Cycle(TaskId::from_u128(5));
        let error = OperationError::from(refusal.clone());
        assert_eq!(
            (error.code(), error.detail()),
            (ErrorCode::NeedsCycle, &*refusal.to_string())
        );
        assert_eq!(error.retry_after_s(), None);
    }
}

//! Who may call an operation.

use crate::context::{Context, Principal};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup;
use crate::parameters::{self, PathParameters};
use skep_model::ids::{RunId, TaskId};
use skep_model::token::Scope;

/// What a running attempt may do with an operation, by its task token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskRule {
    /// Nothing.
    Refused,
    /// The path names its own task.
    OwnTask,
    /// The path names its own run, or a task of it.
    OwnRun,
    /// It is about content that is addressed by its hash.
    AnyContent,
    /// It is about shared memory: the operation itself checks the namespace.
    SharedMemory,
}

/// Who may call an operation: holders of one of the scopes, and attempts under the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// Any of these; `Admin` has all.
    pub scopes: &'static [Scope],
    /// Attempts.
    pub attempts: TaskRule,
    /// Everybody, without a token.
    pub is_open: bool,
}

impl Permission {
    /// For holders of this scope, and of no other but `Admin`.
    pub const fn any_of(scopes: &'static [Scope]) -> Self {
        Self {
            scopes,
            attempts: TaskRule::Refused,
            is_open: false,
        }
    }

    /// For everybody, without a token: the operation checks what the caller shows.
    pub(crate) const OPEN: Self = Self {
        scopes: &[],
        attempts: TaskRule::Refused,
        is_open: true,
    };

    /// Also for attempts.
    #[must_use]
    pub const fn or_attempt(self, rule: TaskRule) -> Self {
        Self {
            attempts: rule,
            ..self
        }
    }

    /// Checks the caller against the path it names.
    pub(crate) async fn check(
        &self,
        context: &Context,
        path: &PathParameters,
    ) -> Result<(), OperationError> {
        if self.is_open {
            return Ok(());
        }
        match &context.caller {
            Principal::Anonymous => Err(OperationError::new(
                ErrorCode::TokenMissing,
                "the `Authorization` header is missing",
            )),
            Principal::Token { .. } | Principal::Node(_) => {
                if self.scopes.iter().any(|scope| context.caller.has(*scope)) {
                    return Ok(());
                }
                let wanted: Vec<_> = self.scopes.iter().map(|scope| scope.as_str()).collect();
                Err(OperationError::new(
                    ErrorCode::ScopeMissing,
                    format!("the token lacks the scope `{}`", wanted.join("` or `")),
                ))
            }
            Principal::Task { task, run, .. } => {
                self.check_attempt(context, *task, *run, path).await
            }
        }
    }

    async fn check_attempt(
        &self,
        context: &Context,
        task: TaskId,
        run: Option<RunId>,
        path: &PathParameters,
    ) -> Result<(), OperationError> {
        let named = parameters::find(path, "id").unwrap_or_default();
        let allowed = match self.attempts {
            TaskRule::Refused => false,
            TaskRule::AnyContent | TaskRule::SharedMemory => true,
            TaskRule::OwnTask => named.parse() == Ok(task),
            TaskRule::OwnRun => {
                named.parse() == Ok(task)
                    || run.is_some_and(|run| named.parse() == Ok(run))
                    || self.is_sibling(context, run, named).await?
            }
        };
        if allowed {
            return Ok(());
        }
        Err(OperationError::new(
            ErrorCode::NotYourTask,
            format!("the token belongs to `{task}`, which may not do this to `{named}`"),
        ))
    }

    async fn is_sibling(
        &self,
        context: &Context,
        run: Option<RunId>,
        named: &str,
    ) -> Result<bool, OperationError> {
        let (Some(run), Ok(other)) = (run, named.parse::<TaskId>()) else {
            return Ok(false);
        };
        let found = lookup::task(&context.services, other).await?;
        Ok(found.is_some_and(|task| task.record().run == Some(run)))
    }
}

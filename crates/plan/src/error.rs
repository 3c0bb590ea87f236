//! What is wrong with a plan, where, and what to write instead.

use crate::position::Position;
use std::fmt;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// The kinds of errors; their texts are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable text.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

error_codes! {
    /// The text is not YAML or JSON.
    Syntax => "plan_syntax",
    /// A key stands twice in one mapping.
    DuplicateKey => "plan_duplicate_key",
    /// A key that does not exist here.
    UnknownKey => "plan_unknown_key",
    /// A value of another type, or a word that is none of the allowed ones.
    WrongType => "plan_wrong_type",
    /// A key that must be there.
    MissingKey => "plan_missing_key",
    /// No tasks.
    Empty => "plan_empty",
    /// A name with characters that names may not have, or too long.
    BadName => "plan_bad_name",
    /// A number outside its bounds.
    OutOfRange => "plan_out_of_range",
    /// Not a span of time.
    BadDuration => "plan_bad_duration",
    /// Not an amount of bytes or processors.
    BadSize => "plan_bad_size",
    /// Both `run` and `argv`, or a command in a task of the kind `noop`.
    TwoCommands => "plan_two_commands",
    /// Neither `run` nor `argv`.
    NoCommand => "plan_no_command",
    /// A key that needs a command, in a task that is described in words.
    NeedsCommand => "plan_needs_command",
    /// A script, list or value beyond a limit.
    TooLong => "plan_too_long",
    /// A dependency on a task that does not exist.
    UnknownTask => "plan_unknown_task",
    /// A task that needs itself, directly or through others.
    Cycle => "plan_cycle",
    /// A `${{ }}` that means nothing here.
    UnknownReference => "plan_unknown_reference",
    /// A parameter was given that the plan does not have.
    UnknownParameter => "plan_unknown_parameter",
    /// A parameter without a default was not given.
    MissingParameter => "plan_missing_parameter",
    /// Parameters or axes whose variables have the same name.
    VariableClash => "plan_variable_clash",
    /// A matrix without values, or with a value twice.
    BadMatrix => "plan_bad_matrix",
    /// More tasks than one submission may have.
    TooManyTasks => "plan_too_many_tasks",
    /// A variable that Skep sets itself, or a name that no variable can have.
    BadVariable => "plan_bad_variable",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// Its kind.
    pub code: ErrorCode,
    /// Where the text came from: a path, or a word such as `request`.
    pub origin: String,
    /// Where in the text; none when it is about the whole or about what was given besides.
    pub position: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// The wrong value as written, shortened.
    pub value: Option<String>,
    /// What to write instead.
    pub fix: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(at) => write!(f, "{}:{}:{}: ", self.origin, at.line, at.column)?,
            None => write!(f, "{}: ", self.origin)?,
        }
        write!(f, "{}", self.message)?;
        if let Some(value) = &self.value {
            write!(f, ", found `{value}`")?;
        }
        write!(f, " ({}): {}", self.code, self.fix)
    }
}

impl std::error::Error for PlanError {}

/// Everything that is wrong with a plan; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanErrors(pub Vec<PlanError>);

impl fmt::Display for PlanErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PlanErrors {}

/// Errors kept in one answer; a text with more is hardly a plan.
pub const ERRORS_MAX: usize = 100;
/// Characters of a wrong value that are shown.
const VALUE_SHOWN_MAX: usize = 60;

/// Collects errors while reading goes on.
#[derive(Debug)]
pub(crate) struct Problems {
    origin: String,
    found: Vec<PlanError>,
}

/// One problem before its origin is known.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) value: Option<String>,
    pub(crate) fix: String,
}

impl Problem {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            value: None,
            fix: fix.into(),
        }
    }

    pub(crate) fn found(self, value: &str) -> Self {
        Self {
            value: Some(shorten(value)),
            ..self
        }
    }
}

fn shorten(value: &str) -> String {
    let first_line = value.lines().next().unwrap_or_default();
    if first_line.len() == value.len() && value.chars().count() <= VALUE_SHOWN_MAX {
        return value.to_owned();
    }
    first_line
        .chars()
        .take(VALUE_SHOWN_MAX)
        .chain(['…'])
        .collect()
}

impl Problems {
    pub(crate) fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            found: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, position: Option<Position>, problem: Problem) {
        let error = PlanError {
            code: problem.code,
            origin: self.origin.clone(),
            position,
            message: problem.message,
            value: problem.value,
            fix: problem.fix,
        };
        self.keep(error);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All errors in the order of the text, of which there is at least one.
    pub(crate) fn into_errors(mut self) -> PlanErrors {
        self.found.sort_by_key(|error| error.position);
        PlanErrors(self.found)
    }

    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// Takes over what others found and `wanted` says yes to.
    pub(crate) fn join(&mut self, others: Self, wanted: impl Fn(&PlanError) -> bool) {
        for error in others.found {
            if wanted(&error) {
                self.keep(error);
            }
        }
    }

    /// Every instance of a matrix has the same fault: it is said once.
    fn keep(&mut self, error: PlanError) {
        if self.found.len() < ERRORS_MAX && !self.found.contains(&error) {
            self.found.push(error);
        }
    }

    /// The value if nothing is wrong, else all errors in the order of the text.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, PlanErrors> {
        if self.found.is_empty() {
            return Ok(value);
        }
        Err(self.into_errors())
    }
}

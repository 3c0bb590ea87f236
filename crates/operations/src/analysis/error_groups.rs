//! Messages that are alike, from lines that the caller has or from tasks that did not succeed.

use super::message_template::{Group, Groups};
use super::window::{WINDOW_S_MAX, Window};
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use serde::{Deserialize, Serialize};

/// A day.
const WINDOW_S_DEFAULT: u64 = 86_400;
/// Lines that are taken at a time.
const LINES_MAX: usize = 100_000;
/// Groups that are shown.
pub(super) const GROUPS_MAX: usize = 50;

/// What to group.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ErrorQuery {
    /// Lines, at most 100,000; when left out, the reasons of tasks that did not succeed.
    lines: Option<Vec<String>>,
    /// Of tasks: the last so many seconds; a day unless said.
    #[schemars(range(min = 1, max = WINDOW_S_MAX))]
    window_s: Option<u64>,
}

/// Messages that are alike, the largest group first.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct ErrorGroups {
    /// Messages in all.
    messages: usize,
    /// Groups in all; the 50 largest are shown.
    groups_found: usize,
    /// Whether all that was asked for was looked at.
    complete: bool,
    /// The groups.
    groups: Vec<Group>,
}

pub(super) async fn errors(
    context: Context,
    _: NoParameters,
    query: ErrorQuery,
) -> Result<ErrorGroups, OperationError> {
    let mut groups = Groups::default();
    let mut complete = true;
    if let Some(lines) = &query.lines {
        if lines.len() > LINES_MAX {
            let detail = format!(
                "`lines` has {} lines; want at most {LINES_MAX}",
                lines.len()
            );
            return Err(OperationError::new(ErrorCode::LimitExceeded, detail));
        }
        for line in lines.iter().filter(|line| !line.trim().is_empty()) {
            groups.add(line, None);
        }
    } else {
        let seconds = query.window_s.unwrap_or(WINDOW_S_DEFAULT);
        let window = Window::last(&context.services, seconds).await?;
        complete = window.complete;
        // Oldest first, so that the first of a group is the first that happened.
        for sample in window.samples.iter().rev() {
            if let Some(reason) = &sample.reason {
                groups.add(reason, Some(sample.finished_at.into()));
            }
        }
    }
    Ok(ErrorGroups {
        messages: groups.seen(),
        groups_found: groups.len(),
        complete,
        groups: groups.largest(GROUPS_MAX),
    })
}

//! Checks of fields that several operations take.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use serde::Deserialize;
use skep_model::ids::NodeId;
use skep_model::limits;
use std::collections::BTreeMap;

/// For routes without parameters.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParameters {}

/// A name or word: 1 to `NAME_LENGTH_MAX` characters, none of them a control character.
pub(crate) fn check_text(field: &str, text: &str) -> Result<(), OperationError> {
    let length = text.chars().count();
    if (1..=limits::NAME_LENGTH_MAX).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(OperationError::new(
        ErrorCode::FieldInvalid,
        format!(
            "`{field}` should have 1 to {} characters and no control characters",
            limits::NAME_LENGTH_MAX
        ),
    ))
}

/// The name of a machine: letters, digits, `-`, `_` and `.`, so that it looks like nothing else on a
/// screen, and no id, so that it cannot be taken for another machine.
pub(crate) fn check_machine_name(field: &str, name: &str) -> Result<(), OperationError> {
    check_text(field, name)?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.chars().all(plain) && name.parse::<NodeId>().is_err() {
        return Ok(());
    }
    let detail = format!("`{field}` should be letters, digits, `-`, `_` and `.`, and not an id");
    Err(OperationError::new(ErrorCode::FieldInvalid, detail))
}

/// Labels: at most `LABELS_MAX`, keys and values short.
pub(crate) fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), OperationError> {
    if labels.len() > limits::LABELS_MAX {
        return Err(OperationError::new(
            ErrorCode::LimitExceeded,
            format!(
                "LABELS_MAX is {}: {} labels are too many",
                limits::LABELS_MAX,
                labels.len()
            ),
        ));
    }
    for (key, value) in labels {
        check_text("labels", key)?;
        if !value.is_empty() {
            check_text("labels", value)?;
        }
    }
    Ok(())
}

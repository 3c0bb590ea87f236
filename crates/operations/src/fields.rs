//! Checks of fields that several operations take.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use serde::Deserialize;
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

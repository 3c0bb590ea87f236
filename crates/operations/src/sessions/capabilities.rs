//! What a session says it can do.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::check_text;
use serde::Deserialize;
use skep_model::limits;
use skep_model::requirements::Proficiency;
use std::collections::BTreeMap;

/// Names of capabilities, or names with proficiencies.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(super) enum Capabilities {
    /// Names: basic in each.
    Names(Vec<String>),
    /// Names with proficiencies.
    Rated(BTreeMap<String, Proficiency>),
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::Names(Vec::new())
    }
}

impl Capabilities {
    /// As the log keeps them.
    pub(super) fn checked(self) -> Result<BTreeMap<String, Proficiency>, OperationError> {
        let rated: BTreeMap<String, Proficiency> = match self {
            Self::Rated(rated) => rated,
            Self::Names(names) => {
                let basic = |name| (name, Proficiency::Basic);
                names.into_iter().map(basic).collect()
            }
        };
        if rated.len() > limits::LABELS_MAX {
            let detail = format!(
                "LABELS_MAX is {}: {} capabilities",
                limits::LABELS_MAX,
                rated.len()
            );
            return Err(OperationError::new(ErrorCode::LimitExceeded, detail));
        }
        for name in rated.keys() {
            check_text("capabilities", name)?;
        }
        Ok(rated)
    }
}

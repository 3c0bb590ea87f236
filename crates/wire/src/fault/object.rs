//! The error object of JSON-RPC, as it travels.

use super::FaultCode;
use serde::{Deserialize, Serialize};

/// The number of refusals whose words are not of this protocol.
const REFUSED: i64 = -32_010;

/// A JSON-RPC error object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The number of JSON-RPC.
    pub code: i64,
    /// For people.
    pub message: String,
    /// For programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<FaultData>,
}

/// What programs read of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultData {
    /// A word of [`FaultCode`], or one that only the peer knows.
    pub code: String,
    /// Whether the same request may be answered otherwise later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retryable: bool,
}

impl Fault {
    /// An error with this code and this text for people.
    pub fn new(code: FaultCode, message: impl Into<String>) -> Self {
        Self {
            code: code.number(),
            message: message.into(),
            data: Some(FaultData {
                code: code.as_str().to_owned(),
                retryable: false,
            }),
        }
    }

    /// The answer no to a request that was understood, with a word that is not of this protocol.
    pub fn refusal(word: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: REFUSED,
            message: message.into(),
            data: Some(FaultData {
                code: word.into(),
                retryable: false,
            }),
        }
    }

    /// The same, with whether asking again later may help.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        if let Some(data) = &mut self.data {
            data.retryable = retryable;
        }
        self
    }

    /// The word for programs, whether it is one of this protocol or not.
    pub fn word(&self) -> &str {
        self.data.as_ref().map_or("", |data| &data.code)
    }

    /// Whether asking again later may help: it was said so, or the answer is one of a coordinator
    /// that is busy, stops or has a full disk.
    pub fn may_pass(&self) -> bool {
        let said = self.data.as_ref().is_some_and(|data| data.retryable);
        let passing = [FaultCode::Busy, FaultCode::Shutdown, FaultCode::StorageFull];
        said || self
            .known_code()
            .is_some_and(|code| passing.contains(&code))
    }

    /// The stable code, if it is one of ours.
    pub fn known_code(&self) -> Option<FaultCode> {
        let word = &self.data.as_ref()?.code;
        FaultCode::ALL
            .into_iter()
            .find(|code| code.as_str() == word)
    }
}

//! Places in the stream of events.

use crate::attempt::LogIndex;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Place of an event: log index and position among the events of that entry. Streams have no gap
/// and no duplicate per cursor.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub struct EventCursor {
    /// Log index.
    pub index: LogIndex,
    /// Counted from 0.
    pub ordinal: u32,
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.ordinal)
    }
}

impl std::str::FromStr for EventCursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, ParseCursorError> {
        let error = || ParseCursorError {
            text: text.to_owned(),
        };
        let (index, ordinal) = text.split_once('.').ok_or_else(error)?;
        Ok(Self {
            index: LogIndex(index.parse().map_err(|_| error())?),
            ordinal: ordinal.parse().map_err(|_| error())?,
        })
    }
}

/// A text that is not `INDEX.ORDINAL`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an event cursor: it should be two numbers, `INDEX.ORDINAL`")]
pub struct ParseCursorError {
    text: String,
}

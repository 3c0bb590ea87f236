//! The events of one log entry together.

use super::Event;
use crate::attempt::LogIndex;
use crate::command::Actor;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// All events of one log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryEvents {
    /// The entry.
    pub index: LogIndex,
    /// When it was proposed (never before an earlier entry).
    pub at: UnixMillis,
    /// Who asked.
    pub actor: Actor,
    /// What happened, in order.
    pub events: Vec<Event>,
}

//! How long a node keeps its work while nobody hears it.

use crate::attempt::LogIndex;
use crate::node::NodeClass;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What becomes of a node's attempts while it is not heard. New values are only ever appended; a
/// later one is more patient than those before it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// They are given to others when its lease and the grace are over.
    Replace,
    /// They wait `DISCONNECT_WAIT_MS` for it, and are given to others then.
    Wait,
    /// They wait for it, until they are cancelled, their deadline passes, or the node is removed.
    Keep,
}

impl OnDisconnect {
    /// What holds for nodes of this class about which nobody said anything.
    pub const fn of_class(class: NodeClass) -> Self {
        match class {
            NodeClass::Server => Self::Replace,
            NodeClass::Consumer => Self::Wait,
        }
    }

    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Wait => "wait",
            Self::Keep => "keep",
        }
    }
}

impl fmt::Display for OnDisconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an operator wants for a node that is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DisconnectSetting {
    /// What the node says itself, or what is usual for its class.
    Own,
    /// This, whatever the node says.
    Fixed(OnDisconnect),
}

/// All that says how long the work of a node waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patience {
    /// What becomes of its attempts while it is not heard.
    pub policy: OnDisconnect,
    /// For how long it is parked, milliseconds; they wait so much longer.
    pub park_ms: u64,
}

impl Patience {
    /// At least as patient as both.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        Self {
            policy: self.policy.max(other.policy),
            park_ms: self.park_ms.max(other.park_ms),
        }
    }
}

/// A node whose attempts stand still, because its machine is about to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// When it wakes up, as was announced.
    pub until: UnixMillis,
    /// The same as a time from when it was announced, milliseconds.
    pub for_ms: u64,
    /// Whether the node said that its attempts stand still.
    pub stands_still: bool,
}

/// By what the swarm and the node count how long its attempts are its own.
///
/// The node stops its work by the terms that it was told last; nobody else may have the work
/// before that. So a more patient policy holds at once, a less patient one only when the node said
/// that it knows it: until then `bound` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// At least as patient as everything by which the node may still act.
    pub bound: Patience,
    /// The entry that changed what it is to act by last. It names the terms: the node repeats it.
    pub since: LogIndex,
}

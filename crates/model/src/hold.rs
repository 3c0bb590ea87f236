//! How long a node keeps its work while nobody hears it.

use crate::attempt::LogIndex;
use crate::node::NodeClass;
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

/// By what the swarm and the node count how long its attempts are its own.
///
/// The node stops its work by the terms that it was told last; nobody else may have the work
/// before that. So a more patient policy holds at once, a less patient one only when the node said
/// that it knows it: until then `bound` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The most patient policy by which the node may still act.
    pub bound: OnDisconnect,
    /// The entry that changed the policy last. It names the terms: the node repeats it.
    pub since: LogIndex,
}

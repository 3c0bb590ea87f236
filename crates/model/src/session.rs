//! Attached agents: sessions that ask for work, and the seats that own their leases.
//!
//! A seat is a node record without a machine: leases, fences, results and losses are those of
//! nodes. Nothing runs there, and no connection belongs to it; the session calls when it likes.

use crate::command::Actor;
use crate::requirements::Proficiency;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// By what an attached agent is known to be alive while it works. New values are only ever
/// appended.
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
#[serde(rename_all = "snake_case")]
pub enum HeartbeatMode {
    /// By its calls. It makes none while it works, so that silence says little: what it began is
    /// its own for `WORKING_SILENCE_MS`, or for the timeout of the task.
    #[default]
    Calls,
    /// By heartbeats that something beside it sends all the while: silence of
    /// `SESSION_OFFLINE_MS` means that it is gone.
    Background,
}

impl HeartbeatMode {
    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Background => "background",
        }
    }
}

/// The session behind an attached agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// Whoever registered it. Nobody else but an administrator acts for it.
    pub owner: Actor,
    /// By what it is known to be alive.
    pub heartbeat: HeartbeatMode,
    /// The program, as it calls itself.
    pub client: String,
}

/// What a session says when it attaches itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedSpec {
    /// Name for people; unique among agents and nodes.
    pub name: String,
    /// Free word, e.g. `reviewer`.
    pub role: String,
    /// What it can do, as it says.
    pub capabilities: BTreeMap<String, Proficiency>,
    /// The session.
    pub session: SessionFacts,
}

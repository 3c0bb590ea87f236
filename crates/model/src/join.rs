//! Joining: the tokens that let machines in, and the keys of those that came in.

use crate::ids::{JoinTokenId, NodeId};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a join token lets in. New values are only ever appended.
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
pub enum JoinKind {
    /// A machine of the swarm's owner that is always on: of the class `server`, unless the machine
    /// says otherwise.
    Server,
    /// A machine of the swarm's owner: of the class that it says itself.
    Node,
    /// A machine of somebody else: of the class `consumer`, unless the machine says otherwise.
    Volunteer,
}

impl JoinKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Server, Self::Node, Self::Volunteer];

    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Node => "node",
            Self::Volunteer => "volunteer",
        }
    }
}

impl fmt::Display for JoinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a machine gets with the token it joined by, whatever it says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodePreset {
    /// Labels; they win over the machine's own.
    pub labels: BTreeMap<String, String>,
    /// Pool, shown as the label `pool`.
    pub pool: Option<String>,
    /// Whether it is forgotten as soon as it leaves or is lost.
    pub ephemeral: bool,
    /// Whether a person has to approve it, comparing the pairing code that both sides show.
    pub needs_approval: bool,
}

/// A join token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTokenRecord {
    /// The token.
    pub id: JoinTokenId,
    /// What it lets in.
    pub kind: JoinKind,
    /// Hash of the secret.
    pub hash: [u8; 32],
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
    /// How many machines it lets in; at least 1.
    pub uses_max: u32,
    /// How many came in.
    pub uses: u32,
    /// What they get.
    pub preset: NodePreset,
}

impl JoinTokenRecord {
    /// Whether it lets nobody in any more.
    pub fn is_over(&self, now: UnixMillis) -> bool {
        self.expires_at <= now || self.uses >= self.uses_max
    }
}

/// A machine that joined by a token: the key by which it is known from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentRecord {
    /// The node.
    pub node: NodeId,
    /// Name it gave when it joined.
    pub name: String,
    /// What it is.
    pub kind: JoinKind,
    /// Its public Ed25519 key.
    pub key: [u8; 32],
    /// The token it came with.
    pub token: JoinTokenId,
    /// When it came.
    pub joined_at: UnixMillis,
    /// What the token gave it.
    pub preset: NodePreset,
    /// Whether it may connect.
    pub approved: bool,
}

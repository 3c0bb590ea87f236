//! API tokens: who may do what. Only hashes are kept.

use crate::ids::TokenId;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a token allows. `Admin` includes all others.
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
pub enum Scope {
    /// See tasks, runs, nodes, agents, artifacts and events.
    Read,
    /// Submit, cancel, retry, pause and resume; hand in artifacts.
    Write,
    /// Connect as a node, and report for the attempts granted to it.
    Node,
    /// Everything: nodes, agents, tokens, diagnostics.
    Admin,
    /// Attach as an agent: ask for work, and say what came of what was given to it.
    Agent,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Write,
        Self::Node,
        Self::Admin,
        Self::Agent,
    ];

    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Node => "node",
            Self::Admin => "admin",
            Self::Agent => "agent",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// The token.
    pub id: TokenId,
    /// Name for people.
    pub name: String,
    /// BLAKE3 of the secret text.
    pub hash: [u8; 32],
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMillis>,
}

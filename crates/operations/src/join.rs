//! Joining: tokens that let machines in, machines that come in by them, and their logins.
//!
//! A machine shows the secret of a join token once and is known by its own key from then on. With
//! the key it logs in at each connection and gets a session token that is good for a while.

mod enrol;
mod login;
mod pending;
mod session;
mod tokens;

pub(crate) use pending::joined;
pub use session::{NodeSessionKey, SESSION_TTL_MS};

use crate::operation::Operation;
use skep_identity::ChallengeKey;
use std::fmt;

/// What the coordinator needs to let other machines in.
pub struct JoinDesk {
    /// What join tokens say of the coordinator; `None` when no other machine can reach it.
    pub reach: Option<Reach>,
    /// Makes and checks the challenges of logins.
    pub challenges: ChallengeKey,
    /// Makes and checks the session tokens of nodes.
    pub sessions: NodeSessionKey,
}

impl fmt::Debug for JoinDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinDesk")
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

/// Where other machines find the coordinator, and by what they know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// `HOST:PORT`, the best first.
    pub addresses: Vec<String>,
    /// Fingerprint of the certificate authority.
    pub fingerprint: [u8; 32],
}

pub(crate) fn operations() -> Vec<Operation> {
    [
        tokens::operations(),
        enrol::operations(),
        login::operations(),
        pending::operations(),
    ]
    .concat()
}

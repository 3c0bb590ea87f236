//! Which caller may come in as which node. Only the state decides, so that whoever was removed a
//! moment ago is out.

use skep_core::State;
use skep_model::ids::NodeId;
use skep_model::planted::{PlantedBug, planted};

/// Who opened a connection, as far as it was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A machine that joined, by its own key.
    Joined(NodeId),
    /// Somebody who holds a token for nodes.
    Holder,
}

/// Why a caller does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwelcome {
    /// Unknown, or removed.
    #[error("node `{0}` did not join this swarm, or was removed from it: join it with a new token")]
    NotJoined(NodeId),
    /// Nobody approved it yet.
    #[error("node `{0}` waits for approval")]
    NotApproved(NodeId),
    /// It speaks for somebody else.
    #[error("the session belongs to node `{caller}`, not to `{node}`")]
    NotYourNode {
        /// Who it is.
        caller: NodeId,
        /// Who it claims to be.
        node: NodeId,
    },
    /// A token speaks for a machine that has a key.
    #[error("node `{0}` joined with a key of its own: a token does not speak for it")]
    KeyNeeded(NodeId),
}

impl Unwelcome {
    /// The stable word for it, one of the error codes of the API.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotJoined(_) => "login_refused",
            Self::NotApproved(_) => "node_not_approved",
            Self::NotYourNode { .. } | Self::KeyNeeded(_) => "not_your_node",
        }
    }

    /// Code and reason, for a session that ends by it.
    pub(crate) fn farewell(&self) -> String {
        format!("`{}`: {self}", self.code())
    }
}

/// Whether a machine that joined may connect.
///
/// # Errors
/// Why not.
pub fn may_connect(state: &State, node: NodeId) -> Result<(), Unwelcome> {
    match state.enrolment(node) {
        Some(enrolment) if enrolment.approved || planted(PlantedBug::UnapprovedNodeGetsWork) => {
            Ok(())
        }
        Some(_) => Err(Unwelcome::NotApproved(node)),
        None if planted(PlantedBug::RemovedNodeStaysWelcome) => Ok(()),
        None => Err(Unwelcome::NotJoined(node)),
    }
}

/// Whether the caller may come in as this node: a machine that joined speaks for itself only, and
/// nobody else speaks for it.
///
/// # Errors
/// Why not.
pub fn may_speak_for(state: &State, caller: Caller, node: NodeId) -> Result<(), Unwelcome> {
    match caller {
        Caller::Joined(caller) if caller != node => Err(Unwelcome::NotYourNode { caller, node }),
        Caller::Joined(_) => may_connect(state, node),
        Caller::Holder if state.enrolment(node).is_some() => Err(Unwelcome::KeyNeeded(node)),
        Caller::Holder => Ok(()),
    }
}

//! Who proposed an entry and waits for it.

use crate::links::ConnectionId;
use crate::sequencer::Ticket;
use skep_model::ids::NodeId;
use skep_wire::coordinator_end::ReplyId;
use skep_wire::payload::AttemptKey;

/// Who waits for an entry.
#[derive(Debug)]
pub(crate) enum Origin {
    Caller(Ticket),
    Registration(ConnectionId),
    Confirmation(ConnectionId),
    Results {
        connection: ConnectionId,
        request: ReplyId,
        keys: Vec<AttemptKey>,
    },
    Decision,
    Moves,
    Timers,
    Transition(NodeId),
    /// A judgement on the silence of an attached agent.
    Seat(NodeId),
    Nobody,
}

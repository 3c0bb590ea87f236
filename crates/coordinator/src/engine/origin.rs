//! Who proposed an entry and waits for it.

use super::{Engine, Now, Output};
use crate::applier::Reaction;
use crate::links::{ConnectionId, results_applied};
use crate::sequencer::Ticket;
use skep_model::ids::{NodeId, ScheduleId, TriggerId};
use skep_wire::coordinator_end::ReplyId;
use skep_wire::payload::AttemptKey;
use std::sync::Arc;

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
    /// A due time of a schedule.
    Schedule(ScheduleId),
    /// An event that matched a trigger.
    Trigger(TriggerId),
    Nobody,
}

impl Engine {
    /// Tells whoever proposed something what came of it.
    pub(super) fn settled(
        &mut self,
        now: Now,
        origin: Origin,
        reaction: &Reaction<'_>,
        out: &mut Vec<Output>,
    ) {
        match origin {
            Origin::Caller(ticket) => {
                out.push(Output::Answer(ticket, Ok(Arc::clone(reaction.events))));
            }
            Origin::Registration(connection) => self.links.registered(connection, reaction, out),
            Origin::Confirmation(connection) => self.links.confirmed(connection, reaction, out),
            Origin::Results {
                connection,
                request,
                keys,
            } => results_applied(connection, request, keys, reaction, out),
            Origin::Decision => self.dispatcher.settled(reaction.events, now.elapsed_ms),
            Origin::Moves => self.moves.settled(),
            Origin::Timers => self.timers_in_flight = false,
            Origin::Transition(node) => self.liveness.settled(node),
            Origin::Seat(seat) => self.attendance.settled(seat, now.elapsed_ms),
            Origin::Schedule(schedule) => self.firings.settled(schedule),
            Origin::Trigger(trigger) => self.trigger_firings.settled(trigger),
            Origin::Nobody => {}
        }
    }
}

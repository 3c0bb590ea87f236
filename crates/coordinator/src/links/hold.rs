//! How long a node's work is its own while it is not heard: what it is told, and what it knows.

use super::{ConnectionId, Links, Proposal, ToNode};
use crate::engine::{Origin, Output};
use crate::liveness::LeaseTimers;
use skep_core::State;
use skep_model::attempt::LogIndex;
use skep_model::command::{Actor, Command};
use skep_model::ids::NodeId;
use skep_model::node::NodeRecord;
use skep_wire::payload::HoldTerms;

/// The terms that a node is to act by.
pub(super) fn terms(timers: &LeaseTimers, record: &NodeRecord) -> HoldTerms {
    HoldTerms {
        number: record.hold.since.0,
        hold_ms: timers.hold_ms(record.facts.class, record.patience()),
        parked: record.parked.is_some(),
    }
}

impl Links {
    /// Something about the node changed: it is told its terms if they are new to it.
    pub(super) fn tell_hold(&mut self, node: NodeId, state: &State, out: &mut Vec<Output>) {
        let (Some(connection), Some(record)) = (self.live_connection(node), state.node(node))
        else {
            return;
        };
        let Some(link) = self.by_connection.get_mut(&connection) else {
            return;
        };
        let terms = terms(&self.timers, record);
        if link.told_terms.replace(terms.number) != Some(terms.number) {
            out.push(Output::ToNode(connection, ToNode::Hold(terms)));
        }
    }

    /// A node said by which terms it acts. If they are the newest and others still bind, those are
    /// to be given up.
    pub(crate) fn acts_by(
        &self,
        connection: ConnectionId,
        terms: u64,
        state: &State,
    ) -> Option<Proposal> {
        let (node, instance) = self.by_connection.get(&connection)?.node?;
        let record = state.node(node)?;
        let since = LogIndex(terms);
        if record.hold.since != since || record.acts_as_wanted() {
            return None;
        }
        let command = Command::ConfirmHold {
            node,
            instance,
            since,
        };
        Some((Actor::Node(node), command, Origin::Nobody))
    }
}

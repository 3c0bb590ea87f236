//! What applied events mean for nodes.

use super::offer::offer;
use super::{ConnectionId, Links, ToNode};
use crate::applier::Reaction;
use crate::engine::Output;
use skep_model::event::Event;
use skep_model::ids::NodeId;
use skep_model::node::NodeState;
use skep_wire::payload::{AttemptKey, EndCode, Offer};
use std::collections::BTreeMap;

impl Links {
    /// Tells nodes what applied events mean for them.
    pub(crate) fn react(&mut self, reaction: &Reaction<'_>, out: &mut Vec<Output>) {
        let mut assign: BTreeMap<ConnectionId, Vec<Offer>> = BTreeMap::new();
        let mut revoke: BTreeMap<ConnectionId, Vec<AttemptKey>> = BTreeMap::new();
        for event in &reaction.events.events {
            match event {
                Event::TaskLeased { task, node, .. } => {
                    let Some(connection) = self.live_connection(*node) else {
                        continue;
                    };
                    let record = reaction.state.task(*task);
                    if let Some(assignment) =
                        record.and_then(|record| offer(&self.tokens, reaction.state, record))
                    {
                        assign.entry(connection).or_default().push(assignment);
                    }
                }
                Event::AttemptRevoked { task, node, fence } => {
                    if let Some(connection) = self.live_connection(*node) {
                        revoke
                            .entry(connection)
                            .or_default()
                            .push(AttemptKey::new(*task, *fence));
                    }
                }
                Event::NodeChanged { node, state } => self.node_changed(*node, *state, out),
                Event::NodeUpdated { node } | Event::NodeParked { node, .. } => {
                    self.tell_hold(*node, reaction.state, out);
                }
                Event::NodeRemoved { node } => {
                    if let Some(connection) = self.by_node.get(node).copied() {
                        self.end(connection, EndCode::Removed, "the node was removed", out);
                    }
                }
                _ => {}
            }
        }
        for (connection, items) in assign {
            out.push(Output::ToNode(connection, ToNode::Assign(items)));
        }
        for (connection, items) in revoke {
            out.push(Output::ToNode(connection, ToNode::Revoke(items)));
        }
    }

    fn node_changed(&mut self, node: NodeId, state: NodeState, out: &mut Vec<Output>) {
        let Some(connection) = self.by_node.get(&node).copied() else {
            return;
        };
        match state {
            NodeState::Draining => {
                out.push(Output::ToNode(connection, ToNode::Draining(true)));
                out.push(Output::ToNode(connection, ToNode::GiveBack));
            }
            NodeState::Ready => out.push(Output::ToNode(connection, ToNode::Draining(false))),
            // Its work was given up while the connection was silent: it has to sync anew.
            NodeState::Lost => {
                self.end(
                    connection,
                    EndCode::Shutdown,
                    "the node was silent for too long",
                    out,
                );
            }
            NodeState::Joining | NodeState::Suspect | NodeState::Left => {}
        }
    }
}

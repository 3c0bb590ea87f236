//! The coordinator's end of each node connection: who it is, what it holds, what it is told.
//!
//! A connection goes through `Opened -> Registering -> AwaitsSync -> Confirming -> Live`. Framing
//! and protocol order are the business of [`skep_wire::CoordinatorEnd`]; here stands what the
//! messages mean for the swarm.

mod agreement;
mod hand_back;
mod handshake;
mod hold;
mod offer;
mod reaction;
mod results;
mod to_node;

pub use handshake::EPOCH;
pub(crate) use results::{results_applied, results_not_stored};
pub use to_node::ToNode;

use crate::admission::Caller;
use crate::engine::{Origin, Output};
use crate::liveness::LeaseTimers;
use crate::ports::Entropy;
use crate::task_token::TaskTokenKey;
use agreement::lost_attempts;
use skep_core::State;
use skep_model::command::{Actor, Command};
use skep_model::ids::{InstanceId, NodeId};
use skep_model::limits::{AWAY_REASON_LENGTH_MAX, PARK_MS_MAX, PARK_MS_MIN};
use skep_wire::FromNode;
use skep_wire::coordinator_end::ReplyId;
use skep_wire::payload::{AttemptKey, AwayNotice, EndCode, ParkNotice, SyncReport};
use std::collections::BTreeMap;

/// Names one connection of a node for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

type Proposal = (Actor, Command, Origin);

#[derive(Debug)]
enum Phase {
    Opened,
    Registering,
    AwaitsSync,
    Confirming {
        request: ReplyId,
        report: SyncReport,
    },
    Live,
}

#[derive(Debug)]
struct Link {
    phase: Phase,
    caller: Caller,
    node: Option<(NodeId, InstanceId)>,
    /// The newest terms that were sent over it.
    told_terms: Option<u64>,
}

/// All node connections.
#[derive(Debug)]
pub(crate) struct Links {
    timers: LeaseTimers,
    tokens: TaskTokenKey,
    server_version: String,
    by_connection: BTreeMap<ConnectionId, Link>,
    /// The connection of each node's process that was let in last.
    by_node: BTreeMap<NodeId, ConnectionId>,
    /// Removed while they were being let in: to be forgotten again.
    unwelcome: Vec<NodeId>,
    /// Who became live or ceased to be since the last look.
    presence: Vec<(NodeId, bool)>,
}

impl Links {
    pub(crate) fn new(timers: LeaseTimers, tokens: TaskTokenKey, server_version: String) -> Self {
        Self {
            timers,
            tokens,
            server_version,
            by_connection: BTreeMap::new(),
            by_node: BTreeMap::new(),
            unwelcome: Vec::new(),
            presence: Vec::new(),
        }
    }

    pub(crate) fn opened(&mut self, connection: ConnectionId, caller: Caller) {
        self.by_connection.insert(
            connection,
            Link {
                phase: Phase::Opened,
                caller,
                node: None,
                told_terms: None,
            },
        );
    }

    pub(crate) fn closed(&mut self, connection: ConnectionId) {
        let Some(link) = self.by_connection.remove(&connection) else {
            return;
        };
        if let Some((node, _)) = link.node
            && self.by_node.get(&node) == Some(&connection)
        {
            self.by_node.remove(&node);
            self.presence.push((node, false));
        }
    }

    /// Nodes that became live (true) or ceased to be since the last call, in order.
    pub(crate) fn take_presence(&mut self) -> Vec<(NodeId, bool)> {
        std::mem::take(&mut self.presence)
    }

    /// Nodes that the log let in although they had been removed, since the last call.
    pub(crate) fn take_unwelcome(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.unwelcome)
    }

    /// Connections that take work.
    pub(crate) fn live(&self) -> usize {
        self.by_connection
            .values()
            .filter(|link| matches!(link.phase, Phase::Live))
            .count()
    }

    /// Whether the proposal came from a connection that is gone.
    pub(crate) fn is_gone(&self, origin: &Origin) -> bool {
        match origin {
            Origin::Registration(connection)
            | Origin::Confirmation(connection)
            | Origin::Results { connection, .. } => !self.by_connection.contains_key(connection),
            _ => false,
        }
    }

    pub(crate) fn node_of(&self, connection: ConnectionId) -> Option<NodeId> {
        Some(self.by_connection.get(&connection)?.node?.0)
    }

    pub(crate) fn end_all(&mut self, out: &mut Vec<Output>) {
        for connection in self.by_connection.keys().copied().collect::<Vec<_>>() {
            self.end(connection, EndCode::Shutdown, "the coordinator stops", out);
        }
    }

    fn end(
        &mut self,
        connection: ConnectionId,
        code: EndCode,
        message: impl Into<String>,
        out: &mut Vec<Output>,
    ) {
        self.closed(connection);
        out.push(Output::ToNode(
            connection,
            ToNode::End {
                code,
                message: message.into(),
            },
        ));
    }

    /// Takes a node's message; what it leads to is returned as proposals.
    pub(crate) fn message(
        &mut self,
        connection: ConnectionId,
        message: FromNode,
        state: &State,
        entropy: &mut dyn Entropy,
        out: &mut Vec<Output>,
    ) -> Option<Proposal> {
        let link = self.by_connection.get_mut(&connection)?;
        match message {
            FromNode::Hello(hello) => self.hello(connection, *hello, state, entropy, out),
            FromNode::SyncReport { reply, report } => {
                let (node, instance) = link.node?;
                let lost = lost_attempts(state, node, instance, &report);
                link.phase = Phase::Confirming {
                    request: reply,
                    report,
                };
                let command = Command::ConfirmNode {
                    node,
                    instance,
                    lost,
                };
                Some((Actor::Node(node), command, Origin::Confirmation(connection)))
            }
            FromNode::Results { reply, reports } => {
                let (node, _) = link.node?;
                let keys = reports.iter().map(AttemptKey::from).collect();
                let command = Command::ReportResults { node, reports };
                let origin = Origin::Results {
                    connection,
                    request: reply,
                    keys,
                };
                Some((Actor::Node(node), command, origin))
            }
            FromNode::Progress(items) => {
                let (node, _) = link.node?;
                let command = Command::ReportProgress { node, items };
                Some((Actor::Node(node), command, Origin::Nobody))
            }
            FromNode::Away(notice) => link.node.map(|sender| away(sender, notice)),
            FromNode::Parked(notice) => link.node.map(|(node, _)| parked(node, notice)),
            FromNode::Goodbye { .. } => self.goodbye(connection),
            FromNode::Load(notice) => {
                if notice.overloaded {
                    out.push(Output::ToNode(connection, ToNode::GiveBack));
                }
                None
            }
            FromNode::Groups { method, meta } => {
                tracing::debug!(
                    ?connection,
                    method,
                    ?meta,
                    "a node said more about a message"
                );
                None
            }
            // Those have their own way in. Questions are answered where the services are, in front of the hive.
            FromNode::Assigned(_)
            | FromNode::GaveBack { .. }
            | FromNode::Heartbeat { .. }
            | FromNode::Metrics(_)
            | FromNode::Ask { .. } => None,
        }
    }

    fn goodbye(&mut self, connection: ConnectionId) -> Option<Proposal> {
        let (node, instance) = self.by_connection.get(&connection)?.node?;
        self.closed(connection);
        let command = Command::NodeLeft { node, instance };
        Some((Actor::Node(node), command, Origin::Nobody))
    }

    fn live_connection(&self, node: NodeId) -> Option<ConnectionId> {
        let connection = *self.by_node.get(&node)?;
        let link = self.by_connection.get(&connection)?;
        matches!(link.phase, Phase::Live).then_some(connection)
    }
}

/// The node does not want work any more, or again.
fn away((node, instance): (NodeId, InstanceId), AwayNotice(reason): AwayNotice) -> Proposal {
    let away = reason.map(|reason| reason.chars().take(AWAY_REASON_LENGTH_MAX).collect());
    let command = Command::SetAvailability {
        node,
        instance,
        away,
    };
    (Actor::Node(node), command, Origin::Nobody)
}

/// The machine of the node is about to sleep, or is awake again.
fn parked(node: NodeId, ParkNotice(for_ms): ParkNotice) -> Proposal {
    let command = match for_ms {
        Some(for_ms) => Command::ParkNode {
            node,
            for_ms: for_ms.clamp(PARK_MS_MIN, PARK_MS_MAX),
        },
        None => Command::UnparkNode(node),
    };
    (Actor::Node(node), command, Origin::Nobody)
}

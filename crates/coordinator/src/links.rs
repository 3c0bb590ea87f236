//! The coordinator's end of each node connection: who it is, what it holds, what it is told.
//!
//! A connection goes through `Opened -> Registering -> AwaitsSync -> Confirming -> Live`. Framing
//! and protocol order are the business of [`skep_wire::CoordinatorEnd`]; here stands what the
//! messages mean for the swarm.

mod agreement;
mod hand_back;
mod offer;
mod reaction;
mod results;
mod to_node;

pub(crate) use results::{results_applied, results_not_stored};
pub use to_node::ToNode;

use crate::applier::Reaction;
use crate::engine::{Origin, Output};
use crate::liveness::{self, LeaseTimers};
use crate::ports::Entropy;
use crate::task_token::TaskTokenKey;
use agreement::{lost_attempts, names, verdicts};
use offer::offer;
use skep_core::State;
use skep_model::command::{Actor, Command};
use skep_model::event::Event;
use skep_model::ids::{AgentId, InstanceId, NodeId};
use skep_model::limits::AWAY_REASON_LENGTH_MAX;
use skep_wire::FromNode;
use skep_wire::coordinator_end::ReplyId;
use skep_wire::payload::{
    AttemptKey, AwayNotice, EndCode, Hello, SyncReport, SyncVerdicts, Welcome,
};
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
    node: Option<(NodeId, InstanceId)>,
}

/// All node connections.
#[derive(Debug)]
pub(crate) struct Links {
    timers: LeaseTimers,
    tokens: TaskTokenKey,
    server_version: String,
    by_connection: BTreeMap<ConnectionId, Link>,
    by_node: BTreeMap<NodeId, ConnectionId>,
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
            presence: Vec::new(),
        }
    }

    pub(crate) fn opened(&mut self, connection: ConnectionId) {
        self.by_connection.insert(
            connection,
            Link {
                phase: Phase::Opened,
                node: None,
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
            FromNode::Away(AwayNotice(reason)) => {
                let (node, instance) = link.node?;
                let away = reason.map(|reason| {
                    let bounded = reason.chars().take(AWAY_REASON_LENGTH_MAX);
                    bounded.collect()
                });
                let command = Command::SetAvailability {
                    node,
                    instance,
                    away,
                };
                Some((Actor::Node(node), command, Origin::Nobody))
            }
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
            // Those two have their own way in: they may lead to two proposals. Questions are
            // answered where the services are, in front of the hive.
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

    /// The newest process of a node wins: an older one that still speaks is sent away.
    fn hello(
        &mut self,
        connection: ConnectionId,
        hello: Hello,
        state: &State,
        entropy: &mut dyn Entropy,
        out: &mut Vec<Output>,
    ) -> Option<Proposal> {
        let (node, instance) = (hello.node, hello.instance);
        let newest = state.node(node).map(|record| record.instance);
        if let Some(newest) = newest
            && newest > instance
        {
            let message = format!("a newer process of node `{node}` is known");
            self.end(connection, EndCode::Replaced, message, out);
            return None;
        }
        if let Some(older) = self.by_node.insert(node, connection)
            && older != connection
        {
            let message = format!("node `{node}` opened another connection");
            // The same process comes back on a new connection; an older one is sent away for good.
            let same = newest == Some(instance);
            let code = if same {
                EndCode::Shutdown
            } else {
                EndCode::Replaced
            };
            self.end(older, code, message, out);
            self.by_node.insert(node, connection);
            self.presence.push((node, false));
        }
        let link = self.by_connection.get_mut(&connection)?;
        link.node = Some((node, instance));
        link.phase = Phase::Registering;
        let agent = AgentId::from_u128(entropy.id());
        let facts = Box::new(hello.facts);
        let command = Command::RegisterNode {
            node,
            instance,
            starts: hello.starts,
            agent,
            facts,
        };
        Some((Actor::Node(node), command, Origin::Registration(connection)))
    }

    /// The disk is full, so the node cannot be registered or confirmed. It is told so, and that it
    /// was heard, if the log still gives this very process its work: then its lease counts from
    /// its hello on both sides. Otherwise it just comes back.
    pub(crate) fn not_stored(
        &mut self,
        connection: ConnectionId,
        state: &State,
        out: &mut Vec<Output>,
    ) {
        let process = self
            .by_connection
            .get(&connection)
            .and_then(|link| link.node);
        let holds_its_work = process.is_some_and(|(node, instance)| {
            state.node(node).is_some_and(|record| {
                record.instance == instance && liveness::can_be_lost(record.state)
            })
        });
        let code = if holds_its_work {
            EndCode::StorageFull
        } else {
            EndCode::Shutdown
        };
        self.end(connection, code, STORAGE_FULL_ADVICE, out);
    }

    /// The registration was applied: welcome the node, or send it away.
    pub(crate) fn registered(
        &mut self,
        connection: ConnectionId,
        reaction: &Reaction<'_>,
        out: &mut Vec<Output>,
    ) {
        if let Some(reason) = refusal(reaction) {
            self.end(connection, EndCode::Removed, reason, out);
            return;
        }
        let Some(link) = self.by_connection.get_mut(&connection) else {
            return;
        };
        let Some((node, _)) = link.node else { return };
        link.phase = Phase::AwaitsSync;
        let timers = self.timers.of_node(reaction.state, node);
        let welcome = Welcome {
            node,
            session: format!("{}.{}", connection.0, reaction.events.index),
            heartbeat_ms: timers.heartbeat_ms,
            lease_ms: timers.lease_ms,
            server_version: self.server_version.clone(),
            epoch: EPOCH,
        };
        out.push(Output::ToNode(connection, ToNode::Welcome(welcome)));
    }

    /// The confirmation was applied: say keep, kill or resend for each item the node named, and
    /// assign again what was granted to this very process and never reached it.
    pub(crate) fn confirmed(
        &mut self,
        connection: ConnectionId,
        reaction: &Reaction<'_>,
        out: &mut Vec<Output>,
    ) {
        if let Some(reason) = refusal(reaction) {
            self.end(connection, EndCode::Removed, reason, out);
            return;
        }
        let Some(link) = self.by_connection.get_mut(&connection) else {
            return;
        };
        let Some((node, _)) = link.node else { return };
        let Phase::Confirming { request, report } = std::mem::replace(&mut link.phase, Phase::Live)
        else {
            return;
        };
        self.presence.push((node, true));
        let state = reaction.state;
        let verdicts = SyncVerdicts {
            items: verdicts(state, node, &report),
        };
        out.push(Output::ToNode(
            connection,
            ToNode::Verdicts { request, verdicts },
        ));
        let missing = state
            .held_by_node(node)
            .filter(|record| !names(&report, record));
        let assignments: Vec<_> = missing
            .filter_map(|record| offer(&self.tokens, state, record))
            .collect();
        if !assignments.is_empty() {
            out.push(Output::ToNode(connection, ToNode::Assign(assignments)));
        }
        if state
            .node(node)
            .is_some_and(|record| record.drain_requested)
        {
            out.push(Output::ToNode(connection, ToNode::Draining(true)));
        }
    }

    fn live_connection(&self, node: NodeId) -> Option<ConnectionId> {
        let connection = *self.by_node.get(&node)?;
        let link = self.by_connection.get(&connection)?;
        matches!(link.phase, Phase::Live).then_some(connection)
    }
}

/// What a node is told while the disk is full.
const STORAGE_FULL_ADVICE: &str = "the coordinator's disk is full: keep attempts, try again";

/// Term of a lone coordinator.
const EPOCH: u32 = 1;

fn refusal(reaction: &Reaction<'_>) -> Option<String> {
    reaction.events.events.iter().find_map(|event| match event {
        Event::Refused { reason } => Some(reason.to_string()),
        _ => None,
    })
}

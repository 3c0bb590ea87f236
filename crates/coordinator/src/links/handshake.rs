//! How a node's process is let in: hello, registration, synchronisation.

use super::agreement::{names, verdicts};
use super::hold::terms;
use super::offer::offer;
use super::{ConnectionId, Links, Phase, Proposal, ToNode};
use crate::admission::may_speak_for;
use crate::applier::Reaction;
use crate::engine::{Origin, Output};
use crate::liveness;
use crate::ports::Entropy;
use skep_core::State;
use skep_model::command::{Actor, Command};
use skep_model::event::Event;
use skep_model::ids::{AgentId, InstanceId, NodeId};
use skep_model::planted::{PlantedBug, planted};
use skep_model::refusal::Refusal;
use skep_wire::payload::{EndCode, Hello, SyncVerdicts, Welcome};

/// What a node is told while the disk is full.
const STORAGE_FULL_ADVICE: &str = "the coordinator's disk is full: keep attempts, try again";

/// Term of a lone coordinator.
pub const EPOCH: u32 = 1;

/// Why a hello goes no further.
type Unwelcome = (EndCode, String);

impl Links {
    /// Lets a process introduce itself, if its caller may speak for the node and it follows the
    /// process that is known. The connection of that one stays until the log has let the new one
    /// in: whoever is refused in the end must not have sent anybody away.
    pub(super) fn hello(
        &mut self,
        connection: ConnectionId,
        hello: Hello,
        state: &State,
        entropy: &mut dyn Entropy,
        out: &mut Vec<Output>,
    ) -> Option<Proposal> {
        if let Err((code, message)) = self.examine(connection, &hello, state) {
            tracing::warn!(node = %hello.node, name = hello.facts.name, message, "a node was refused");
            self.end(connection, code, message, out);
            return None;
        }
        let (node, instance) = (hello.node, hello.instance);
        if planted(PlantedBug::RefusedHelloReplaces) {
            self.replace(connection, node, instance, out);
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

    fn examine(
        &self,
        connection: ConnectionId,
        hello: &Hello,
        state: &State,
    ) -> Result<(), Unwelcome> {
        let node = hello.node;
        if let Some(link) = self.by_connection.get(&connection) {
            may_speak_for(state, link.caller, node)
                .map_err(|reason| (EndCode::Removed, reason.farewell()))?;
        }
        if planted(PlantedBug::RefusedHelloReplaces) {
            return Ok(());
        }
        match state.lets_follow(node, hello.instance, hello.starts) {
            Ok(()) => {}
            Err(reason @ Refusal::InstanceOld(_)) => {
                return Err((EndCode::Replaced, reason.to_string()));
            }
            Err(reason) => return Err((EndCode::Removed, reason.to_string())),
        }
        // Ids of processes rise with the wall clock: a makeshift for nodes that do not count.
        let by_clock = hello.starts == 0 || planted(PlantedBug::ClockOrdersProcesses);
        let is_older = |instance| by_clock && instance > hello.instance;
        if state
            .node(node)
            .is_some_and(|record| is_older(record.instance))
        {
            let message = format!("a newer process of node `{node}` is known");
            return Err((EndCode::Replaced, message));
        }
        Ok(())
    }

    /// The connection is the node's own from now on; an earlier one is ended.
    fn replace(
        &mut self,
        connection: ConnectionId,
        node: NodeId,
        instance: InstanceId,
        out: &mut Vec<Output>,
    ) {
        let earlier = self.by_node.get(&node).copied();
        if let Some(earlier) = earlier.filter(|earlier| *earlier != connection) {
            let link = self.by_connection.get(&earlier);
            let process = link.and_then(|link| link.node);
            // The same process comes back on a new connection; an older one is sent away for good.
            let code = if process == Some((node, instance)) {
                EndCode::Shutdown
            } else {
                EndCode::Replaced
            };
            let message = format!("node `{node}` opened another connection");
            self.end(earlier, code, message, out);
        }
        self.by_node.insert(node, connection);
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
        let refused = refusal(reaction);
        let Some(link) = self.by_connection.get_mut(&connection) else {
            return;
        };
        let (caller, process) = (link.caller, link.node);
        if let Some(reason) = refused {
            self.end(connection, EndCode::Removed, reason, out);
            return;
        }
        let Some((node, instance)) = process else {
            return;
        };
        // It may have been removed since its hello: then the log took it in as an unknown one.
        let welcome = may_speak_for(reaction.state, caller, node);
        if let Err(reason) = welcome
            && !planted(PlantedBug::RemovedWhileRegistering)
        {
            if reaction.state.enrolment(node).is_none() {
                self.unwelcome.push(node);
            }
            self.end(connection, EndCode::Removed, reason.farewell(), out);
            return;
        }
        link.phase = Phase::AwaitsSync;
        self.replace(connection, node, instance, out);
        let timers = self.timers.of_node(reaction.state, node);
        let record = reaction.state.node(node);
        let hold = record.map(|record| terms(&self.timers, record));
        if let Some(link) = self.by_connection.get_mut(&connection) {
            link.told_terms = hold.map(|hold| hold.number);
        }
        let welcome = Welcome {
            node,
            session: format!("{}.{}", connection.0, reaction.events.index),
            heartbeat_ms: timers.heartbeat_ms,
            lease_ms: timers.lease_ms,
            hold,
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
        self.tell_hold(node, state, out);
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
}

fn refusal(reaction: &Reaction<'_>) -> Option<String> {
    reaction.events.events.iter().find_map(|event| match event {
        Event::Refused { reason } => Some(reason.to_string()),
        _ => None,
    })
}

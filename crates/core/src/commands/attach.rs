//! `AttachAgent`: a session becomes an agent with a seat of its own.
//!
//! The seat is a node record that no machine stands behind: it is what leases belong to. It has
//! nothing to compare with the coordinator, so it takes work from the first moment on; whether it
//! is given any is for the dispatcher, which asks who asked.

use crate::apply::Step;
use crate::bounds::within;
use crate::commands::register::Process;
use crate::state::State;
use skep_model::ids::{AgentId, InstanceId, NodeId};
use skep_model::isolation::IsolationLevel;
use skep_model::limits::{SESSION_SLOTS, SESSIONS_MAX};
use skep_model::node::{Hardware, NodeClass, NodeFacts};
use skep_model::refusal::{LimitName, Refusal};
use skep_model::requirements::Resources;
use skep_model::session::AttachedSpec;
use std::collections::BTreeMap;

impl State {
    pub(crate) fn attach_agent(
        &mut self,
        step: &mut Step,
        seat: NodeId,
        instance: InstanceId,
        agent: AgentId,
        spec: &AttachedSpec,
    ) -> Result<(), Refusal> {
        let process = Process {
            instance,
            starts: 0,
        };
        let facts = facts_of(spec);
        self.check_node_name(&spec.name, seat, self.own_agent(seat))?;
        if self.nodes.contains_key(&seat) {
            if !self.is_seat(seat) {
                return Err(Refusal::NotASeat(seat));
            }
            self.update_node(step, seat, process, &facts);
            self.rename_role(step, seat, &spec.role);
        } else {
            self.check_room_for_seat(agent)?;
            self.insert_node(step, seat, process, agent, &facts, &spec.role);
        }
        let slot = self.nodes.get_mut(&seat).expect("taken in above");
        slot.record.session = Some(Box::new(spec.session.clone()));
        self.change_node_to_working(step, seat);
        Ok(())
    }

    /// One more seat, with an agent of this id, must fit. Machines take no room of seats.
    fn check_room_for_seat(&self, agent: AgentId) -> Result<(), Refusal> {
        // Only who may be near the limit has to count.
        if self.nodes.len() >= SESSIONS_MAX {
            let seats = self.nodes().filter(|node| node.session.is_some());
            within(LimitName::SessionsMax, SESSIONS_MAX, seats.count() + 1)?;
        }
        self.check_room_for_agent(agent)
    }

    /// Whether this is the seat of an attached agent, not a machine.
    pub(crate) fn is_seat(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(|node| node.session.is_some())
    }

    fn rename_role(&mut self, step: &mut Step, seat: NodeId, role: &str) {
        let Some(agent) = self.own_agent(seat) else {
            return;
        };
        let slot = self
            .agents
            .get_mut(&agent)
            .expect("nodes name known agents");
        if slot.record.spec.role == role {
            return;
        }
        role.clone_into(&mut slot.record.spec.role);
        self.changes.agent(agent);
        step.emit(skep_model::event::Event::AgentUpdated { agent });
    }
}

/// A seat has room for one task, and nothing that a command would need.
fn facts_of(spec: &AttachedSpec) -> NodeFacts {
    NodeFacts {
        name: spec.name.clone(),
        version: spec.session.client.clone(),
        system: String::new(),
        resources: Resources::NONE,
        slots: SESSION_SLOTS,
        labels: BTreeMap::new(),
        capabilities: spec.capabilities.clone(),
        isolation: IsolationLevel::S0,
        probes: Vec::new(),
        class: NodeClass::Consumer,
        region: None,
        hardware: Hardware::default(),
        models: Vec::new(),
        on_disconnect: None,
    }
}

#[cfg(test)]
mod tests;

//! `RegisterNode` and `ConfirmNode`: a node process connects, and both sides agree on what it
//! holds.
//!
//! Registering gives no lease up, not even when the process is a new one: results that were
//! spooled before a restart are still welcome. What is really lost is named when confirming.

use crate::apply::Step;
use crate::bounds::within;
use crate::state::{AgentSlot, NodeSlot, State};
use skep_model::agent::{AgentRecord, AgentSpec};
use skep_model::attempt::Fence;
use skep_model::event::Event;
use skep_model::hold::{Hold, OnDisconnect, Patience};
use skep_model::ids::{AgentId, InstanceId, NodeId, TaskId};
use skep_model::limits::{AGENTS_MAX, NODES_MAX};
use skep_model::node::{NodeAssignment, NodeFacts, NodeRecord, NodeState};
use skep_model::planted::{PlantedBug, planted};
use skep_model::refusal::{LimitName, Refusal};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Role of the agent that comes with a node.
const OWN_AGENT_ROLE: &str = "worker";
/// Label that shows the pool a join token put a node in.
const POOL_LABEL: &str = "pool";

/// One start of a node's process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    pub(crate) instance: InstanceId,
    /// See [`NodeRecord::starts`].
    pub(crate) starts: u64,
}

impl Process {
    /// Refuses a process that was started before the one that is known, and a second one that
    /// claims the same start: one of both runs on a copy of the node's state directory. Nodes
    /// that do not count their starts are trusted to be what they say.
    fn may_follow(self, known: &NodeRecord) -> Result<(), Refusal> {
        if self.starts == 0 {
            return Ok(());
        }
        match self.starts.cmp(&known.starts) {
            Ordering::Less if !planted(PlantedBug::OldInstanceAccepted) => {
                Err(Refusal::InstanceOld(known.id))
            }
            Ordering::Equal
                if self.instance != known.instance && !planted(PlantedBug::CloneAccepted) =>
            {
                Err(Refusal::NodeCloned(known.id))
            }
            _ => Ok(()),
        }
    }
}

impl State {
    /// Whether this process of a node may take the place of the one that is known, for callers
    /// that must know before the command is applied.
    ///
    /// # Errors
    /// [`Refusal::InstanceOld`] or [`Refusal::NodeCloned`].
    pub fn lets_follow(
        &self,
        node: NodeId,
        instance: InstanceId,
        starts: u64,
    ) -> Result<(), Refusal> {
        let process = Process { instance, starts };
        self.node(node)
            .map_or(Ok(()), |known| process.may_follow(known))
    }

    /// A machine that joined is known by the name that it joined under, whatever it says now: a
    /// person may have approved it by that name.
    pub(crate) fn register_node(
        &mut self,
        step: &mut Step,
        node: NodeId,
        process: Process,
        agent: AgentId,
        facts: &NodeFacts,
    ) -> Result<(), Refusal> {
        if self.is_seat(node) {
            return Err(Refusal::NodeUnknown(node));
        }
        let own_agent = self.own_agent(node);
        let renamed = self
            .enrolments
            .get(&node)
            .filter(|enrolment| enrolment.name != facts.name)
            .map(|enrolment| NodeFacts {
                name: enrolment.name.clone(),
                ..facts.clone()
            });
        let facts = renamed.as_ref().unwrap_or(facts);
        self.check_node_name(&facts.name, node, own_agent)?;
        if let Some(known) = self.node(node) {
            process.may_follow(known)?;
            self.update_node(step, node, process, facts);
        } else {
            self.check_room_for_machine(agent)?;
            self.insert_node(step, node, process, agent, facts, OWN_AGENT_ROLE);
        }
        Ok(())
    }

    /// One more machine, with an agent of this id, must fit. Seats take no room of machines.
    fn check_room_for_machine(&self, agent: AgentId) -> Result<(), Refusal> {
        // Only who is near the limit has to count.
        if self.nodes.len() >= NODES_MAX {
            within(LimitName::NodesMax, NODES_MAX, self.machines().count() + 1)?;
        }
        self.check_room_for_agent(agent)
    }

    /// One more agent, of this id, must fit.
    pub(crate) fn check_room_for_agent(&self, agent: AgentId) -> Result<(), Refusal> {
        if self.agents.contains_key(&agent) {
            return Err(Refusal::NameTaken(agent.to_string()));
        }
        within(LimitName::AgentsMax, AGENTS_MAX, self.agents.len() + 1)
    }

    /// The name must be free for the node and for the agent that comes with it.
    pub(crate) fn check_node_name(
        &self,
        name: &str,
        node: NodeId,
        own_agent: Option<AgentId>,
    ) -> Result<(), Refusal> {
        let by_node = self
            .node_names
            .get(name)
            .is_some_and(|owner| *owner != node);
        let by_agent = self.agent_names.get(name);
        if by_node || by_agent.is_some_and(|owner| Some(*owner) != own_agent) {
            return Err(Refusal::NameTaken(name.to_owned()));
        }
        Ok(())
    }

    /// Takes in a node whose id and name are free, with the agent that comes with it.
    pub(crate) fn insert_node(
        &mut self,
        step: &mut Step,
        node: NodeId,
        process: Process,
        agent: AgentId,
        facts: &NodeFacts,
        role: &str,
    ) {
        let assigned = self.enrolments.get(&node).map(|enrolment| {
            let preset = &enrolment.preset;
            let pool = preset.pool.iter().map(|pool| (POOL_LABEL, pool.clone()));
            let mut labels = preset.labels.clone();
            labels.extend(pool.map(|(name, pool)| (name.to_owned(), pool)));
            NodeAssignment {
                labels,
                ..NodeAssignment::default()
            }
        });
        let instance = process.instance;
        let mut record = NodeRecord {
            id: node,
            instance,
            state: NodeState::Joining,
            state_since: self.now,
            joined_at: self.now,
            facts: facts.clone(),
            drain_requested: false,
            starts: process.starts,
            assigned: assigned.unwrap_or_default(),
            away: None,
            hold: Hold {
                bound: Patience {
                    policy: OnDisconnect::Replace,
                    park_ms: 0,
                },
                since: step.index,
            },
            parked: None,
            session: None,
        };
        record.hold.bound = record.patience();
        self.nodes.insert(node, NodeSlot::new(record));
        self.node_names.insert(facts.name.clone(), node);
        self.changes.node(node);
        step.emit(Event::NodeRegistered {
            node,
            instance,
            name: facts.name.clone(),
        });
        let spec = AgentSpec {
            name: facts.name.clone(),
            role: role.to_owned(),
            node,
            capabilities: facts.capabilities.clone(),
            slots: facts.slots,
        };
        self.insert_agent(step, agent, spec, true);
    }

    /// Takes in an agent whose id and name are free and whose node is known.
    pub(crate) fn insert_agent(
        &mut self,
        step: &mut Step,
        agent: AgentId,
        spec: AgentSpec,
        comes_with_node: bool,
    ) {
        let (name, node) = (spec.name.clone(), spec.node);
        let ceiling = self.agent_load(agent).max(spec.slots);
        let record = AgentRecord {
            id: agent,
            spec,
            comes_with_node,
            paused: false,
            created_at: self.now,
            succeeded: 0,
            failed: 0,
            busy_ms: 0,
            gates_run: 0,
            gates_passed: 0,
            measured: BTreeMap::new(),
        };
        self.agents.insert(agent, AgentSlot { record, ceiling });
        self.agent_names.insert(name.clone(), agent);
        let host = self.nodes.get_mut(&node).expect("callers name known nodes");
        host.agents.insert(agent);
        self.changes.agent(agent);
        step.emit(Event::AgentCreated { agent, name, node });
    }

    pub(crate) fn update_node(
        &mut self,
        step: &mut Step,
        node: NodeId,
        process: Process,
        facts: &NodeFacts,
    ) {
        self.release_names(node);
        let instance = process.instance;
        let is_restarted = self.nodes[&node].record.instance != instance;
        let now = self.now;
        let slot = self.nodes.get_mut(&node).expect("callers name known nodes");
        let record = &mut slot.record;
        let patience = record.patience();
        record.instance = instance;
        record.starts = process.starts;
        record.away = None;
        record.facts = facts.clone();
        record.renew_hold(patience, step.index);
        if record.state != NodeState::Joining {
            record.state = NodeState::Joining;
            record.state_since = now;
        }
        slot.reset_ceiling();
        slot.derive_labels();
        self.derive_open(node);
        self.changes.node(node);
        step.emit(Event::NodeRegistered {
            node,
            instance,
            name: facts.name.clone(),
        });
        if is_restarted {
            // What stood still died with the process before.
            self.end_parking(step, node);
        }
        self.update_own_agent(step, node, facts);
        self.claim_names(node);
    }

    /// Name, slots and capabilities of a node's own agent are what the node says.
    fn update_own_agent(&mut self, step: &mut Step, node: NodeId, facts: &NodeFacts) {
        let Some(agent) = self.own_agent(node) else {
            return;
        };
        let load = self.agent_load(agent);
        let slot = self
            .agents
            .get_mut(&agent)
            .expect("nodes name known agents");
        let said = AgentSpec {
            name: facts.name.clone(),
            capabilities: facts.capabilities.clone(),
            slots: facts.slots,
            ..slot.record.spec.clone()
        };
        if slot.record.spec == said {
            return;
        }
        slot.record.spec = said;
        slot.ceiling = load.max(facts.slots);
        self.changes.agent(agent);
        step.emit(Event::AgentUpdated { agent });
    }

    /// The agent that came with a node.
    pub(crate) fn own_agent(&self, node: NodeId) -> Option<AgentId> {
        let mut agents = self.agents_of_node(node);
        let own = agents.find(|agent| agent.comes_with_node);
        own.map(|agent| agent.id)
    }

    /// Frees the names of a node and its own agent for others.
    pub(crate) fn release_names(&mut self, node: NodeId) {
        let Some(slot) = self.nodes.get(&node) else {
            return;
        };
        let name = &slot.record.facts.name;
        if self.node_names.get(name) == Some(&node) {
            self.node_names.remove(name);
        }
        let Some(agent) = self.own_agent(node) else {
            return;
        };
        let name = &self.agents[&agent].record.spec.name;
        if self.agent_names.get(name) == Some(&agent) {
            self.agent_names.remove(name);
        }
    }

    fn claim_names(&mut self, node: NodeId) {
        let name = self.nodes[&node].record.facts.name.clone();
        if let Some(agent) = self.own_agent(node) {
            self.agent_names.insert(name.clone(), agent);
        }
        self.node_names.insert(name, node);
    }

    /// Gives up the named attempts and lets a joining node take work. A node that was given up
    /// meanwhile has to register again first.
    pub(crate) fn confirm_node(
        &mut self,
        step: &mut Step,
        node: NodeId,
        instance: InstanceId,
        lost: &[(TaskId, Fence)],
    ) -> Result<(), Refusal> {
        let record = self.known_node(node)?;
        if record.instance != instance {
            return Err(Refusal::InstanceReplaced(node));
        }
        let joining = record.state == NodeState::Joining;
        for (task, fence) in lost {
            self.lose_attempt(step, *task, node, Some(*fence));
        }
        if joining {
            self.change_node_to_working(step, node);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

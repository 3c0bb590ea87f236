//! Nodes as callers see them.

use crate::rfc3339::Timestamp;
use serde::Serialize;
use skep_core::State;
use skep_model::ids::{AgentId, InstanceId, NodeId, TaskId};
use skep_model::isolation::{IsolationLevel, ProbeResult};
use skep_model::join::JoinKind;
use skep_model::node::{Hardware, NodeClass, NodeRecord, NodeState};
use skep_model::requirements::{Proficiency, Resources};
use std::collections::BTreeMap;

/// A node.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct NodeView {
    /// The node.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: NodeState,
    /// When `state` last changed.
    pub state_since: Timestamp,
    /// When it first joined.
    pub joined_at: Timestamp,
    /// The running process.
    pub instance: InstanceId,
    /// Version of Skep it runs.
    pub version: String,
    /// Operating system and kernel.
    pub system: String,
    /// What it offers.
    pub resources: Resources,
    /// Attempts it runs at a time.
    pub slots: u32,
    /// What its attempts occupy.
    pub in_use: NodeUseView,
    /// Labels: its own, and those that an operator gave it, which win.
    pub labels: BTreeMap<String, String>,
    /// Where it stands.
    pub region: Option<String>,
    /// How patient the swarm is with it.
    pub class: NodeClass,
    /// The machine.
    pub hardware: Hardware,
    /// Models that its owner says it could serve.
    pub models: Vec<String>,
    /// What it came in as; `None` for nodes on the coordinator's own machine.
    pub joined_as: Option<JoinKind>,
    /// Capabilities of its own agent.
    pub capabilities: BTreeMap<String, Proficiency>,
    /// Measured isolation level.
    pub isolation: IsolationLevel,
    /// The probes behind it.
    pub probes: Vec<ProbeResult>,
    /// Whether a person asked it to drain.
    pub drain_requested: bool,
    /// Why it takes no new work by its own schedule.
    pub away: Option<String>,
    /// Agents that live on it.
    pub agents: Vec<AgentId>,
    /// Tasks it holds.
    pub tasks: Vec<TaskId>,
}

/// What the attempts on a node occupy.
#[derive(Debug, Clone, Copy, Serialize, schemars::JsonSchema)]
pub struct NodeUseView {
    /// How many there are.
    pub attempts: u32,
    /// The sum of what they asked for.
    pub resources: Resources,
}

impl NodeView {
    pub(crate) fn of(state: &State, record: &NodeRecord) -> Self {
        let used = state.node_use(record.id);
        let facts = &record.facts;
        Self {
            id: record.id,
            name: facts.name.clone(),
            state: record.state,
            state_since: record.state_since.into(),
            joined_at: record.joined_at.into(),
            instance: record.instance,
            version: facts.version.clone(),
            system: facts.system.clone(),
            resources: facts.resources,
            slots: facts.slots,
            in_use: NodeUseView {
                attempts: used.attempts,
                resources: used.resources,
            },
            labels: state.node_labels(record.id).cloned().unwrap_or_default(),
            region: record.region().map(str::to_owned),
            class: facts.class,
            hardware: facts.hardware.clone(),
            models: facts.models.clone(),
            joined_as: state.enrolment(record.id).map(|enrolment| enrolment.kind),
            capabilities: facts.capabilities.clone(),
            isolation: facts.isolation,
            probes: facts.probes.clone(),
            drain_requested: record.drain_requested,
            away: record.away.clone(),
            agents: state
                .agents_of_node(record.id)
                .map(|agent| agent.id)
                .collect(),
            tasks: state.held_by_node(record.id).map(|task| task.id).collect(),
        }
    }
}

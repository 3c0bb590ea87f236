//! Agents as callers see them.

use crate::rfc3339::Timestamp;
use serde::{Deserialize, Serialize};
use skep_core::State;
use skep_model::agent::{AgentRecord, AgentState};
use skep_model::ids::{AgentId, NodeId};
use skep_model::node::NodeRecord;
use skep_model::requirements::{Performer, Proficiency};
use std::collections::BTreeMap;

/// Who does the work of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentKind {
    /// A node.
    Hosted,
    /// An external session, which asks for work.
    Attached,
}

impl AgentKind {
    fn of(state: &State, agent: &AgentRecord) -> Self {
        let node = state.node(agent.spec.node);
        match node.map_or(Performer::Node, NodeRecord::performer) {
            Performer::Node => Self::Hosted,
            Performer::AttachedAgent => Self::Attached,
        }
    }
}

/// An agent.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct AgentView {
    /// The agent.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Whether a node runs its work, or a session asks for it.
    pub kind: AgentKind,
    /// The node that hosts it; of an attached agent, its seat, which is no machine.
    pub node: NodeId,
    /// What it does at the moment.
    pub state: AgentState,
    /// What it can do.
    pub capabilities: BTreeMap<String, Proficiency>,
    /// Attempts it runs at a time.
    pub slots: u32,
    /// Attempts it holds.
    pub load: u32,
    /// Whether it came with its node and goes with it.
    pub comes_with_node: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed or were lost.
    pub failed: u64,
    /// Total duration of the attempts that succeeded, milliseconds.
    pub busy_ms: u64,
}

impl AgentView {
    pub(crate) fn of(state: &State, record: &AgentRecord) -> Self {
        Self {
            id: record.id,
            name: record.spec.name.clone(),
            role: record.spec.role.clone(),
            kind: AgentKind::of(state, record),
            node: record.spec.node,
            state: state.agent_state(record),
            capabilities: record.spec.capabilities.clone(),
            slots: record.spec.slots,
            load: state.agent_load(record.id),
            comes_with_node: record.comes_with_node,
            created_at: record.created_at.into(),
            succeeded: record.succeeded,
            failed: record.failed,
            busy_ms: record.busy_ms,
        }
    }
}

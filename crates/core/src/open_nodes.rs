//! What decisions about placing read of nodes and agents, kept up to date entry by entry: a
//! decision costs one step for each node that could take work, not for each that exists.

use crate::state::{NodeSlot, NodeUse, State};
use skep_model::agent::AgentRecord;
use skep_model::ids::{AgentId, NodeId};
use skep_model::node::{NodeRecord, NodeState};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

/// A ready node with a free slot.
#[derive(Debug, Clone, Copy)]
pub struct OpenNode<'a> {
    /// The node.
    pub record: &'a NodeRecord,
    /// Its own labels, and those that an operator gave it, which win.
    pub labels: &'a BTreeMap<String, String>,
    /// What its attempts occupy.
    pub used: NodeUse,
    /// Who lives on it.
    pub agents: &'a BTreeSet<AgentId>,
}

/// What all agents that exist did so far, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Experience {
    /// Attempts that succeeded.
    pub succeeded: u128,
    /// Their total duration, milliseconds.
    pub busy_ms: u128,
}

impl Experience {
    /// What a successful attempt took on average, milliseconds; 0 when there was none.
    pub fn mean_ms(&self) -> u64 {
        let mean = self.busy_ms.checked_div(self.succeeded).unwrap_or(0);
        u64::try_from(mean).unwrap_or(u64::MAX)
    }

    pub(crate) fn add(&mut self, agent: &AgentRecord) {
        self.succeeded += u128::from(agent.succeeded);
        self.busy_ms += u128::from(agent.busy_ms);
    }

    pub(crate) fn remove(&mut self, agent: &AgentRecord) {
        self.succeeded -= u128::from(agent.succeeded);
        self.busy_ms -= u128::from(agent.busy_ms);
    }
}

impl NodeSlot {
    pub(crate) fn is_open(&self) -> bool {
        self.record.state == NodeState::Ready && self.used.attempts < self.record.facts.slots
    }
}

impl State {
    /// How many ready nodes have a free slot.
    pub fn open_node_count(&self) -> usize {
        self.open_nodes.len()
    }

    /// Ready nodes with a free slot whose ids lie in the range, by id.
    pub fn open_nodes(
        &self,
        range: impl RangeBounds<NodeId>,
    ) -> impl Iterator<Item = OpenNode<'_>> {
        let slots = self.open_nodes.range(range);
        let slots = slots.filter_map(|id| self.nodes.get(id));
        slots.map(|slot| OpenNode {
            record: &slot.record,
            labels: &slot.labels,
            used: slot.used,
            agents: &slot.agents,
        })
    }

    /// What all agents that exist did so far, together.
    pub const fn experience(&self) -> Experience {
        self.experience
    }

    /// To be called whenever the state, the slots or the use of a node change.
    pub(crate) fn derive_open(&mut self, node: NodeId) {
        if self.nodes.get(&node).is_some_and(NodeSlot::is_open) {
            self.open_nodes.insert(node);
        } else {
            self.open_nodes.remove(&node);
        }
    }
}

/// Says where what is kept differs from what it is derived from.
pub(crate) fn open_nodes_match_nodes(state: &State) -> Result<(), String> {
    let open = state.nodes.iter().filter(|(_, slot)| slot.is_open());
    let open: BTreeSet<NodeId> = open.map(|(node, _)| *node).collect();
    if open != state.open_nodes {
        return Err(format!("open nodes: {:?}, not {open:?}", state.open_nodes));
    }
    let mut experience = Experience::default();
    state.agents().for_each(|agent| experience.add(agent));
    if experience != state.experience {
        let kept = state.experience;
        return Err(format!("experience: {kept:?}, not {experience:?}"));
    }
    Ok(())
}

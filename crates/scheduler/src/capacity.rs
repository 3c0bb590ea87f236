//! Free slots and resources, counted down as a round makes grants.

use crate::breaker::BreakerView;
use crate::snapshot::{AgentView, NodeView, Snapshot};
use skep_model::node::NodeState;
use skep_model::requirements::Resources;

/// What is still free in this round. Agents of one node share its slots and resources.
#[derive(Debug)]
pub(crate) struct Capacity {
    nodes: Vec<NodeRoom>,
    agent_slots: Vec<u32>,
    /// Grants that the slots allow at most; at 0 the round is over.
    slots_open: u64,
}

#[derive(Debug)]
struct NodeRoom {
    slots: u32,
    free: Resources,
}

/// Attempts that the node may be given now: its free slots, as far as its breaker allows.
pub(crate) const fn grants_left(node: &NodeView<'_>) -> u32 {
    match node.breaker {
        BreakerView::HalfOpen { room } if room < node.slots_free => room,
        BreakerView::Closed | BreakerView::HalfOpen { .. } => node.slots_free,
        BreakerView::Open { .. } => 0,
    }
}

/// Whether this agent could take anything at all now.
pub(crate) fn is_open(agent: &AgentView<'_>, node: &NodeView<'_>) -> bool {
    node.state == NodeState::Ready && !agent.paused && agent.slots_free > 0 && grants_left(node) > 0
}

impl Capacity {
    pub(crate) fn of(snapshot: &Snapshot<'_>) -> Self {
        let mut agents_open = vec![0_u64; snapshot.nodes.len()];
        for agent in &snapshot.agents {
            if let Some(node) = snapshot.nodes.get(agent.node)
                && is_open(agent, node)
            {
                agents_open[agent.node] += u64::from(agent.slots_free);
            }
        }
        let slots_open = snapshot.nodes.iter().zip(&agents_open);
        Self {
            nodes: snapshot
                .nodes
                .iter()
                .map(|node| NodeRoom {
                    slots: grants_left(node),
                    free: node.free,
                })
                .collect(),
            agent_slots: snapshot
                .agents
                .iter()
                .map(|agent| agent.slots_free)
                .collect(),
            slots_open: slots_open
                .map(|(node, of_agents)| u64::from(grants_left(node)).min(*of_agents))
                .sum(),
        }
    }

    pub(crate) const fn is_used_up(&self) -> bool {
        self.slots_open == 0
    }

    pub(crate) const fn slots_open(&self) -> u64 {
        self.slots_open
    }

    /// Whether nothing whatever can be granted to the agent any more.
    pub(crate) fn is_full(&self, agent: usize, node: usize) -> bool {
        self.agent_slots[agent] == 0 || self.nodes[node].slots == 0
    }

    pub(crate) fn has_room(&self, agent: usize, node: usize, wanted: &Resources) -> bool {
        let room = &self.nodes[node];
        self.agent_slots[agent] > 0 && room.slots > 0 && room.free.covers(wanted)
    }

    /// Counts one grant; the caller has checked that there is room.
    pub(crate) fn take(&mut self, agent: usize, node: usize, wanted: &Resources) {
        debug_assert!(self.has_room(agent, node, wanted));
        let room = &mut self.nodes[node];
        room.slots -= 1;
        room.free = room.free.minus(wanted);
        self.agent_slots[agent] -= 1;
        self.slots_open -= 1;
    }

    pub(crate) fn agent_slots(&self, agent: usize) -> u32 {
        self.agent_slots[agent]
    }

    pub(crate) fn node_slots(&self, node: usize) -> u32 {
        self.nodes[node].slots
    }

    pub(crate) fn node_free(&self, node: usize) -> &Resources {
        &self.nodes[node].free
    }
}

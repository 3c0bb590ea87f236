//! What candidates are judged against: the snapshot, and what a round has used of it.

use crate::capacity::{Capacity, is_open};
use crate::fit::suits;
use crate::performance::Baseline;
use crate::policy::Policy;
use crate::profiles::Profiles;
use crate::score::{self, load};
use crate::snapshot::{AgentView, NodeView, Snapshot, TaskInputs};
use skep_model::ids::{AgentId, NodeId, TaskId};
use skep_model::requirements::{Requirements, Resources};
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// The snapshot of one round, with what is worked out once for all signatures.
#[derive(Debug)]
pub(crate) struct Field<'s, 'a> {
    pub(crate) snapshot: &'s Snapshot<'a>,
    pub(crate) policy: &'s Policy,
    pub(crate) capacity: Capacity,
    signatures: &'s [&'a Requirements],
    baseline: Baseline,
    /// Agents that could take anything at all when the round began.
    pub(crate) open_agents: Vec<usize>,
    profiles: OnceCell<Profiles<'a>>,
    /// The part of each agent's score that is the same for all signatures, at its present load.
    common: OnceCell<Vec<i64>>,
    /// Position of each agent's node, beside each other: they are looked up more than all else.
    node_positions: Vec<usize>,
    by_id: OnceCell<BTreeMap<AgentId, usize>>,
    node_by_id: OnceCell<BTreeMap<NodeId, usize>>,
    /// The open agents on each node.
    by_node: OnceCell<Vec<Vec<usize>>>,
}

/// One task that is to be placed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) task: TaskId,
    pub(crate) wanted: &'a Requirements,
    /// Nodes that come last.
    pub(crate) failed_on: &'a [NodeId],
    pub(crate) inputs: TaskInputs<'a>,
}

impl<'s, 'a> Field<'s, 'a> {
    pub(crate) fn of(
        snapshot: &'s Snapshot<'a>,
        policy: &'s Policy,
        signatures: &'s [&'a Requirements],
    ) -> Self {
        let is_open = |position: &usize| {
            let agent = &snapshot.agents[*position];
            snapshot
                .nodes
                .get(agent.node)
                .is_some_and(|node| is_open(agent, node))
        };
        let open_agents: Vec<usize> = (0..snapshot.agents.len()).filter(is_open).collect();
        Self {
            snapshot,
            policy,
            capacity: Capacity::of(snapshot),
            signatures,
            baseline: Baseline::of(snapshot),
            open_agents,
            profiles: OnceCell::new(),
            common: OnceCell::new(),
            node_positions: snapshot.agents.iter().map(|agent| agent.node).collect(),
            by_id: OnceCell::new(),
            node_by_id: OnceCell::new(),
            by_node: OnceCell::new(),
        }
    }

    pub(crate) fn agent(&self, position: usize) -> (&AgentView<'a>, &NodeView<'a>) {
        let agent = &self.snapshot.agents[position];
        (agent, &self.snapshot.nodes[agent.node])
    }

    pub(crate) fn node_of(&self, agent: usize) -> NodeId {
        self.agent(agent).1.id
    }

    pub(crate) fn has_room(&self, agent: usize, wanted: &Resources) -> bool {
        let node = self.node_positions[agent];
        self.capacity.has_room(agent, node, wanted)
    }

    pub(crate) fn is_full(&self, agent: usize) -> bool {
        self.capacity.is_full(agent, self.node_positions[agent])
    }

    /// Counts one grant; the caller has checked that there is room.
    pub(crate) fn take(&mut self, agent: usize, wanted: &Resources) {
        let node = self.node_positions[agent];
        self.capacity.take(agent, node, wanted);
        if let Some(mut common) = self.common.take() {
            for neighbour in self.agents_at(node) {
                common[*neighbour] = self.common_at(*neighbour, self.load_now(*neighbour));
            }
            self.common = OnceCell::from(common);
        }
    }

    pub(crate) fn suits(&self, agent: usize, wanted: &Requirements) -> bool {
        let (agent, node) = self.agent(agent);
        suits(agent, node, wanted)
    }

    /// Whether an open agent could take the task now.
    pub(crate) fn can_take(&self, agent: usize, wanted: &Requirements) -> bool {
        self.has_room(agent, &wanted.resources) && self.suits(agent, wanted)
    }

    /// The part of the score that is the same for all signatures, with the present load.
    pub(crate) fn common_now(&self, agent: usize) -> i64 {
        match self.common.get() {
            Some(common) => common[agent],
            None => self.common_at(agent, self.load_now(agent)),
        }
    }

    /// The same with another load.
    pub(crate) fn common_at(&self, agent: usize, load: u32) -> i64 {
        let (view, node) = self.agent(agent);
        let performance = self.baseline.performance(view);
        let weights = &self.policy.weights;
        score::common(node, performance, weights) + i64::from(weights.load) * i64::from(load)
    }

    pub(crate) fn load_now(&self, agent: usize) -> u32 {
        load(self.snapshot, &self.capacity, agent)
    }

    /// Works out ahead what every signature is going to ask of every open agent.
    pub(crate) fn prepare_common(&self) {
        self.common.get_or_init(|| {
            let mut common = vec![0; self.snapshot.agents.len()];
            for agent in &self.open_agents {
                common[*agent] = self.common_at(*agent, self.load_now(*agent));
            }
            common
        });
    }

    pub(crate) fn profiles(&self) -> &Profiles<'a> {
        self.profiles
            .get_or_init(|| Profiles::of(self.snapshot, &self.open_agents, self.signatures))
    }

    /// The part of the score that depends on the signature: the same for a whole profile.
    pub(crate) fn extra(&self, agent: usize, wanted: &Requirements) -> i64 {
        let (agent, node) = self.agent(agent);
        score::extra(agent, node, wanted, &self.policy.weights)
    }

    /// What the task's inputs add because they lie on the agent's node.
    pub(crate) fn input_bonus(&self, agent: usize, asked: &Asked<'_>) -> i64 {
        let (_, node) = self.agent(agent);
        let local = asked.inputs.local_permille(node.id);
        score::input_bonus(node, asked.wanted, local, &self.policy.weights)
    }

    /// Profiles that suit the signature, each with what it adds to the score of their agents.
    pub(crate) fn suited_profiles(&self, wanted: &Requirements) -> Vec<(usize, i64)> {
        self.profiles()
            .suited(self.snapshot, wanted, &self.policy.weights)
    }

    /// Open agents of these profiles.
    pub(crate) fn agents_of(&self, suited: &[(usize, i64)]) -> impl Iterator<Item = usize> {
        let profiles = self.profiles();
        let mut is_suited = vec![false; profiles.count()];
        for (profile, _) in suited {
            is_suited[*profile] = true;
        }
        let open = self.open_agents.iter().copied();
        open.filter(move |agent| is_suited[profiles.of_agent(*agent)])
    }

    /// The open agent with this id.
    pub(crate) fn open_agent(&self, id: AgentId) -> Option<usize> {
        let by_id = self.by_id.get_or_init(|| {
            let agents = self.open_agents.iter();
            agents
                .map(|position| (self.snapshot.agents[*position].id, *position))
                .collect()
        });
        by_id.get(&id).copied()
    }

    /// The open agents on this node.
    pub(crate) fn agents_on(&self, node: NodeId) -> &[usize] {
        let by_id = self.node_by_id.get_or_init(|| {
            let nodes = self.snapshot.nodes.iter().enumerate();
            nodes.map(|(position, node)| (node.id, position)).collect()
        });
        by_id
            .get(&node)
            .map_or(&[], |position| self.agents_at(*position))
    }

    fn agents_at(&self, node: usize) -> &[usize] {
        let by_node = self.by_node.get_or_init(|| {
            let mut by_node = vec![Vec::new(); self.snapshot.nodes.len()];
            for position in &self.open_agents {
                by_node[self.node_positions[*position]].push(*position);
            }
            by_node
        });
        &by_node[node]
    }
}

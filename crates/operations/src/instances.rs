//! The registry: nodes and agents in one form, found by criteria and ranked by how well they fit.
//!
//! The six states are those of the service registry that MCPX comes from; what stands behind them
//! is what the coordinator knows from heartbeats, which are its probes.

mod broadcast;
mod rank;

use crate::context::Context;
use crate::declare::{READ, read};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::operation::Operation;
use crate::paging::page_limit;
use crate::views::Page;
use rank::{Fitness, Wanted};
use serde::{Deserialize, Serialize};
use skep_core::State;
use skep_model::agent::AgentRecord;
use skep_model::ids::{AgentId, NodeId};
use skep_model::limits;
use skep_model::node::{NodeRecord, NodeState};
use skep_model::requirements::Proficiency;
use std::collections::BTreeMap;

pub(crate) fn operations() -> Vec<Operation> {
    let own = vec![
        read(
            "instances.list",
            "/instances",
            READ,
            "Finds nodes and agents by criteria, those that fit best first.",
        )
        .answers_at_once(list),
        read(
            "capabilities.list",
            "/capabilities",
            READ,
            "Lists what the agents of the swarm can do, with how many could do it now.",
        )
        .answers_at_once(capabilities),
    ];
    [own, broadcast::operations()].concat()
}

/// Where an instance stands, in the words of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum InstanceState {
    /// Works, and has room for more.
    Active,
    /// Could work and has nothing to do.
    Idle,
    /// Works, and has no room.
    Busy,
    /// Takes nothing new because a person or its own schedule says so.
    Maintenance,
    /// Not connected.
    Offline,
    /// Connected a moment ago and silent now.
    Unreachable,
}

/// What an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum InstanceKind {
    /// A machine.
    Node,
    /// A worker on a machine.
    Agent,
}

/// A node or an agent, as the registry shows it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct InstanceView {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// What it is.
    kind: InstanceKind,
    /// Where it stands.
    state: InstanceState,
    /// The machine it is, or lives on.
    node: NodeId,
    /// What it can do.
    capabilities: BTreeMap<String, Proficiency>,
    /// Labels of the machine.
    labels: BTreeMap<String, String>,
    /// Where the machine stands.
    region: Option<String>,
    /// Attempts it could take now.
    slots_free: u32,
    /// Attempts it runs at a time.
    slots: u32,
    /// How well it fits what was asked for, 0 to 1000.
    relevance: u32,
    /// What the relevance is made of, 0 to 1000 each.
    fitness: Fitness,
}

/// What to look for. All that is given must hold.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Criteria {
    /// Only nodes, or only agents.
    kind: Option<InstanceKind>,
    /// Only those in this state.
    state: Option<InstanceState>,
    /// Capabilities they must have, `NAME` or `NAME=PROFICIENCY` (at least), separated by commas.
    capability: Option<String>,
    /// A label of the machine, `KEY` or `KEY=VALUE`.
    label: Option<String>,
    /// Where the machine stands.
    region: Option<String>,
    /// At least so much room.
    slots_free: Option<u32>,
    /// How many to give.
    #[schemars(range(min = 1, max = limits::PAGE_ITEMS_MAX))]
    limit: Option<usize>,
}

fn list(context: &Context, query: &Criteria) -> Result<Page<InstanceView>, OperationError> {
    let limit = page_limit(query.limit)?;
    let wanted = Wanted::parse(query.capability.as_deref().unwrap_or_default())
        .map_err(|detail| OperationError::new(ErrorCode::QueryMalformed, detail))?;
    let view = context.services.hive.view();
    let connected = |node: NodeId| view.connected.contains(&node);
    let state = &view.state;
    let nodes = state.machines().filter_map(|node| {
        let agents: Vec<&AgentRecord> = state.agents_of_node(node.id).collect();
        of_node(state, node, &agents, connected(node.id), &wanted)
    });
    let agents = state.agents().filter_map(|agent| {
        let is_there = is_present(state, agent.spec.node, connected(agent.spec.node));
        of_agent(state, agent, is_there, &wanted)
    });
    let mut items: Vec<InstanceView> = nodes
        .chain(agents)
        .filter(|instance| query.admits(instance))
        .collect();
    items.sort_by(|a, b| b.relevance.cmp(&a.relevance).then_with(|| a.id.cmp(&b.id)));
    items.truncate(limit);
    Ok(Page {
        items,
        next_cursor: None,
    })
}

/// Whether somebody is there: a session holds no connection, and is there while it is not offline.
fn is_present(state: &State, node: NodeId, is_connected: bool) -> bool {
    is_connected || state.node(node).is_some_and(|node| node.session.is_some())
}

impl Criteria {
    fn admits(&self, instance: &InstanceView) -> bool {
        let has_label = |label: &String| match label.split_once('=') {
            Some((key, value)) => instance.labels.get(key).is_some_and(|own| own == value),
            None => instance.labels.contains_key(label),
        };
        self.kind.is_none_or(|kind| instance.kind == kind)
            && self.state.is_none_or(|state| instance.state == state)
            && self.label.as_ref().is_none_or(has_label)
            && (self.region.is_none() || self.region == instance.region)
            && self
                .slots_free
                .is_none_or(|least| instance.slots_free >= least)
    }
}

/// The state of a machine, or of an agent as far as its machine decides it.
fn state_of(node: &NodeRecord, is_connected: bool, load: u32, slots: u32) -> InstanceState {
    match node.state {
        NodeState::Lost | NodeState::Left | NodeState::Joining => InstanceState::Offline,
        NodeState::Suspect => InstanceState::Unreachable,
        // The log has not noticed yet, or the coordinator has just been started.
        NodeState::Ready | NodeState::Draining if !is_connected => InstanceState::Unreachable,
        NodeState::Draining => InstanceState::Maintenance,
        NodeState::Ready if load == 0 => InstanceState::Idle,
        NodeState::Ready if load < slots => InstanceState::Active,
        NodeState::Ready => InstanceState::Busy,
    }
}

fn of_node(
    state: &State,
    node: &NodeRecord,
    agents: &[&AgentRecord],
    is_connected: bool,
    wanted: &Wanted,
) -> Option<InstanceView> {
    let capabilities = &node.facts.capabilities;
    let (load, slots) = (state.node_use(node.id).attempts, node.facts.slots);
    let stands = state_of(node, is_connected, load, slots);
    let (succeeded, failed) = agents.iter().fold((0, 0), |(succeeded, failed), agent| {
        (succeeded + agent.succeeded, failed + agent.failed)
    });
    let fitness = Fitness {
        capability: wanted.fit(capabilities)?,
        performance: rank::performance(succeeded, failed),
        health: health(stands),
        load: rank::free_share(load, slots),
    };
    Some(InstanceView {
        id: node.id.to_string(),
        name: node.facts.name.clone(),
        kind: InstanceKind::Node,
        state: stands,
        node: node.id,
        capabilities: capabilities.clone(),
        labels: state.node_labels(node.id).cloned().unwrap_or_default(),
        region: node.region().map(str::to_owned),
        slots_free: slots.saturating_sub(load),
        slots,
        relevance: fitness.relevance(),
        fitness,
    })
}

fn of_agent(
    state: &State,
    agent: &AgentRecord,
    is_connected: bool,
    wanted: &Wanted,
) -> Option<InstanceView> {
    let node = state.node(agent.spec.node)?;
    let (load, slots) = (state.agent_load(agent.id), agent.spec.slots);
    let stands = match state_of(node, is_connected, load, slots) {
        InstanceState::Idle | InstanceState::Active | InstanceState::Busy if agent.paused => {
            InstanceState::Maintenance
        }
        other => other,
    };
    let fitness = Fitness {
        capability: wanted.fit(&agent.spec.capabilities)?,
        performance: rank::performance(agent.succeeded, agent.failed),
        health: health(stands),
        load: rank::free_share(load, slots),
    };
    Some(InstanceView {
        id: agent.id.to_string(),
        name: agent.spec.name.clone(),
        kind: InstanceKind::Agent,
        state: stands,
        node: node.id,
        capabilities: agent.spec.capabilities.clone(),
        labels: state.node_labels(node.id).cloned().unwrap_or_default(),
        region: node.region().map(str::to_owned),
        slots_free: slots.saturating_sub(load),
        slots,
        relevance: fitness.relevance(),
        fitness,
    })
}

const fn health(state: InstanceState) -> u32 {
    match state {
        InstanceState::Active | InstanceState::Idle | InstanceState::Busy => 1_000,
        InstanceState::Maintenance => 500,
        InstanceState::Unreachable => 200,
        InstanceState::Offline => 0,
    }
}

/// Something that agents can do.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct CapabilityView {
    /// Its name.
    name: String,
    /// Agents that have it, by proficiency.
    agents: BTreeMap<Proficiency, u32>,
    /// Attempts that agents with it could take now.
    slots_free: u32,
    /// Some of the agents that have it.
    examples: Vec<AgentId>,
}

/// Agents named for each capability.
const EXAMPLES_MAX: usize = 8;

#[expect(clippy::unnecessary_wraps, reason = "all handlers have this form")]
fn capabilities(
    context: &Context,
    _: &NoParameters,
) -> Result<Page<CapabilityView>, OperationError> {
    let view = context.services.hive.view();
    let mut found: BTreeMap<&String, CapabilityView> = BTreeMap::new();
    for agent in view.state.agents() {
        let is_connected = view.connected.contains(&agent.spec.node);
        let works = is_present(&view.state, agent.spec.node, is_connected)
            && view
                .state
                .node(agent.spec.node)
                .is_some_and(|node| node.state == NodeState::Ready)
            && !agent.paused;
        let load = view.state.agent_load(agent.id);
        for (name, proficiency) in &agent.spec.capabilities {
            let entry = found.entry(name).or_insert_with(|| CapabilityView {
                name: name.clone(),
                agents: BTreeMap::new(),
                slots_free: 0,
                examples: Vec::new(),
            });
            *entry.agents.entry(*proficiency).or_default() += 1;
            if works {
                entry.slots_free += agent.spec.slots.saturating_sub(load);
            }
            if entry.examples.len() < EXAMPLES_MAX {
                entry.examples.push(agent.id);
            }
        }
    }
    Ok(Page {
        items: found.into_values().collect(),
        next_cursor: None,
    })
}

//! Operations on agents.

use crate::context::Context;
use crate::declare::{ADMIN, READ, end, put, read, submit};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::{NoParameters, check_text};
use crate::nodes;
use crate::operation::{Operation, Repetition};
use crate::paging::page_limit;
use crate::views::{AgentKind, AgentView, Page};
use serde::{Deserialize, Serialize};
use skep_model::agent::{AgentRecord, AgentSpec, AgentState};
use skep_model::command::Command;
use skep_model::ids::{AgentId, NodeId};
use skep_model::limits;
use skep_model::node::NodeState;
use skep_model::requirements::Proficiency;
use std::collections::BTreeMap;

pub(crate) fn operations() -> Vec<Operation> {
    const TAKEN: &str = "names of agents are unique: a second call answers `name_taken`";
    vec![
        read("agents.list", "/agents", READ, "Lists the agents.").answers_at_once(list),
        submit(
            "agents.create",
            "/agents",
            ADMIN,
            "Makes an agent on a node.",
        )
        .repetition(Repetition::Acts(TAKEN))
        .takes(create),
        read("agents.get", "/agents/{id}", READ, "Shows an agent.").answers_at_once(get),
        put(
            "agents.update",
            "/agents/{id}",
            ADMIN,
            "Changes, pauses or resumes an agent.",
        )
        .takes(update),
        end(
            "agents.delete",
            "/agents/{id}",
            ADMIN,
            "Removes an agent; its attempts go on.",
        )
        .answers(delete),
        read(
            "agents.health",
            "/agents/{id}/health",
            READ,
            "Says whether an agent can work.",
        )
        .answers_at_once(health),
    ]
}

/// Names an agent.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct AgentPath {
    /// Its id or its name.
    id: String,
}

/// Which agents to list.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AgentListing {
    /// Only agents in this state.
    state: Option<AgentState>,
    /// Only hosted ones, or only attached ones.
    kind: Option<AgentKind>,
    /// Only agents of this node, by id or name.
    node: Option<String>,
    /// Items on a page.
    #[schemars(range(min = 1, max = limits::PAGE_ITEMS_MAX))]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<AgentId>,
}

fn list(context: &Context, query: &AgentListing) -> Result<Page<AgentView>, OperationError> {
    let limit = page_limit(query.limit)?;
    let node = query
        .node
        .as_deref()
        .map(|text| nodes::resolve(context, text))
        .transpose()?;
    let view = context.services.hive.view();
    let wanted = |agent: &&AgentRecord| {
        node.is_none_or(|node| agent.spec.node == node)
            && query.cursor.is_none_or(|cursor| agent.id > cursor)
            && query
                .state
                .is_none_or(|state| view.state.agent_state(agent) == state)
    };
    let mut items: Vec<_> = view
        .state
        .agents()
        .filter(wanted)
        .map(|agent| AgentView::of(&view.state, agent))
        .filter(|agent| query.kind.is_none_or(|kind| agent.kind == kind))
        .take(limit + 1)
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items
        .last()
        .filter(|_| more)
        .map(|agent| agent.id.to_string());
    Ok(Page { items, next_cursor })
}

/// An agent to make.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewAgent {
    /// Its name, unique among agents.
    name: String,
    /// The node that hosts it, by id or name.
    node: String,
    /// Free word.
    #[serde(default = "default_role")]
    role: String,
    /// What it can do.
    #[serde(default)]
    capabilities: BTreeMap<String, Proficiency>,
    /// Attempts it runs at a time.
    #[serde(default = "one_slot")]
    slots: u32,
}

fn default_role() -> String {
    "worker".to_owned()
}

const fn one_slot() -> u32 {
    1
}

async fn create(
    context: Context,
    _: NoParameters,
    new: NewAgent,
) -> Result<AgentView, OperationError> {
    check_text("name", &new.name)?;
    check_text("role", &new.role)?;
    check_slots(new.slots)?;
    check_capabilities(&new.capabilities)?;
    let node = nodes::resolve(&context, &new.node)?;
    let agent = AgentId::from_u128(context.services.fresh_id());
    let spec = Box::new(AgentSpec {
        name: new.name,
        role: new.role,
        node,
        capabilities: new.capabilities,
        slots: new.slots,
    });
    context
        .propose(Command::CreateAgent { agent, spec })
        .await?;
    shown(&context, agent)
}

fn get(context: &Context, path: &AgentPath) -> Result<AgentView, OperationError> {
    let agent = resolve(context, &path.id)?;
    shown(context, agent)
}

/// What to change; what is left out stays.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AgentChange {
    /// New role.
    role: Option<String>,
    /// New capabilities, all of them.
    capabilities: Option<BTreeMap<String, Proficiency>>,
    /// New number of slots.
    slots: Option<u32>,
    /// Hold it, or let it go on.
    paused: Option<bool>,
}

async fn update(
    context: Context,
    path: AgentPath,
    change: AgentChange,
) -> Result<AgentView, OperationError> {
    change
        .role
        .as_deref()
        .map_or(Ok(()), |role| check_text("role", role))?;
    change.slots.map_or(Ok(()), check_slots)?;
    change
        .capabilities
        .as_ref()
        .map_or(Ok(()), check_capabilities)?;
    let agent = resolve(&context, &path.id)?;
    let AgentChange {
        role,
        capabilities,
        slots,
        paused,
    } = change;
    context
        .propose(Command::UpdateAgent {
            agent,
            role,
            capabilities,
            slots,
            paused,
        })
        .await?;
    shown(&context, agent)
}

/// What was removed.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Removed {
    /// The agent.
    removed: AgentId,
}

async fn delete(context: Context, path: AgentPath) -> Result<Removed, OperationError> {
    let agent = resolve(&context, &path.id)?;
    context.propose(Command::RemoveAgent(agent)).await?;
    Ok(Removed { removed: agent })
}

/// Whether an agent can take work.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct AgentHealth {
    /// The agent.
    id: AgentId,
    /// Whether a task that fits would be granted to it now.
    takes_work: bool,
    /// What it does at the moment.
    state: AgentState,
    /// Its node.
    node: NodeId,
    /// Where its node stands; none when the node is gone.
    node_state: Option<NodeState>,
    /// Attempts it holds.
    load: u32,
    /// Attempts it runs at a time.
    slots: u32,
    /// Share of its attempts that succeeded, of those that ended; none before the first.
    success_rate: Option<f64>,
}

fn health(context: &Context, path: &AgentPath) -> Result<AgentHealth, OperationError> {
    let agent = resolve(context, &path.id)?;
    let view = context.services.hive.view();
    let record = view.state.agent(agent).ok_or_else(|| unknown(&path.id))?;
    let state = view.state.agent_state(record);
    let ended = record.succeeded + record.failed;
    Ok(AgentHealth {
        id: agent,
        takes_work: state == AgentState::Idle,
        state,
        node: record.spec.node,
        node_state: view.state.node(record.spec.node).map(|node| node.state),
        load: view.state.agent_load(agent),
        slots: record.spec.slots,
        success_rate: (ended > 0).then(|| record.succeeded as f64 / ended as f64),
    })
}

fn shown(context: &Context, agent: AgentId) -> Result<AgentView, OperationError> {
    let view = context.services.hive.view();
    let record = view
        .state
        .agent(agent)
        .ok_or_else(|| unknown(&agent.to_string()))?;
    Ok(AgentView::of(&view.state, record))
}

/// The agent with this id or name.
pub(crate) fn resolve(context: &Context, text: &str) -> Result<AgentId, OperationError> {
    let view = context.services.hive.view();
    let found = match text.parse::<AgentId>() {
        Ok(id) => view.state.agent(id),
        Err(_) => view.state.agents().find(|agent| agent.spec.name == text),
    };
    found.map(|agent| agent.id).ok_or_else(|| unknown(text))
}

fn unknown(text: &str) -> OperationError {
    OperationError::new(
        ErrorCode::AgentNotFound,
        format!("no agent has the id or name `{text}`"),
    )
}

fn check_slots(slots: u32) -> Result<(), OperationError> {
    if (1..=limits::SLOTS_MAX).contains(&slots) {
        return Ok(());
    }
    Err(OperationError::new(
        ErrorCode::FieldInvalid,
        format!(
            "`slots` should be 1 to {}, not `{slots}`",
            limits::SLOTS_MAX
        ),
    ))
}

fn check_capabilities(capabilities: &BTreeMap<String, Proficiency>) -> Result<(), OperationError> {
    if capabilities.len() > limits::LABELS_MAX {
        return Err(OperationError::new(
            ErrorCode::LimitExceeded,
            format!(
                "LABELS_MAX is {}: {} capabilities",
                limits::LABELS_MAX,
                capabilities.len()
            ),
        ));
    }
    capabilities
        .keys()
        .try_for_each(|name| check_text("capabilities", name))
}

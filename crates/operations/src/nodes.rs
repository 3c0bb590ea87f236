//! Operations on nodes.

use crate::context::Context;
use crate::declare::{ADMIN, READ, act, end, put, read};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::{check_labels, check_text};
use crate::join::joined;
use crate::operation::Operation;
use crate::paging::page_limit;
use crate::views::{Moment, NodeView, Page};
use serde::{Deserialize, Serialize};
use skep_model::command::Command;
use skep_model::hold::{DisconnectSetting, OnDisconnect};
use skep_model::ids::NodeId;
use skep_model::limits;
use skep_model::node::NodeState;
use std::collections::BTreeMap;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        read("nodes.list", "/nodes", READ, "Lists the nodes.").answers_at_once(list),
        read("nodes.get", "/nodes/{id}", READ, "Shows a node.").answers_at_once(get),
        act(
            "nodes.drain",
            "/nodes/{id}/drain",
            ADMIN,
            "Grants nothing new to a node.",
        )
        .answers(|context, path: NodePath| change(context, path, Command::DrainNode)),
        act(
            "nodes.resume",
            "/nodes/{id}/resume",
            ADMIN,
            "Ends the draining of a node.",
        )
        .answers(|context, path: NodePath| change(context, path, Command::ResumeNode)),
        act(
            "nodes.park",
            "/nodes/{id}/park",
            ADMIN,
            "Lets the attempts of a node stand still and wait while its machine sleeps.",
        )
        .takes(park),
        act(
            "nodes.unpark",
            "/nodes/{id}/unpark",
            ADMIN,
            "Lets the attempts of a parked node go on.",
        )
        .answers(|context, path: NodePath| change(context, path, Command::UnparkNode)),
        put(
            "nodes.set",
            "/nodes/{id}",
            ADMIN,
            "Gives a node labels, a region and a policy that win over its own.",
        )
        .takes(set),
        end(
            "nodes.remove",
            "/nodes/{id}",
            ADMIN,
            "Forgets a node that holds nothing, or that is silent and whose attempts wait for it for ever.",
        )
        .answers(remove),
    ]
}

/// Names a node.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NodePath {
    /// Its id or its name.
    id: String,
}

/// Which nodes to list.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct NodeListing {
    /// Only nodes in this state.
    state: Option<NodeState>,
    /// Items on a page.
    #[schemars(range(min = 1, max = limits::PAGE_ITEMS_MAX))]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<NodeId>,
}

fn list(context: &Context, query: &NodeListing) -> Result<Page<NodeView>, OperationError> {
    let limit = page_limit(query.limit)?;
    let moment = Moment::of(&context.services);
    let view = context.services.hive.view();
    let wanted = |node: &&skep_model::node::NodeRecord| {
        query.state.is_none_or(|state| node.state == state)
            && query.cursor.is_none_or(|cursor| node.id > cursor)
    };
    let mut items: Vec<_> = view
        .state
        .machines()
        .filter(wanted)
        .take(limit + 1)
        .map(|node| NodeView::of(&view, node, moment))
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items
        .last()
        .filter(|_| more)
        .map(|node| node.id.to_string());
    Ok(Page { items, next_cursor })
}

fn get(context: &Context, path: &NodePath) -> Result<NodeView, OperationError> {
    let node = resolve(context, &path.id)?;
    shown(context, node)
}

async fn change(
    context: Context,
    path: NodePath,
    command: fn(NodeId) -> Command,
) -> Result<NodeView, OperationError> {
    let node = resolve(&context, &path.id)?;
    context.propose(command(node)).await?;
    shown(&context, node)
}

/// How long a node is parked.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct ParkOrder {
    /// Milliseconds until it wakes up; half an hour if nothing is said.
    #[schemars(range(min = limits::PARK_MS_MIN, max = limits::PARK_MS_MAX))]
    for_ms: Option<u64>,
}

async fn park(
    context: Context,
    path: NodePath,
    order: ParkOrder,
) -> Result<NodeView, OperationError> {
    let node = resolve(&context, &path.id)?;
    let for_ms = order.for_ms.unwrap_or(limits::PARK_DEFAULT_MS);
    context.propose(Command::ParkNode { node, for_ms }).await?;
    shown(&context, node)
}

/// What an operator says about a node. What is left out stays as it is.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NodeChange {
    /// All labels that an operator gives it; they win over its own.
    labels: Option<BTreeMap<String, String>>,
    /// Where it stands; an empty text means as it says itself.
    region: Option<String>,
    /// What becomes of its attempts while it is not heard.
    on_disconnect: Option<DisconnectWord>,
}

/// What becomes of a node's attempts while it is not heard.
#[derive(Debug, Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum DisconnectWord {
    /// As the node says itself, or as is usual for its class.
    Own,
    /// They are given to others when its lease is over.
    Replace,
    /// They wait ten minutes for it, and are given to others then.
    Wait,
    /// They wait for it until they are cancelled, their deadline passes, or it is removed.
    Keep,
}

impl From<DisconnectWord> for DisconnectSetting {
    fn from(word: DisconnectWord) -> Self {
        match word {
            DisconnectWord::Own => Self::Own,
            DisconnectWord::Replace => Self::Fixed(OnDisconnect::Replace),
            DisconnectWord::Wait => Self::Fixed(OnDisconnect::Wait),
            DisconnectWord::Keep => Self::Fixed(OnDisconnect::Keep),
        }
    }
}

async fn set(
    context: Context,
    path: NodePath,
    change: NodeChange,
) -> Result<NodeView, OperationError> {
    let node = resolve(&context, &path.id)?;
    if let Some(labels) = &change.labels {
        check_labels(labels)?;
    }
    if let Some(region) = change.region.as_ref().filter(|region| !region.is_empty()) {
        check_text("region", region)?;
    }
    context
        .propose(Command::SetNode {
            node,
            labels: change.labels,
            region: change.region,
            on_disconnect: change.on_disconnect.map(Into::into),
        })
        .await?;
    shown(&context, node)
}

/// What was forgotten.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Removed {
    /// The node.
    removed: NodeId,
}

async fn remove(context: Context, path: NodePath) -> Result<Removed, OperationError> {
    let node =
        resolve(&context, &path.id).or_else(|error| joined(&context, &path.id).ok_or(error))?;
    context.propose(Command::RemoveNode(node)).await?;
    Ok(Removed { removed: node })
}

fn shown(context: &Context, node: NodeId) -> Result<NodeView, OperationError> {
    let moment = Moment::of(&context.services);
    let view = context.services.hive.view();
    let record = view
        .state
        .node(node)
        .ok_or_else(|| unknown(&node.to_string()))?;
    Ok(NodeView::of(&view, record, moment))
}

/// The node with this id or name.
pub(crate) fn resolve(context: &Context, text: &str) -> Result<NodeId, OperationError> {
    let view = context.services.hive.view();
    let found = if let Ok(id) = text.parse::<NodeId>() {
        let node = view.state.node(id);
        let machine = node.filter(|node| node.session.is_none());
        machine.map(|node| node.id)
    } else {
        let named = view.state.machines().filter(|node| node.facts.name == text);
        // A name can be used again after a node left: the one that is there is meant.
        named
            .min_by_key(|node| node.state == NodeState::Left)
            .map(|node| node.id)
    };
    found.ok_or_else(|| unknown(text))
}

fn unknown(text: &str) -> OperationError {
    OperationError::new(
        ErrorCode::NodeNotFound,
        format!("no node has the id or name `{text}`"),
    )
}

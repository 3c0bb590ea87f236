//! The operations: a round with a peer, and the two that a peer asks for.

use super::incoming::{remember_removals, take};
use super::items::{Applied, ChangesPage, ChangesQuestion, Delivery};
use super::outgoing;
use super::peers::{Direction, Peer};
use super::report::PeerReport;
use super::round;
use crate::context::{Context, Principal, Services};
use crate::declare::{READ, WRITE, act, read};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::fields::NoParameters;
use crate::memory::access::{may_use, named_namespace};
use crate::operation::{Cost, Operation};
use crate::views::Page;
use serde::{Deserialize, Serialize};
use skep_model::memory::Namespace;
use skep_model::token::Scope;
use std::sync::Arc;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        act(
            "memory.sync",
            "/memory-sync",
            WRITE,
            "Exchanges entries of shared memory with a configured peer, and says what became of them.",
        )
        .cost(Cost::High)
        .takes(sync),
        read(
            "memory.peers",
            "/memory-peers",
            READ,
            "Lists the installations with which shared memory is exchanged.",
        )
        .answers_at_once(peers),
        act(
            "memory.sync.changes",
            "/memory-sync/changes",
            READ,
            "Tells another installation which entries of a namespace changed.",
        )
        .takes(changes),
        act(
            "memory.sync.deliver",
            "/memory-sync/deliver",
            WRITE,
            "Takes in entries of another installation; the namespace's strategies decide.",
        )
        .takes(deliver),
    ]
}

/// With whom to exchange what.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct SyncBody {
    /// The peer, by the name that the configuration gives it.
    peer: String,
    /// Only these of the peer's namespaces; all without.
    #[serde(default)]
    namespaces: Vec<String>,
    /// Only this way; what the configuration says without.
    #[serde(default)]
    direction: Option<Direction>,
}

async fn sync(
    context: Context,
    _: NoParameters,
    body: SyncBody,
) -> Result<PeerReport, OperationError> {
    let services = Arc::clone(&context.services);
    let peer = services.shared_memory.peers.named(&body.peer)?;
    let namespaces = wanted_namespaces(peer, &body.namespaces)?;
    let direction = body.direction.unwrap_or(peer.direction);
    if !peer.direction.includes(direction) {
        let detail = format!(
            "peer `{}` is configured for `{}` only, not for `{}`",
            peer.name,
            peer.direction.as_str(),
            direction.as_str()
        );
        return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
    }
    // The caller's key and conditions are those of what it asked for, not of each write.
    let context = Context::new(Arc::clone(&services), context.caller);
    round::run(&context, peer, &namespaces, direction).await
}

/// A round as the configuration says, asked for by nobody.
///
/// # Errors
/// As of the operation; `memory_peer_unknown`.
pub async fn sync_with_peer(
    services: &Arc<Services>,
    peer: &str,
) -> Result<PeerReport, OperationError> {
    let peer = services.shared_memory.peers.named(peer)?;
    let context = Context::new(Arc::clone(services), Principal::Anonymous);
    round::run(&context, peer, &peer.namespaces, peer.direction).await
}

fn wanted_namespaces(peer: &Peer, names: &[String]) -> Result<Vec<Namespace>, OperationError> {
    if names.is_empty() {
        return Ok(peer.namespaces.clone());
    }
    let mut wanted = Vec::with_capacity(names.len());
    for name in names {
        let namespace = named_namespace(name)?;
        if !peer.namespaces.contains(&namespace) {
            let known: Vec<_> = peer.namespaces.iter().map(Namespace::as_str).collect();
            let detail = format!(
                "`{namespace}` is not exchanged with peer `{}`; configured are `{}`",
                peer.name,
                known.join("`, `")
            );
            return Err(OperationError::new(ErrorCode::NamespaceForbidden, detail));
        }
        if !wanted.contains(&namespace) {
            wanted.push(namespace);
        }
    }
    Ok(wanted)
}

/// A peer as callers see it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct PeerView {
    /// Its name here.
    name: String,
    /// Where it is.
    url: String,
    /// What is exchanged.
    namespaces: Vec<Namespace>,
    /// Which way.
    direction: Direction,
    /// Seconds between two rounds that nobody asks for; none when there are no such rounds.
    every_s: Option<u64>,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "operations answer with a result, and this one cannot fail"
)]
fn peers(context: &Context, _: &NoParameters) -> Result<Page<PeerView>, OperationError> {
    let peers = context.services.shared_memory.peers.iter();
    let items = peers.map(|peer| PeerView {
        name: peer.name.clone(),
        url: peer.link.address(),
        namespaces: peer.namespaces.clone(),
        direction: peer.direction,
        every_s: peer.every.map(|every| every.as_secs()),
    });
    Ok(Page {
        items: items.collect(),
        next_cursor: None,
    })
}

/// Whoever may write makes removals remembered from the first question on; who only reads changes
/// nothing, and the answer says how things are.
async fn changes(
    context: Context,
    _: NoParameters,
    question: ChangesQuestion,
) -> Result<ChangesPage, OperationError> {
    let services = &context.services;
    {
        let view = services.hive.view();
        may_use(&view, &context.caller, &question.namespace)?;
        outgoing::refuse_secret(&view, &question.namespace)?;
    }
    refuse_own(&question.namespace)?;
    if context.caller.has(Scope::Write) {
        remember_removals(services, &question.namespace).await?;
    }
    outgoing::changes(services, &question).await
}

async fn deliver(
    context: Context,
    _: NoParameters,
    delivery: Delivery,
) -> Result<Applied, OperationError> {
    refuse_own(&delivery.namespace)?;
    let items = take(&context, &delivery.namespace, &delivery.items).await?;
    Ok(Applied { items })
}

fn refuse_own(namespace: &Namespace) -> Result<(), OperationError> {
    if namespace.as_str() != round::NAMESPACE {
        return Ok(());
    }
    let detail = format!("`{namespace}` is about one installation only");
    Err(OperationError::new(ErrorCode::NamespaceForbidden, detail))
}

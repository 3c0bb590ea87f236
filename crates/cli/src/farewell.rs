//! The first start on restored data: whoever belonged to the swarm that was backed up does not
//! belong to this one, and is let go before anybody is let in.

use crate::exit::{Exit, Failure, chain};
use skep_coordinator::Hive;
use skep_model::command::{Actor, Command};
use skep_model::token::Scope;
use skep_store::DataDir;
use skep_store::backup::{farewell_said, owes_farewell};

/// Lets go of nodes, machines that joined, join tokens and tokens of nodes, if that is owed. A
/// crash in the middle leaves it owed, and what was let go already is not there the next time.
pub(crate) async fn say_farewell(hive: &Hive, data: &DataDir) -> Result<(), Failure> {
    if !owes_farewell(data) {
        return Ok(());
    }
    for command in farewells(hive) {
        hive.propose(Actor::Coordinator, command)
            .await
            .map_err(|error| {
                let message = format!("let go of the members of the old swarm: {error}");
                Failure::new(Exit::Storage, "restore_unfinished", message)
            })?;
    }
    let left = farewells(hive).len();
    if left > 0 {
        let message = format!("{left} nodes or tokens of the old swarm could not be let go");
        return Err(Failure::new(Exit::Storage, "restore_unfinished", message));
    }
    tracing::info!("this data was restored: nodes and join tokens of the old swarm are let go");
    farewell_said(data)
        .map_err(|error| Failure::new(Exit::Storage, "restore_unfinished", chain(&error)))
}

/// What says it, in an order in which each is possible: a node must hold nothing to be removed.
fn farewells(hive: &Hive) -> Vec<Command> {
    let view = hive.view();
    let state = &view.state;
    let join_tokens = state
        .join_tokens()
        .map(|token| Command::RevokeJoinToken(token.id));
    let tokens = state
        .tokens()
        .filter(|token| token.scopes.contains(&Scope::Node))
        .map(|token| Command::RevokeToken(token.id));
    // A node that is forgotten as soon as it is lost needs no second word.
    let nodes = state.machines().flat_map(|node| {
        let is_ephemeral = state
            .enrolment(node.id)
            .is_some_and(|joined| joined.preset.ephemeral);
        let remove = (!is_ephemeral).then_some(Command::RemoveNode(node.id));
        [Some(Command::LoseNode(node.id)), remove]
            .into_iter()
            .flatten()
    });
    let never_connected = state
        .enrolments()
        .filter(|joined| state.node(joined.node).is_none())
        .map(|joined| Command::RemoveNode(joined.node));
    join_tokens
        .chain(tokens)
        .chain(nodes)
        .chain(never_connected)
        .collect()
}

//! Which node of this machine is meant when nobody says its name.

use super::node_profile::name_or_host;
use crate::exit::{Exit, Failure, chain};
use crate::places::Places;
use skep_node::Membership;
use std::path::Path;

/// The given name. Without one that of this host, unless this machine joined a swarm under another
/// name only.
pub(crate) fn name_of(places: &Places, given: Option<&String>) -> Result<String, Failure> {
    let name = name_or_host(given)?;
    if given.is_some() || places.node_token().exists() || has_joined(&places.node(&name))? {
        return Ok(name);
    }
    let mut joined = joined(places)?;
    if joined.len() > 1 {
        let message = format!("this machine joined as {}", joined.join(" and as "));
        return Err(Failure::new(Exit::Invalid, "node_ambiguous", message)
            .hint("say which one with --name"));
    }
    Ok(joined.pop().unwrap_or(name))
}

fn has_joined(state_dir: &Path) -> Result<bool, Failure> {
    let found = Membership::load(state_dir);
    let found =
        found.map_err(|error| Failure::new(Exit::Failed, "node_not_started", chain(&error)))?;
    Ok(found.is_some())
}

/// Names under which this machine joined, in their order.
fn joined(places: &Places) -> Result<Vec<String>, Failure> {
    let nodes = match std::fs::read_dir(places.nodes()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        nodes => nodes?,
    };
    let mut names = Vec::new();
    for node in nodes {
        let node = node?;
        if has_joined(&node.path())? {
            names.push(node.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

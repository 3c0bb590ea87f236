//! How long attempts held nodes, of the tasks that became final in a time.

use super::window::Window;
use crate::context::Services;
use crate::error::OperationError;
use skep_model::ids::NodeId;
use skep_model::time::UnixMillis;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long attempts held nodes.
#[derive(Debug)]
pub(crate) struct NodeTime {
    pub(crate) since: UnixMillis,
    pub(crate) until: UnixMillis,
    /// Whether all tasks of the time were looked at.
    pub(crate) complete: bool,
    /// The nodes, by their ids.
    pub(crate) nodes: Vec<OfNode>,
}

/// How long attempts held one node.
#[derive(Debug)]
pub(crate) struct OfNode {
    /// Its name, or its id if it is gone.
    pub(crate) name: String,
    pub(crate) attempts: u64,
    /// From grants to ends, together, milliseconds.
    pub(crate) ms: u64,
}

/// Those of the last `seconds`. Seats of attached agents are no machines and do not count.
pub(crate) async fn of_window(
    services: &Arc<Services>,
    seconds: u64,
) -> Result<NodeTime, OperationError> {
    let window = Window::last(services, seconds).await?;
    let mut sums: BTreeMap<NodeId, (u64, u64)> = BTreeMap::new();
    for (node, ms) in window.samples.iter().flat_map(|sample| &sample.held) {
        let (attempts, sum) = sums.entry(*node).or_default();
        *attempts += 1;
        *sum += ms;
    }
    let view = services.hive.view();
    let named = |(id, (attempts, ms)): (NodeId, (u64, u64))| {
        let node = view.state.node(id);
        OfNode {
            name: node.map_or_else(|| id.to_string(), |node| node.facts.name.clone()),
            attempts,
            ms,
        }
    };
    Ok(NodeTime {
        since: window.since,
        until: window.until,
        complete: window.complete,
        nodes: sums.into_iter().map(named).collect(),
    })
}

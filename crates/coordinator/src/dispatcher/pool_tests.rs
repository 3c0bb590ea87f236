//! More nodes have room than one decision looks at.

use super::*;
use crate::observed::{Observed, node, task};
use skep_model::ids::AgentId;
use skep_model::task::TaskSpec;
use skep_scheduler::strategy;

#[test]
fn a_task_that_fits_only_a_node_further_on_is_placed_all_the_same() {
    let nodes = 2 * NODES_PER_DECISION_MAX as u128 + 10;
    let mut swarm = Observed::with_nodes(nodes);
    swarm.view.connected = (1..=nodes).map(node).collect();
    let mut spec = TaskSpec::noop("bound");
    spec.requirements.agent = Some(AgentId::from_u128(nodes - 1));
    swarm.submit(1, spec, &[]);
    let own = strategy("capability-weighted").unwrap();
    let mut dispatcher = Dispatcher::new(own, Policy::default());
    let grants = dispatcher.decide(&swarm.view, UnixMillis(0));
    let placed: Vec<_> = grants
        .iter()
        .map(|grant| (grant.task, grant.agent))
        .collect();
    assert_eq!(placed, [(task(1), AgentId::from_u128(nodes - 1))]);
}

#[test]
fn a_task_that_fits_nowhere_ends_the_decision() {
    let nodes = NODES_PER_DECISION_MAX as u128 + 10;
    let mut swarm = Observed::with_nodes(nodes);
    let mut spec = TaskSpec::noop("bound");
    spec.requirements.agent = Some(AgentId::from_u128(nodes + 1));
    let own = strategy("capability-weighted").unwrap();
    let mut dispatcher = Dispatcher::new(own, Policy::default());
    // None is connected.
    assert!(dispatcher.decide(&swarm.view, UnixMillis(0)).is_empty());
    swarm.view.connected = (1..=nodes).map(node).collect();
    swarm.submit(1, spec, &[]);
    assert!(dispatcher.decide(&swarm.view, UnixMillis(0)).is_empty());
}

//! What of the state the scheduler gets to see.

use super::*;
use crate::observed::{Observed, node, task};
use skep_model::command::Command;
use skep_model::ids::AgentId;
use skep_model::requirements::{AffinityRule, AffinitySense, AffinityStrength};
use skep_model::task::TaskSpec;

/// All nodes are connected.
fn connected(nodes: u128) -> Observed {
    let mut swarm = Observed::with_nodes(nodes);
    swarm.view.connected = (1..=nodes).map(node).collect();
    swarm
}

fn with<T>(view: &View, look: impl FnOnce(&Snapshot<'_>) -> T) -> T {
    let lookups = Lookups {
        failed_on: &|_| &[],
        inputs: &|_| TaskInputs::NONE,
    };
    look(&open_snapshot(view, None, UnixMillis(0), &lookups))
}

/// Nodes and agents that a decision sees, by number.
fn open(swarm: &Observed) -> (Vec<u128>, Vec<u128>) {
    with(&swarm.view, |snapshot| {
        let nodes = snapshot.nodes.iter().map(|node| node.id.as_u128());
        let agents = snapshot.agents.iter().map(|agent| agent.id.as_u128());
        (nodes.collect(), agents.collect())
    })
}

fn grant_slots(swarm: &mut Observed, to: u128, slots: u128) {
    for number in 1..=slots {
        swarm.submit(1_000 * to + number, TaskSpec::noop("t"), &[]);
        swarm.grant(1_000 * to + number, to);
    }
}

#[test]
fn a_decision_sees_only_nodes_that_could_take_work() {
    let mut swarm = connected(6);
    swarm.view.connected.remove(&node(2));
    swarm.view.note_load(node(3), true);
    grant_slots(&mut swarm, 4, 100);
    swarm.apply(Command::DrainNode(node(5)));
    assert_eq!(open(&swarm), (vec![1, 6], vec![1, 6]));
    swarm.view.connected.insert(node(2));
    swarm.view.note_load(node(3), false);
    swarm.report(4_001, skep_model::attempt::Outcome::Completed, 0);
    swarm.apply(Command::ResumeNode(node(5)));
    assert_eq!(open(&swarm), ((1..=6).collect(), (1..=6).collect()));
}

#[test]
fn what_a_node_told_is_found_for_that_node() {
    let mut swarm = connected(5);
    for number in [2, 4] {
        let metrics = NodeMetrics {
            load_permille: 100 * number,
            ..NodeMetrics::default()
        };
        swarm.view.metrics.insert(node(number.into()), metrics);
    }
    let loads = with(&swarm.view, |snapshot| {
        let loads = snapshot.nodes.iter().map(|node| node.load_permille);
        loads.collect::<Vec<_>>()
    });
    assert_eq!(loads, [None, Some(200), None, Some(400), None]);
}

#[test]
fn labels_that_an_operator_gave_are_what_tasks_are_placed_by() {
    let mut swarm = connected(2);
    swarm.apply(Command::SetNode {
        node: node(2),
        labels: Some([("zone".to_owned(), "b".to_owned())].into()),
        region: None,
        on_disconnect: None,
    });
    let mut spec = TaskSpec::noop("t");
    spec.requirements.affinity = vec![AffinityRule {
        label: "zone".to_owned(),
        value: Some("b".to_owned()),
        strength: AffinityStrength::Required,
        sense: AffinitySense::Attract,
    }];
    swarm.submit(1, spec, &[]);
    let policy = Policy::default();
    let grants = with(&swarm.view, |snapshot| {
        strategy("capability-weighted")
            .unwrap()
            .place(snapshot, &policy)
    });
    let agents: Vec<_> = grants.iter().map(|grant| grant.agent).collect();
    assert_eq!(agents, [AgentId::from_u128(2)]);
    let explained = explain_task(&swarm.view, task(1), &policy, UnixMillis(0)).unwrap();
    let chosen = explained
        .agents
        .iter()
        .filter(|agent| matches!(agent.verdict, skep_scheduler::Verdict::Fits { .. }));
    assert_eq!(chosen.count(), 1, "{explained:?}");
    swarm.grant(1, 2);
    assert!(swarm.view.state.task(task(1)).unwrap().state.is_held());
}

#[test]
fn where_many_nodes_have_room_each_decision_looks_at_the_next_ones() {
    let most = NODES_PER_DECISION_MAX as u128;
    let swarm = connected(most + 3);
    let lookups = Lookups {
        failed_on: &|_| &[],
        inputs: &|_| TaskInputs::NONE,
    };
    let seen_after = |after: Option<u128>| {
        let snapshot = open_snapshot(&swarm.view, after.map(node), UnixMillis(0), &lookups);
        let ids = snapshot.nodes.iter().map(|node| node.id.as_u128());
        let of_agents = snapshot.agents.iter().map(|agent| agent.id);
        assert!(of_agents.is_sorted(), "agents stand by id");
        ids.collect::<Vec<_>>()
    };
    assert_eq!(seen_after(None), (1..=most).collect::<Vec<_>>());
    let second: Vec<_> = (most + 1..=most + 3).chain(1..=most - 3).collect();
    assert_eq!(seen_after(Some(most)), second);
}

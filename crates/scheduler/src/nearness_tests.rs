//! Tables: distance, regions, inputs and breakers, and what the strategies make of them.

use crate::fixture::{Swarm, node, task};
use crate::tests::{capability, pairs, rule, wants};
use crate::{
    BreakerView, HOLDERS_MAX, HeldInput, OPTIMAL_SLOTS_MAX, Policy, Question, STRATEGIES,
    TaskInputs, Verdict, strategy,
};
use skep_model::command::Grant;
use skep_model::ids::{NodeId, TaskId};
use skep_model::requirements::{AffinitySense, AffinityStrength, Proficiency, Requirements};

const OPEN: BreakerView = BreakerView::Open {
    failures: 5,
    retry_in_ms: 41_200,
};

/// Agents in the order in which the strategy grants to them.
fn agents(name: &str, swarm: &Swarm) -> Vec<usize> {
    let strategy = strategy(name).unwrap();
    of(&strategy.place(&swarm.snapshot(), &Policy::default()))
}

fn of(grants: &[Grant]) -> Vec<usize> {
    pairs(grants).into_iter().map(|(_, agent)| agent).collect()
}

#[test]
fn geographic_affinity_prefers_near_nodes_and_then_the_wanted_region() {
    let mut swarm = Swarm::with_nodes(3);
    for (node, rtt_ms) in swarm.nodes.iter_mut().zip([180, 20, 90]) {
        node.rtt_ms = Some(rtt_ms);
    }
    // Sound results do not make up for the distance here, and do by default.
    (swarm.agents[0].succeeded, swarm.agents[0].busy_ms) = (1_000, 1_000);
    swarm.agents[1].failed = 2;
    swarm.queue(Requirements::default(), &[1]);
    assert_eq!(agents("geographic-affinity", &swarm), [1]);
    assert_eq!(agents("capability-weighted", &swarm), [0]);

    let mut unmeasured = Swarm::with_nodes(3);
    for (node, region) in unmeasured.nodes.iter_mut().zip(["us", "asia", "eu"]) {
        node.region = Some(region.to_owned());
    }
    let weight = AffinityStrength::Weight(1);
    let eu = wants(|w| w.affinity = vec![rule("region=eu", AffinitySense::Attract, weight)]);
    unmeasured.queue(eu, &[1]);
    for name in ["geographic-affinity", "capability-weighted", "optimal"] {
        assert_eq!(agents(name, &unmeasured), [2], "{name}");
    }
}

/// Grants when every task failed on these nodes, and one task has inputs.
fn place_with(
    name: &str,
    swarm: &Swarm,
    failed: &[NodeId],
    (holding, held): (TaskId, &[HeldInput]),
) -> Vec<(u64, usize)> {
    let failed_on = |_: TaskId| failed;
    let inputs = |of: TaskId| TaskInputs {
        total_bytes: if of == holding { 1_000 } else { 0 },
        held: if of == holding { held } else { &[] },
    };
    let mut snapshot = swarm.snapshot_with(&failed_on);
    snapshot.inputs = &inputs;
    let strategy = strategy(name).unwrap();
    pairs(&strategy.place(&snapshot, &Policy::default()))
}

#[test]
fn a_task_goes_to_the_node_that_holds_its_inputs() {
    let held = [HeldInput {
        node: node(2),
        bytes: 900,
    }];
    for name in ["capability-weighted", "geographic-affinity", "optimal"] {
        let mut swarm = Swarm::with_nodes(4);
        for node in &mut swarm.nodes {
            node.rtt_ms = Some(40);
        }
        swarm.queue(Requirements::default(), &[0, 1]);
        let place = |swarm: &Swarm| place_with(name, swarm, &[], (task(1), &held));
        assert_eq!(place(&swarm), [(0, 0), (1, 2)], "{name}");
        swarm.nodes[2].slots_free = 0;
        assert_eq!(
            place(&swarm),
            [(0, 0), (1, 1)],
            "{name}: the holder is full"
        );
    }
}

#[test]
fn a_holder_that_failed_the_task_comes_last_all_the_same() {
    let held = [HeldInput {
        node: node(1),
        bytes: 1_000,
    }];
    for name in STRATEGIES {
        let mut swarm = Swarm::with_nodes(3);
        swarm.queue(Requirements::default(), &[1]);
        let grants = place_with(name, &swarm, &[node(0), node(1)], (task(1), &held));
        assert_eq!(grants, [(1, 2)], "{name}");
    }
}

#[test]
fn only_so_many_holders_count() {
    let holder = |number| HeldInput {
        node: node(number),
        bytes: 10,
    };
    let held: Vec<HeldInput> = (0..=HOLDERS_MAX).map(holder).collect();
    let inputs = TaskInputs {
        total_bytes: 20,
        held: &held,
    };
    assert_eq!(inputs.local_permille(node(HOLDERS_MAX - 1)), 500);
    assert_eq!(inputs.local_permille(node(HOLDERS_MAX)), 0);
    assert_eq!(TaskInputs::NONE.local_permille(node(0)), 0);
}

#[test]
fn an_open_breaker_keeps_work_away_and_a_half_open_one_lets_trials_through() {
    for name in STRATEGIES {
        let mut swarm = Swarm::with_nodes(3);
        swarm.nodes[0].breaker = OPEN;
        swarm.nodes[1].breaker = BreakerView::HalfOpen { room: 1 };
        swarm.nodes[2].breaker = BreakerView::HalfOpen { room: 0 };
        swarm.queue(Requirements::default(), &[1, 2, 3]);
        assert_eq!(agents(name, &swarm), [1], "{name}");
    }
}

#[test]
fn an_explanation_says_that_a_breaker_is_open_and_for_how_long() {
    let rows = [
        (
            OPEN,
            "the node failed 5 times in a row, it is tried again in 42 s",
        ),
        (
            BreakerView::Open {
                failures: 1,
                retry_in_ms: 1,
            },
            "the node failed when it was tried out, it is tried again in 1 s",
        ),
        (
            BreakerView::HalfOpen { room: 0 },
            "the node failed and is being tried out with one attempt at a time",
        ),
    ];
    for (breaker, expected) in rows {
        let mut swarm = Swarm::with_nodes(1);
        swarm.nodes[0].breaker = breaker;
        let wanted = Requirements::default();
        let strategy = strategy("capability-weighted").unwrap();
        let question = Question::about(&wanted);
        let explanation = strategy.explain(&swarm.snapshot(), &question, &Policy::default());
        let Verdict::Rejected(reasons) = &explanation.agents[0].verdict else {
            panic!("{breaker:?} does not reject");
        };
        assert_eq!(reasons.len(), 1);
        assert!(reasons[0].is_passing());
        assert_eq!(reasons[0].to_string(), expected);
    }
}

#[test]
fn a_node_that_says_it_is_busy_is_less_wanted() {
    let mut swarm = Swarm::with_nodes(2);
    swarm.nodes[0].load_permille = Some(900);
    swarm.queue(Requirements::default(), &[1, 2]);
    assert_eq!(agents("capability-weighted", &swarm), [1, 1]);
}

#[test]
fn optimal_leaves_the_specialist_to_the_task_that_needs_it() {
    let mut swarm = Swarm::with_nodes(2);
    for node in &mut swarm.nodes {
        (node.slots, node.slots_free) = (1, 1);
    }
    swarm.agents[0]
        .capabilities
        .insert("rust".to_owned(), Proficiency::Expert);
    swarm.queue(Requirements::default(), &[1]);
    swarm.queue(capability("rust", Proficiency::Basic), &[2]);
    let place = |name: &str| {
        let strategy = strategy(name).unwrap();
        pairs(&strategy.place(&swarm.snapshot(), &Policy::default()))
    };
    assert_eq!(place("optimal"), [(1, 1), (2, 0)]);
    assert_eq!(place("capability-weighted"), [(1, 0)]);
}

#[test]
fn optimal_serves_earlier_tasks_first_whatever_the_scores_are() {
    let mut swarm = Swarm::with_nodes(1);
    swarm.nodes[0].slots_free = 1;
    swarm.agents[0]
        .capabilities
        .insert("rust".to_owned(), Proficiency::Basic);
    swarm.queue(capability("rust", Proficiency::Basic), &[1]);
    swarm.queue(Requirements::default(), &[2]);
    let optimal = strategy("optimal").unwrap();
    let grants = optimal.place(&swarm.snapshot(), &Policy::default());
    assert_eq!(pairs(&grants), [(1, 0)]);
}

#[test]
fn optimal_places_one_by_one_above_its_bound_and_says_so() {
    let nodes = OPTIMAL_SLOTS_MAX / 4;
    let remark = |nodes: usize| {
        let swarm = Swarm::with_nodes(nodes);
        let wanted = Requirements::default();
        let (snapshot, question) = (swarm.snapshot(), Question::about(&wanted));
        let optimal = strategy("optimal").unwrap();
        let explanation = optimal.explain(&snapshot, &question, &Policy::default());
        explanation
            .summary
            .split_once(" (")
            .map(|(_, remark)| remark.to_owned())
    };
    assert_eq!(remark(nodes), None);
    let expected = "260 slots are free, more than the 256 that are assigned at a time: \
                    placed as capability-weighted)";
    assert_eq!(remark(nodes + 1).as_deref(), Some(expected));
    let mut swarm = Swarm::with_nodes(nodes + 1);
    let numbers: Vec<u64> = (0..300).collect();
    swarm.queue(Requirements::default(), &numbers);
    assert_eq!(
        agents("optimal", &swarm),
        agents("capability-weighted", &swarm)
    );
}

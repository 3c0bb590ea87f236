//! Tables: swarms, tasks, and what each strategy grants.

use crate::fixture::{GIB, Swarm, agent, node, ready, run, task};
use crate::order::effective_priority;
use crate::{Policy, STRATEGIES, strategy};
use skep_model::command::Grant;
use skep_model::ids::{NodeId, TaskId};
use skep_model::isolation::IsolationLevel;
use skep_model::node::NodeState;
use skep_model::requirements::{
    AffinityRule, AffinitySense, AffinityStrength, Proficiency, Requirements,
};
use skep_model::time::UnixMillis;

fn place(name: &str, swarm: &Swarm) -> Vec<(u64, usize)> {
    pairs(
        &strategy(name)
            .unwrap()
            .place(&swarm.snapshot(), &Policy::default()),
    )
}

pub(crate) fn pairs(grants: &[Grant]) -> Vec<(u64, usize)> {
    let pair = |grant: &Grant| (grant.task.as_u128() as u64, grant.agent.as_u128() as usize);
    grants.iter().map(pair).collect()
}

pub(crate) fn rule(label: &str, sense: AffinitySense, strength: AffinityStrength) -> AffinityRule {
    let (label, value) = match label.split_once('=') {
        Some((label, value)) => (label, Some(value.to_owned())),
        None => (label, None),
    };
    AffinityRule {
        label: label.to_owned(),
        value,
        sense,
        strength,
    }
}

pub(crate) fn wants(change: impl FnOnce(&mut Requirements)) -> Requirements {
    let mut requirements = Requirements::default();
    change(&mut requirements);
    requirements
}

pub(crate) fn capability(name: &str, least: Proficiency) -> Requirements {
    wants(|wanted| {
        wanted.capabilities.insert(name.to_owned(), least);
    })
}

/// Three nodes: 0 is a paused small one, 1 has a GPU and a Rust expert, 2 is in the EU.
pub(crate) fn mixed() -> Swarm {
    let mut swarm = Swarm::with_nodes(3);
    swarm.agents[0].paused = true;
    swarm.nodes[1].total.gpu_memory_bytes = 8 * GIB;
    swarm.nodes[1].free.gpu_memory_bytes = 8 * GIB;
    swarm.agents[1]
        .capabilities
        .insert("rust".to_owned(), Proficiency::Expert);
    swarm.agents[2]
        .capabilities
        .insert("rust".to_owned(), Proficiency::Basic);
    swarm.nodes[2]
        .labels
        .insert("zone".to_owned(), "eu".to_owned());
    swarm
}

#[test]
fn what_binds_decides_who_may_run_a_task() {
    use AffinitySense::{Attract, Repel};
    use AffinityStrength::Required;
    let gpu = |bytes| wants(|wanted| wanted.resources.gpu_memory_bytes = bytes);
    let rows: Vec<(Requirements, Option<usize>)> = vec![
        (Requirements::default(), Some(1)),
        (gpu(8 * GIB), Some(1)),
        (gpu(8 * GIB + 1), None),
        (capability("rust", Proficiency::Basic), Some(1)),
        (capability("rust", Proficiency::Specialist), None),
        (capability("go", Proficiency::Basic), None),
        (
            wants(|w| w.affinity = vec![rule("zone=eu", Attract, Required)]),
            Some(2),
        ),
        (
            wants(|w| w.affinity = vec![rule("zone", Attract, Required)]),
            Some(2),
        ),
        (
            wants(|w| w.affinity = vec![rule("zone=us", Attract, Required)]),
            None,
        ),
        (
            wants(|w| w.affinity = vec![rule("zone", Repel, Required)]),
            Some(1),
        ),
        (wants(|w| w.isolation = IsolationLevel::S2), None),
        (wants(|w| w.isolation = IsolationLevel::S0), Some(1)),
        (wants(|w| w.agent = Some(agent(2))), Some(2)),
        (wants(|w| w.agent = Some(agent(0))), None),
    ];
    for (requirements, expected) in rows {
        let mut swarm = mixed();
        swarm.queue(requirements.clone(), &[7]);
        let expected: Vec<_> = expected.map(|agent| (7, agent)).into_iter().collect();
        assert_eq!(
            place("capability-weighted", &swarm),
            expected,
            "{requirements:?}"
        );
        assert_eq!(
            place("round-robin", &swarm).len(),
            expected.len(),
            "{requirements:?}"
        );
    }
}

#[test]
fn only_ready_nodes_are_given_work() {
    for state in [
        NodeState::Joining,
        NodeState::Draining,
        NodeState::Suspect,
        NodeState::Lost,
        NodeState::Left,
    ] {
        let mut swarm = Swarm::with_nodes(1);
        swarm.nodes[0].state = state;
        swarm.queue(Requirements::default(), &[1]);
        for name in STRATEGIES {
            assert_eq!(place(name, &swarm), [], "{state} {name}");
        }
    }
}

#[test]
fn weighted_rules_sway_and_do_not_bind() {
    use AffinitySense::{Attract, Repel};
    for (sense, expected) in [(Attract, [2, 2, 2]), (Repel, [0, 1, 0])] {
        let mut swarm = Swarm::with_nodes(3);
        swarm.nodes[2]
            .labels
            .insert("zone".to_owned(), "eu".to_owned());
        let wanted =
            wants(|w| w.affinity = vec![rule("zone", sense, AffinityStrength::Weight(50))]);
        swarm.queue(wanted, &[1, 2, 3]);
        let agents: Vec<_> = place("capability-weighted", &swarm)
            .into_iter()
            .map(|(_, agent)| agent)
            .collect();
        assert_eq!(agents, expected, "{sense:?}");
    }
}

#[test]
fn load_spreads_equal_tasks_and_success_draws_them() {
    let mut swarm = Swarm::with_nodes(3);
    swarm.queue(Requirements::default(), &[1, 2, 3, 4]);
    assert_eq!(
        place("capability-weighted", &swarm),
        [(1, 0), (2, 1), (3, 2), (4, 0)]
    );
    (swarm.agents[2].succeeded, swarm.agents[2].busy_ms) = (50, 5_000);
    swarm.agents[1].failed = 50;
    assert_eq!(
        place("capability-weighted", &swarm),
        [(1, 2), (2, 0), (3, 2), (4, 0)]
    );
}

#[test]
fn round_robin_goes_on_after_the_agent_that_was_granted_last() {
    let mut swarm = Swarm::with_nodes(3);
    swarm.queue(Requirements::default(), &[1, 2, 3, 4]);
    let rows = [
        (None, [0, 1, 2, 0]),
        (Some(0), [1, 2, 0, 1]),
        (Some(1), [2, 0, 1, 2]),
        (Some(2), [0, 1, 2, 0]),
        // It is not there any more.
        (Some(7), [0, 1, 2, 0]),
    ];
    for (after, expected) in rows {
        let policy = Policy {
            after: after.map(agent),
            ..Policy::default()
        };
        let grants = strategy("round-robin")
            .unwrap()
            .place(&swarm.snapshot(), &policy);
        let agents: Vec<_> = pairs(&grants).into_iter().map(|(_, agent)| agent).collect();
        assert_eq!(agents, expected, "after {after:?}");
    }
}

#[test]
fn agents_of_one_node_share_its_slots_and_resources() {
    let mut swarm = Swarm::with_nodes(1);
    swarm.agents.push(swarm.agents[0].clone());
    let half = wants(|wanted| wanted.resources.memory_bytes = 6 * GIB);
    swarm.queue(half, &[1, 2, 3]);
    swarm.queue(Requirements::default(), &[4, 5, 6, 7]);
    for name in STRATEGIES {
        let tasks: Vec<_> = place(name, &swarm)
            .into_iter()
            .map(|(task, _)| task)
            .collect();
        assert_eq!(
            tasks,
            [1, 2, 4, 5],
            "{name}: memory for two, then slots for four in all"
        );
    }
}

#[test]
fn a_node_that_failed_the_task_is_the_last_resort() {
    for name in STRATEGIES {
        let failed = [node(0), node(1)];
        let failed_on = |of: TaskId| -> &[NodeId] { if of == task(1) { &failed } else { &[] } };
        let mut swarm = Swarm::with_nodes(3);
        swarm.queue(Requirements::default(), &[1]);
        let strategy = strategy(name).unwrap();
        let elsewhere = strategy.place(&swarm.snapshot_with(&failed_on), &Policy::default());
        assert_eq!(pairs(&elsewhere), [(1, 2)], "{name}");
        let mut full = swarm.clone();
        full.nodes[2].slots_free = 0;
        let again = strategy.place(&full.snapshot_with(&failed_on), &Policy::default());
        assert_eq!(pairs(&again), [(1, 0)], "{name}");
    }
}

#[test]
fn priority_comes_first_then_the_share_of_the_run_then_age() {
    let mut swarm = Swarm::with_nodes(4);
    swarm.now = UnixMillis(100);
    let mut add = |run_number, held, priority, first: u64, at| {
        let queue = swarm.queue(Requirements::default(), &[]);
        (queue.run, queue.held, queue.priority) = (Some(run(run_number)), held, priority);
        queue.tasks = (first..first + 2).map(|number| ready(number, at)).collect();
    };
    add(1, 5, 5, 10, 1); // oldest, but its run holds most
    add(2, 0, 5, 20, 9);
    add(3, 0, 5, 30, 8);
    add(4, 9, 6, 40, 99); // urgent
    let tasks: Vec<_> = place("capability-weighted", &swarm)
        .into_iter()
        .map(|(task, _)| task)
        .collect();
    assert_eq!(tasks, [40, 41, 30, 20, 31, 21, 10, 11]);
}

#[test]
fn a_queue_whose_next_task_is_younger_falls_behind() {
    let mut swarm = Swarm::with_nodes(1);
    swarm.now = UnixMillis(120_000);
    let aged = swarm.queue(Requirements::default(), &[]);
    aged.tasks = [ready(1, 0), ready(2, 110_000)].into(); // 5 + 2, then 5
    swarm.queue(Requirements::default(), &[]).priority = 6;
    swarm.queues[1].tasks = [ready(3, 119_000)].into();
    let tasks: Vec<_> = place("capability-weighted", &swarm)
        .into_iter()
        .map(|(task, _)| task)
        .collect();
    assert_eq!(tasks, [1, 3, 2]);
}

/// The first two of many: all that a round decides between runs of which one has waited long.
#[test]
fn a_long_backlog_keeps_nobody_waiting_who_holds_less_than_its_share() {
    let first = |noisy_held, quiet_held, quiet_priority| {
        let mut swarm = Swarm::with_nodes(4);
        swarm.now = UnixMillis(600_000);
        let mut add = |number, held, priority, first: u64, at| {
            let queue = swarm.queue(Requirements::default(), &[]);
            (queue.run, queue.held, queue.priority) = (Some(run(number)), held, priority);
            queue.tasks = (first..first + 2).map(|task| ready(task, at)).collect();
        };
        add(1, noisy_held, 5, 10, 1); // as urgent as can be, by its age
        add(2, quiet_held, quiet_priority, 20, 599_000);
        add(3, 2, 7, 30, 598_000);
        let placed = place("capability-weighted", &swarm);
        placed.into_iter().map(|(task, _)| task).collect::<Vec<_>>()
    };
    // It is served first until it holds a third, which is its share.
    assert_eq!(first(7, 0, 5), [20, 21, 10, 11, 30, 31]);
    assert_eq!(first(4, 2, 5), [20, 10, 11, 30, 31, 21]);
    assert_eq!(first(4, 3, 5), [10, 11, 30, 31, 20, 21], "it has its share");
    assert_eq!(
        first(7, 0, 4),
        [10, 11, 30, 31, 20, 21],
        "it is less urgent"
    );
}

#[test]
fn waiting_raises_priority_up_to_the_largest() {
    for (base, waited_ms, expected) in [
        (5, 0, 5),
        (5, 59_999, 5),
        (5, 60_000, 6),
        (1, 540_000, 10),
        (10, u64::MAX, 10),
        (1, u64::MAX, 10),
    ] {
        let now = UnixMillis(waited_ms);
        assert_eq!(
            effective_priority(base, UnixMillis(0), now),
            expected,
            "{base} {waited_ms}"
        );
    }
}

#[test]
fn an_unfit_queue_does_not_hold_up_the_others_and_the_bound_holds() {
    let mut swarm = Swarm::with_nodes(1);
    swarm
        .queue(capability("go", Proficiency::Basic), &[1, 2])
        .priority = 10;
    swarm.queue(Requirements::default(), &[3, 4]);
    assert_eq!(place("capability-weighted", &swarm), [(3, 0), (4, 0)]);
    let one = Policy {
        grants_max: 1,
        ..Policy::default()
    };
    let grants = strategy("round-robin")
        .unwrap()
        .place(&swarm.snapshot(), &one);
    assert_eq!(pairs(&grants), [(3, 0)]);
}

#[test]
fn an_unknown_strategy_is_refused_with_the_known_ones() {
    let error = strategy("best").unwrap_err().to_string();
    assert_eq!(
        error,
        "`best` is not a strategy: use capability-weighted, round-robin, geographic-affinity, \
         optimal, power-of-two"
    );
    for name in STRATEGIES {
        assert_eq!(strategy(name).unwrap().name(), name);
    }
}

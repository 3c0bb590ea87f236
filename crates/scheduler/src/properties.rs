//! Properties over random swarms, and fairness over many rounds.

use crate::fit::rejections;
use crate::fixture::{GIB, Swarm, agent, ready, run};
use crate::{BreakerView, Policy, Question, STRATEGIES, Snapshot, Verdict, explain, strategy};
use proptest::prelude::*;
use skep_model::command::Grant;
use skep_model::limits;
use skep_model::node::NodeState;
use skep_model::requirements::{
    AffinityRule, AffinitySense, AffinityStrength, Performer, Proficiency, Requirements, Resources,
};
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

const PROFICIENCIES: [Proficiency; 4] = [
    Proficiency::Basic,
    Proficiency::Intermediate,
    Proficiency::Expert,
    Proficiency::Specialist,
];

fn any_capabilities() -> impl Strategy<Value = BTreeMap<String, Proficiency>> {
    let name = prop::sample::select(vec!["go", "rust"]).prop_map(str::to_owned);
    prop::collection::btree_map(name, prop::sample::select(PROFICIENCIES.to_vec()), 0..3)
}

fn any_requirements() -> impl Strategy<Value = Requirements> {
    let rule = (
        any::<bool>(),
        prop::option::of(1..100_u8),
        prop::sample::select(vec!["a", "b"]),
    );
    let rule = rule.prop_map(|(attract, weight, value)| AffinityRule {
        label: "zone".to_owned(),
        value: Some(value.to_owned()),
        sense: if attract {
            AffinitySense::Attract
        } else {
            AffinitySense::Repel
        },
        strength: weight.map_or(AffinityStrength::Required, AffinityStrength::Weight),
    });
    (
        any_capabilities(),
        0..5_000_u64,
        0..6_u64,
        prop::collection::vec(rule, 0..2),
        any_performer(),
    )
        .prop_map(
            |(capabilities, cpu_millis, gib, affinity, performer)| Requirements {
                performer,
                capabilities,
                resources: Resources {
                    cpu_millis,
                    memory_bytes: gib * GIB,
                    ..Resources::NONE
                },
                affinity,
                ..Requirements::default()
            },
        )
}

fn any_performer() -> impl Strategy<Value = Performer> {
    prop_oneof![4 => Just(Performer::Node), 1 => Just(Performer::AttachedAgent)]
}

fn any_breaker() -> impl Strategy<Value = BreakerView> {
    let open = BreakerView::Open {
        failures: 5,
        retry_in_ms: 1_000,
    };
    prop_oneof![
        4 => Just(BreakerView::Closed),
        1 => (0..3_u32).prop_map(|room| BreakerView::HalfOpen { room }),
        1 => Just(open),
    ]
}

fn any_swarm() -> impl Strategy<Value = Swarm> {
    let node = (
        any::<bool>(),
        0..5_u32,
        0..9_u64,
        prop::option::of(any::<bool>()),
        prop::option::of(0..300_u32),
        any_breaker(),
        any_performer(),
    );
    let agent = (
        0..5_usize,
        0..4_u32,
        any_capabilities(),
        any::<bool>(),
        0..50_u64,
    );
    let queue = (
        any_requirements(),
        0..3_u64,
        1..=10_u8,
        0..9_usize,
        0..900_000_u64,
    );
    let nodes = prop::collection::vec(node, 1..5);
    let agents = prop::collection::vec(agent, 0..8);
    let queues = prop::collection::vec(queue, 0..6);
    (nodes, agents, queues).prop_map(|(nodes, agents, queues)| {
        let mut swarm = Swarm::with_nodes(nodes.len());
        swarm.now = UnixMillis(1_000_000);
        swarm.agents.clear();
        for (fixture, (is_ready, slots_free, cpus, zone, rtt_ms, breaker, performer)) in
            swarm.nodes.iter_mut().zip(nodes)
        {
            fixture.state = if is_ready {
                NodeState::Ready
            } else {
                NodeState::Suspect
            };
            fixture.slots_free = slots_free;
            (fixture.rtt_ms, fixture.breaker) = (rtt_ms, breaker);
            fixture.performer = performer;
            fixture.free.cpu_millis = cpus * 1_000;
            if let Some(is_a) = zone {
                let zone = if is_a { "a" } else { "b" };
                fixture.labels.insert("zone".to_owned(), zone.to_owned());
            }
        }
        for (node, slots_free, capabilities, paused, succeeded) in agents {
            let mut agent = Swarm::with_nodes(1).agents.remove(0);
            agent.node = node % swarm.nodes.len();
            (agent.slots_free, agent.capabilities) = (slots_free, capabilities);
            (agent.paused, agent.succeeded, agent.busy_ms) = (paused, succeeded, succeeded * 7);
            swarm.agents.push(agent);
        }
        let mut number = 0;
        for (requirements, run_number, priority, count, ready_at) in queues {
            let queue = swarm.queue(requirements, &[]);
            queue.run = (run_number > 0).then(|| run(run_number));
            queue.priority = priority;
            for offset in 0..count as u64 {
                number += 1;
                queue.tasks.insert(ready(number, ready_at + offset * 5_000));
            }
        }
        swarm
    })
}

/// Applies the grants one by one, as the core would, and fails on the first that does not fit.
fn replay(swarm: &Swarm, grants: &[Grant]) -> Result<Swarm, TestCaseError> {
    let mut left = swarm.clone();
    let mut granted = BTreeSet::new();
    for grant in grants {
        prop_assert!(
            granted.insert(grant.task),
            "{} was granted twice",
            grant.task
        );
        let position = grant.agent.as_u128() as usize;
        let queue = left
            .queues
            .iter_mut()
            .find(|queue| queue.tasks.iter().any(|key| key.task == grant.task));
        let queue = queue.expect("a grant names a ready task");
        queue.tasks.retain(|key| key.task != grant.task);
        let wanted = queue.requirements.clone();
        let snapshot = left.snapshot();
        let agent = snapshot.agents[position];
        let reasons = rejections(&agent, &snapshot.nodes[agent.node], &wanted);
        prop_assert!(reasons.is_empty(), "{}: {reasons:?}", grant.task);
        let node = agent.node;
        left.agents[position].slots_free -= 1;
        left.nodes[node].slots_free -= 1;
        if let BreakerView::HalfOpen { room } = &mut left.nodes[node].breaker {
            *room -= 1;
        }
        left.nodes[node].free = left.nodes[node].free.minus(&wanted.resources);
    }
    Ok(left)
}

fn fits_somewhere(snapshot: &Snapshot<'_>, wanted: &Requirements) -> bool {
    let explanation = explain(snapshot, &Question::about(wanted), &Policy::default());
    explanation
        .agents
        .iter()
        .any(|of| matches!(of.verdict, Verdict::Fits { .. }))
}

proptest! {
    #[test]
    fn every_grant_fits_when_applied_in_order_and_nothing_that_fits_is_left(swarm in any_swarm()) {
        for name in STRATEGIES {
            let grants = strategy(name).unwrap().place(&swarm.snapshot(), &Policy::default());
            let left = replay(&swarm, &grants)?;
            let snapshot = left.snapshot();
            for queue in left.queues.iter().filter(|queue| !queue.tasks.is_empty()) {
                prop_assert!(!fits_somewhere(&snapshot, &queue.requirements), "{name}: {queue:?}");
            }
        }
    }

    #[test]
    fn the_same_snapshot_gives_the_same_grants(swarm in any_swarm(), after in any::<Option<u8>>()) {
        let after = after.map(|number| agent(number.into()));
        let policy = Policy { after, ..Policy::default() };
        for name in STRATEGIES {
            let strategy = strategy(name).unwrap();
            let (first, copy) = (strategy.place(&swarm.snapshot(), &policy), swarm.clone());
            prop_assert_eq!(first, strategy.place(&copy.snapshot(), &policy));
        }
    }

    #[test]
    fn what_is_granted_first_is_what_explain_ranks_first(wanted in any_requirements()) {
        let mut swarm = Swarm::with_nodes(4);
        for (position, node) in swarm.nodes.iter_mut().enumerate() {
            node.labels.insert("zone".to_owned(), if position < 2 { "a" } else { "b" }.to_owned());
            node.free.cpu_millis -= position as u64 * 900;
            node.rtt_ms = Some(position as u32 * 13 % 40);
        }
        swarm.queue(wanted.clone(), &[1]);
        let policy = Policy::default();
        let fits = |verdict: &Verdict| matches!(verdict, Verdict::Fits { .. });
        for name in ["capability-weighted", "geographic-affinity", "optimal"] {
            let strategy = strategy(name).unwrap();
            let grants = strategy.place(&swarm.snapshot(), &policy);
            let explanation =
                strategy.explain(&swarm.snapshot(), &Question::about(&wanted), &policy);
            let best = explanation.agents.first().filter(|of| fits(&of.verdict));
            prop_assert_eq!(grants.first().map(|grant| grant.agent), best.map(|of| of.agent));
        }
    }

    #[test]
    fn two_runs_share_the_slots_by_weight(weights in (1..=20_u8, 1..=20_u8), seed in any::<u64>()) {
        let held = held_after_many_rounds([weights.0, weights.1], seed);
        let slots = u64::from(held[0] + held[1]);
        let fair = slots * u64::from(weights.0) / u64::from(weights.0 + weights.1);
        prop_assert!(u64::from(held[0]).abs_diff(fair) <= 1, "{held:?}, fair {fair}");
    }
}

/// Two runs with endless equal tasks on 40 slots; some of each finish between rounds. At the
/// end both finish enough for the shares to settle.
fn held_after_many_rounds(weights: [u8; 2], mut seed: u64) -> [u32; 2] {
    let mut swarm = Swarm::with_nodes(10);
    let mut held = [0_u32; 2];
    let mut number = 0;
    for round in 0..40 {
        swarm.queues.clear();
        for position in 0..2 {
            let queue = swarm.queue(Requirements::default(), &[]);
            queue.run = Some(run(position as u64 + 1));
            (queue.weight, queue.held) = (weights[position], held[position]);
            for _ in 0..50 {
                number += 1;
                queue.tasks.insert(ready(number, 0));
            }
        }
        let busy = held[0] + held[1];
        for (position, node) in swarm.nodes.iter_mut().enumerate() {
            node.slots_free = 4 - (busy.saturating_sub(position as u32 * 4)).min(4);
        }
        let policy = Policy::default();
        let grants = strategy("capability-weighted")
            .unwrap()
            .place(&swarm.snapshot(), &policy);
        for grant in grants {
            let is_first = swarm.queues[0]
                .tasks
                .iter()
                .any(|key| key.task == grant.task);
            held[usize::from(!is_first)] += 1;
        }
        if round < 39 {
            for share in &mut held {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *share -= (*share / 2).max((seed >> 33) as u32 % (*share + 1));
            }
        }
    }
    held
}

#[test]
fn a_task_of_low_priority_runs_in_time_under_a_flood_of_urgent_ones() {
    const ROUND_MS: u64 = 20_000;
    let mut swarm = Swarm::with_nodes(1);
    swarm.nodes[0].slots_free = 1;
    swarm.queue(Requirements::default(), &[1]).priority = limits::PRIORITY_MIN;
    let mut urgent = BTreeSet::new();
    let steps = u64::from(limits::PRIORITY_MAX - limits::PRIORITY_MIN);
    let in_time = steps * limits::PRIORITY_AGEING_STEP_MS;
    for round in 0.. {
        swarm.now = UnixMillis(round * ROUND_MS);
        assert!(swarm.now.0 <= in_time, "not granted after {in_time} ms");
        urgent.extend([2, 3].map(|extra| ready(round * 10 + extra, swarm.now.0)));
        swarm.queues.truncate(1);
        swarm.queue(Requirements::default(), &[]).priority = limits::PRIORITY_MAX;
        swarm.queues[1].tasks = urgent.clone();
        let policy = Policy::default();
        let grants = strategy("capability-weighted")
            .unwrap()
            .place(&swarm.snapshot(), &policy);
        assert_eq!(grants.len(), 1);
        if grants[0].task == swarm.queues[0].tasks.first().unwrap().task {
            assert_eq!(
                swarm.now.0, in_time,
                "ageing alone should have brought it to the front"
            );
            return;
        }
        urgent.retain(|key| key.task != grants[0].task);
    }
}

//! Both ends against each other: random loss of connections, time and processes, with a tiny
//! coordinator that keeps the rules of leases. After each step the safety rules are checked; at
//! the end everything works again, and everything must be settled.

mod coordinator;
mod world;

use crate::node_end::LinkOptions;
use proptest::prelude::*;
use world::World;

/// One thing that happens to the world.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A task is submitted.
    Submit,
    /// A task is cancelled.
    Cancel(u8),
    /// Time passes; both ends see their timers.
    Pass(u16),
    /// Some frames arrive at the node.
    ToNode(u8),
    /// Some frames arrive at the coordinator.
    ToCoordinator(u8),
    /// The oldest attempt starts, as its shell says.
    Begin,
    /// The gates of an attempt begin.
    Verify(u8),
    /// An attempt ends.
    Finish(u8),
    /// The disk is done with a batch.
    Synced,
    /// The connection breaks; what is under way is lost.
    Break,
    /// The node's process dies and starts again with what is on its disk.
    Crash,
    /// The coordinator's end asks the node to come again.
    Bounce,
    /// The coordinator asks for work back.
    Rebalance(u8),
    /// The node has too much, or not any more.
    Overload(bool),
}

fn any_link() -> impl Strategy<Value = LinkOptions> {
    prop_oneof![
        Just(LinkOptions::PLAIN),
        Just(LinkOptions::NEAR),
        Just(LinkOptions::FAR)
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Submit),
        1 => any::<u8>().prop_map(Step::Cancel),
        8 => (0_u16..1_500).prop_map(Step::Pass),
        1 => (1_500_u16..30_000).prop_map(Step::Pass),
        12 => (1_u8..6).prop_map(Step::ToNode),
        12 => (1_u8..6).prop_map(Step::ToCoordinator),
        5 => Just(Step::Begin),
        2 => any::<u8>().prop_map(Step::Verify),
        6 => any::<u8>().prop_map(Step::Finish),
        6 => Just(Step::Synced),
        2 => Just(Step::Break),
        1 => Just(Step::Crash),
        1 => Just(Step::Bounce),
        1 => (0_u8..4).prop_map(Step::Rebalance),
        1 => any::<bool>().prop_map(Step::Overload),
    ]
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Submit => world.submit(),
        Step::Cancel(which) => world.cancel(which),
        Step::Pass(ms) => world.pass(u64::from(ms)),
        Step::ToNode(frames) => world.reach_node(usize::from(frames)),
        Step::ToCoordinator(frames) => world.reach_coordinator(usize::from(frames)),
        Step::Begin => world.begin(),
        Step::Verify(which) => world.verify(which),
        Step::Finish(which) => world.finish(which),
        Step::Synced => world.synced(),
        Step::Break => world.break_connection(),
        Step::Crash => world.crash(),
        Step::Bounce => world.bounce(),
        Step::Rebalance(at_most) => world.rebalance(at_most),
        Step::Overload(overloaded) => world.overload(overloaded),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_run_without_a_lease(
        seed in any::<u64>(),
        slots in 1_u32..5,
        link in any_link(),
        steps in proptest::collection::vec(any_step(), 1..200),
    ) {
        let mut world = World::new(seed, slots, link);
        for step in steps {
            take(&mut world, step);
        }
        world.heal();
    }
}

#[test]
fn a_quiet_world_runs_every_task_once() {
    let mut world = World::new(1, 3, LinkOptions::PLAIN);
    for _ in 0..20 {
        world.submit();
    }
    world.heal();
    assert_eq!(world.starts(), 20);
}

#[test]
fn work_of_a_silent_node_is_given_up_and_run_again() {
    let mut world = World::new(1, 1, LinkOptions::FAR);
    world.submit();
    for _ in 0..20 {
        world.pass(100);
        world.reach_coordinator(9);
        world.reach_node(9);
    }
    assert_eq!(world.starts(), 1);
    world.break_connection();
    world.pass(60_000);
    world.heal();
    assert_eq!(world.starts(), 2);
}

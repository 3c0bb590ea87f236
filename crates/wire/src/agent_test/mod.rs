//! Both ends of an attached agent against each other: random loss of connections, time and
//! coordinators, with a tiny coordinator that keeps the rules of seats. After each step the safety
//! rules are checked; at the end everything works again, and everything must be settled.

mod world;

use proptest::prelude::*;
use world::{End, World};

/// One thing that happens to the world.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A task is submitted.
    Submit,
    /// Time passes; both ends see their timers.
    Pass(u32),
    /// Some frames arrive at the agent.
    ToAgent(u8),
    /// Some frames arrive at the coordinator.
    ToHost(u8),
    /// The coordinator carries out the oldest request.
    Serve,
    /// The dispatcher gives a task, if the connection asks for one.
    Grant,
    /// The agent's work ends.
    Finish(End),
    /// The agent says a line.
    Note,
    /// The task that the seat holds is taken back.
    TakeBack,
    /// The connection breaks; what is under way is lost.
    Break,
    /// The coordinator starts anew on what is in its log.
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![Just(End::Well), Just(End::Badly), Just(End::Back)];
    prop_oneof![
        4 => Just(Step::Submit),
        4 => (0_u32..3_000).prop_map(Step::Pass),
        1 => (3_000_u32..400_000).prop_map(Step::Pass),
        10 => (1_u8..5).prop_map(Step::ToAgent),
        10 => (1_u8..5).prop_map(Step::ToHost),
        10 => Just(Step::Serve),
        6 => Just(Step::Grant),
        5 => end.prop_map(Step::Finish),
        2 => Just(Step::Note),
        1 => Just(Step::TakeBack),
        2 => Just(Step::Break),
        1 => Just(Step::Restart),
    ]
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Submit => world.submit(),
        Step::Pass(ms) => world.pass(u64::from(ms)),
        Step::ToAgent(frames) => world.reach_agent(usize::from(frames)),
        Step::ToHost(frames) => world.reach_host(usize::from(frames)),
        Step::Serve => world.serve(),
        Step::Grant => world.grant(),
        Step::Finish(end) => world.finish(end),
        Step::Note => world.note(),
        Step::TakeBack => world.take_back(),
        Step::Break => world.cut(),
        Step::Restart => world.restart(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn one_task_at_a_time_is_done_once_and_none_is_lost(
        steps in proptest::collection::vec(any_step(), 1..160),
    ) {
        let mut world = World::new();
        for step in steps {
            take(&mut world, step);
            world.check();
        }
        world.heal();
    }
}

#[test]
fn a_task_goes_through_both_ends() {
    let mut world = World::new();
    world.submit();
    world.heal();
    assert_eq!(world.reported_well(), 1);
}

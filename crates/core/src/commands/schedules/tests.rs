//! What becomes of due times, one rule at a time.

use crate::State;
use crate::script::{World, check};
use expect_test::expect;
use skep_model::attempt::LogIndex;
use skep_model::command::{Actor, Command, LogEntry};
use skep_model::event::Event;
use skep_model::ids::ScheduleId;
use skep_model::limits::{SCHEDULE_RUNS_LIVE_MAX, SCHEDULE_TASKS_MAX, SCHEDULES_MAX};
use skep_model::refusal::{LimitName, Refusal};
use skep_model::schedule::ScheduleSpec;
use skep_model::time::UnixMillis;

/// One node, and a schedule of one task that is due at 1000.
const READY: &str = "node 1; confirm 1; task 0; schedule 1 first=1000; at 1000";

#[test]
fn a_due_time_is_acted_on_once() {
    check(
        &format!(
            "{READY} | due 1 at=1000 next=2000 run=5 task=5; due 1 at=1000 next=2000 run=6 \
             task=6; due 1 at=2000 next=3000 run=6 task=6; due 9 at=1 run=6; schedules"
        ),
        &expect![[r#"
            > due 1 at=1000 next=2000 run=5 task=5
            RunSubmitted { run: run_5, name: "r", tasks: 1 }
            TaskSubmitted { task: task_5, run: Some(run_5), name: "t0", state: Ready }
            ScheduleFired(FiredRun { schedule: sched_1, due: Some(UnixMillis(1000)), run: run_5, next: Some(UnixMillis(2000)) })
            > due 1 at=1000 next=2000 run=6 task=6
            Refused { reason: ScheduleNotDue(sched_1) }
            > due 1 at=2000 next=3000 run=6 task=6
            Refused { reason: ScheduleNotDue(sched_1) }
            > due 9 at=1 run=6
            Refused { reason: ScheduleUnknown(sched_9) }
            > schedules
            sched_1 is active, next Some(UnixMillis(2000)), waiting None, live {run_5}, fired 1, skipped 0, last Some(Run { run: run_5, ended: None })
        "#]],
    );
}

#[test]
fn a_due_time_is_skipped_while_the_run_before_is_live() {
    check(
        &format!(
            "{READY}; due 1 at=1000 next=2000 run=5 task=5; grant 5:1 | at 2000; due 1 at=2000 \
             next=3000 run=6 task=6; report 5 ok; schedules; at 3000; due 1 at=3000 next=4000 \
             run=7 task=7"
        ),
        &expect![[r#"
            > due 1 at=2000 next=3000 run=6 task=6
            ScheduleSkipped(SkippedDue { schedule: sched_1, due: UnixMillis(2000), reason: StillRunning, next: Some(UnixMillis(3000)) })
            > report 5 ok
            TaskFinished { task: task_5, run: Some(run_5), state: Succeeded, cause: Reported, attempts: 1 }
            RunChanged { run: run_5, state: Succeeded, counts: TaskCounts { succeeded: 1 } }
            > schedules
            sched_1 is active, next Some(UnixMillis(3000)), waiting None, live {}, fired 1, skipped 1, last Some(Skipped(StillRunning))
            > due 1 at=3000 next=4000 run=7 task=7
            RunSubmitted { run: run_7, name: "r", tasks: 1 }
            TaskSubmitted { task: task_7, run: Some(run_7), name: "t0", state: Ready }
            ScheduleFired(FiredRun { schedule: sched_1, due: Some(UnixMillis(3000)), run: run_7, next: Some(UnixMillis(4000)) })
        "#]],
    );
}

#[test]
fn one_due_time_waits_for_the_run_before_when_it_is_to_be_queued() {
    check(
        "node 1; confirm 1; task 0; schedule 1 first=1000 overlap=queue; at 1000; due 1 at=1000 \
         next=2000 run=5 task=5; grant 5:1; at 2000 | due 1 at=2000 next=3000 run=6 task=6; \
         at 3000; due 1 at=3000 next=4000 run=7 task=7; due 1 at=2000 next=9000 run=8 task=8; \
         report 5 ok; schedules; due 1 at=2000 next=9000 run=9 task=9; schedules",
        &expect![[r#"
            > due 1 at=2000 next=3000 run=6 task=6
            ScheduleWaits(WaitingDue { schedule: sched_1, due: UnixMillis(2000), next: Some(UnixMillis(3000)) })
            > due 1 at=3000 next=4000 run=7 task=7
            ScheduleSkipped(SkippedDue { schedule: sched_1, due: UnixMillis(3000), reason: AlreadyWaiting, next: Some(UnixMillis(4000)) })
            > due 1 at=2000 next=9000 run=8 task=8
            Refused { reason: ScheduleNotDue(sched_1) }
            > report 5 ok
            TaskFinished { task: task_5, run: Some(run_5), state: Succeeded, cause: Reported, attempts: 1 }
            RunChanged { run: run_5, state: Succeeded, counts: TaskCounts { succeeded: 1 } }
            > schedules
            sched_1 is active, next Some(UnixMillis(4000)), waiting Some(UnixMillis(2000)), live {}, fired 1, skipped 1, last Some(Skipped(AlreadyWaiting))
            > due 1 at=2000 next=9000 run=9 task=9
            RunSubmitted { run: run_9, name: "r", tasks: 1 }
            TaskSubmitted { task: task_9, run: Some(run_9), name: "t0", state: Ready }
            ScheduleFired(FiredRun { schedule: sched_1, due: Some(UnixMillis(2000)), run: run_9, next: Some(UnixMillis(4000)) })
            > schedules
            sched_1 is active, next Some(UnixMillis(4000)), waiting None, live {run_9}, fired 2, skipped 1, last Some(Run { run: run_9, ended: None })
        "#]],
    );
}

#[test]
fn runs_overlap_when_they_may() {
    check(
        "task 0; schedule 1 first=1000 overlap=allow; at 1000; due 1 at=1000 next=2000 run=5 \
         task=5; at 2000 | due 1 at=2000 next=3000 run=6 task=6; schedules",
        &expect![[r#"
            > due 1 at=2000 next=3000 run=6 task=6
            RunSubmitted { run: run_6, name: "r", tasks: 1 }
            TaskSubmitted { task: task_6, run: Some(run_6), name: "t0", state: Ready }
            ScheduleFired(FiredRun { schedule: sched_1, due: Some(UnixMillis(2000)), run: run_6, next: Some(UnixMillis(3000)) })
            > schedules
            sched_1 is active, next Some(UnixMillis(3000)), waiting None, live {run_5, run_6}, fired 2, skipped 0, last Some(Run { run: run_6, ended: None })
        "#]],
    );
}

#[test]
fn what_was_missed_is_made_good_once_or_left_out() {
    check(
        "task 0; schedule 1 first=1000; task 0; schedule 2 first=1000 drops; at 61000 | due 1 \
         at=1000 next=62000 run=5 task=5; due 2 at=1000 next=62000 run=6 task=6; schedules",
        &expect![[r#"
            > due 1 at=1000 next=62000 run=5 task=5
            RunSubmitted { run: run_5, name: "r", tasks: 1 }
            TaskSubmitted { task: task_5, run: Some(run_5), name: "t0", state: Ready }
            ScheduleFired(FiredRun { schedule: sched_1, due: Some(UnixMillis(1000)), run: run_5, next: Some(UnixMillis(62000)) })
            > due 2 at=1000 next=62000 run=6 task=6
            RunSubmitted { run: run_6, name: "r", tasks: 1 }
            TaskSubmitted { task: task_6, run: Some(run_6), name: "t0", state: Ready }
            ScheduleFired(FiredRun { schedule: sched_2, due: Some(UnixMillis(1000)), run: run_6, next: Some(UnixMillis(62000)) })
            > schedules
            sched_1 is active, next Some(UnixMillis(62000)), waiting None, live {run_5}, fired 1, skipped 0, last Some(Run { run: run_5, ended: None })
            sched_2 is active, next Some(UnixMillis(62000)), waiting None, live {run_6}, fired 1, skipped 0, last Some(Run { run: run_6, ended: None })
        "#]],
    );
    check(
        "task 0; schedule 2 first=1000 drops; at 61001 | due 2 at=1000 next=62000 run=6 task=6; \
         schedules",
        &expect![[r#"
            > due 2 at=1000 next=62000 run=6 task=6
            ScheduleSkipped(SkippedDue { schedule: sched_2, due: UnixMillis(1000), reason: Missed, next: Some(UnixMillis(62000)) })
            > schedules
            sched_2 is active, next Some(UnixMillis(62000)), waiting None, live {}, fired 0, skipped 1, last Some(Skipped(Missed))
        "#]],
    );
}

#[test]
fn a_paused_schedule_is_not_due_until_it_goes_on() {
    check(
        &format!(
            "{READY} | pause-schedule 1; pause-schedule 1; due 1 at=1000 next=2000 run=5 task=5; \
             due 1 run=6 task=6; at 5000; resume-schedule 1 next=6000; resume-schedule 1 \
             next=9000; schedules"
        ),
        &expect![[r#"
            > pause-schedule 1
            ScheduleChanged(ChangedSchedule { schedule: sched_1, paused: true, next: None })
            > pause-schedule 1

            > due 1 at=1000 next=2000 run=5 task=5
            Refused { reason: ScheduleNotDue(sched_1) }
            > due 1 run=6 task=6
            RunSubmitted { run: run_6, name: "r", tasks: 1 }
            TaskSubmitted { task: task_6, run: Some(run_6), name: "t0", state: Ready }
            ScheduleFired(FiredRun { schedule: sched_1, due: None, run: run_6, next: Some(UnixMillis(1000)) })
            > resume-schedule 1 next=6000
            ScheduleChanged(ChangedSchedule { schedule: sched_1, paused: false, next: Some(UnixMillis(6000)) })
            > resume-schedule 1 next=9000

            > schedules
            sched_1 is active, next Some(UnixMillis(6000)), waiting None, live {run_6}, fired 1, skipped 0, last Some(Run { run: run_6, ended: None })
        "#]],
    );
}

#[test]
fn a_schedule_is_forgotten_and_its_run_goes_on() {
    check(
        &format!(
            "{READY}; due 1 at=1000 next=2000 run=5 task=5; grant 5:1 | delete-schedule 1; \
             delete-schedule 1; report 5 ok; schedules"
        ),
        &expect![[r#"
            > delete-schedule 1
            ScheduleDeleted { schedule: sched_1 }
            > delete-schedule 1
            Refused { reason: ScheduleUnknown(sched_1) }
            > report 5 ok
            TaskFinished { task: task_5, run: Some(run_5), state: Succeeded, cause: Reported, attempts: 1 }
            RunChanged { run: run_5, state: Succeeded, counts: TaskCounts { succeeded: 1 } }
            > schedules

        "#]],
    );
}

#[test]
fn a_name_belongs_to_one_schedule() {
    check(
        "task 0; schedule 1 name=nightly; task 0 | schedule 2 name=nightly; delete-schedule 1; \
         task 0; schedule 2 name=nightly",
        &expect![[r#"
            > schedule 2 name=nightly
            Refused { reason: NameTaken("nightly") }
            > delete-schedule 1
            ScheduleDeleted { schedule: sched_1 }
            > schedule 2 name=nightly
            ScheduleCreated(CreatedSchedule { schedule: sched_2, name: "nightly", next: None })
        "#]],
    );
}

#[test]
fn a_submission_that_is_refused_is_said_and_the_schedule_goes_on() {
    check(
        "task 0 needs=7; schedule 1 first=1000; at 1000 | due 1 at=1000 next=2000 run=5 task=5; \
         due 1 run=6 task=6; schedules",
        &expect![[r#"
            > due 1 at=1000 next=2000 run=5 task=5
            ScheduleSkipped(SkippedDue { schedule: sched_1, due: UnixMillis(1000), reason: Refused(DependencyNotLive { task: task_5, needs: task_7 }), next: Some(UnixMillis(2000)) })
            > due 1 run=6 task=6
            Refused { reason: DependencyNotLive { task: task_6, needs: task_7 } }
            > schedules
            sched_1 is active, next Some(UnixMillis(2000)), waiting None, live {}, fired 0, skipped 1, last Some(Skipped(Refused(DependencyNotLive { task: task_5, needs: task_7 })))
        "#]],
    );
}

#[test]
fn a_run_that_is_asked_for_is_made_once_under_its_key() {
    check(
        &format!(
            "{READY} | due 1 run=5 task=5 key=a; due 1 run=6 task=6 key=a; due 1 run=7 task=7 \
             key=a body=1; schedules"
        ),
        &expect![[r#"
            > due 1 run=5 task=5 key=a
            RunSubmitted { run: run_5, name: "r", tasks: 1 }
            TaskSubmitted { task: task_5, run: Some(run_5), name: "t0", state: Ready }
            ScheduleFired(FiredRun { schedule: sched_1, due: None, run: run_5, next: Some(UnixMillis(1000)) })
            > due 1 run=6 task=6 key=a
            AlreadyDone { run: Some(run_5), tasks: [] }
            > due 1 run=7 task=7 key=a body=1
            Refused { reason: IdempotencyMismatch("a") }
            > schedules
            sched_1 is active, next Some(UnixMillis(1000)), waiting None, live {run_5}, fired 1, skipped 0, last Some(Run { run: run_5, ended: None })
        "#]],
    );
}

#[test]
fn a_run_that_was_cancelled_is_live_no_more() {
    check(
        "task 0; schedule 1 first=1000; at 1000; due 1 at=1000 next=2000 run=5 task=5 | \
         cancel-run 5; schedules",
        &expect![[r#"
            > cancel-run 5
            TaskFinished { task: task_5, run: Some(run_5), state: Cancelled, cause: RunCancelled, attempts: 0 }
            RunChanged { run: run_5, state: Cancelled, counts: TaskCounts { cancelled: 1 } }
            > schedules
            sched_1 is active, next Some(UnixMillis(2000)), waiting None, live {}, fired 1, skipped 0, last Some(Run { run: run_5, ended: Some(Cancelled) })
        "#]],
    );
}

fn last_refusal(world: &World) -> Option<LimitName> {
    match world.events.last() {
        Some(Event::Refused {
            reason: Refusal::Limit { limit, .. },
        }) => Some(*limit),
        _ => None,
    }
}

#[test]
fn schedules_their_tasks_and_their_runs_are_bounded() {
    let mut state = State::new();
    let spec = World::after("schedule 0")
        .state
        .schedules()
        .next()
        .unwrap()
        .spec
        .clone();
    for id in 0..=SCHEDULES_MAX {
        let name = format!("s{id}");
        let entry = LogEntry {
            at: UnixMillis(0),
            seed: 0,
            actor: Actor::Coordinator,
            command: Command::CreateSchedule {
                schedule: ScheduleId::from_u128(id as u128),
                spec: Box::new(ScheduleSpec {
                    name,
                    ..spec.clone()
                }),
                first: None,
            },
        };
        let events = state.apply(LogIndex(id as u64 + 1), &entry).events;
        let refused = matches!(events[..], [Event::Refused { .. }]);
        assert_eq!(refused, id == SCHEDULES_MAX, "{events:?}");
    }

    let tasks: Vec<_> = (0..=SCHEDULE_TASKS_MAX)
        .map(|id| format!("task {id}"))
        .collect();
    let world = World::after(&format!("{}; schedule 1", tasks.join(";")));
    assert_eq!(last_refusal(&world), Some(LimitName::ScheduleTasksMax));

    let runs: Vec<_> = (0..SCHEDULE_RUNS_LIVE_MAX)
        .map(|id| format!("due 1 run={id} task={id}"))
        .collect();
    let runs = runs.join(";");
    let mut world = World::after(&format!("task 0; schedule 1 overlap=allow first=0; {runs}"));
    assert_eq!(last_refusal(&world), None);
    world.perform("due 1 run=900 task=900");
    assert_eq!(last_refusal(&world), Some(LimitName::ScheduleRunsLiveMax));
    world.perform("due 1 at=0 next=1000 run=901 task=901");
    assert!(
        matches!(world.events.last(), Some(Event::ScheduleSkipped(_))),
        "{:?}",
        world.events.last()
    );
}

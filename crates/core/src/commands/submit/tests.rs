//! Tests of submissions.

use super::check_room;
use crate::script::check;
use expect_test::expect;
use skep_model::limits::{TASKS_LIVE_MAX, TASKS_PER_SUBMISSION_MAX};
use skep_model::refusal::{LimitName, Refusal};

#[test]
fn tasks_without_needs_are_ready_and_others_pending() {
    check(
        "task 1; task 2 needs=1; run 1; queues; run-counts 1",
        &expect![[r#"
            > run 1
            RunSubmitted { run: run_1, name: "r1", tasks: 2 }
            TaskSubmitted { task: task_1, run: Some(run_1), name: "t1", state: Ready }
            TaskSubmitted { task: task_2, run: Some(run_1), name: "t2", state: Pending }
            > queues
            Some(run_1) 5 [task_1]
            > run-counts 1
            run_1 is running: TaskCounts { pending: 1, ready: 1 }
        "#]],
    );
}

#[test]
fn tasks_without_a_run_may_need_each_other() {
    check(
        "task 1; submit | task 2 needs=1; submit; show 2",
        &expect![[r#"
            > submit
            TaskSubmitted { task: task_2, name: "t2", state: Pending }
            > show 2
            task_2 is pending, attempts 0, waits for [task_1], not before None, failed on [], ended []
        "#]],
    );
}

#[test]
fn tasks_join_a_live_run() {
    check(
        "task 1; run 1 | task 2 needs=1; submit run=1; run-counts 1",
        &expect![[r#"
            > submit run=1
            TaskSubmitted { task: task_2, run: Some(run_1), name: "t2", state: Pending }
            > run-counts 1
            run_1 is running: TaskCounts { pending: 1, ready: 1 }
        "#]],
    );
}

#[test]
fn a_run_that_is_unknown_cannot_be_extended() {
    check(
        "task 1; submit run=9",
        &expect![[r#"
        > submit run=9
        Refused { reason: RunNotLive(run_9) }
    "#]],
    );
}

#[test]
fn a_run_that_rolls_back_cannot_be_extended() {
    check(
        "task 1 undo=8; task 2 attempts=1; run 1; node 1; confirm 1; grant 1:1 2:1; \
         report 1 ok; report 2 exit | task 3; submit run=1",
        &expect![[r#"
            > submit run=1
            Refused { reason: RunState { run: run_1, state: RollingBack, wanted: Extended } }
        "#]],
    );
}

#[test]
fn a_run_id_is_taken_in_once() {
    check(
        "task 1; run 1 | task 2; run 1",
        &expect![[r#"
        > run 1
        Refused { reason: DuplicateRun(run_1) }
    "#]],
    );
}

#[test]
fn an_id_is_taken_in_once() {
    check(
        "task 1; submit | task 1; submit; task 2; task 2; submit; task 3 undo=1; submit; \
         task 4 undo=4; submit",
        &expect![[r#"
            > submit
            Refused { reason: DuplicateTask(task_1) }
            > submit
            Refused { reason: DuplicateTask(task_2) }
            > submit
            Refused { reason: DuplicateTask(task_1) }
            > submit
            Refused { reason: DuplicateTask(task_4) }
        "#]],
    );
}

#[test]
fn a_need_must_be_live_in_the_same_run() {
    check(
        "task 1; run 1; task 2; submit | task 3 needs=1; submit; task 3 needs=2; \
         submit run=1; task 3 needs=9; submit",
        &expect![[r#"
            > submit
            Refused { reason: DependencyNotLive { task: task_3, needs: task_1 } }
            > submit run=1
            Refused { reason: DependencyNotLive { task: task_3, needs: task_2 } }
            > submit
            Refused { reason: DependencyNotLive { task: task_3, needs: task_9 } }
        "#]],
    );
}

#[test]
fn a_cycle_is_refused_and_a_task_on_it_is_named() {
    check(
        "task 1; task 2 needs=1,4; task 3 needs=2; task 4 needs=3; task 5 needs=4; run 1; \
         task 6 needs=6; submit",
        &expect![[r#"
            > run 1
            Refused { reason: Cycle(task_3) }
            > submit
            Refused { reason: Cycle(task_6) }
        "#]],
    );
}

#[test]
fn a_task_that_waives_isolation_is_told() {
    check(
        "task 1 isolation=s0; task 2 isolation=s0 command; submit",
        &expect![[r#"
            > submit
            TaskSubmitted { task: task_1, name: "t1", state: Ready }
            TaskSubmitted { task: task_2, name: "t2", state: Ready }
            IsolationWaived { task: task_2, run: None }
        "#]],
    );
}

#[test]
fn a_repeated_request_gets_the_first_answer() {
    check(
        "task 1; run 1 key=a; task 2; submit key=b | task 3; run 3 key=a; task 4; \
         submit key=b",
        &expect![[r#"
            > run 3 key=a
            AlreadyDone { run: Some(run_1), tasks: [] }
            > submit key=b
            AlreadyDone { tasks: [task_2] }
        "#]],
    );
}

#[test]
fn a_key_with_another_body_is_refused() {
    check(
        "task 1; submit key=a body=1 | task 2; submit key=a body=2",
        &expect![[r#"
            > submit key=a body=2
            Refused { reason: IdempotencyMismatch("a") }
        "#]],
    );
}

#[test]
fn a_refused_request_is_not_remembered() {
    check(
        "task 1 needs=9; submit key=a | task 1; submit key=a body=7",
        &expect![[r#"
            > submit key=a body=7
            TaskSubmitted { task: task_1, name: "t1", state: Ready }
        "#]],
    );
}

#[test]
fn a_key_is_forgotten_after_a_day() {
    check(
        "task 1; submit key=a; timer | at 86399999; task 2; submit key=a body=2; at 86400000; \
         task 2; submit key=a body=2; timer",
        &expect![[r#"
            > submit key=a body=2
            Refused { reason: IdempotencyMismatch("a") }
            > submit key=a body=2
            TaskSubmitted { task: task_2, name: "t2", state: Ready }
            > timer
            Some(UnixMillis(172800000))
        "#]],
    );
}

#[test]
fn a_run_without_tasks_succeeds_at_once() {
    check(
        "run 1",
        &expect![[r#"
        > run 1
        RunSubmitted { run: run_1, name: "r1", tasks: 0 }
        RunChanged { run: run_1, state: Succeeded, counts: TaskCounts {} }
    "#]],
    );
}

#[test]
fn a_need_that_is_named_twice_counts_once() {
    check(
        "task 1; task 2 needs=1,1; submit; node 1; confirm 1 | grant 1:1; report 1 ok; \
         show 2",
        &expect![[r#"
            > grant 1:1
            TaskLeased { task: task_1, attempt: 1, agent: agent_1, node: node_1, fence: 1.4 }
            > report 1 ok
            TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 1 }
            TaskChanged { task: task_2, state: Ready }
            > show 2
            task_2 is ready, attempts 0, waits for [], not before None, failed on [], ended []
        "#]],
    );
}

#[test]
fn live_tasks_and_submissions_are_bounded() {
    let refusal = |limit, max: usize, given: usize| {
        Err(Refusal::Limit {
            limit,
            max: max as u64,
            given: given as u64,
        })
    };
    let most = TASKS_PER_SUBMISSION_MAX;
    assert_eq!(check_room(0, most), Ok(()));
    let too_many = refusal(LimitName::TasksPerSubmissionMax, most, most + 1);
    assert_eq!(check_room(0, most + 1), too_many);
    assert_eq!(check_room(TASKS_LIVE_MAX - 1, 1), Ok(()));
    let too_many = refusal(LimitName::TasksLiveMax, TASKS_LIVE_MAX, TASKS_LIVE_MAX + 1);
    assert_eq!(check_room(TASKS_LIVE_MAX, 1), too_many);
}

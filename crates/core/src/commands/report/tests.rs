//! Tests of reports.

use crate::script::check;
use expect_test::expect;

#[test]
fn success_ends_the_task_and_readies_its_children() {
    check(
        "node 1; confirm 1; task 1; task 2 needs=1; run 1; grant 1:1 | report 1 ok ms=70; \
         agents; grant 2:1; report 2 ok",
        &expect![[r#"
            > report 1 ok ms=70
            TaskFinished { task: task_1, run: Some(run_1), state: Succeeded, cause: Reported, attempts: 1 }
            TaskChanged { task: task_2, run: Some(run_1), state: Ready }
            > agents
            agent_1 is idle, load 0, 1 good in 70 ms, 0 bad
            > grant 2:1
            TaskLeased { task: task_2, run: Some(run_1), attempt: 1, agent: agent_1, node: node_1, fence: 1.6 }
            > report 2 ok
            TaskFinished { task: task_2, run: Some(run_1), state: Succeeded, cause: Reported, attempts: 1 }
            RunChanged { run: run_1, state: Succeeded, counts: TaskCounts { succeeded: 2 } }
        "#]],
    );
}

#[test]
fn a_late_report_is_refused_and_kept_as_evidence() {
    check(
        "node 1; confirm 1; task 1; submit; grant 1:1; report 1 exit \
         | report 1 ok node=1 fence=4; report 9 ok node=1 fence=4",
        &expect![[r#"
            > report 1 ok node=1 fence=4
            ReportRefused { task: task_1, fence: 1.4, reason: StaleFence { task: task_1, given: 1.4 } }
            > report 9 ok node=1 fence=4
            ReportRefused { task: task_9, fence: 1.4, reason: TaskNotLive(task_9) }
        "#]],
    );
}

#[test]
fn a_report_from_another_node_is_refused() {
    check(
        "node 1; confirm 1; node 2; confirm 2; task 1; submit; grant 1:1 \
         | report 1 ok node=2",
        &expect![[r#"
            > report 1 ok node=2
            ReportRefused { task: task_1, fence: 1.6, reason: StaleFence { task: task_1, given: 1.6 } }
        "#]],
    );
}

#[test]
fn a_second_report_is_refused() {
    check(
        "node 1; confirm 1; task 1; submit; grant 1:1; report 1 ok \
         | report 1 ok node=1 fence=4",
        &expect![[r#"
            > report 1 ok node=1 fence=4
            ReportRefused { task: task_1, fence: 1.4, reason: TaskNotLive(task_1) }
        "#]],
    );
}

#[test]
fn success_needs_the_evidence_of_every_gate() {
    check(
        "node 1; confirm 1; task 1 gate=fmt gate=lint retry=gate backoff=0; submit \
         | grant 1:1; report 1 ok gate=fmt:passed; grant 1:1; \
         report 1 ok gate=fmt:passed gate=lint:failed; grant 1:1; \
         report 1 ok gate=fmt:passed gate=lint:passed; agents",
        &expect![[r#"
            > grant 1:1
            TaskLeased { task: task_1, attempt: 1, agent: agent_1, node: node_1, fence: 1.4 }
            > report 1 ok gate=fmt:passed
            ReportRefused { task: task_1, fence: 1.4, reason: GateEvidenceMissing { task: task_1, gate: "lint" } }
            AttemptEnded { task: task_1, attempt: 1, node: node_1, ended: Reported(GateFailed { gate: "lint" }), retry_at: None }
            > grant 1:1
            TaskLeased { task: task_1, attempt: 2, agent: agent_1, node: node_1, fence: 1.6 }
            > report 1 ok gate=fmt:passed gate=lint:failed
            AttemptEnded { task: task_1, attempt: 2, node: node_1, ended: Reported(GateFailed { gate: "lint" }), retry_at: None }
            > grant 1:1
            TaskLeased { task: task_1, attempt: 3, agent: agent_1, node: node_1, fence: 1.8 }
            > report 1 ok gate=fmt:passed gate=lint:passed
            TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 3 }
            > agents
            agent_1 is idle, load 0, 1 good in 5 ms, 2 bad
        "#]],
    );
}

#[test]
fn contradicting_answers_of_a_gate_do_not_pass() {
    check(
        "node 1; confirm 1; task 1 gate=fmt attempts=1; submit; grant 1:1 \
         | report 1 ok gate=fmt:passed gate=fmt:failed",
        &expect![[r#"
            > report 1 ok gate=fmt:passed gate=fmt:failed
            TaskFinished { task: task_1, state: Failed, cause: AttemptsUsedUp, attempts: 1 }
        "#]],
    );
}

#[test]
fn each_failure_waits_a_jittered_delay() {
    check(
        "node 1; confirm 1; task 1 attempts=9; submit | grant 1:1; report 1 exit; retry 1; \
         grant 1:1; report 1 gate; retry 1; grant 1:1; report 1 timeout; retry 1; grant 1:1; \
         report 1 error; retry 1; grant 1:1; report 1 killed; retry 1; grant 1:1; \
         report 1 interrupted; show 1; timer",
        &expect![[r#"
            > grant 1:1
            TaskLeased { task: task_1, attempt: 1, agent: agent_1, node: node_1, fence: 1.4 }
            > report 1 exit
            AttemptEnded { task: task_1, attempt: 1, node: node_1, ended: Reported(Exited { code: 1 }), retry_at: Some(UnixMillis(958)) }
            > retry 1
            TaskChanged { task: task_1, state: Ready }
            > grant 1:1
            TaskLeased { task: task_1, attempt: 2, agent: agent_1, node: node_1, fence: 1.7 }
            > report 1 gate
            AttemptEnded { task: task_1, attempt: 2, node: node_1, ended: Reported(GateFailed { gate: "lint" }), retry_at: Some(UnixMillis(1552)) }
            > retry 1
            TaskChanged { task: task_1, state: Ready }
            > grant 1:1
            TaskLeased { task: task_1, attempt: 3, agent: agent_1, node: node_1, fence: 1.10 }
            > report 1 timeout
            AttemptEnded { task: task_1, attempt: 3, node: node_1, ended: Reported(TimedOut), retry_at: Some(UnixMillis(3903)) }
            > retry 1
            TaskChanged { task: task_1, state: Ready }
            > grant 1:1
            TaskLeased { task: task_1, attempt: 4, agent: agent_1, node: node_1, fence: 1.13 }
            > report 1 error
            AttemptEnded { task: task_1, attempt: 4, node: node_1, ended: Reported(Error { code: "workspace_failed", message: "no space" }), retry_at: Some(UnixMillis(7037)) }
            > retry 1
            TaskChanged { task: task_1, state: Ready }
            > grant 1:1
            TaskLeased { task: task_1, attempt: 5, agent: agent_1, node: node_1, fence: 1.16 }
            > report 1 killed
            AttemptEnded { task: task_1, attempt: 5, node: node_1, ended: Reported(Killed), retry_at: Some(UnixMillis(14766)) }
            > retry 1
            TaskChanged { task: task_1, state: Ready }
            > grant 1:1
            TaskLeased { task: task_1, attempt: 6, agent: agent_1, node: node_1, fence: 1.19 }
            > report 1 interrupted
            AttemptEnded { task: task_1, attempt: 6, node: node_1, ended: Reported(Interrupted), retry_at: Some(UnixMillis(2843)) }
            > show 1
            task_1 is pending, attempts 6, waits for [], not before Some(UnixMillis(2843)), failed on [node_1], ended [Reported(Exited { code: 1 }), Reported(GateFailed { gate: "lint" }), Reported(TimedOut), Reported(Error { code: "workspace_failed", message: "no space" }), Reported(Killed), Reported(Interrupted)]
            > timer
            Some(UnixMillis(2843))
        "#]],
    );
}

#[test]
fn a_class_that_the_policy_leaves_out_is_final() {
    check(
        "node 1; confirm 1; task 1 retry=gate; submit; grant 1:1 | report 1 exit",
        &expect![[r#"
            > report 1 exit
            TaskFinished { task: task_1, state: Failed, cause: NotRetried(Exit), attempts: 1 }
        "#]],
    );
}

#[test]
fn attempts_are_used_up() {
    check(
        "node 1; confirm 1; task 1 attempts=2 backoff=0; submit; grant 1:1 | report 1 exit; \
         grant 1:1; report 1 timeout",
        &expect![[r#"
            > report 1 exit
            AttemptEnded { task: task_1, attempt: 1, node: node_1, ended: Reported(Exited { code: 1 }), retry_at: None }
            > grant 1:1
            TaskLeased { task: task_1, attempt: 2, agent: agent_1, node: node_1, fence: 1.6 }
            > report 1 timeout
            TaskFinished { task: task_1, state: Failed, cause: AttemptsUsedUp, attempts: 2 }
        "#]],
    );
}

#[test]
fn an_at_most_once_task_is_not_tried_again() {
    check(
        "node 1; confirm 1; task 1 once backoff=0; submit; grant 1:1 | report 1 exit",
        &expect![[r#"
            > report 1 exit
            TaskFinished { task: task_1, state: Failed, cause: AttemptsUsedUp, attempts: 1 }
        "#]],
    );
}

#[test]
fn failure_cancels_those_who_wanted_success() {
    check(
        "node 1; confirm 1; task 1 attempts=1; task 2 needs=1; task 3 needs=2; \
         task 4 needs=1 when=failure; task 5 needs=2 when=failure; task 6 needs=2 when=always; \
         run 1; grant 1:1 | report 1 exit; run-counts 1",
        &expect![[r#"
            > report 1 exit
            TaskFinished { task: task_1, run: Some(run_1), state: Failed, cause: AttemptsUsedUp, attempts: 1 }
            TaskFinished { task: task_2, run: Some(run_1), state: Cancelled, cause: ConditionNotMet, attempts: 0 }
            TaskChanged { task: task_4, run: Some(run_1), state: Ready }
            TaskFinished { task: task_3, run: Some(run_1), state: Cancelled, cause: ConditionNotMet, attempts: 0 }
            TaskFinished { task: task_5, run: Some(run_1), state: Cancelled, cause: ConditionNotMet, attempts: 0 }
            TaskChanged { task: task_6, run: Some(run_1), state: Ready }
            > run-counts 1
            run_1 is running: TaskCounts { ready: 2, failed: 1, cancelled: 3 }
        "#]],
    );
}

#[test]
fn success_cancels_those_who_wanted_failure() {
    check(
        "node 1; confirm 1; task 1; task 2 needs=1 when=failure; task 3 needs=1 when=always; \
         run 1; grant 1:1 | report 1 ok; grant 3:1; report 3 ok",
        &expect![[r#"
            > report 1 ok
            TaskFinished { task: task_1, run: Some(run_1), state: Succeeded, cause: Reported, attempts: 1 }
            TaskFinished { task: task_2, run: Some(run_1), state: Cancelled, cause: ConditionNotMet, attempts: 0 }
            TaskChanged { task: task_3, run: Some(run_1), state: Ready }
            > grant 3:1
            TaskLeased { task: task_3, run: Some(run_1), attempt: 1, agent: agent_1, node: node_1, fence: 1.6 }
            > report 3 ok
            TaskFinished { task: task_3, run: Some(run_1), state: Succeeded, cause: Reported, attempts: 1 }
            RunChanged { run: run_1, state: Succeeded, counts: TaskCounts { succeeded: 2, cancelled: 1 } }
        "#]],
    );
}

#[test]
fn conditions_are_judged_when_all_needs_are_final() {
    check(
        "node 1; confirm 1; task 1 attempts=1; task 2; task 3 needs=1,2; \
         task 4 needs=1,2 when=failure; submit; grant 1:1 2:1 | report 1 exit; show 4; \
         report 2 ok",
        &expect![[r#"
            > report 1 exit
            TaskFinished { task: task_1, state: Failed, cause: AttemptsUsedUp, attempts: 1 }
            > show 4
            task_4 is pending, attempts 0, waits for [task_2], not before None, failed on [], ended []
            > report 2 ok
            TaskFinished { task: task_2, state: Succeeded, cause: Reported, attempts: 1 }
            TaskFinished { task: task_3, state: Cancelled, cause: ConditionNotMet, attempts: 0 }
            TaskChanged { task: task_4, state: Ready }
        "#]],
    );
}

#[test]
fn a_report_of_an_earlier_grant_to_the_same_node_is_refused() {
    check(
        "node 1; confirm 1; task 1 backoff=0; submit; grant 1:1; report 1 exit; grant 1:1 \
         | report 1 ok fence=4; start 1 fence=4; show 1; report 1 ok fence=6",
        &expect![[r#"
            > report 1 ok fence=4
            ReportRefused { task: task_1, fence: 1.4, reason: StaleFence { task: task_1, given: 1.4 } }
            > start 1 fence=4

            > show 1
            task_1 is leased, attempts 2, waits for [], not before None, failed on [node_1], ended [Reported(Exited { code: 1 })]
            > report 1 ok fence=6
            TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 2 }
        "#]],
    );
}

#[test]
fn what_was_not_started_costs_nothing_unless_its_node_said_that_it_had_started() {
    check(
        "node 1; confirm 1; task 1 once; submit; task 2 once; submit; grant 1:1; grant 2:1 \
         | report 1 not-started; show 1; start 2; report 2 not-started",
        &expect![[r#"
            > report 1 not-started
            AttemptEnded { task: task_1, attempt: 1, node: node_1, ended: NeverStarted(Stopping), retry_at: None }
            > show 1
            task_1 is ready, attempts 1, waits for [], not before None, failed on [node_1], ended [NeverStarted(Stopping)]
            > start 2
            TaskProgressed { task: task_2, phase: Running }
            > report 2 not-started
            TaskFinished { task: task_2, state: Failed, cause: AttemptsUsedUp, attempts: 1 }
        "#]],
    );
}

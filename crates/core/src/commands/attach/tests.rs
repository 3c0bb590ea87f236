//! Tests of attached agents: seats, what they take, how they are lost and come back.

use crate::script::check;
use expect_test::expect;

#[test]
fn a_session_gets_a_seat_and_takes_described_work_only() {
    check(
        "node 1; confirm 1; attach 2; task 1; task 2 described; submit \
         | grant 1:2 2:1; grant 1:1 2:2; agents",
        &expect![[r#"
            > grant 1:2 2:1
            GrantRefused { task: task_1, reason: NoRoom { task: task_1, agent: agent_2 } }
            GrantRefused { task: task_2, reason: NoRoom { task: task_2, agent: agent_1 } }
            > grant 1:1 2:2
            TaskLeased { task: task_1, attempt: 1, agent: agent_1, node: node_1, fence: 1.6 }
            TaskLeased { task: task_2, attempt: 1, agent: agent_2, node: node_2, fence: 1.6 }
            > agents
            agent_1 is idle, load 1, 0 good in 0 ms, 0 bad
            agent_2 is busy, load 1, 0 good in 0 ms, 0 bad
        "#]],
    );
}

#[test]
fn a_session_has_one_task_at_a_time() {
    check(
        "attach 2; task 1 described; task 2 described; submit | grant 1:2 2:2; report 1 ok; \
         grant 2:2",
        &expect![[r#"
            > grant 1:2 2:2
            TaskLeased { task: task_1, attempt: 1, agent: agent_2, node: node_2, fence: 1.3 }
            GrantRefused { task: task_2, reason: NoRoom { task: task_2, agent: agent_2 } }
            > report 1 ok
            TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 1 }
            > grant 2:2
            TaskLeased { task: task_2, attempt: 1, agent: agent_2, node: node_2, fence: 1.5 }
        "#]],
    );
}

#[test]
fn the_same_session_comes_back_to_its_seat_with_what_it_held() {
    check(
        "attach 2; task 1 described; submit; grant 1:2; start 1 \
         | attach 2 instance=9 cap=rust:basic; report 1 ok; attach 3 name=s2",
        &expect![[r#"
            > attach 2 instance=9 cap=rust:basic
            NodeRegistered { node: node_2, instance: inst_9, name: "s2" }
            AgentUpdated { agent: agent_2 }
            NodeChanged { node: node_2, state: Ready }
            > report 1 ok
            TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 1 }
            > attach 3 name=s2
            Refused { reason: NameTaken("s2") }
        "#]],
    );
}

#[test]
fn a_session_that_was_given_up_is_fenced_and_works_again_once_it_is_heard() {
    check(
        "attach 2; attach 3; task 1 described; submit; grant 1:2; start 1 \
         | suspect 2; lose 2; grant 1:3; report 1 ok node=2 fence=4; trust 2; report 1 ok; agents",
        &expect![[r#"
            > suspect 2
            NodeChanged { node: node_2, state: Suspect }
            > lose 2
            NodeChanged { node: node_2, state: Lost }
            AttemptEnded { task: task_1, attempt: 1, node: node_2, ended: Lost, retry_at: None }
            > grant 1:3
            TaskLeased { task: task_1, attempt: 2, agent: agent_3, node: node_3, fence: 1.8 }
            > report 1 ok node=2 fence=4
            ReportRefused { task: task_1, fence: 1.4, reason: StaleFence { task: task_1, given: 1.4 } }
            > trust 2
            NodeChanged { node: node_2, state: Ready }
            > report 1 ok
            TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 2 }
            > agents
            agent_2 is idle, load 0, 0 good in 0 ms, 1 bad
            agent_3 is idle, load 0, 1 good in 5 ms, 0 bad
        "#]],
    );
}

#[test]
fn a_session_that_leaves_is_forgotten_and_its_task_goes_on() {
    check(
        "attach 2; task 1 described; submit; grant 1:2 | left 2; show 1; attach 3 name=s2",
        &expect![[r#"
            > left 2
            NodeChanged { node: node_2, state: Left }
            AttemptEnded { task: task_1, attempt: 1, node: node_2, ended: Lost, retry_at: None }
            AgentRemoved { agent: agent_2 }
            NodeRemoved { node: node_2 }
            > show 1
            task_1 is ready, attempts 1, waits for [], not before None, failed on [node_2], ended [Lost]
            > attach 3 name=s2
            NodeRegistered { node: node_3, instance: inst_1, name: "s2" }
            AgentCreated { agent: agent_3, name: "s2", node: node_3 }
            NodeChanged { node: node_3, state: Ready }
        "#]],
    );
}

#[test]
fn a_machine_does_not_sit_down_on_a_seat_and_a_session_not_on_a_machine() {
    check(
        "node 1; confirm 1; attach 2 | node 2; attach 1 name=x; agent 5 on=2; lose 1; trust 1",
        &expect![[r#"
            > node 2
            Refused { reason: NodeUnknown(node_2) }
            > attach 1 name=x
            Refused { reason: NotASeat(node_1) }
            > agent 5 on=2
            Refused { reason: NodeUnknown(node_2) }
            > lose 1
            NodeChanged { node: node_1, state: Lost }
            > trust 1

        "#]],
    );
}

#[test]
fn work_that_no_performer_of_the_task_can_do_is_refused() {
    check(
        "task 1 described by=node | submit",
        &expect![[r#"
            > submit
            Refused { reason: PerformerMismatch(task_1) }
        "#]],
    );
}

#[test]
fn what_came_of_its_attempts_is_counted_for_each_capability_that_was_asked_for() {
    let world = crate::script::World::after(
        "node 1 cap=rust:expert; confirm 1; task 1 cap=rust:basic gate=a; task 2; submit; \
         grant 1:1 2:1; report 1 ok gate=a:failed ms=3; fire; report 2 ok ms=9",
    );
    let agent = world.state.agents().next().unwrap();
    let rust = agent.measured["rust"];
    assert_eq!(agent.measured.len(), 1);
    assert_eq!((rust.succeeded, rust.failed), (0, 1));
    assert_eq!((rust.gates_run, rust.gates_passed), (1, 0));
}

//! Tests of connecting nodes.

use crate::script::check;
use expect_test::expect;

#[test]
fn a_new_node_brings_its_agent() {
    check(
        "node 1; agents; confirm 1; agents",
        &expect![[r#"
        > node 1
        NodeRegistered { node: node_1, instance: inst_1, name: "n1" }
        AgentCreated { agent: agent_1, name: "n1", node: node_1 }
        > agents
        agent_1 is offline, load 0, 0 good in 0 ms, 0 bad
        > confirm 1
        NodeChanged { node: node_1, state: Ready }
        > agents
        agent_1 is idle, load 0, 0 good in 0 ms, 0 bad
    "#]],
    );
}

#[test]
fn a_name_is_taken_until_its_node_leaves() {
    check(
        "node 1; confirm 1 | node 2 name=n1; left 1; node 2 name=n1; node 1; node 1 name=x",
        &expect![[r#"
            > node 2 name=n1
            Refused { reason: NameTaken("n1") }
            > left 1
            NodeChanged { node: node_1, state: Left }
            > node 2 name=n1
            NodeRegistered { node: node_2, instance: inst_1, name: "n1" }
            AgentCreated { agent: agent_2, name: "n1", node: node_2 }
            > node 1
            Refused { reason: NameTaken("n1") }
            > node 1 name=x
            NodeRegistered { node: node_1, instance: inst_1, name: "x" }
            AgentUpdated { agent: agent_1 }
        "#]],
    );
}

#[test]
fn an_agent_name_is_no_node_name() {
    check(
        "node 1; confirm 1; agent 2 on=1 name=x | node 3 name=x",
        &expect![[r#"
            > node 3 name=x
            Refused { reason: NameTaken("x") }
        "#]],
    );
}

#[test]
fn a_node_that_is_new_needs_a_free_agent_id() {
    check(
        "node 1; confirm 1 | node 2 agent=1",
        &expect![[r#"
        > node 2 agent=1
        Refused { reason: NameTaken("agent_1") }
    "#]],
    );
}

#[test]
fn the_same_process_keeps_its_leases() {
    check(
        "node 1; confirm 1; task 1; submit; grant 1:1; start 1 | node 1; confirm 1; \
         report 1 ok",
        &expect![[r#"
            > node 1
            NodeRegistered { node: node_1, instance: inst_1, name: "n1" }
            > confirm 1
            NodeChanged { node: node_1, state: Ready }
            > report 1 ok
            TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 1 }
        "#]],
    );
}

#[test]
fn a_new_process_may_still_report_what_was_spooled() {
    check(
        "node 1; confirm 1; task 1; task 2; submit; grant 1:1 2:1 | node 1 instance=2; \
         show 1; report 1 ok; confirm 1 instance=2 lost=2@4",
        &expect![[r#"
            > node 1 instance=2
            NodeRegistered { node: node_1, instance: inst_2, name: "n1" }
            > show 1
            task_1 is leased, attempts 1, waits for [], not before None, failed on [], ended []
            > report 1 ok
            TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 1 }
            > confirm 1 instance=2 lost=2@4
            AttemptEnded { task: task_2, attempt: 1, node: node_1, ended: Lost, retry_at: None }
            NodeChanged { node: node_1, state: Ready }
        "#]],
    );
}

#[test]
fn losses_of_other_grants_or_nodes_are_ignored() {
    check(
        "node 1; confirm 1; task 1; submit; grant 1:1; node 1 | confirm 1 lost=1@3 lost=9@4; \
         show 1",
        &expect![[r#"
            > confirm 1 lost=1@3 lost=9@4
            NodeChanged { node: node_1, state: Ready }
            > show 1
            task_1 is leased, attempts 1, waits for [], not before None, failed on [], ended []
        "#]],
    );
}

#[test]
fn an_older_process_cannot_confirm() {
    check(
        "node 1; node 1 instance=2 | confirm 1; confirm 9",
        &expect![[r#"
            > confirm 1
            Refused { reason: InstanceReplaced(node_1) }
            > confirm 9
            Refused { reason: NodeUnknown(node_9) }
        "#]],
    );
}

#[test]
fn a_node_that_was_lost_has_to_register_again() {
    check(
        "node 1; lose 1 | confirm 1; node 1; confirm 1",
        &expect![[r#"
            > confirm 1

            > node 1
            NodeRegistered { node: node_1, instance: inst_1, name: "n1" }
            > confirm 1
            NodeChanged { node: node_1, state: Ready }
        "#]],
    );
}

#[test]
fn what_the_node_says_replaces_what_was_known() {
    check(
        "node 1; confirm 1; task 1 cpu=500; task 2; submit; grant 1:1 2:1 \
         | node 1 slots=1 cpu=100 name=y cap=rust:basic; confirm 1; agents; task 3; submit; \
         grant 3:1; agent 4 on=1 name=n1",
        &expect![[r#"
            > node 1 slots=1 cpu=100 name=y cap=rust:basic
            NodeRegistered { node: node_1, instance: inst_1, name: "y" }
            AgentUpdated { agent: agent_1 }
            > confirm 1
            NodeChanged { node: node_1, state: Ready }
            > agents
            agent_1 is busy, load 2, 0 good in 0 ms, 0 bad
            > submit
            TaskSubmitted { task: task_3, name: "t3", state: Ready }
            > grant 3:1
            GrantRefused { task: task_3, reason: NoRoom { task: task_3, agent: agent_1 } }
            > agent 4 on=1 name=n1
            AgentCreated { agent: agent_4, name: "n1", node: node_1 }
        "#]],
    );
}

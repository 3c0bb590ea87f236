//! Joining, as scripts.

use crate::script::check;
use expect_test::expect;

#[test]
fn a_join_token_lets_in_as_many_machines_as_it_says() {
    check(
        "join-token 1 uses=2; enrol 1 by=1; enrol 2 by=1; enrol 3 by=1",
        &expect![[r#"
            > join-token 1 uses=2
            JoinTokenCreated { token: join_1, kind: Node }
            > enrol 1 by=1
            NodeEnrolled { node: node_1, name: "n1", token: join_1, approved: true }
            > enrol 2 by=1
            NodeEnrolled { node: node_2, name: "n2", token: join_1, approved: true }
            > enrol 3 by=1
            Refused { reason: JoinTokenUsedUp(join_1) }
        "#]],
    );
}

#[test]
fn a_machine_that_asks_again_keeps_its_node_and_costs_no_use() {
    check(
        "join-token 1 uses=2; enrol 1 by=1 key=7; enrol 2 by=1 key=7; enrol 3 by=1 key=8",
        &expect![[r#"
            > join-token 1 uses=2
            JoinTokenCreated { token: join_1, kind: Node }
            > enrol 1 by=1 key=7
            NodeEnrolled { node: node_1, name: "n1", token: join_1, approved: true }
            > enrol 2 by=1 key=7
            NodeEnrolled { node: node_1, name: "n1", token: join_1, approved: true }
            > enrol 3 by=1 key=8
            NodeEnrolled { node: node_3, name: "n3", token: join_1, approved: true }
        "#]],
    );
}

#[test]
fn an_expired_or_revoked_token_lets_nobody_in() {
    check(
        "join-token 1 ttl=10; join-token 2; at 10; enrol 1 by=1; revoke-join 2; enrol 1 by=2",
        &expect![[r#"
            > join-token 1 ttl=10
            JoinTokenCreated { token: join_1, kind: Node }
            > join-token 2
            JoinTokenCreated { token: join_2, kind: Node }
            > enrol 1 by=1
            Refused { reason: JoinTokenExpired(join_1) }
            > revoke-join 2
            JoinTokenRevoked { token: join_2 }
            > enrol 1 by=2
            Refused { reason: JoinTokenUnknown(join_2) }
        "#]],
    );
}

#[test]
fn the_lifetime_of_a_token_counts_from_the_entry_that_made_it() {
    check(
        "at 500; join-token 1 ttl=10 uses=2; at 509; enrol 1 by=1; at 510; enrol 2 by=1",
        &expect![[r#"
            > join-token 1 ttl=10 uses=2
            JoinTokenCreated { token: join_1, kind: Node }
            > enrol 1 by=1
            NodeEnrolled { node: node_1, name: "n1", token: join_1, approved: true }
            > enrol 2 by=1
            Refused { reason: JoinTokenExpired(join_1) }
        "#]],
    );
}

#[test]
fn a_machine_waits_for_approval_when_the_token_says_so() {
    check(
        "join-token 1 approval; enrol 1 by=1; approve 1 | approve 1; approve 2",
        &expect![[r#"
            > approve 1

            > approve 2
            Refused { reason: EnrolmentUnknown(node_2) }
        "#]],
    );
}

#[test]
fn a_machine_joins_under_a_free_name_and_keeps_it_whatever_it_says_later() {
    check(
        "join-token 1 uses=9; enrol 1 by=1; node 8 name=n3; node 1 name=impostor | \
         node 9 name=n1; enrol 3 by=1; node 2 name=n1",
        &expect![[r#"
            > node 9 name=n1
            Refused { reason: NameTaken("n1") }
            > enrol 3 by=1
            Refused { reason: NameTaken("n3") }
            > node 2 name=n1
            Refused { reason: NameTaken("n1") }
        "#]],
    );
}

#[test]
fn a_removed_node_must_join_anew() {
    check(
        "join-token 1 uses=2; enrol 1 by=1 key=7; remove 1; remove 1; enrol 2 by=1 key=7",
        &expect![[r#"
            > join-token 1 uses=2
            JoinTokenCreated { token: join_1, kind: Node }
            > enrol 1 by=1 key=7
            NodeEnrolled { node: node_1, name: "n1", token: join_1, approved: true }
            > remove 1
            NodeRemoved { node: node_1 }
            > remove 1
            Refused { reason: NodeUnknown(node_1) }
            > enrol 2 by=1 key=7
            NodeEnrolled { node: node_2, name: "n2", token: join_1, approved: true }
        "#]],
    );
}

#[test]
fn an_ephemeral_node_is_forgotten_when_it_leaves_or_is_lost() {
    check(
        "join-token 1 uses=2 ephemeral; enrol 1 by=1; enrol 2 by=1; node 1; node 2 | left 1; \
         lose 2",
        &expect![[r#"
            > left 1
            NodeChanged { node: node_1, state: Left }
            AgentRemoved { agent: agent_1 }
            NodeRemoved { node: node_1 }
            > lose 2
            NodeChanged { node: node_2, state: Lost }
            AgentRemoved { agent: agent_2 }
            NodeRemoved { node: node_2 }
        "#]],
    );
}

#[test]
fn an_old_start_and_a_copy_of_a_node_are_refused() {
    check(
        "node 1 starts=5 instance=1; node 1 starts=4 instance=2; node 1 starts=5 instance=2; \
         node 1 starts=5 instance=1; node 1 starts=6 instance=2",
        &expect![[r#"
            > node 1 starts=5 instance=1
            NodeRegistered { node: node_1, instance: inst_1, name: "n1" }
            AgentCreated { agent: agent_1, name: "n1", node: node_1 }
            > node 1 starts=4 instance=2
            Refused { reason: InstanceOld(node_1) }
            > node 1 starts=5 instance=2
            Refused { reason: NodeCloned(node_1) }
            > node 1 starts=5 instance=1
            NodeRegistered { node: node_1, instance: inst_1, name: "n1" }
            > node 1 starts=6 instance=2
            NodeRegistered { node: node_1, instance: inst_2, name: "n1" }
        "#]],
    );
}

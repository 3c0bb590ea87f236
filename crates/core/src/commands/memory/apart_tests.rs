//! What makes two logs that tell each other of their writes come to the same entry.

use crate::script::check;
use expect_test::expect;

#[test]
fn of_two_writes_of_one_moment_the_same_one_wins_wherever_they_meet() {
    // The first entry here is of moment (100, 1): its version is what tells it from others of that
    // millisecond. The hash of `1` is larger than that of `2`, so `1` stays, and `1` replaces `2`.
    check(
        "at 100; put a value=2; put b value=1 | put a value=1 stamp=100:7:1 saw=7:1; \
         put b value=2 stamp=100:7:2 saw=7:1; put a value=2 stamp=100:7:1 saw=7:1",
        &expect![[r#"
            > put a value=1 stamp=100:7:1 saw=7:1
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(3), replaced: Some(MemoryVersion(1)), bytes: 2, expires_at: None }
            > put b value=2 stamp=100:7:2 saw=7:1
            MemoryRefused { item: 0, namespace: "swarm", key: "b", reason: Superseded { current: MemoryVersion(2) } }
            > put a value=2 stamp=100:7:1 saw=7:1
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: Superseded { current: MemoryVersion(3) } }
        "#]],
    );
}

#[test]
fn whoever_wrote_the_same_has_nothing_to_decide_about() {
    check(
        "space swarm rule=:manual; put a value=1 | put a value=1 stamp=9:7 saw=7:1; \
         put a value=2 stamp=9:8 saw=8:1; entries",
        &expect![[r#"
            > put a value=1 stamp=9:7 saw=7:1
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(2), replaced: Some(MemoryVersion(1)), bytes: 2, expires_at: None }
            MemoryConflict { namespace: "swarm", key: "a", version: MemoryVersion(1), current: MemoryVersion(2), open: false }
            > put a value=2 stamp=9:8 saw=8:1
            MemoryConflict { namespace: "swarm", key: "a", version: MemoryVersion(3), current: MemoryVersion(2), open: true }
            > entries
            swarm: 1 entries, 2 bytes
            a at 2, ends None, deleted false, open [3]
        "#]],
    );
}

#[test]
fn a_write_that_saw_what_waits_decides_about_it() {
    check(
        "space swarm rule=:manual; put a value=1; put a value=2 stamp=9:7 saw=7:1; \
         put a value=3 stamp=9:8 saw=8:1 | put a value=4 stamp=9:7 saw=0:1 saw=7:2; entries",
        &expect![[r#"
            > put a value=4 stamp=9:7 saw=0:1 saw=7:2
            MemoryConflictSettled { namespace: "swarm", key: "a", version: MemoryVersion(2) }
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(4), replaced: Some(MemoryVersion(1)), bytes: 2, expires_at: None }
            > entries
            swarm: 1 entries, 2 bytes
            a at 4, ends None, deleted false, open [3]
        "#]],
    );
}

#[test]
fn two_results_of_one_merge_become_one() {
    check(
        "space swarm rule=:merge; put a value=2 stamp=9:7 saw=7:1 saw=8:1 | \
         put a value=1 stamp=9:7 saw=7:1 saw=8:1; put a value=2 stamp=9:7 saw=7:1 saw=8:1; \
         put a value=1 stamp=9:7 saw=7:1 saw=8:1",
        &expect![[r#"
            > put a value=1 stamp=9:7 saw=7:1 saw=8:1
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(2), replaced: Some(MemoryVersion(1)), bytes: 2, expires_at: None }
            > put a value=2 stamp=9:7 saw=7:1 saw=8:1
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: Superseded { current: MemoryVersion(2) } }
            > put a value=1 stamp=9:7 saw=7:1 saw=8:1
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: Superseded { current: MemoryVersion(2) } }
        "#]],
    );
}

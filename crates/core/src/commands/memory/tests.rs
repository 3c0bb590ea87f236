//! What writes to shared memory come to, one rule at a time.

use crate::script::check;
use expect_test::expect;

#[test]
fn conditions_are_compared_with_the_present_version() {
    check(
        "put a if=present; put a if=absent; put a if=absent; put a if=1; put a if=1; del a if=1; \
         del a if=2; del a; put a if=2; put a",
        &expect![[r#"
            > put a if=present
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: Missing }
            > put a if=absent
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(1), replaced: None, bytes: 2, expires_at: None }
            > put a if=absent
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: Exists { current: MemoryVersion(1) } }
            > put a if=1
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(2), replaced: Some(MemoryVersion(1)), bytes: 2, expires_at: None }
            > put a if=1
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: VersionDiffers { wanted: MemoryVersion(1), current: Some(MemoryVersion(2)) } }
            > del a if=1
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: VersionDiffers { wanted: MemoryVersion(1), current: Some(MemoryVersion(2)) } }
            > del a if=2
            MemoryDeleted { namespace: "swarm", key: "a", version: MemoryVersion(3), replaced: Some(MemoryVersion(2)) }
            > del a
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: Missing }
            > put a if=2
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: VersionDiffers { wanted: MemoryVersion(2), current: None } }
            > put a
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(4), replaced: None, bytes: 2, expires_at: None }
        "#]],
    );
}

#[test]
fn a_version_is_never_given_twice_even_to_a_key_that_came_back() {
    check(
        "put a; del a; put a; put b; put a in=other; del a; del b; entries; put c",
        &expect![[r#"
            > put a
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(1), replaced: None, bytes: 2, expires_at: None }
            > del a
            MemoryDeleted { namespace: "swarm", key: "a", version: MemoryVersion(2), replaced: Some(MemoryVersion(1)) }
            > put a
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(3), replaced: None, bytes: 2, expires_at: None }
            > put b
            MemoryWritten { namespace: "swarm", key: "b", version: MemoryVersion(4), replaced: None, bytes: 2, expires_at: None }
            > put a in=other
            MemoryWritten { namespace: "other", key: "a", version: MemoryVersion(3), replaced: None, bytes: 2, expires_at: None }
            > del a
            MemoryDeleted { namespace: "swarm", key: "a", version: MemoryVersion(5), replaced: Some(MemoryVersion(3)) }
            > del b
            MemoryDeleted { namespace: "swarm", key: "b", version: MemoryVersion(6), replaced: Some(MemoryVersion(4)) }
            > entries
            other: 1 entries, 2 bytes
            a at 3, ends None, deleted false, open []
            > put c
            MemoryWritten { namespace: "swarm", key: "c", version: MemoryVersion(7), replaced: None, bytes: 2, expires_at: None }
        "#]],
    );
}

#[test]
fn an_entry_ends_with_its_time_and_can_be_touched() {
    check(
        "put a ttl=1000; put b ttl=1000; touch a ttl=5000; timer; at 999; fire; put b if=absent; \
         at 1000; put b if=absent; fire; timer; touch a; timer; touch x; put c ttl=5",
        &expect![[r#"
            > put a ttl=1000
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(1), replaced: None, bytes: 2, expires_at: Some(UnixMillis(1000)) }
            > put b ttl=1000
            MemoryWritten { namespace: "swarm", key: "b", version: MemoryVersion(2), replaced: None, bytes: 2, expires_at: Some(UnixMillis(1000)) }
            > touch a ttl=5000
            MemoryTouched { namespace: "swarm", key: "a", version: MemoryVersion(1), expires_at: Some(UnixMillis(5000)) }
            > timer
            Some(UnixMillis(1000))
            > fire

            > put b if=absent
            MemoryRefused { item: 0, namespace: "swarm", key: "b", reason: Exists { current: MemoryVersion(2) } }
            > put b if=absent
            MemoryExpired { namespace: "swarm", key: "b", version: MemoryVersion(3), replaced: MemoryVersion(2) }
            MemoryWritten { namespace: "swarm", key: "b", version: MemoryVersion(4), replaced: None, bytes: 2, expires_at: None }
            > fire

            > timer
            Some(UnixMillis(5000))
            > touch a
            MemoryTouched { namespace: "swarm", key: "a", version: MemoryVersion(1), expires_at: None }
            > timer
            None
            > touch x
            MemoryRefused { item: 0, namespace: "swarm", key: "x", reason: Missing }
            > put c ttl=5
            MemoryRefused { item: 0, namespace: "swarm", key: "c", reason: TtlTooShort { given_ms: 5, min_ms: 1000 } }
        "#]],
    );
}

#[test]
fn expired_entries_are_collected() {
    check(
        "put a ttl=1000; put b ttl=2000 | at 1500; fire; timer; at 2000; fire; timer; entries",
        &expect![[r#"
            > fire
            MemoryExpired { namespace: "swarm", key: "a", version: MemoryVersion(3), replaced: MemoryVersion(1) }
            > timer
            Some(UnixMillis(2000))
            > fire
            MemoryExpired { namespace: "swarm", key: "b", version: MemoryVersion(4), replaced: MemoryVersion(2) }
            > timer
            None
            > entries

        "#]],
    );
}

#[test]
fn a_batch_is_done_one_by_one_or_as_a_whole() {
    check(
        "put a; also put b; also put a if=absent; also del b; write; \
         also put c; also del a; also put d if=7; also put e; write all; entries; \
         also put c; also put c if=4; write all",
        &expect![[r#"
            > put a
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(1), replaced: None, bytes: 2, expires_at: None }
            > write
            MemoryWritten { namespace: "swarm", key: "b", version: MemoryVersion(2), replaced: None, bytes: 2, expires_at: None }
            MemoryRefused { item: 1, namespace: "swarm", key: "a", reason: Exists { current: MemoryVersion(1) } }
            MemoryDeleted { namespace: "swarm", key: "b", version: MemoryVersion(3), replaced: Some(MemoryVersion(2)) }
            > write all
            MemoryRefused { item: 0, namespace: "swarm", key: "c", reason: BatchRefused { item: 2 } }
            MemoryRefused { item: 1, namespace: "swarm", key: "a", reason: BatchRefused { item: 2 } }
            MemoryRefused { item: 2, namespace: "swarm", key: "d", reason: VersionDiffers { wanted: MemoryVersion(7), current: None } }
            MemoryRefused { item: 3, namespace: "swarm", key: "e", reason: BatchRefused { item: 2 } }
            > entries
            swarm: 1 entries, 2 bytes
            a at 1, ends None, deleted false, open []
            > write all
            MemoryWritten { namespace: "swarm", key: "c", version: MemoryVersion(4), replaced: None, bytes: 2, expires_at: None }
            MemoryWritten { namespace: "swarm", key: "c", version: MemoryVersion(5), replaced: Some(MemoryVersion(4)), bytes: 2, expires_at: None }
        "#]],
    );
}

#[test]
fn quotas_refuse_what_would_be_too_much_and_nothing_that_makes_room() {
    check(
        "space swarm entries=2 bytes=10 | put a value=123; put b value=123456; put b value=12345; \
         put c; put b value=1234; space swarm entries=1 bytes=5; put b value=12; put a value=1234; \
         del a; entries",
        &expect![[r#"
            > put a value=123
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(1), replaced: None, bytes: 4, expires_at: None }
            > put b value=123456
            MemoryRefused { item: 0, namespace: "swarm", key: "b", reason: Limit { limit: NamespaceBytes, max: 10, given: 11 } }
            > put b value=12345
            MemoryWritten { namespace: "swarm", key: "b", version: MemoryVersion(2), replaced: None, bytes: 6, expires_at: None }
            > put c
            MemoryRefused { item: 0, namespace: "swarm", key: "c", reason: Limit { limit: NamespaceEntries, max: 2, given: 3 } }
            > put b value=1234
            MemoryWritten { namespace: "swarm", key: "b", version: MemoryVersion(3), replaced: Some(MemoryVersion(2)), bytes: 5, expires_at: None }
            > space swarm entries=1 bytes=5
            NamespaceChanged { namespace: "swarm" }
            > put b value=12
            MemoryWritten { namespace: "swarm", key: "b", version: MemoryVersion(4), replaced: Some(MemoryVersion(3)), bytes: 3, expires_at: None }
            > put a value=1234
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: Limit { limit: NamespaceBytes, max: 5, given: 8 } }
            > del a
            MemoryDeleted { namespace: "swarm", key: "a", version: MemoryVersion(5), replaced: Some(MemoryVersion(1)) }
            > entries
            swarm: 1 entries, 3 bytes
            b at 4, ends None, deleted false, open []
        "#]],
    );
}

#[test]
fn a_repeated_request_gets_the_versions_of_the_first_one() {
    check(
        "put x | also put a; also put x if=absent; write idem=k; write idem=k; write idem=k body=1; \
         put x if=absent idem=n; del x; put x if=absent idem=n",
        &expect![[r#"
            > write idem=k
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(2), replaced: None, bytes: 2, expires_at: None }
            MemoryRefused { item: 1, namespace: "swarm", key: "x", reason: Exists { current: MemoryVersion(1) } }
            > write idem=k
            MemoryAlreadyWritten { versions: [Some(MemoryVersion(2)), None] }
            > write idem=k body=1
            Refused { reason: IdempotencyMismatch("k") }
            > put x if=absent idem=n
            MemoryRefused { item: 0, namespace: "swarm", key: "x", reason: Exists { current: MemoryVersion(1) } }
            > del x
            MemoryDeleted { namespace: "swarm", key: "x", version: MemoryVersion(3), replaced: Some(MemoryVersion(1)) }
            > put x if=absent idem=n
            MemoryWritten { namespace: "swarm", key: "x", version: MemoryVersion(4), replaced: None, bytes: 2, expires_at: None }
        "#]],
    );
}

#[test]
fn the_last_writer_wins_by_its_clock() {
    check(
        "at 100; put a | put a stamp=90:7; put a stamp=110:7; put a stamp=105:8; del a stamp=120:8; \
         put a stamp=115:7; put a stamp=300101:7; put a; del a; entries",
        &expect![[r#"
            > put a stamp=90:7
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: Superseded { current: MemoryVersion(1) } }
            > put a stamp=110:7
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(2), replaced: Some(MemoryVersion(1)), bytes: 2, expires_at: None }
            > put a stamp=105:8
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: Superseded { current: MemoryVersion(2) } }
            > del a stamp=120:8
            MemoryDeleted { namespace: "swarm", key: "a", version: MemoryVersion(3), replaced: Some(MemoryVersion(2)) }
            > put a stamp=115:7
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: Superseded { current: MemoryVersion(3) } }
            > put a stamp=300101:7
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: StampAhead { ahead_ms: 300001, max_ms: 300000 } }
            > put a
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(4), replaced: None, bytes: 2, expires_at: None }
            > del a
            MemoryDeleted { namespace: "swarm", key: "a", version: MemoryVersion(5), replaced: Some(MemoryVersion(4)) }
            > entries
            swarm: 0 entries, 0 bytes
            a at 5, ends Some(2592000100), deleted true, open []
        "#]],
    );
}

#[test]
fn a_write_that_saw_the_present_value_replaces_it() {
    check(
        "space swarm rule=v/:vector; at 100; put v/a | put v/a stamp=1:7 saw=0:1 saw=7:1; \
         put v/a stamp=1:7 saw=0:1 saw=7:1; put v/a stamp=200:8 saw=0:1 saw=8:1; \
         put v/a stamp=150:9 saw=0:1 saw=9:1; put v/a stamp=150:9 saw=0:1 saw=9:1; \
         put v/a; put v/a stamp=1:7 saw=0:5 saw=7:2 saw=8:1 saw=9:1; entries",
        &expect![[r#"
            > put v/a stamp=1:7 saw=0:1 saw=7:1
            MemoryWritten { namespace: "swarm", key: "v/a", version: MemoryVersion(2), replaced: Some(MemoryVersion(1)), bytes: 4, expires_at: None }
            > put v/a stamp=1:7 saw=0:1 saw=7:1
            MemoryRefused { item: 0, namespace: "swarm", key: "v/a", reason: Superseded { current: MemoryVersion(2) } }
            > put v/a stamp=200:8 saw=0:1 saw=8:1
            MemoryWritten { namespace: "swarm", key: "v/a", version: MemoryVersion(3), replaced: Some(MemoryVersion(2)), bytes: 4, expires_at: None }
            MemoryConflict { namespace: "swarm", key: "v/a", version: MemoryVersion(2), current: MemoryVersion(3), open: false }
            > put v/a stamp=150:9 saw=0:1 saw=9:1
            MemoryConflict { namespace: "swarm", key: "v/a", version: MemoryVersion(4), current: MemoryVersion(3), open: false }
            > put v/a stamp=150:9 saw=0:1 saw=9:1
            MemoryRefused { item: 0, namespace: "swarm", key: "v/a", reason: Superseded { current: MemoryVersion(3) } }
            > put v/a
            MemoryWritten { namespace: "swarm", key: "v/a", version: MemoryVersion(5), replaced: Some(MemoryVersion(3)), bytes: 4, expires_at: None }
            > put v/a stamp=1:7 saw=0:5 saw=7:2 saw=8:1 saw=9:1
            MemoryWritten { namespace: "swarm", key: "v/a", version: MemoryVersion(6), replaced: Some(MemoryVersion(5)), bytes: 4, expires_at: None }
            > entries
            swarm: 1 entries, 4 bytes
            v/a at 6, ends None, deleted false, open []
        "#]],
    );
}

#[test]
fn values_that_are_to_be_merged_wait_for_their_proposer() {
    check(
        "space swarm rule=m/:merge; put m/a | put m/a stamp=9:7 saw=7:1; \
         put m/a stamp=9:7 saw=7:1 if=1; put m/a stamp=9:7 saw=7:1; \
         del m/a stamp=9:8 saw=8:1; del m/a; put m/a stamp=9:8 saw=8:1",
        &expect![[r#"
            > put m/a stamp=9:7 saw=7:1
            MemoryRefused { item: 0, namespace: "swarm", key: "m/a", reason: MergeNeeded { current: MemoryVersion(1) } }
            > put m/a stamp=9:7 saw=7:1 if=1
            MemoryWritten { namespace: "swarm", key: "m/a", version: MemoryVersion(2), replaced: Some(MemoryVersion(1)), bytes: 4, expires_at: None }
            > put m/a stamp=9:7 saw=7:1
            MemoryRefused { item: 0, namespace: "swarm", key: "m/a", reason: Superseded { current: MemoryVersion(2) } }
            > del m/a stamp=9:8 saw=8:1
            MemoryRefused { item: 0, namespace: "swarm", key: "m/a", reason: Superseded { current: MemoryVersion(2) } }
            > del m/a
            MemoryDeleted { namespace: "swarm", key: "m/a", version: MemoryVersion(3), replaced: Some(MemoryVersion(2)) }
            > put m/a stamp=9:8 saw=8:1
            MemoryWritten { namespace: "swarm", key: "m/a", version: MemoryVersion(4), replaced: None, bytes: 4, expires_at: None }
        "#]],
    );
}

#[test]
fn conflicts_are_kept_until_somebody_settles_them() {
    check(
        "space swarm rule=:manual; put a | put a value=7 stamp=9:7 saw=7:1; put a value=8 stamp=9:8 saw=8:1; \
         put a value=7 stamp=9:7 saw=7:1; put a value=7 stamp=9:7 saw=7:2; entries; put a settle=9; \
         put a settle=3; entries; put a value=8 stamp=9:8 saw=8:1; put a settle=4; \
         put a value=7 stamp=9:7 saw=0:6 saw=7:3 saw=8:1; put a value=5 stamp=9:5 saw=5:1; del a; entries",
        &expect![[r#"
            > put a value=7 stamp=9:7 saw=7:1
            MemoryConflict { namespace: "swarm", key: "a", version: MemoryVersion(2), current: MemoryVersion(1), open: true }
            > put a value=8 stamp=9:8 saw=8:1
            MemoryConflict { namespace: "swarm", key: "a", version: MemoryVersion(3), current: MemoryVersion(1), open: true }
            > put a value=7 stamp=9:7 saw=7:1
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: Superseded { current: MemoryVersion(1) } }
            > put a value=7 stamp=9:7 saw=7:2
            MemoryConflictSettled { namespace: "swarm", key: "a", version: MemoryVersion(2) }
            MemoryConflict { namespace: "swarm", key: "a", version: MemoryVersion(4), current: MemoryVersion(1), open: true }
            > entries
            swarm: 1 entries, 2 bytes
            a at 1, ends None, deleted false, open [3, 4]
            > put a settle=9
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: ConflictUnknown { conflict: MemoryVersion(9) } }
            > put a settle=3
            MemoryConflictSettled { namespace: "swarm", key: "a", version: MemoryVersion(3) }
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(5), replaced: Some(MemoryVersion(1)), bytes: 2, expires_at: None }
            > entries
            swarm: 1 entries, 2 bytes
            a at 5, ends None, deleted false, open [4]
            > put a value=8 stamp=9:8 saw=8:1
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: Superseded { current: MemoryVersion(5) } }
            > put a settle=4
            MemoryConflictSettled { namespace: "swarm", key: "a", version: MemoryVersion(4) }
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(6), replaced: Some(MemoryVersion(5)), bytes: 2, expires_at: None }
            > put a value=7 stamp=9:7 saw=0:6 saw=7:3 saw=8:1
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(7), replaced: Some(MemoryVersion(6)), bytes: 2, expires_at: None }
            > put a value=5 stamp=9:5 saw=5:1
            MemoryConflict { namespace: "swarm", key: "a", version: MemoryVersion(8), current: MemoryVersion(7), open: true }
            > del a
            MemoryConflictSettled { namespace: "swarm", key: "a", version: MemoryVersion(8) }
            MemoryDeleted { namespace: "swarm", key: "a", version: MemoryVersion(9), replaced: Some(MemoryVersion(7)) }
            > entries
            swarm: 0 entries, 0 bytes
            a at 9, ends Some(2592000000), deleted true, open []
        "#]],
    );
}

#[test]
fn a_namespace_keeps_what_was_said_about_it() {
    check(
        "space knowledge entries=5; entries; space knowledge; entries; put a in=run/x; \
         space run/x rule=a:last; del a in=run/x; entries",
        &expect![[r#"
            > space knowledge entries=5
            NamespaceChanged { namespace: "knowledge" }
            > entries
            knowledge: 0 entries, 0 bytes
            > space knowledge
            NamespaceChanged { namespace: "knowledge" }
            > entries

            > put a in=run/x
            MemoryWritten { namespace: "run/x", key: "a", version: MemoryVersion(1), replaced: None, bytes: 2, expires_at: None }
            > space run/x rule=a:last
            NamespaceChanged { namespace: "run/x" }
            > del a in=run/x
            MemoryDeleted { namespace: "run/x", key: "a", version: MemoryVersion(2), replaced: Some(MemoryVersion(1)) }
            > entries
            run/x: 0 entries, 0 bytes
            a at 2, ends Some(2592000000), deleted true, open []
        "#]],
    );
}

#[test]
fn a_secret_namespace_takes_sealed_values_only_and_stays_secret_while_something_is_in_it() {
    check(
        "space swarm secret; put a value=1; put a sealed=xyz near; put a sealed=xyz; space swarm; \
         del a; space swarm; put a value=1; space swarm secret",
        &expect![[r#"
            > space swarm secret
            NamespaceChanged { namespace: "swarm" }
            > put a value=1
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: NotSealed }
            > put a sealed=xyz near
            MemoryRefused { item: 0, namespace: "swarm", key: "a", reason: NotSealed }
            > put a sealed=xyz
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(1), replaced: None, bytes: 4, expires_at: None }
            > space swarm
            Refused { reason: SecrecyTooLate("swarm") }
            > del a
            MemoryDeleted { namespace: "swarm", key: "a", version: MemoryVersion(2), replaced: Some(MemoryVersion(1)) }
            > space swarm
            NamespaceChanged { namespace: "swarm" }
            > put a value=1
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(3), replaced: None, bytes: 2, expires_at: None }
            > space swarm secret
            Refused { reason: SecrecyTooLate("swarm") }
        "#]],
    );
}

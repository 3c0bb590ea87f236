//! What writers from elsewhere cannot make grow: the number of entries, and the clock of an entry.

use crate::script::{World, check};
use expect_test::expect;
use skep_model::event::Event;
use skep_model::limits::REPLICAS_PER_CLOCK_MAX;
use skep_model::memory::{MemoryKey, MemoryRefusal, Namespace};
use skep_model::refusal::LimitName;

#[test]
fn what_is_remembered_as_deleted_takes_a_place_of_its_namespace() {
    check(
        "space swarm entries=2; at 100 | del a stamp=1:7; del b stamp=1:7; del c stamp=1:7; put c; \
         put a; del a; put a; del b stamp=2:7; at 2592000100; fire; put c",
        &expect![[r#"
            > del a stamp=1:7
            MemoryDeleted { namespace: "swarm", key: "a", version: MemoryVersion(1), replaced: None }
            > del b stamp=1:7
            MemoryDeleted { namespace: "swarm", key: "b", version: MemoryVersion(2), replaced: None }
            > del c stamp=1:7
            MemoryRefused { item: 0, namespace: "swarm", key: "c", reason: Limit { limit: NamespaceEntries, max: 2, given: 3 } }
            > put c
            MemoryRefused { item: 0, namespace: "swarm", key: "c", reason: Limit { limit: NamespaceEntries, max: 2, given: 3 } }
            > put a
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(3), replaced: None, bytes: 2, expires_at: None }
            > del a
            MemoryDeleted { namespace: "swarm", key: "a", version: MemoryVersion(4), replaced: Some(MemoryVersion(3)) }
            > put a
            MemoryWritten { namespace: "swarm", key: "a", version: MemoryVersion(5), replaced: None, bytes: 2, expires_at: None }
            > del b stamp=2:7
            MemoryDeleted { namespace: "swarm", key: "b", version: MemoryVersion(6), replaced: None }
            > fire

            > put c
            MemoryWritten { namespace: "swarm", key: "c", version: MemoryVersion(7), replaced: None, bytes: 2, expires_at: None }
        "#]],
    );
}

/// Performs it; gives what it was refused for, if it was.
fn refusal(world: &mut World, statement: &str) -> Option<MemoryRefusal> {
    let before = world.events.len();
    world.perform(statement);
    let refused = |event: &Event| match event {
        Event::MemoryRefused { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    world.events[before..].iter().find_map(refused)
}

fn replicas(world: &World, key: &str) -> usize {
    let namespace: Namespace = Namespace::SWARM.parse().unwrap();
    let key: MemoryKey = key.parse().unwrap();
    let entry = world.state.memory.get(&namespace, &key).unwrap();
    entry.effective_stamp().clock.elsewhere()
}

#[test]
fn the_clock_of_an_entry_does_not_grow_with_each_new_writer() {
    let limit = MemoryRefusal::Limit {
        limit: LimitName::ReplicasPerClockMax,
        max: REPLICAS_PER_CLOCK_MAX as u64,
        given: REPLICAS_PER_CLOCK_MAX as u64 + 1,
    };
    let later: fn(usize) -> String = |writer| format!("stamp={}:{writer}", 1_000 + writer);
    let earlier: fn(usize) -> String = |writer| format!("stamp=1:{writer}");
    for (key, stamp) in [("last", later), ("v/wins", later), ("v/loses", earlier)] {
        let mut world = World::default();
        world.perform("space swarm rule=v/:vector");
        world.perform("at 100");
        world.perform(&format!("put {key}"));
        let put = |world: &mut World, writer: usize| {
            let stamp = stamp(writer);
            refusal(world, &format!("put {key} {stamp} saw={writer}:1"))
        };
        for writer in 1..=REPLICAS_PER_CLOCK_MAX {
            assert_eq!(put(&mut world, writer), None, "{key}: {writer}");
        }
        let one_more = put(&mut world, REPLICAS_PER_CLOCK_MAX + 1);
        assert_eq!(one_more.as_ref(), Some(&limit), "{key}");
        assert_eq!(replicas(&world, key), REPLICAS_PER_CLOCK_MAX, "{key}");
        // Who writes through the log is not in the way of others, nor they in its way.
        assert_eq!(refusal(&mut world, &format!("put {key}")), None, "{key}");
        assert_eq!(refusal(&mut world, &format!("del {key}")), None, "{key}");
    }
}

#[test]
fn a_conflict_is_not_settled_into_a_clock_that_is_too_long() {
    let mut world = World::default();
    world.perform("space swarm rule=:manual");
    let all = |range: std::ops::RangeInclusive<usize>| {
        let seen = range.map(|writer| format!(" saw={writer}:1"));
        seen.collect::<String>()
    };
    let first = all(1..=REPLICAS_PER_CLOCK_MAX);
    assert_eq!(
        refusal(&mut world, &format!("put a stamp=1:1{first}")),
        None
    );
    let apart = format!(
        "put a value=1 stamp=1:{0} saw={0}:1",
        REPLICAS_PER_CLOCK_MAX + 1
    );
    assert_eq!(refusal(&mut world, &apart), None);
    let settled = refusal(&mut world, "put a settle=2");
    assert!(
        matches!(settled, Some(MemoryRefusal::Limit { .. })),
        "{settled:?}"
    );
    assert_eq!(refusal(&mut world, "del a"), None);
}

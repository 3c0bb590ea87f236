//! Shared memory against a simple model of it, and its listing.

use super::MemoryQuery;
use crate::script::{World, portrait};
use proptest::prelude::*;
use skep_model::event::Event;
use skep_model::memory::{MemoryRefusal, Namespace};
use skep_model::time::UnixMillis;
use std::collections::BTreeMap;

/// What a reader without any cleverness would keep: the version of each key, and when it ends.
#[derive(Debug, Default)]
struct Reference {
    entries: BTreeMap<(u8, u8), (u64, Option<u64>)>,
    /// Every version that was ever given, by namespace.
    given: BTreeMap<u8, u64>,
    now: u64,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Put,
    Delete,
    Touch,
}

#[derive(Debug, Clone)]
struct Write {
    namespace: u8,
    key: u8,
    change: Change,
    ttl: Option<u64>,
    /// The present version, as many before it.
    behind: Option<u64>,
    absent: bool,
}

#[derive(Debug, Clone)]
enum Action {
    Write(Write),
    At(u64),
    Fire,
}

fn action() -> impl Strategy<Value = Action> {
    let change = prop_oneof![
        4 => Just(Change::Put),
        2 => Just(Change::Delete),
        1 => Just(Change::Touch),
    ];
    let ttl = proptest::option::of((1..6_u64).prop_map(|seconds| seconds * 1_000));
    let write = (
        1..3_u8,
        1..5_u8,
        change,
        ttl,
        proptest::option::of(0..2_u64),
        proptest::bool::weighted(0.2),
    );
    let write = write.prop_map(|(namespace, key, change, ttl, behind, absent)| {
        Action::Write(Write {
            namespace,
            key,
            change,
            ttl,
            behind,
            absent,
        })
    });
    prop_oneof![
        8 => write,
        2 => (0..20_u64).prop_map(|seconds| Action::At(seconds * 1_000)),
        1 => Just(Action::Fire),
    ]
}

impl Reference {
    fn readable(&self, place: (u8, u8)) -> Option<u64> {
        let (version, end) = self.entries.get(&place)?;
        end.is_none_or(|end| end > self.now).then_some(*version)
    }

    fn wanted(&self, write: &Write) -> Option<u64> {
        let current = self.entries.get(&(write.namespace, write.key));
        let current = current.map_or(0, |(version, _)| *version);
        write.behind.map(|behind| current.saturating_sub(behind))
    }

    /// The version that the write should give or leave; `Err` with the present one when it should
    /// be refused.
    fn expect(&self, write: &Write) -> Result<Option<u64>, Option<u64>> {
        let present = self.readable((write.namespace, write.key));
        if write.absent && present.is_some() {
            return Err(present);
        }
        if !write.absent
            && self
                .wanted(write)
                .is_some_and(|wanted| present != Some(wanted))
        {
            return Err(present);
        }
        match write.change {
            Change::Put => Ok(None),
            Change::Delete if present.is_some() => Ok(None),
            Change::Touch if present.is_some() => Ok(present),
            Change::Delete | Change::Touch => Err(None),
        }
    }

    fn learn(&mut self, write: &Write, version: u64) {
        let place = (write.namespace, write.key);
        let end = write.ttl.map(|ttl| self.now + ttl);
        match write.change {
            Change::Put | Change::Touch => {
                self.entries.insert(place, (version, end));
            }
            Change::Delete => {
                self.entries.remove(&place);
            }
        }
    }
}

fn statement(reference: &Reference, write: &Write) -> String {
    let verb = match write.change {
        Change::Put => "put",
        Change::Delete => "del",
        Change::Touch => "touch",
    };
    let condition = if write.absent {
        "if=absent".to_owned()
    } else {
        let wanted = reference.wanted(write);
        wanted.map_or_else(String::new, |wanted| format!("if={wanted}"))
    };
    let ttl = write
        .ttl
        .map_or_else(String::new, |ttl| format!("ttl={ttl}"));
    format!(
        "{verb} k{} in=n{} {condition} {ttl}",
        write.key, write.namespace
    )
}

/// The versions that events gave to a namespace rise without a repetition.
fn note_given(reference: &mut Reference, event: &Event) -> Option<u64> {
    let (namespace, _) = event.memory()?;
    let version = match event {
        Event::MemoryWritten { version, .. }
        | Event::MemoryDeleted { version, .. }
        | Event::MemoryExpired { version, .. } => version.0,
        _ => return None,
    };
    let namespace: u8 = namespace.as_str()[1..].parse().unwrap();
    let last = reference.given.insert(namespace, version);
    assert!(
        last.is_none_or(|last| last < version),
        "{event:?} after {last:?}"
    );
    if let Event::MemoryExpired { key, replaced, .. } = event {
        let key = key.as_str()[1..].parse().unwrap();
        let (gone, end) = reference.entries.remove(&(namespace, key)).unwrap();
        assert_eq!(gone, replaced.0, "another entry ended");
        assert!(end.unwrap() <= reference.now, "it ended too early");
    }
    Some(version)
}

fn perform(world: &mut World, reference: &mut Reference, write: &Write) {
    let expected = reference.expect(write);
    let before = world.events.len();
    world.perform(&statement(reference, write));
    let events = world.events[before..].to_vec();
    let given: Vec<_> = events
        .iter()
        .filter_map(|event| note_given(reference, event))
        .collect();
    let answer = events.last().unwrap();
    match (answer, expected) {
        (Event::MemoryRefused { reason, .. }, Err(present)) => {
            let current = reason.current().map(|version| version.0);
            let missing = matches!(reason, MemoryRefusal::Missing);
            assert!(
                missing && present.is_none() || current == present,
                "{reason}"
            );
        }
        (Event::MemoryTouched { version, .. }, Ok(Some(present))) => {
            assert_eq!(version.0, present);
            reference.learn(write, present);
        }
        (Event::MemoryWritten { .. } | Event::MemoryDeleted { .. }, Ok(None)) => {
            reference.learn(write, *given.last().unwrap());
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(192)
    })]

    #[test]
    fn shared_memory_is_what_a_simple_model_says(
        actions in proptest::collection::vec(action(), 1..60),
        cut in 0..60_usize,
    ) {
        let (mut world, mut reference) = (World::default(), Reference::default());
        for (position, action) in actions.iter().enumerate() {
            if position == cut {
                world.restart();
            }
            match action {
                Action::Write(write) => perform(&mut world, &mut reference, write),
                Action::At(at) => {
                    reference.now = reference.now.max(*at);
                    world.perform(&format!("at {}", reference.now));
                }
                Action::Fire => {
                    let before = world.events.len();
                    world.perform("fire");
                    for event in &world.events[before..] {
                        note_given(&mut reference, event);
                    }
                    let left = reference.entries.values();
                    assert!(left.filter_map(|(_, end)| *end).all(|end| end > reference.now));
                }
            }
            for namespace in 1..3_u8 {
                for key in 1..5_u8 {
                    let name: Namespace = format!("n{namespace}").parse().unwrap();
                    let found = world.state.memory_entry(
                        &name,
                        &format!("k{key}").parse().unwrap(),
                        UnixMillis(reference.now),
                    );
                    let found = found.map(|entry| entry.version.0);
                    prop_assert_eq!(found, reference.readable((namespace, key)));
                }
            }
        }
    }
}

/// Keys of the pages of a listing, each of so many entries.
fn pages(world: &World, query: MemoryQuery<'_>) -> Vec<Vec<String>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let query = MemoryQuery {
            after: after.as_ref(),
            ..query
        };
        let page = world.state.memory_list(&query, UnixMillis(100));
        pages.push(page.entries.iter().map(|one| one.key.to_string()).collect());
        after = page.next.cloned();
        if after.is_none() {
            return pages;
        }
    }
}

#[test]
fn entries_are_listed_by_prefix_tag_and_time() {
    let world = World::after(
        "space n rule=d/:last; put a/1 in=n tag=x; at 10; put a/2 in=n tag=x tag=y; \
         put b in=n; put d/1 in=n; del d/1 in=n; at 20; put a/3 in=n ttl=1000; put a/4 in=n tag=y",
    );
    let namespace = "n".parse().unwrap();
    let all = MemoryQuery {
        namespace: &namespace,
        prefix: "",
        tags: &[],
        since: None,
        until: None,
        after: None,
        limit: 10,
    };
    let tags = ["x".parse().unwrap(), "y".parse().unwrap()];
    for (query, expected) in [
        (all, vec![vec!["a/1", "a/2", "a/3", "a/4", "b"]]),
        (
            MemoryQuery { limit: 2, ..all },
            vec![vec!["a/1", "a/2"], vec!["a/3", "a/4"], vec!["b"]],
        ),
        (
            MemoryQuery {
                prefix: "a/",
                limit: 3,
                ..all
            },
            vec![vec!["a/1", "a/2", "a/3"], vec!["a/4"]],
        ),
        (
            MemoryQuery {
                tags: &tags[..1],
                ..all
            },
            vec![vec!["a/1", "a/2"]],
        ),
        (MemoryQuery { tags: &tags, ..all }, vec![vec!["a/2"]]),
        (
            MemoryQuery {
                since: Some(UnixMillis(10)),
                until: Some(UnixMillis(20)),
                ..all
            },
            vec![vec!["a/2", "b"]],
        ),
        (MemoryQuery { prefix: "z", ..all }, vec![vec![]]),
    ] {
        assert_eq!(pages(&world, query), expected, "{query:?}");
    }
}

#[test]
fn a_batch_that_is_refused_leaves_nothing_behind() {
    let script = "space kept rule=k:manual; put k in=kept; put k value=7 in=kept stamp=9:7 saw=7:1; \
         put a ttl=1000; at 2000";
    for batch in [
        "also put a; also put a if=absent",
        "also put new in=other; also del new in=other; also put b if=9",
        "also del k in=kept; also put k in=kept; also put k in=kept settle=9",
        "also put k in=kept settle=2; also put k in=kept stamp=9:8 saw=8:1; also del nothing",
        "also del k in=kept stamp=9:8 saw=0:3; also touch b",
    ] {
        let mut world = World::after(script);
        // Time goes on whatever becomes of the batch.
        world.perform("fire");
        let before = portrait(&world.state);
        for statement in format!("{batch}; write all idem=x").split(';') {
            world.perform(statement);
        }
        assert_eq!(portrait(&world.state), before, "{batch}");
    }
}

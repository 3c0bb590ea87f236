//! Names, values, stamps and settings of shared memory.

use super::*;
use crate::ids::{ReplicaId, RunId};
use crate::limits;
use crate::refusal::LimitName;
use crate::time::UnixMillis;
use std::sync::Arc;

fn put() -> MemoryPut {
    MemoryPut::new(MemoryValue::Json("1".into()))
}

fn write(put: MemoryPut) -> MemoryWrite {
    let namespace = Namespace::SWARM.parse().unwrap();
    let key = "k".parse().unwrap();
    MemoryWrite::new(namespace, key, MemoryChange::Put(Arc::new(put)))
}

#[test]
fn only_allowed_texts_are_names() {
    let long = "x".repeat(65);
    for (text, allowed) in [
        ("swarm", true),
        ("run/run_01", true),
        ("a.b-c/d_e", true),
        (&long[1..], true),
        (&long, false),
        ("", false),
        ("/a", false),
        ("a/", false),
        ("a//b", false),
        ("Swarm", false),
        ("a b", false),
    ] {
        assert_eq!(text.parse::<Namespace>().is_ok(), allowed, "{text:?}");
    }
    for (text, allowed) in [("any text/ü", true), ("", false), ("a\nb", false)] {
        assert_eq!(text.parse::<MemoryKey>().is_ok(), allowed, "{text:?}");
    }
    for (text, allowed) in [("tag", true), ("two words", false), ("", false)] {
        assert_eq!(text.parse::<MemoryTag>().is_ok(), allowed, "{text:?}");
    }
}

#[test]
fn a_run_has_its_namespace() {
    let run = RunId::from_u128(7);
    let namespace = Namespace::of_run(run);
    assert_eq!(namespace.as_str().parse(), Ok(namespace.clone()));
    assert_eq!(namespace.run(), Some(run));
    assert_eq!("run/other".parse::<Namespace>().unwrap().run(), None);
}

#[test]
fn a_write_beyond_a_limit_is_refused_by_its_name() {
    let bytes = |count| MemoryValue::Bytes(vec![0; count].into());
    let limit = |limit, max, given| MemoryRefusal::Limit { limit, max, given };
    let value_max = limits::MEMORY_VALUE_BYTES_MAX;
    let tags = |count: usize| (0..count).map(|tag| tag.to_string().parse().unwrap());
    for (put, expected) in [
        (put(), Ok(())),
        (
            MemoryPut {
                value: bytes(value_max),
                ..put()
            },
            Ok(()),
        ),
        (
            MemoryPut {
                value: bytes(value_max + 1),
                ..put()
            },
            Err(limit(
                LimitName::MemoryValueBytesMax,
                value_max as u64,
                value_max as u64 + 1,
            )),
        ),
        (
            MemoryPut {
                tags: tags(limits::MEMORY_TAGS_MAX + 1).collect(),
                ..put()
            },
            Err(limit(
                LimitName::MemoryTagsMax,
                limits::MEMORY_TAGS_MAX as u64,
                limits::MEMORY_TAGS_MAX as u64 + 1,
            )),
        ),
        (
            MemoryPut {
                ttl_ms: Some(999),
                ..put()
            },
            Err(MemoryRefusal::TtlTooShort {
                given_ms: 999,
                min_ms: 1_000,
            }),
        ),
        (
            MemoryPut {
                ttl_ms: Some(u64::MAX),
                ..put()
            },
            Err(limit(
                LimitName::MemoryTtlMsMax,
                limits::MEMORY_TTL_MS_MAX,
                u64::MAX,
            )),
        ),
    ] {
        assert_eq!(write(put).check(), expected);
    }
}

#[test]
fn vector_clocks_tell_before_from_beside() {
    let clock = |pairs: &[(u128, u64)]| {
        let pairs = pairs.iter();
        VectorClock(
            pairs
                .map(|(id, n)| (ReplicaId::from_u128(*id), *n))
                .collect(),
        )
    };
    for (a, b, expected) in [
        (clock(&[]), clock(&[]), Causality::Equal),
        (clock(&[(1, 0)]), clock(&[]), Causality::Equal),
        (clock(&[(1, 1)]), clock(&[(1, 2)]), Causality::Before),
        (clock(&[(1, 2), (2, 1)]), clock(&[(1, 2)]), Causality::After),
        (clock(&[(1, 2)]), clock(&[(2, 1)]), Causality::Concurrent),
    ] {
        assert_eq!(a.compare(&b), expected, "{a:?} {b:?}");
        let mut both = a.clone();
        both.merge(&b);
        assert!(!matches!(
            both.compare(&b),
            Causality::Before | Causality::Concurrent
        ));
    }
}

#[test]
fn hybrid_time_rises_when_the_clock_does_not() {
    let start = HybridTime {
        wall: UnixMillis(10),
        counter: u32::MAX,
        replica: ReplicaId::HOME,
    };
    for now in [0, 10, 11, 12] {
        let later = start.tick(UnixMillis(now), ReplicaId::HOME);
        assert!(later > start, "{later:?}");
        assert!(later.tick(UnixMillis(now), ReplicaId::HOME) > later);
    }
}

#[test]
fn the_longest_prefix_names_the_strategy() {
    let rule = |prefix: &str, strategy| StrategyRule {
        prefix: prefix.to_owned(),
        strategy,
    };
    let settings = NamespaceSettings {
        strategies: vec![
            rule("a/", ConflictStrategy::VectorClock),
            rule("a/b", ConflictStrategy::Manual),
        ],
        ..NamespaceSettings::default()
    };
    for (key, expected) in [
        ("x", None),
        ("a/x", Some(ConflictStrategy::VectorClock)),
        ("a/bc", Some(ConflictStrategy::Manual)),
    ] {
        assert_eq!(settings.rule(key), expected, "{key}");
    }
}

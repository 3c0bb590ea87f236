//! Versions of shared memory and their search, on real files.

use super::tests::{Fixture, with_history};
use crate::fixtures::{memory, memory_put, memory_record};
use crate::{MemoryNear, MemorySearch, NearValues, SearchedNamespaces};
use skep_coordinator::ports::Journal;
use skep_model::memory::{
    Embedding, MemoryEffect, MemoryKey, MemoryRecord, MemoryValue, MemoryVersion, Namespace,
    RecordState,
};
use skep_model::time::UnixMillis;
use std::sync::Arc;

fn with_memory(effects: Vec<MemoryEffect>) -> Fixture {
    let mut fixture = with_history(vec![], vec![]);
    fixture.journal.commit(&memory(effects)).unwrap();
    fixture
}

fn json(text: &str) -> MemoryValue {
    MemoryValue::Json(format!("{{\"text\": {text:?}}}").as_str().into())
}

fn end(key: &str, version: u64) -> MemoryEffect {
    MemoryEffect::Recorded(Arc::new(memory_record(key, version, RecordState::Deleted)))
}

fn place(key: &str) -> (Namespace, MemoryKey) {
    (Namespace::KNOWLEDGE.parse().unwrap(), key.parse().unwrap())
}

fn read(fixture: &Fixture, key: &str, version: u64) -> Option<MemoryRecord> {
    let (namespace, key) = place(key);
    let version = MemoryVersion(version);
    fixture.archive.memory(&namespace, &key, version).unwrap()
}

fn count(fixture: &Fixture, sql: &str) -> i64 {
    let connection = rusqlite::Connection::open(fixture.archive.path()).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn every_version_is_read_as_it_was_written() {
    let mut noise = vec![0; 3_000];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let values = [
        json("small"),
        json(&"large and regular ".repeat(1_000)),
        MemoryValue::Bytes(noise.into()),
        MemoryValue::Bytes(b"few".as_slice().into()),
        MemoryValue::Artifact {
            blake3: skep_model::attempt::ArtifactHash::of(b"x"),
            bytes: 1 << 30,
        },
        MemoryValue::Sealed(b"little".as_slice().into()),
        MemoryValue::Sealed(vec![7; 3_000].into()),
    ];
    let effects = (1..).zip(values);
    let mut effects: Vec<_> = effects
        .map(|(n, value)| memory_put("a", n, value))
        .collect();
    effects.push(end("a", 8));
    let fixture = with_memory(effects.clone());
    for (version, effect) in (1..).zip(&effects) {
        let MemoryEffect::Recorded(record) = effect else {
            panic!("{effect:?}");
        };
        assert_eq!(read(&fixture, "a", version).as_ref(), Some(&**record));
    }
    assert_eq!(read(&fixture, "a", 9), None);
    assert_eq!(read(&fixture, "b", 1), None);
    let packed =
        "SELECT sum(packed) * 100 + count(*) FROM memory_blobs WHERE length(body) <= bytes";
    assert_eq!(count(&fixture, packed), 203, "noise is not compressed");
}

#[test]
fn the_history_is_paged_newest_first_without_values() {
    let effects = (1..=5).map(|n| memory_put("a", n, json("text"))).collect();
    let fixture = with_memory(effects);
    let (namespace, key) = place("a");
    let page = |before: Option<u64>, limit| {
        let before = before.map(MemoryVersion);
        let heads = fixture
            .archive
            .memory_history(&namespace, &key, before, limit);
        let heads = heads.unwrap();
        assert!(
            heads
                .iter()
                .all(|head| head.record.put.is_none() && head.value_bytes == 16)
        );
        heads
            .iter()
            .map(|head| head.record.version.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), [5, 4]);
    assert_eq!(page(Some(4), 10), [3, 2, 1]);
    assert_eq!(page(Some(1), 10), [0; 0]);
}

#[test]
fn a_history_is_the_same_before_and_after_its_versions_are_listed() {
    let mut fixture = with_memory(vec![
        memory_put("a", 1, json("one")),
        memory_put("b", 2, json("one")),
        memory_put("a", 3, json("two")),
    ]);
    let (namespace, key) = place("a");
    let versions = |fixture: &Fixture, before: Option<u64>, limit| {
        let before = before.map(MemoryVersion);
        let heads = fixture
            .archive
            .memory_history(&namespace, &key, before, limit);
        let heads = heads.unwrap().into_iter();
        heads.map(|head| head.record.version.0).collect::<Vec<_>>()
    };
    let listed = "SELECT count(*) FROM memory_keys";
    assert_eq!(count(&fixture, listed), 0);
    assert_eq!(versions(&fixture, None, 10), [3, 1]);
    fixture.journal.index_search(100).unwrap();
    assert_eq!(count(&fixture, listed), 3);
    assert_eq!(versions(&fixture, None, 10), [3, 1]);
    let more = memory(vec![memory_put("a", 4, json("three")), end("a", 5)]);
    fixture.journal.commit(&more).unwrap();
    assert_eq!(versions(&fixture, None, 10), [5, 4, 3, 1]);
    assert_eq!(versions(&fixture, None, 3), [5, 4, 3]);
    assert_eq!(versions(&fixture, Some(4), 1), [3]);
}

#[test]
fn a_list_of_versions_that_lacks_one_or_has_one_too_many_is_found() {
    for damage in [
        "DELETE FROM memory_keys WHERE version = 1",
        "INSERT INTO memory_keys VALUES ('knowledge', 'a', 9)",
        "UPDATE memory_keys SET key = 'c' WHERE version = 2",
    ] {
        let mut fixture = with_memory(vec![
            memory_put("a", 1, json("one")),
            memory_put("b", 2, json("two")),
        ]);
        fixture.journal.index_search(100).unwrap();
        assert_eq!(fixture.archive.verify_all().unwrap().findings, []);
        let connection = rusqlite::Connection::open(fixture.archive.path()).unwrap();
        connection.execute(damage, []).unwrap();
        let findings = fixture.archive.verify_all().unwrap().findings;
        assert!(!findings.is_empty(), "{damage}");
    }
}

#[test]
fn equal_large_values_are_stored_once_and_writing_twice_changes_nothing() {
    let large = json(&"words ".repeat(1_000));
    let effects = vec![
        memory_put("a", 1, large.clone()),
        memory_put("b", 2, large.clone()),
        memory_put("b", 3, large),
    ];
    let mut fixture = with_memory(effects.clone());
    fixture.journal.commit(&memory(effects)).unwrap();
    assert_eq!(count(&fixture, "SELECT count(*) FROM memory_blobs"), 1);
    assert_eq!(count(&fixture, "SELECT count(*) FROM memory"), 3);
}

#[test]
fn a_version_can_be_touched_and_a_conflict_settled() {
    let conflict = MemoryRecord {
        state: RecordState::Conflict,
        ..memory_record("a", 2, RecordState::Written)
    };
    let (namespace, key) = place("a");
    let expires_at = Some(UnixMillis(77));
    let fixture = with_memory(vec![
        memory_put("a", 1, json("text")),
        MemoryEffect::Recorded(Arc::new(conflict)),
        MemoryEffect::Touched {
            namespace: namespace.clone(),
            key: key.clone(),
            version: MemoryVersion(1),
            expires_at,
        },
        MemoryEffect::Settled {
            namespace,
            key,
            version: MemoryVersion(2),
        },
    ]);
    assert_eq!(read(&fixture, "a", 1).unwrap().expires_at, expires_at);
    assert_eq!(read(&fixture, "a", 2).unwrap().state, RecordState::Lost);
}

fn search(fixture: &Fixture, text: &str) -> Vec<(String, u64)> {
    let search = MemorySearch {
        text: text.to_owned(),
        limit: 10,
        ..MemorySearch::default()
    };
    let found = fixture.archive.search_memory(&search).unwrap();
    let hits = found.hits.iter();
    hits.map(|hit| (hit.key.to_string(), hit.version.0))
        .collect()
}

#[test]
fn the_search_finds_present_versions_by_key_tag_and_text_the_best_first() {
    let mut fixture = with_memory(vec![
        memory_put("topic/bees", 1, json("they collect nectar")),
        memory_put("topic/honey", 2, json("bees make it of nectar")),
        memory_put(
            "other",
            3,
            MemoryValue::Bytes(b"nothing of that".as_slice().into()),
        ),
    ]);
    let none = MemorySearch {
        text: "bees".to_owned(),
        limit: 10,
        ..MemorySearch::default()
    };
    let found = fixture.archive.search_memory(&none).unwrap();
    assert_eq!((found.hits.len(), found.behind), (0, 3));
    assert!(!fixture.journal.idle().unwrap());
    let honey = ("topic/honey".to_owned(), 2);
    let bees = ("topic/bees".to_owned(), 1);
    for (text, expected) in [
        ("bees", vec![bees.clone(), honey.clone()]),
        ("nectar bee", vec![bees.clone(), honey.clone()]),
        ("tag2", vec![honey.clone()]),
        ("nothing", vec![("other".to_owned(), 3)]),
        ("text:nectar", vec![]),
        ("\" OR *", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(search(&fixture, text), expected, "{text:?}");
    }
    let only = MemorySearch {
        namespaces: SearchedNamespaces::Only(vec!["swarm".parse().unwrap()]),
        ..none.clone()
    };
    assert!(
        fixture
            .archive
            .search_memory(&only)
            .unwrap()
            .hits
            .is_empty()
    );
    let below = MemorySearch {
        prefix: "topic/h".to_owned(),
        ..none.clone()
    };
    let found = fixture.archive.search_memory(&below).unwrap();
    assert_eq!(found.hits[0].snippet, "**bees** make it of nectar");
    let second = MemorySearch {
        offset: 1,
        limit: 1,
        ..none
    };
    let found = fixture.archive.search_memory(&second).unwrap();
    assert_eq!((found.hits[0].version.0, found.more), (2, false));
}

#[test]
fn the_search_forgets_what_was_replaced_or_ended() {
    let mut fixture = with_memory(vec![
        memory_put("a", 1, json("old")),
        memory_put("b", 2, json("old")),
        memory_put("c", 3, json("old")),
    ]);
    fixture.journal.index_search(10).unwrap();
    assert_eq!(search(&fixture, "old").len(), 3);
    let later = vec![
        memory_put("a", 4, json("new")),
        memory_put("a", 5, json("newer")),
        end("b", 6),
    ];
    fixture.journal.commit(&memory(later)).unwrap();
    assert_eq!(fixture.journal.index_search(10).unwrap(), 3);
    assert_eq!(search(&fixture, "old"), [("c".to_owned(), 3)]);
    assert_eq!(search(&fixture, "new"), [("a".to_owned(), 5)]);
}

#[test]
fn a_damaged_version_or_value_is_refused_and_found_by_the_doctor() {
    let fixture = with_memory(vec![
        memory_put("a", 1, json("small")),
        memory_put("b", 2, json(&"large ".repeat(1_000))),
        memory_put("c", 3, json("moved")),
    ]);
    let connection = rusqlite::Connection::open(fixture.archive.path()).unwrap();
    for damage in [
        "UPDATE memory SET body = zeroblob(30) WHERE version = 1",
        "UPDATE memory_blobs SET body = zeroblob(30)",
        "UPDATE memory SET version = 9 WHERE version = 3",
    ] {
        assert_eq!(connection.execute(damage, []).unwrap(), 1, "{damage}");
    }
    for (key, version) in [("a", 1), ("b", 2), ("c", 9)] {
        let (namespace, key) = place(key);
        let version = MemoryVersion(version);
        let error = fixture
            .archive
            .memory(&namespace, &key, version)
            .unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
    }
    assert_eq!(fixture.archive.verify_all().unwrap().findings.len(), 3);
}

#[test]
fn the_nearest_values_come_first_and_only_present_ones() {
    let mut fixture = with_memory(vec![
        memory_put("notes/a", 1, json("old")),
        memory_put("notes/a", 9, json("steep")),
        memory_put("notes/b", 2, json("flat")),
        memory_put("notes/c", 3, json("gone")),
        end("notes/c", 4),
        memory_put("other", 10, json("elsewhere")),
    ]);
    fixture.journal.index_search(100).unwrap();
    let near = |values: &[f32], limit| {
        let near = MemoryNear {
            embedding: Embedding::of(values).unwrap(),
            namespaces: SearchedNamespaces::All,
            prefix: "notes/".to_owned(),
            limit,
        };
        fixture.archive.nearest_memory(&near).unwrap()
    };
    let keys = |found: &NearValues| -> Vec<_> {
        let values = found.values.iter();
        values
            .map(|value| (value.key.to_string(), value.version.0))
            .collect()
    };
    let (a, b) = (("notes/a".to_owned(), 9), ("notes/b".to_owned(), 2));
    let steep = near(&[1.0, 9.0], 10);
    assert_eq!(keys(&steep), [a.clone(), b.clone()]);
    assert!((steep.values[0].similarity - 1.0).abs() < 1e-5);
    assert_eq!(keys(&near(&[1.0, 0.0], 10)), [b.clone(), a]);
    assert_eq!(keys(&near(&[1.0, 0.0], 1)), [b]);
    let longer = near(&[1.0, 0.0, 0.0], 10);
    assert_eq!((longer.values.len(), longer.incomparable), (0, 2));
    let near = MemoryNear {
        embedding: Embedding::of(&[1.0, 9.0]).unwrap().of_model("another"),
        namespaces: SearchedNamespaces::All,
        prefix: "notes/".to_owned(),
        limit: 10,
    };
    let other = fixture.archive.nearest_memory(&near).unwrap();
    assert_eq!((other.values.len(), other.incomparable), (0, 2));
}

#[test]
fn the_store_is_found_intact_also_after_a_search_and_further_writes() {
    let mut fixture = with_memory(vec![memory_put("a", 1, json("heron"))]);
    fixture.journal.index_search(10).unwrap();
    // The same connection has looked at the search before, and remembers how it was.
    assert_eq!(search(&fixture, "heron").len(), 1);
    let writes = vec![
        memory_put("a", 2, json("crane")),
        memory_put("b", 3, json("stork")),
    ];
    fixture.journal.commit(&memory(writes)).unwrap();
    fixture.journal.index_search(10).unwrap();
    let report = fixture.archive.verify_all().unwrap();
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| &finding.message)
        .collect();
    assert!(
        !findings.iter().any(|message| message.contains("fts5")),
        "{findings:?}"
    );
}

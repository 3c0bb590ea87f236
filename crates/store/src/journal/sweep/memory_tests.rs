//! Which versions of shared memory go, and which stay.

use super::tests::{DAY, checkpoint, day, sweep_all};
use crate::fixtures::{entries, journal_in, memory, memory_put, memory_record};
use crate::{Archive, RetentionPolicy, SqliteJournal};
use skep_coordinator::ports::Journal;
use skep_model::limits::MEMORY_VERSIONS_KEPT;
use skep_model::memory::{
    MemoryEffect, MemoryKey, MemoryRecord, MemoryValue, Namespace, RecordState,
};
use skep_model::time::UnixMillis;
use std::path::Path;
use std::sync::Arc;

fn value(number: u64) -> MemoryValue {
    let text = format!("\"{number} {}\"", "many words ".repeat(300));
    MemoryValue::Json(text.as_str().into())
}

/// The effect, as of this time.
fn at(time: UnixMillis, effect: MemoryEffect) -> MemoryEffect {
    let MemoryEffect::Recorded(record) = effect else {
        return effect;
    };
    MemoryEffect::Recorded(Arc::new(MemoryRecord {
        written_at: time,
        ..(*record).clone()
    }))
}

fn end(key: &str, version: u64, state: RecordState) -> MemoryEffect {
    MemoryEffect::Recorded(Arc::new(memory_record(key, version, state)))
}

fn write(journal: &mut SqliteJournal, effects: Vec<MemoryEffect>) {
    journal.commit(&memory(effects)).unwrap();
    while journal.idle().unwrap() {}
}

/// A checkpoint, so that what is older is known to be no longer needed.
fn check_in(journal: &mut SqliteJournal, at: UnixMillis) {
    let index = journal.last_index().0 + 1;
    journal.commit(&entries(index..=index)).unwrap();
    checkpoint(journal, index, at, Vec::new());
}

fn versions(path: &Path, key: &str) -> Vec<u64> {
    let archive = Archive::open_as_guest(path).unwrap();
    let namespace: Namespace = Namespace::KNOWLEDGE.parse().unwrap();
    let key: MemoryKey = key.parse().unwrap();
    let heads = archive
        .memory_history(&namespace, &key, None, 1_000)
        .unwrap();
    assert_eq!(archive.verify_all().unwrap().findings, []);
    heads.iter().map(|head| head.record.version.0).collect()
}

fn blobs(path: &Path) -> i64 {
    let connection = rusqlite::Connection::open(path.join("skep.db")).unwrap();
    connection
        .query_row("SELECT count(*) FROM memory_blobs", [], |row| row.get(0))
        .unwrap()
}

fn policy() -> RetentionPolicy {
    RetentionPolicy {
        history_kept_ms: 10 * DAY,
        ..RetentionPolicy::default()
    }
}

#[test]
fn only_the_newest_versions_of_a_key_stay_and_open_conflicts() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = journal_in(directory.path());
    let kept = u64::from(MEMORY_VERSIONS_KEPT);
    let mut effects = vec![
        memory_put("a", 1, value(1)),
        end("a", 2, RecordState::Conflict),
        end("a", 3, RecordState::Lost),
    ];
    effects.extend((4..4 + kept).map(|n| memory_put("a", n, value(n))));
    effects.push(memory_put("b", 4 + kept, value(1)));
    write(&mut journal, effects);
    let report = sweep_all(&mut journal, day(1), &policy());
    assert_eq!(report.memory_versions, 2, "versions 1 and 3");
    let mut expected: Vec<u64> = (4..4 + kept).rev().collect();
    expected.push(2);
    assert_eq!(versions(directory.path(), "a"), expected);
    assert_eq!(versions(directory.path(), "b"), [4 + kept]);
    assert_eq!(
        blobs(directory.path()),
        kept as i64 + 1,
        "`b` has the value of version 1"
    );
    assert_eq!(
        sweep_all(&mut journal, day(1), &policy()).memory_versions,
        0
    );
}

#[test]
fn old_versions_go_but_for_the_one_that_the_entry_has() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = journal_in(directory.path());
    write(
        &mut journal,
        vec![
            at(day(1), memory_put("present", 1, value(1))),
            at(day(1), memory_put("changed", 2, value(2))),
            at(day(2), memory_put("changed", 3, value(3))),
            at(day(1), memory_put("gone", 4, value(4))),
            at(day(2), end("gone", 5, RecordState::Deleted)),
            at(day(1), memory_put("ended", 6, value(6))),
            at(day(15), end("ended", 7, RecordState::Expired)),
            at(day(2), memory_put("last", 8, value(8))),
        ],
    );
    assert_eq!(
        sweep_all(&mut journal, day(20), &policy()).memory_versions,
        0,
        "no checkpoint"
    );
    check_in(&mut journal, day(20));
    for _ in 0..2 {
        sweep_all(&mut journal, day(20), &policy());
    }
    for (key, expected) in [
        ("present", vec![1]),
        ("changed", vec![3]),
        ("gone", vec![]),
        ("ended", vec![7]),
        ("last", vec![8]),
    ] {
        assert_eq!(versions(directory.path(), key), expected, "{key}");
    }
    assert_eq!(blobs(directory.path()), 3);
}

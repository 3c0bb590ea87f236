//! What a compaction removes, what it leaves, and what it says.

use crate::compaction::{CompactionError, CompactionReport};
use crate::fixtures::{memory, memory_put, options};
use crate::{Archive, DataDir, SqliteJournal, Store};
use skep_coordinator::ports::Journal;
use skep_model::limits::MEMORY_VERSIONS_KEPT;
use skep_model::memory::{MemoryValue, Namespace};
use std::path::Path;
use std::time::Duration;

/// Far more than the steps need.
const WAIT: Duration = Duration::from_mins(1);
/// Hashes, of 64 characters each, in a value that lies beside its row and hardly becomes smaller.
const VALUE_HASHES: usize = 200;

fn value(number: u64) -> MemoryValue {
    let hash = |part: usize| {
        let text = format!("{number} {part}");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    };
    let text: String = (0..VALUE_HASHES).map(hash).collect();
    MemoryValue::Json(format!("\"{text}\"").as_str().into())
}

fn open(path: &Path) -> (DataDir, SqliteJournal) {
    let dir = DataDir::open(path, options()).unwrap();
    let journal = Store::open(&dir).unwrap().recover().unwrap().1;
    (dir, journal)
}

fn write(journal: &mut SqliteJournal, key: &str, versions: std::ops::RangeInclusive<u64>) {
    let effects = versions.map(|version| memory_put(key, version, value(version)));
    journal.commit(&memory(effects.collect())).unwrap();
    while journal.idle().unwrap() {}
}

/// Asks for it beside the journal, which does the steps.
fn compact(
    dir: &DataDir,
    journal: &mut SqliteJournal,
    scope: Option<Namespace>,
) -> Result<CompactionReport, CompactionError> {
    let compactor = dir.compactor().clone();
    let asked = std::thread::spawn(move || compactor.compact(scope, WAIT));
    while !asked.is_finished() {
        journal.idle().unwrap();
        std::thread::yield_now();
    }
    asked.join().unwrap()
}

#[test]
fn what_nothing_keeps_is_removed_and_the_files_become_smaller() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, mut journal) = open(directory.path());
    let last = u64::from(MEMORY_VERSIONS_KEPT) + 200;
    write(&mut journal, "a", 1..=last);
    write(&mut journal, "b", last + 1..=last + 1);
    // As after a fault: a value that no version has.
    let path = directory.path().join("skep.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute(
            "INSERT INTO memory_blobs (hash, packed, bytes, body) VALUES (zeroblob(32), 0, 9, x'00')",
            [],
        )
        .unwrap();
    assert!(!journal.is_upkeep_wanted());
    let report = compact(&dir, &mut journal, None).unwrap();
    assert!(report.finished, "{report:?}");
    assert_eq!((report.versions, report.values), (200, 1), "{report:?}");
    assert!(report.search_writes > 0, "{report:?}");
    assert!(report.pages_returned > 100, "{report:?}");
    let sum = |bytes: crate::StoreBytes| bytes.database + bytes.wal;
    assert!(sum(report.after) < sum(report.before) / 2, "{report:?}");
    assert_eq!((report.after.free, report.after.wal), (0, 0), "{report:?}");
    assert!(report.wal_emptied);
    assert_eq!(report.after.database, path.metadata().unwrap().len());
    assert!(!journal.is_upkeep_wanted());

    let archive = Archive::open_as_guest(directory.path()).unwrap();
    assert_eq!(archive.verify_all().unwrap().findings, []);
    let namespace: Namespace = Namespace::KNOWLEDGE.parse().unwrap();
    for (key, kept) in [("a", MEMORY_VERSIONS_KEPT as usize), ("b", 1)] {
        let key = key.parse().unwrap();
        let history = archive.memory_history(&namespace, &key, None, 1_000);
        assert_eq!(history.unwrap().len(), kept, "{key}");
    }
    let again = compact(&dir, &mut journal, None).unwrap();
    assert_eq!((again.versions, again.values), (0, 0));
}

#[test]
fn versions_of_other_namespaces_stay() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, mut journal) = open(directory.path());
    write(&mut journal, "a", 1..=u64::from(MEMORY_VERSIONS_KEPT) + 5);
    let other = compact(&dir, &mut journal, Some("other".parse().unwrap())).unwrap();
    assert_eq!((other.versions, other.finished), (0, true));
    let own = Namespace::KNOWLEDGE.parse().unwrap();
    assert_eq!(compact(&dir, &mut journal, Some(own)).unwrap().versions, 5);
}

#[test]
fn who_asks_for_less_time_than_it_takes_is_told_how_far_it_came() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, mut journal) = open(directory.path());
    write(&mut journal, "a", 1..=3);
    let early = dir.compactor().compact(None, Duration::ZERO).unwrap();
    assert!(!early.finished);
    assert!(journal.is_upkeep_wanted());
    let other = Some("other".parse().unwrap());
    assert_eq!(
        dir.compactor().compact(other, Duration::ZERO),
        Err(CompactionError::OtherUnderWay(None))
    );
    assert!(compact(&dir, &mut journal, None).unwrap().finished);
}

#[test]
fn a_journal_that_ends_ends_the_compaction() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, journal) = open(directory.path());
    let compactor = dir.compactor().clone();
    assert!(!compactor.compact(None, Duration::ZERO).unwrap().finished);
    let asked = std::thread::spawn({
        let compactor = compactor.clone();
        move || compactor.compact(None, WAIT)
    });
    drop(journal);
    let stopped = Err(CompactionError::Failed("the coordinator stops".to_owned()));
    assert_eq!(asked.join().unwrap(), stopped);
    assert_eq!(compactor.compact(None, WAIT), stopped);
}

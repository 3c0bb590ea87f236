//! The spool survives what a crash can do to its file, and says nothing that is not on disk.

use super::{SpoolFile, SpoolQueue, SpoolWriter};
use crate::SPOOL_COMPACT_BYTES;
use crate::inbox::{Inbox, Note};
use skep_model::attempt::{AttemptReport, Fence, LogIndex, Outcome, ResourceUse};
use skep_model::ids::TaskId;
use skep_wire::payload::AttemptKey;
use std::fs;
use std::path::Path;
use std::sync::Arc;

fn report(number: u64) -> Arc<AttemptReport> {
    Arc::new(AttemptReport {
        task: TaskId::from_u128(u128::from(number)),
        fence: Fence {
            epoch: 1,
            index: LogIndex(number),
        },
        outcome: Outcome::Exited { code: 3 },
        exit_code: Some(3),
        duration_ms: number,
        usage: ResourceUse::default(),
        isolation: None,
        artifacts: Vec::new(),
        gates: Vec::new(),
        account: None,
    })
}

fn key(number: u64) -> AttemptKey {
    AttemptKey::from(&*report(number))
}

/// The numbers of the results that a fresh process finds.
fn recovered(directory: &Path) -> Vec<u64> {
    let (_, reports) = SpoolFile::open(directory).unwrap();
    reports.iter().map(|report| report.duration_ms).collect()
}

#[test]
fn unanswered_results_are_there_after_a_restart_and_answered_ones_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, found) = SpoolFile::open(directory.path()).unwrap();
    assert!(found.is_empty());
    spool.append(&[report(1), report(2)]).unwrap();
    spool.append(&[report(3)]).unwrap();
    spool.sync().unwrap();
    spool.forget(&[key(2)]).unwrap();
    let (_, found) = SpoolFile::open(directory.path()).unwrap();
    assert_eq!(
        found,
        [report(1), report(3)].map(|report| (*report).clone())
    );
}

#[test]
fn a_tail_torn_at_any_byte_costs_only_what_was_not_synced() {
    let origin = tempfile::tempdir().unwrap();
    let (mut spool, _) = SpoolFile::open(origin.path()).unwrap();
    let mut ends = Vec::new();
    for number in 1..=3 {
        spool.append(&[report(number)]).unwrap();
        ends.push(spool.bytes_on_disk() as usize);
    }
    let whole = fs::read(origin.path().join("results")).unwrap();
    for cut in 0..=whole.len() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("results"), &whole[..cut]).unwrap();
        let survivors = ends.iter().filter(|end| **end <= cut).count() as u64;
        let expected: Vec<u64> = (1..=survivors).collect();
        assert_eq!(recovered(directory.path()), expected, "cut at byte {cut}");
        // What comes later is not hidden by what was torn.
        let (mut spool, _) = SpoolFile::open(directory.path()).unwrap();
        spool.append(&[report(9)]).unwrap();
        let expected: Vec<u64> = expected.into_iter().chain([9]).collect();
        assert_eq!(
            recovered(directory.path()),
            expected,
            "appended after a cut at {cut}"
        );
    }
}

#[test]
fn a_flipped_bit_in_the_last_record_is_noticed() {
    let origin = tempfile::tempdir().unwrap();
    let (mut spool, _) = SpoolFile::open(origin.path()).unwrap();
    spool.append(&[report(1)]).unwrap();
    let first_end = spool.bytes_on_disk() as usize;
    spool.append(&[report(2)]).unwrap();
    let path = origin.path().join("results");
    let whole = fs::read(&path).unwrap();
    for at in first_end..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        assert_eq!(recovered(origin.path()), [1], "bit flipped in byte {at}");
    }
}

#[test]
fn a_file_of_another_format_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("results");
    fs::write(&path, b"skepspl9 and more").unwrap();
    SpoolFile::open(directory.path()).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), b"skepspl9 and more");
}

#[test]
fn the_file_stays_small_however_many_results_pass_through_it() {
    const BATCH: u64 = 1_000;
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = SpoolFile::open(directory.path()).unwrap();
    // One result is never answered, so that the file is never simply emptied.
    spool.append(&[report(0)]).unwrap();
    let mut largest = 0;
    for batch in 0..150 {
        let numbers: Vec<u64> = (1..=BATCH).map(|number| batch * BATCH + number).collect();
        let reports: Vec<_> = numbers.iter().map(|number| report(*number)).collect();
        spool.append(&reports).unwrap();
        let keys: Vec<_> = numbers.iter().map(|number| key(*number)).collect();
        spool.forget(&keys).unwrap();
        largest = largest.max(spool.bytes_on_disk());
    }
    assert!(largest < SPOOL_COMPACT_BYTES + (1 << 20), "{largest}");
    assert!(spool.bytes_on_disk() < largest, "it was written anew");
    assert_eq!(recovered(directory.path()), [0]);
}

#[tokio::test]
async fn a_batch_is_on_disk_when_the_event_loop_hears_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = SpoolFile::open(directory.path()).unwrap();
    let (queue, inbox) = (Arc::new(SpoolQueue::default()), Arc::new(Inbox::default()));
    let thread = SpoolWriter::start(spool, Arc::clone(&queue), Arc::clone(&inbox)).unwrap();
    queue.write(1, vec![report(1), report(2)]);
    let notes = inbox.take().await;
    assert!(matches!(*notes, [Note::Spooled(1)]), "{notes:?}");
    assert_eq!(recovered(directory.path()), [1, 2]);
    queue.forget(vec![key(1)]);
    queue.close();
    thread.join().unwrap();
    assert_eq!(recovered(directory.path()), [2]);
}

#[tokio::test]
async fn a_full_disk_is_waited_for_and_never_called_durable() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = SpoolFile::open(directory.path()).unwrap();
    spool.fill_disk();
    let error = spool.append(&[report(1)]).unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    let (queue, inbox) = (Arc::new(SpoolQueue::default()), Arc::new(Inbox::default()));
    let thread = SpoolWriter::start(spool, Arc::clone(&queue), Arc::clone(&inbox)).unwrap();
    queue.write(1, vec![report(1)]);
    queue.close();
    thread.join().unwrap();
    let notes = inbox.take().await;
    assert!(
        matches!(*notes, [Note::SpoolStalled(1)]),
        "nothing may be called durable that is not on disk: {notes:?}"
    );
}

#[tokio::test]
async fn a_disk_that_refuses_to_sync_breaks_the_spool() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = SpoolFile::open(directory.path()).unwrap();
    spool.break_disk();
    let (queue, inbox) = (Arc::new(SpoolQueue::default()), Arc::new(Inbox::default()));
    let thread = SpoolWriter::start(spool, Arc::clone(&queue), Arc::clone(&inbox)).unwrap();
    queue.write(1, vec![report(1)]);
    let notes = inbox.take().await;
    assert!(matches!(&*notes, [Note::SpoolBroken(_)]), "{notes:?}");
    thread.join().unwrap();
}

//! Recovery of a database that is not as it was written.

use super::tests::{recover, ten_entries};
use crate::StoreError;
use crate::fixtures::{commit_sizes, derived_events, journal_in};
use rusqlite::Connection;
use skep_coordinator::ports::{Commit, Journal};
use skep_model::command::LOG_FORMAT;
use std::path::Path;

/// Changes the database behind the store's back.
fn tamper(path: &Path, sql: &str) {
    let connection = Connection::open(path.join("skep.db")).unwrap();
    assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql}");
}

#[test]
fn a_changed_row_is_refused_and_named() {
    for (sql, place) in [
        (
            "UPDATE log SET body = zeroblob(length(body)) WHERE idx = 7",
            "log entry 7",
        ),
        (
            "UPDATE log SET body = substr(body, 2) WHERE idx = 7",
            "log entry 7",
        ),
        (
            "UPDATE log SET hash = zeroblob(32) WHERE idx = 6",
            "log entry 6",
        ),
        (
            "UPDATE log SET hash = zeroblob(3) WHERE idx = 6",
            "log entry 6",
        ),
        ("DELETE FROM log WHERE idx = 5", "log entry 5"),
        ("DELETE FROM log WHERE idx = 8", "log entry 8"),
        ("UPDATE log SET idx = 77 WHERE idx = 10", "log entry 10"),
        (
            "UPDATE events SET digest = x'00' WHERE idx = 7",
            "log entry 7",
        ),
        (
            "UPDATE anchors SET digest = zeroblob(32)",
            "anchor `checkpoint`",
        ),
        ("UPDATE anchors SET idx = 5", "anchor `checkpoint`"),
        ("UPDATE anchors SET name = 'checkpoinu'", "the checkpoint"),
        (
            "UPDATE live SET body = zeroblob(length(body))",
            "live row 7/",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        ten_entries(dir.path());
        tamper(dir.path(), sql);
        let error = recover(dir.path()).unwrap_err();
        let StoreError::Damaged { place: found, .. } = &error else {
            panic!("{sql}: {error}")
        };
        assert!(found.contains(place), "{sql}: {error}");
        assert!(error.to_string().contains("restore a backup"), "{error}");
    }
}

#[test]
fn a_flipped_bit_in_any_byte_of_a_log_body_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    ten_entries(dir.path());
    let connection = Connection::open(dir.path().join("skep.db")).unwrap();
    let body: Vec<u8> = connection
        .query_row("SELECT body FROM log WHERE idx = 8", [], |row| row.get(0))
        .unwrap();
    let put = |body: &[u8]| {
        connection
            .execute("UPDATE log SET body = ?1 WHERE idx = 8", [body])
            .unwrap();
    };
    assert!(body.len() > 20);
    for at in 0..body.len() {
        let mut changed = body.clone();
        changed[at] ^= 1 << (at % 8);
        put(&changed);
        let error = recover(dir.path()).unwrap_err();
        assert!(
            error.to_string().contains("log entry 8"),
            "byte {at}: {error}"
        );
    }
    put(&body);
    recover(dir.path()).unwrap();
}

#[test]
fn the_lost_end_of_a_log_is_noticed_when_its_events_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = journal_in(dir.path());
    commit_sizes(&mut journal, &[3]);
    journal
        .commit(&Commit {
            derived: derived_events(1..=3),
            ..Commit::default()
        })
        .unwrap();
    drop(journal);
    tamper(dir.path(), "DELETE FROM log WHERE idx = 3");
    let error = recover(dir.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("log entry 3 is damaged: it is missing"),
        "{error}"
    );
}

#[test]
fn an_entry_of_a_newer_format_is_refused_with_both_numbers() {
    let dir = tempfile::tempdir().unwrap();
    ten_entries(dir.path());
    tamper(dir.path(), "UPDATE log SET format = 9 WHERE idx = 6");
    let error = recover(dir.path()).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::UnknownFormat {
                index: 6,
                found: 9,
                known: LOG_FORMAT
            }
        ),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("run the version of skep that wrote it"),
        "{error}"
    );
}

#[test]
fn a_cut_database_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    ten_entries(dir.path());
    let path = dir.path().join("skep.db");
    let length = path.metadata().unwrap().len();
    for kept in [length - 8192, length / 2 / 512 * 512, 1_000, 60] {
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(kept).unwrap();
        let error = recover(dir.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::Damaged { .. }),
            "{kept} bytes: {error:?}"
        );
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let text = "this is not a database ".repeat(100);
    std::fs::write(dir.path().join("skep.db"), &text).unwrap();
    let error = recover(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert_eq!(
        std::fs::read_to_string(dir.path().join("skep.db")).unwrap(),
        text
    );
}

//! Databases that released versions wrote must stay readable.
//!
//! `tests/data/v1/skep.db` holds what `write_first_version` wrote with schema 1 and log format 2
//! (no release wrote log format 1), `tests/data/v2/skep.db` what `write_everything` wrote with
//! schema 2. To make them anew (only while no release has written them), run these tests with
//! `SKEP_WRITE_GOLDEN=1`.

use crate::Archive;
use crate::fixtures::{read_everything, write_everything, write_first_version};
use std::fs;
use std::path::{Path, PathBuf};

fn golden(version: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/v{version}/skep.db"))
}

/// Removes what the second migration made.
fn take_back_to_first_schema(path: &Path) {
    let database = rusqlite::Connection::open(path).unwrap();
    let script = "DROP TABLE memory_vectors; DROP TABLE memory_indexed; DROP TABLE memory_search; DROP TABLE memory_blobs; DROP TABLE memory_keys; \
                  DROP TABLE memory; DELETE FROM migrations WHERE number = 2; \
                  PRAGMA user_version = 1; VACUUM;";
    database.execute_batch(script).unwrap();
}

#[test]
fn a_database_of_the_first_version_opens_with_all_it_holds() {
    let fresh = tempfile::tempdir().unwrap();
    write_first_version(fresh.path());
    if std::env::var_os("SKEP_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(golden(1).parent().unwrap()).unwrap();
        fs::copy(fresh.path().join("skep.db"), golden(1)).unwrap();
        take_back_to_first_schema(&golden(1));
    }
    let old = tempfile::tempdir().unwrap();
    fs::copy(golden(1), old.path().join("skep.db")).unwrap();
    let expected = read_everything(fresh.path()).unwrap();
    assert!(expected.0.contains("task-7-0") && expected.1.contains("nightly"));
    assert_eq!(read_everything(old.path()).unwrap(), expected);
    let archive = Archive::open_as_guest(old.path()).unwrap();
    assert_eq!(archive.search("nightly", None, 10).unwrap().hits.len(), 2);
    assert_eq!(archive.verify_all().unwrap().findings, []);
}

#[test]
fn a_database_with_shared_memory_opens_with_all_it_holds() {
    let fresh = tempfile::tempdir().unwrap();
    write_everything(fresh.path());
    if std::env::var_os("SKEP_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(golden(2).parent().unwrap()).unwrap();
        fs::copy(fresh.path().join("skep.db"), golden(2)).unwrap();
    }
    let old = tempfile::tempdir().unwrap();
    fs::copy(golden(2), old.path().join("skep.db")).unwrap();
    let expected = read_everything(fresh.path()).unwrap();
    assert!(expected.1.contains("much to say") && expected.1.contains("to remember"));
    assert_eq!(read_everything(old.path()).unwrap(), expected);
    let archive = Archive::open_as_guest(old.path()).unwrap();
    assert_eq!(archive.verify_all().unwrap().findings, []);
}

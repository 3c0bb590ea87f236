//! Sources and places that no backup, or not a whole one, can be made of.

use super::tests::{Fixture, NEW_CLUSTER, NOW, WITH_LOGS, names};
use super::{BackupError, LeftOut, WhyLeftOut, create, restore, verify};
use crate::StoreError;
use crate::fixtures::{commit_sizes, journal_in};
use skep_model::attempt::ArtifactHash;
use std::fs;

#[test]
fn only_an_empty_or_new_place_is_filled() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("backup")).unwrap();
    fixture.create("backup").unwrap();
    fs::create_dir(fixture.path("used")).unwrap();
    fs::write(fixture.path("used/thesis.txt"), b"precious").unwrap();
    for place in ["used", "used/thesis.txt", "backup"] {
        let error = fixture.create(place).unwrap_err();
        assert!(
            matches!(error, BackupError::NotEmpty { .. }),
            "{place}: {error}"
        );
        let error = restore(
            &fixture.path("backup"),
            &fixture.path(place),
            NEW_CLUSTER,
            NOW,
        )
        .unwrap_err();
        assert!(
            matches!(error, BackupError::NotEmpty { .. }),
            "{place}: {error}"
        );
    }
    assert_eq!(names(&fixture.path("used")), ["thesis.txt"]);
    for place in ["data/backup", "data"] {
        let error = fixture.create(place).unwrap_err();
        assert!(
            matches!(error, BackupError::InsideDataDirectory { .. }),
            "{place}: {error}"
        );
    }
    let error = create(&fixture.path("used"), &fixture.path("x"), WITH_LOGS).unwrap_err();
    assert!(
        matches!(error, BackupError::NoDataDirectory { .. }),
        "{error}"
    );
}

#[test]
fn a_damaged_source_gives_no_backup() {
    let fixture = Fixture::new();
    let other = rusqlite::Connection::open(fixture.data().join("skep.db")).unwrap();
    other
        .execute("UPDATE log SET body = zeroblob(9) WHERE idx = 2", [])
        .unwrap();
    drop(other);
    let error = fixture.create("backup").unwrap_err();
    assert!(error.to_string().contains("log entry 2"), "{error}");
    assert_eq!(names(&fixture.path("")), ["data"]);
}

#[test]
fn damage_in_the_write_ahead_log_of_a_stopped_coordinator_is_noticed() {
    let fixture = Fixture {
        directory: tempfile::tempdir().unwrap(),
    };
    let mut journal = journal_in(&fixture.data());
    commit_sizes(&mut journal, &[1, 1, 1, 1, 1, 1]);
    // As after a kill: the write-ahead log is still there.
    let killed = fixture.path("killed");
    fs::create_dir(&killed).unwrap();
    for name in ["skep.db", "skep.db-wal", "lock"] {
        fs::copy(fixture.data().join(name), killed.join(name)).unwrap();
    }
    drop(journal);
    create(&killed, &fixture.path("whole"), WITH_LOGS).unwrap();
    let mut log = fs::read(fixture.path("killed/skep.db-wal")).unwrap();
    log[32 + 24 + 100] ^= 1;
    fs::write(killed.join("skep.db-wal"), log).unwrap();
    let error = create(&killed, &fixture.path("backup"), WITH_LOGS).unwrap_err();
    assert!(
        matches!(&error, BackupError::Store(StoreError::Damaged { place, .. }) if place.contains("write-ahead")),
        "{error}"
    );
}

#[test]
fn artifacts_that_are_gone_or_damaged_are_left_out_and_said_to_be() {
    let fixture = Fixture::new();
    let hash = ArtifactHash::of(b"bytes");
    let blob = fixture
        .data()
        .join("blobs")
        .join(super::create::artifact_name(hash));
    for (name, reason) in [("one", WhyLeftOut::Damaged), ("two", WhyLeftOut::Missing)] {
        match reason {
            WhyLeftOut::Damaged => fs::write(&blob, b"bytez").unwrap(),
            WhyLeftOut::Missing => fs::remove_file(&blob).unwrap(),
        }
        let made = fixture.create(name).unwrap();
        assert_eq!(
            made.left_out,
            [LeftOut {
                artifact: hash,
                reason
            }]
        );
        assert_eq!(verify(&fixture.path(name)).unwrap(), made);
        restore(
            &fixture.path(name),
            &fixture.path(&format!("{name}-restored")),
            NEW_CLUSTER,
            NOW,
        )
        .unwrap();
    }
}

//! Backups that are not as they were made.

use super::manifest::{Manifest, Part};
use super::tests::{Fixture, NEW_CLUSTER, NOW};
use super::{BackupError, files, restore, verify};
use rusqlite::Connection;
use std::fs;
use std::path::Path;

/// Bytes that are flipped in a large part.
const FLIPS_PER_PART: usize = 40;

/// Names of all files of a backup, the manifest with them.
fn parts(backup: &Path) -> Vec<String> {
    files::names_below(backup).unwrap()
}

/// The backup must be refused, and be refused to a restore too; gives the message.
#[track_caller]
fn refused(fixture: &Fixture, backup: &Path) -> String {
    let message = verify(backup).unwrap_err().to_string();
    let target = fixture.path("restored");
    assert_eq!(
        restore(backup, &target, NEW_CLUSTER, NOW)
            .unwrap_err()
            .to_string(),
        message
    );
    assert!(!target.exists());
    message
}

#[test]
fn a_flipped_byte_in_any_part_is_refused_with_the_name_of_the_part() {
    let fixture = Fixture::new();
    fixture.create("backup").unwrap();
    let backup = fixture.path("backup");
    let names = parts(&backup);
    assert_eq!(names.len(), 5, "{names:?}");
    for name in names {
        let path = backup.join(&name);
        let whole = fs::read(&path).unwrap();
        let step = (whole.len() / FLIPS_PER_PART).max(1);
        for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&path, &damaged).unwrap();
            let message = verify(&backup).unwrap_err().to_string();
            let expected = format!("part `{name}` is damaged");
            assert!(
                message.starts_with(&expected),
                "byte {at} of {name}: {message}"
            );
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let message = refused(&fixture, &backup);
        assert!(
            message.contains(&format!("part `{name}`")),
            "cut {name}: {message}"
        );
        fs::write(&path, &whole).unwrap();
    }
    verify(&backup).unwrap();
}

#[test]
fn every_byte_of_a_manifest_counts() {
    let fixture = Fixture::new();
    fixture.create("backup").unwrap();
    let text = fs::read(fixture.path("backup/manifest.json")).unwrap();
    for at in 0..text.len() {
        let mut damaged = text.clone();
        damaged[at] ^= 1;
        let Ok(damaged) = String::from_utf8(damaged) else {
            continue;
        };
        let error = Manifest::from_text(&damaged).unwrap_err();
        assert!(
            matches!(error, BackupError::DamagedManifest { .. }),
            "byte {at}: {error}"
        );
    }
    let text = String::from_utf8(text).unwrap();
    for end in 0..text.len() {
        assert!(Manifest::from_text(&text[..end]).is_err(), "cut at {end}");
    }
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        value["format"], 1,
        "it is a document that other tools can read"
    );
}

#[test]
fn a_missing_and_an_additional_part_are_refused_by_name() {
    let fixture = Fixture::new();
    fixture.create("backup").unwrap();
    let backup = fixture.path("backup");
    for name in parts(&backup) {
        let (path, aside) = (backup.join(&name), fixture.path("aside"));
        fs::rename(&path, &aside).unwrap();
        let message = refused(&fixture, &backup);
        assert!(message.contains(&name), "{name}: {message}");
        // A link to the very same bytes is no part.
        std::os::unix::fs::symlink(&aside, &path).unwrap();
        refused(&fixture, &backup);
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
    }
    for name in ["skep.db-wal", "artifacts/ab/more", "notes.txt"] {
        let path = backup.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, b"").unwrap();
        let message = refused(&fixture, &backup);
        assert!(
            message.contains(name) && message.contains("does not belong"),
            "{message}"
        );
        fs::remove_file(&path).unwrap();
    }
    verify(&backup).unwrap();
}

#[test]
fn half_a_backup_is_not_taken_for_one() {
    let fixture = Fixture::new();
    fixture.create("backup").unwrap();
    let backup = fixture.path("backup");
    // The manifest is written last: whatever ends early has none.
    fs::remove_file(backup.join("manifest.json")).unwrap();
    assert!(matches!(
        verify(&backup).unwrap_err(),
        BackupError::NoManifest { .. }
    ));
    assert!(refused(&fixture, &backup).contains("was not finished"));
    let error = verify(&fixture.path("nowhere")).unwrap_err();
    assert!(matches!(error, BackupError::NoManifest { .. }), "{error}");
}

#[test]
fn a_newer_format_is_refused_with_both_numbers() {
    let fixture = Fixture::new();
    fixture.create("backup").unwrap();
    let (mut manifest, _) = Manifest::read(&fixture.path("backup")).unwrap();
    manifest.format = 2;
    fs::write(fixture.path("backup/manifest.json"), manifest.to_text()).unwrap();
    let message = refused(&fixture, &fixture.path("backup"));
    assert!(
        message.contains("format 2") && message.contains("knows 1"),
        "{message}"
    );
}

/// Changes a backup so that all hashes of files fit again: what is wrong lies deeper.
#[test]
fn a_database_that_contradicts_itself_or_the_manifest_is_refused() {
    type Change = fn(&mut Manifest);
    let nothing: Change = |_| {};
    let cases: [(&str, Change, &str); 6] = [
        (
            "UPDATE log SET body = zeroblob(9) WHERE idx = 3",
            nothing,
            "log entry 3",
        ),
        (
            "UPDATE events SET digest = zeroblob(32) WHERE idx = 6",
            nothing,
            "log entry 6",
        ),
        (
            "DELETE FROM log WHERE idx = 10",
            nothing,
            "its log ends at entry 9",
        ),
        (
            "UPDATE meta SET value = zeroblob(16) WHERE name = 'cluster'",
            nothing,
            "its cluster",
        ),
        ("DELETE FROM artifacts", nothing, "the index of artifact"),
        (
            "ANALYZE",
            |manifest| manifest.log.index.0 = 9,
            "the manifest says 9",
        ),
    ];
    for (sql, change, expected) in cases {
        let fixture = Fixture::new();
        fixture.create("backup").unwrap();
        let backup = fixture.path("backup");
        Connection::open(backup.join("skep.db"))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        let (mut manifest, _) = Manifest::read(&backup).unwrap();
        let content = files::measure(&backup.join("skep.db")).unwrap();
        manifest.parts.retain(|part| part.name != "skep.db");
        manifest.parts.push(Part::new("skep.db", content));
        change(&mut manifest);
        fs::write(backup.join("manifest.json"), manifest.to_text()).unwrap();
        let message = refused(&fixture, &backup);
        assert!(message.contains(expected), "{sql}: {message}");
    }
}

#[test]
fn an_artifact_that_the_database_refers_to_must_be_a_part() {
    let fixture = Fixture::new();
    fixture.create("backup").unwrap();
    let backup = fixture.path("backup");
    let (mut manifest, _) = Manifest::read(&backup).unwrap();
    let at = manifest
        .parts
        .iter()
        .position(|part| part.name.starts_with("artifacts"))
        .unwrap();
    let part = manifest.parts.remove(at);
    fs::remove_file(backup.join(&part.name)).unwrap();
    fs::write(backup.join("manifest.json"), manifest.to_text()).unwrap();
    let message = refused(&fixture, &backup);
    let expected = format!("part `{}` is missing", part.name);
    assert!(message.starts_with(&expected), "{message}");
}

#[test]
fn a_manifest_cannot_name_files_outside_the_backup() {
    for name in [
        "../data/secret",
        "/etc/passwd",
        "logs/../../data/secret",
        "artifacts/../x",
        "",
    ] {
        let fixture = Fixture::new();
        fixture.create("backup").unwrap();
        let backup = fixture.path("backup");
        let (mut manifest, _) = Manifest::read(&backup).unwrap();
        let part = manifest.parts[0].clone();
        manifest.parts.push(Part {
            name: name.to_owned(),
            ..part
        });
        fs::write(backup.join("manifest.json"), manifest.to_text()).unwrap();
        refused(&fixture, &backup);
    }
}

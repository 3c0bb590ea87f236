//! What is left after crashes, power cuts and flipped bits.

use crate::fixtures::{
    commit_sizes, entries, entry, journal_in, options, read_everything, write_everything,
};
use crate::{Archive, DataDir, Store, StoreError};
use skep_coordinator::ports::Journal;
use skep_model::attempt::LogIndex;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Tells the test binary that it is the child that crashes, and where.
const CHILD_DIRECTORY: &str = "SKEP_STORE_CRASH_DIRECTORY";
/// Commits before the child ends itself.
const COMMITS_BEFORE_ABORT: u64 = 40;
/// Commits that the parent waits for before it kills the child.
const COMMITS_BEFORE_KILL: u64 = 15;

fn recovered_entries(path: &Path) -> Result<Vec<u64>, StoreError> {
    let dir = DataDir::open(path, options())?;
    let recovered = Store::open(&dir)?.recover()?.0;
    for (index, found, _) in &recovered.entries {
        assert_eq!(*found, entry(index.0, index.0 % 3));
    }
    Ok(recovered
        .entries
        .into_iter()
        .map(|(index, ..)| index.0)
        .collect())
}

/// A data directory with these files and nothing else.
fn directory_of(database: &[u8], wal: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("skep.db"), database).unwrap();
    fs::write(dir.path().join("skep.db-wal"), wal).unwrap();
    dir
}

/// Commits and says so, until it aborts or is killed.
fn crash_in(path: &Path) -> ! {
    let mut journal = journal_in(path);
    let mut out = std::io::stdout();
    for index in 1..=COMMITS_BEFORE_ABORT {
        journal.commit(&entries(index..=index)).unwrap();
        writeln!(out, "\ncommitted {index}").unwrap();
        out.flush().unwrap();
    }
    std::process::abort();
}

fn start_child(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "journal::crash_tests::what_was_acknowledged_survives_a_crash",
        ])
        .arg("--nocapture")
        .env(CHILD_DIRECTORY, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn what_was_acknowledged_survives_a_crash() {
    if let Some(path) = std::env::var_os(CHILD_DIRECTORY) {
        crash_in(Path::new(&path));
    }
    for killed_after in [None, Some(COMMITS_BEFORE_KILL)] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = start_child(dir.path());
        let mut acknowledged = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            if let Some(index) = line.unwrap().strip_prefix("committed ") {
                acknowledged = index.parse().unwrap();
            }
            if Some(acknowledged) == killed_after {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
        assert!(acknowledged >= killed_after.unwrap_or(COMMITS_BEFORE_ABORT));
        let found = recovered_entries(dir.path()).unwrap();
        assert!(
            found.len() as u64 >= acknowledged,
            "{} of {acknowledged}",
            found.len()
        );
        let expected: Vec<u64> = (1..=found.len() as u64).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_power_cut_takes_at_most_the_commit_that_was_being_written() {
    let dir = tempfile::tempdir().unwrap();
    let (database, wal) = (dir.path().join("skep.db"), dir.path().join("skep.db-wal"));
    let mut journal = journal_in(dir.path());
    // Lengths of the write-ahead log after each commit: what is synced by then.
    let mut synced = vec![wal.metadata().map_or(0, |meta| meta.len())];
    for _ in 0..6 {
        commit_sizes(&mut journal, &[2]);
        synced.push(wal.metadata().unwrap().len());
    }
    let (database, wal) = (fs::read(database).unwrap(), fs::read(wal).unwrap());
    for (commits, range) in synced.windows(2).enumerate() {
        let (from, to) = (range[0] as usize, range[1] as usize);
        for cut in (from..to).step_by(3_001) {
            // The end is cut off, or was promised by the file's length and never written.
            let mut zeros = wal[..cut].to_vec();
            zeros.resize(to, 0);
            for wal in [&wal[..cut], &zeros] {
                let image = directory_of(&database, wal);
                let found = recovered_entries(image.path()).unwrap();
                assert_eq!(found.len(), 2 * commits, "cut at {cut} of {to}");
            }
        }
    }
    drop(journal);
}

#[test]
fn a_flipped_bit_in_the_write_ahead_log_does_not_hide_commits() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = journal_in(dir.path());
    commit_sizes(&mut journal, &[1; 8]);
    let database = fs::read(dir.path().join("skep.db")).unwrap();
    let wal = fs::read(dir.path().join("skep.db-wal")).unwrap();
    for at in (40..wal.len() / 2).step_by(5_003) {
        let mut damaged = wal.clone();
        damaged[at] ^= 16;
        let image = directory_of(&database, &damaged);
        let error = recovered_entries(image.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::Damaged { .. }),
            "byte {at}: {error}"
        );
        let kept = fs::read(image.path().join("skep.db-wal")).unwrap();
        assert_eq!(kept, damaged, "the evidence is left as it is");
    }
    assert_eq!(
        recovered_entries(directory_of(&database, &wal).path())
            .unwrap()
            .len(),
        8
    );
    assert_eq!(journal.last_index(), LogIndex(8));
}

#[test]
fn a_flipped_bit_in_the_file_never_changes_what_is_recovered_and_the_doctor_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    write_everything(dir.path());
    let (log, history) = read_everything(dir.path()).unwrap();
    let database = fs::read(dir.path().join("skep.db")).unwrap();
    let used = (0..database.len()).filter(|at| database[*at] != 0);
    let mut refused = 0;
    for at in used.step_by(131) {
        let mut damaged = database.clone();
        damaged[at] ^= 1 << (at % 8);
        let image = directory_of(&damaged, &[]);
        match read_everything(image.path()) {
            Err(_) => refused += 1,
            Ok((found, _)) if found != log => panic!("byte {at} changed what is recovered"),
            Ok((_, found)) if found != history => {
                // An index that lost its way: reads cannot see it, the doctor must.
                let archive = Archive::open_as_guest(image.path()).unwrap();
                let report = archive.verify_all().unwrap();
                assert!(
                    !report.findings.is_empty(),
                    "byte {at} changed the history unseen"
                );
            }
            Ok(_) => {}
        }
    }
    assert!(refused > 20, "{refused}");
}

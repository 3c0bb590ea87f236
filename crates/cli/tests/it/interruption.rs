//! A run that a person breaks off.

use crate::hive::{Process, command, wait_until};
use std::process::Stdio;

/// Milliseconds of what the progress calls them.
fn milliseconds(shown: &str) -> u64 {
    let (number, unit) = shown.trim().split_once(' ').unwrap();
    let number: f64 = number.parse().unwrap();
    match unit {
        "ms" => number as u64,
        "s" => (number * 1_000.0) as u64,
        other => panic!("`{other}` is too long for this test"),
    }
}

#[test]
fn a_run_that_is_broken_off_is_shown_once_and_with_its_whole_time() {
    let directory = tempfile::tempdir().unwrap();
    let plan =
        "name: long\ntasks:\n  short: {run: 'true'}\n  long: {needs: short, run: sleep 600}\n";
    std::fs::write(directory.path().join("plan.yaml"), plan).unwrap();
    let log = directory.path().join("said");
    let said = || std::fs::read_to_string(&log).unwrap();
    let mut run = command(directory.path(), &["run", "plan.yaml"]);
    run.stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap());
    let mut run = Process(run.spawn().unwrap());
    wait_until("the end of the first task", || {
        let said = said();
        if said.contains("short: succeeded") {
            Ok(())
        } else {
            Err(said)
        }
    });
    assert_eq!(run.stop(), Some(130));

    let said = said();
    let line = |part: &str| {
        let lines: Vec<_> = said.lines().filter(|line| line.contains(part)).collect();
        let [line] = lines.as_slice() else {
            panic!("`{part}` should be said once: {said}")
        };
        (*line).to_owned()
    };
    let first = line("short: succeeded");
    let last = line(" cancelled in ");
    let first = milliseconds(first.split("  1/2").next().unwrap());
    let whole = milliseconds(last.split(" in ").last().unwrap());
    assert!(whole >= first, "{said}");
}

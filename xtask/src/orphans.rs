//! Finds processes that outlived what started them, by a variable in their environment.

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may take to end after its parent did.
const SETTLE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

/// Ids of living processes whose environment at their start had `SKEP_HOME` at or below `home`.
pub(crate) fn processes_of(home: &Path) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let wanted = format!("SKEP_HOME={}", home.display());
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let owned = pids.filter(|pid: &i32| {
        // An empty environment is that of a zombie or a kernel thread.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry.starts_with(wanted.as_bytes()))
    });
    owned.filter_map(Pid::from_raw).collect()
}

/// Waits until no process of `home` lives; kills those that stay, and fails naming them.
pub(crate) fn none_left(home: &Path) -> Result<()> {
    let start = Instant::now();
    let mut left = processes_of(home);
    while !left.is_empty() && start.elapsed() < SETTLE {
        thread::sleep(POLL);
        left = processes_of(home);
    }
    if left.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = left.iter().map(|pid| describe(*pid)).collect();
    for pid in left {
        // It may have ended just now; then there is nothing to do.
        let _ = kill_process(pid, Signal::KILL);
    }
    bail!(
        "processes were left behind and are killed now: {}",
        names.join("; ")
    );
}

fn describe(pid: Pid) -> String {
    let pid = pid.as_raw_nonzero();
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&line).replace('\0', " ");
    format!("{pid} `{}`", words.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_that_stays_is_named_and_killed() {
        let home = tempfile::tempdir().unwrap();
        none_left(home.path()).unwrap();
        let mut child = Command::new("sleep")
            .arg("600")
            .env("SKEP_HOME", home.path())
            .spawn()
            .unwrap();
        // The kernel shows the environment a moment after the start has returned.
        let start = Instant::now();
        while processes_of(home.path()).is_empty() {
            assert!(start.elapsed() < SETTLE, "`{}` did not show up", child.id());
            thread::yield_now();
        }
        let error = none_left(home.path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{} `sleep 600`", child.id())),
            "{error}"
        );
        assert!(!child.wait().unwrap().success());
        none_left(home.path()).unwrap();
    }
}

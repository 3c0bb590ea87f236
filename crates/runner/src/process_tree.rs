//! Finds and signals every descendant of this process, including daemonised ones.
//!
//! The supervisor is a child subreaper: whoever loses its parent becomes the supervisor's child,
//! so walking down from the supervisor reaches everything an attempt ever started, whatever
//! sessions and process groups it made for itself.

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, getpid, pidfd_open, pidfd_send_signal, wait,
};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Longest time spent on killing a tree before the survivors are reported.
pub(crate) const KILL_TREE_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest time until all that was stopped stands still.
const STAND_STILL_TIME_MAX: Duration = Duration::from_secs(5);
/// Rounds of stopping what a fork bomb made since the last round.
const FREEZE_ROUNDS_MAX: usize = 64;
/// Pause between two looks at a dying tree.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// A process and the parent under which it was found.
#[derive(Debug, Clone, Copy)]
struct Descendant {
    pid: Pid,
    parent: Pid,
}

/// Sends a signal to every descendant and says to how many.
pub(crate) fn signal_descendants(signal: Signal) -> usize {
    let found = descendants();
    found.iter().filter(|one| send(**one, signal)).count()
}

/// Asks every descendant to end. They stand still until all were asked: a child that is forked
/// between the walk and the signal to its parent would never hear of it. What a program starts
/// because it was asked is left alone.
pub(crate) fn terminate_descendants() {
    stop_descendants();
    signal_descendants(Signal::TERM);
    signal_descendants(Signal::CONT);
}

/// Kills every descendant; answers how many are left at the end of the bound.
pub(crate) fn kill_descendants(mut on_reaped: impl FnMut(Pid, WaitStatus)) -> usize {
    let deadline = Instant::now() + KILL_TREE_TIME_MAX;
    while reap(&mut on_reaped) == Children::Some {
        freeze_descendants();
        signal_descendants(Signal::KILL);
        if Instant::now() > deadline {
            return descendants().len();
        }
        std::thread::sleep(LOOK_AGAIN_AFTER);
    }
    0
}

/// Whether this process has children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Children {
    /// Some live, so descendants may.
    Some,
    /// None, so no descendants either: orphans would be children.
    None,
}

/// Takes in every child that ended.
pub(crate) fn reap(on_reaped: &mut impl FnMut(Pid, WaitStatus)) -> Children {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => on_reaped(pid, status),
            Err(Errno::INTR) => {}
            Ok(None) => return Children::Some,
            Err(_) => return Children::None,
        }
    }
}

/// Stops descendants until a round finds no new one, so that none can fork away from what follows.
fn freeze_descendants() {
    let mut frozen = BTreeSet::new();
    for _ in 0..FREEZE_ROUNDS_MAX {
        let fresh: Vec<_> = descendants()
            .into_iter()
            .filter(|one| frozen.insert(one.pid.as_raw_pid()))
            .collect();
        if fresh.is_empty() {
            return;
        }
        for one in fresh {
            send(one, Signal::STOP);
        }
    }
}

/// Stops all descendants, and waits until none runs any more: a signal is only on its way when it
/// was sent, and until then its process may fork. False if one still runs at the end of the bound.
pub(crate) fn stop_descendants() -> bool {
    let deadline = Instant::now() + STAND_STILL_TIME_MAX;
    loop {
        freeze_descendants();
        if descendants().iter().all(|one| stands_still(one.pid)) {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN_AFTER);
    }
}

/// Whether a process that was told to stop has, or has ended. One that waits for a stopped child
/// to execute its program shows as `D`.
fn stands_still(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid()));
    let state = stat.ok().and_then(|stat| parse_state(&stat));
    matches!(state, None | Some('T' | 't' | 'D' | 'Z' | 'X'))
}

fn parse_state(stat: &str) -> Option<char> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.chars().next()
}

/// Signals through a pidfd after a second look at the parent, so that a process id that was
/// reused since the walk is never hit.
fn send(target: Descendant, signal: Signal) -> bool {
    let Ok(handle) = pidfd_open(target.pid, PidfdFlags::empty()) else {
        return false;
    };
    let still_ours =
        parent_of(target.pid).is_some_and(|now| now == target.parent || now == getpid());
    still_ours && pidfd_send_signal(handle, signal).is_ok()
}

fn descendants() -> Vec<Descendant> {
    let mut found: Vec<Descendant> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut to_visit = vec![getpid()];
    while let Some(parent) = to_visit.pop() {
        for pid in children_of(parent) {
            if seen.insert(pid.as_raw_pid()) {
                found.push(Descendant { pid, parent });
                to_visit.push(pid);
            }
        }
    }
    found
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let threads = format!("/proc/{}/task", parent.as_raw_pid());
    let Ok(threads) = std::fs::read_dir(threads) else {
        return Vec::new(); // it ended since it was listed
    };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| parse_pids(&text))
        .collect()
}

fn parse_pids(text: &str) -> Vec<Pid> {
    text.split_ascii_whitespace()
        .filter_map(|word| Pid::from_raw(word.parse().ok()?))
        .collect()
}

fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    parse_parent(&stat)
}

/// The name in parentheses may itself hold spaces and parentheses, so fields count from its end.
fn parse_parent(stat: &str) -> Option<Pid> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    Pid::from_raw(after_name.split_ascii_whitespace().nth(1)?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_a_hostile_process_name() {
        let parent = parse_parent("17 (a) S 99 (b) R 42 1 1 0").map(Pid::as_raw_pid);
        assert_eq!(parent, Some(42));
        assert_eq!(parse_state("17 (a) S 99 (b) R 42 1 1 0"), Some('R'));
    }

    #[test]
    fn a_child_and_its_child_are_descendants() {
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "cat & echo $!; wait"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = shell.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        let grandchild: i32 = line.trim().parse().unwrap();
        let pids: Vec<i32> = descendants()
            .iter()
            .map(|one| one.pid.as_raw_pid())
            .collect();
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert!(pids.contains(&(shell.id() as i32)), "{pids:?}");
        assert!(pids.contains(&grandchild), "{pids:?} lacks {grandchild}");
    }
}

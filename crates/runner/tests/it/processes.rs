//! Timeouts, stops, and that nothing outlives an attempt.

use crate::fixture::{Fixture, STAGES, is_alive, shell, wait_until};
use serde_json::{Value, json};
use skep_model::attempt::Outcome;
use skep_runner::CancelHandle;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than a stop takes, far less than the sleeps of the scripts.
const PROMPT: Duration = Duration::from_secs(30);

#[test]
fn a_command_that_heeds_term_ends_at_its_timeout() {
    let fixture = Fixture::new();
    let mut spec = shell("trap 'echo got term; exit 0' TERM; echo ready; sleep 300 & wait");
    spec.work.timeout_ms = 300;
    let began = Instant::now();
    let finished = fixture.run(&spec);
    assert_eq!(finished.report.outcome, Outcome::TimedOut);
    assert!(finished.log.contains("got term"), "{}", finished.log);
    assert!(began.elapsed() < PROMPT);
}

#[test]
fn a_command_that_ignores_term_is_killed_after_its_grace() {
    let fixture = Fixture::new();
    let mut spec = shell("trap '' TERM; : > alive; while [ -e alive ]; do sleep 1 || :; done");
    spec.work.timeout_ms = 200;
    spec.work.kill_grace_ms = 200;
    let began = Instant::now();
    let finished = fixture.run(&spec);
    assert_eq!(finished.report.outcome, Outcome::TimedOut);
    assert_eq!(finished.report.exit_code, Some(137));
    assert!(began.elapsed() < PROMPT);
}

#[test]
fn a_stop_from_outside_says_who_wanted_it() {
    let fixture = Fixture::new();
    for expected in [Outcome::Killed, Outcome::Interrupted] {
        let spec = shell("echo ready; sleep 300");
        let cancel = CancelHandle::new().unwrap();
        let report = std::thread::scope(|scope| {
            let running = scope.spawn(|| fixture.run_with(&spec, &cancel, &[]).report);
            wait_until("the command runs", || fixture.log_of(&spec) == "ready\n");
            if expected == Outcome::Killed {
                cancel.kill();
            } else {
                cancel.interrupt();
            }
            running.join().unwrap()
        });
        assert_eq!(report.outcome, expected);
        fixture.runner.forget(spec.task, spec.attempt);
    }
}

#[test]
fn a_stop_reaches_what_is_forked_meanwhile() {
    let fixture = Fixture::new();
    // At most one sleeps at a time, and if the shell is gone nobody kills it.
    let script = "echo ready; while :; do sleep 300 & kill -KILL $!; done";
    for _ in 0..20 {
        let mut spec = shell(script);
        spec.work.kill_grace_ms = PROMPT.as_millis() as u64;
        let cancel = CancelHandle::new().unwrap();
        let (report, took) = std::thread::scope(|scope| {
            let running = scope.spawn(|| fixture.run_with(&spec, &cancel, &[]).report);
            wait_until("it forks", || fixture.log_of(&spec) == "ready\n");
            let stopped = Instant::now();
            cancel.kill();
            (running.join().unwrap(), stopped.elapsed())
        });
        assert_eq!(report.outcome, Outcome::Killed);
        assert!(took < PROMPT, "it took {took:?}");
        fixture.runner.forget(spec.task, spec.attempt);
    }
}

/// The state letters of a process and its children, as the kernel shows them: `T` is stopped, and
/// so is a `D` that waits for a stopped child to execute its program.
fn states(pid: &str) -> Vec<String> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let pids = children.split_whitespace().chain([pid]);
    let state = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let (_, after_name) = stat.rsplit_once(") ").unwrap_or_default();
        after_name.chars().take(1).collect()
    };
    pids.map(state).collect()
}

#[test]
fn a_frozen_attempt_stands_still_with_all_its_processes_and_then_goes_on_to_its_end() {
    let fixture = Fixture::new();
    let enough = fixture.path("enough");
    let wait = format!("while [ ! -e {} ]; do sleep 0.01; done", enough.display());
    let spec = shell(&format!("({wait}) & echo $$; {wait}; wait; echo done"));
    let cancel = CancelHandle::new().unwrap();
    let finished = std::thread::scope(|scope| {
        let running = scope.spawn(|| fixture.run_with(&spec, &cancel, &[]));
        wait_until("the command runs", || fixture.log_of(&spec).ends_with('\n'));
        let pid = fixture.log_of(&spec).trim().to_owned();
        assert!(!cancel.stands_still());
        cancel.freeze();
        wait_until("it stands still", || cancel.stands_still());
        let frozen = states(&pid);
        assert!(frozen.len() > 1, "{frozen:?}");
        let is_still = |state: &String| matches!(state.as_str(), "T" | "D");
        assert!(frozen.iter().all(is_still), "{frozen:?}");
        cancel.thaw();
        wait_until("it goes on", || {
            states(&pid).iter().all(|state| state != "T")
        });
        assert!(!cancel.stands_still());
        std::fs::write(&enough, "").unwrap();
        running.join().unwrap()
    });
    assert_eq!(finished.report.outcome, Outcome::Completed);
    assert!(finished.log.ends_with("done\n"), "{}", finished.log);
}

#[test]
fn the_timeout_of_a_frozen_attempt_does_not_run() {
    let fixture = Fixture::new();
    let mut spec = shell("trap 'echo late; exit 0' TERM; echo ready; sleep 300 & wait");
    spec.work.timeout_ms = 1_000;
    let cancel = CancelHandle::new().unwrap();
    let report = std::thread::scope(|scope| {
        let running = scope.spawn(|| fixture.run_with(&spec, &cancel, &[]).report);
        wait_until("the command runs", || fixture.log_of(&spec) == "ready\n");
        cancel.freeze();
        wait_until("it stands still", || cancel.stands_still());
        let since = Instant::now();
        let timeout = Duration::from_millis(spec.work.timeout_ms);
        wait_until("the timeout would be over", || since.elapsed() > timeout);
        assert!(cancel.stands_still(), "its time does not run");
        assert_eq!(fixture.log_of(&spec), "ready\n");
        cancel.thaw();
        running.join().unwrap()
    });
    assert_eq!(report.outcome, Outcome::TimedOut);
    assert_eq!(fixture.log_of(&spec), "ready\nlate\n");
}

#[test]
fn a_frozen_attempt_that_is_stopped_dies_without_another_step() {
    let fixture = Fixture::new();
    let spec = shell("trap 'echo woke up; exit 0' TERM; echo ready; sleep 300 & wait");
    let cancel = CancelHandle::new().unwrap();
    let report = std::thread::scope(|scope| {
        let running = scope.spawn(|| fixture.run_with(&spec, &cancel, &[]).report);
        wait_until("the command runs", || fixture.log_of(&spec) == "ready\n");
        cancel.freeze();
        wait_until("it stands still", || cancel.stands_still());
        cancel.kill();
        running.join().unwrap()
    });
    assert_eq!(report.outcome, Outcome::Killed);
    assert_eq!(fixture.log_of(&spec), "ready\n");
}

#[test]
fn a_program_waits_for_its_start_while_its_attempt_is_frozen() {
    let fixture = Fixture::new();
    for goes_on in [true, false] {
        let spec = shell("echo ran");
        let cancel = CancelHandle::new().unwrap();
        cancel.freeze();
        let finished = std::thread::scope(|scope| {
            let running = scope.spawn(|| fixture.run_with(&spec, &cancel, &[]));
            wait_until("it stands still", || cancel.stands_still());
            if goes_on {
                cancel.thaw();
            } else {
                cancel.kill();
            }
            running.join().unwrap()
        });
        let expected = if goes_on { "ran\n" } else { "" };
        assert_eq!(finished.log, expected);
        fixture.runner.forget(spec.task, spec.attempt);
    }
}

#[test]
fn an_attempt_that_was_stopped_before_it_began_runs_nothing() {
    let fixture = Fixture::new();
    let cancel = CancelHandle::new().unwrap();
    cancel.kill();
    let finished = fixture.run_with(&shell("echo ran"), &cancel, &[]);
    assert_eq!(finished.report.outcome, Outcome::Killed);
    assert_eq!(finished.log, "");
}

/// A session of its own, deaf to TERM and HUP, its id in the file `pid`. It ends with its
/// directory, so that a test that fails leaves nothing behind.
const DAEMON: &str = "setsid sh -c 'trap \"\" TERM HUP; sh -c \"echo \\$PPID > new; mv new pid\"; \
     while [ -e pid ]; do sleep 1 || :; done' > /dev/null 2>&1 & \
     while [ ! -e pid ]; do sleep 0.01; done";

#[test]
fn a_daemon_is_gone_when_its_command_ended() {
    let fixture = Fixture::new();
    let finished = fixture.run(&shell(&format!("{DAEMON}; cat pid")));
    assert_eq!(finished.report.outcome, Outcome::Completed);
    let pid = finished.log.trim();
    assert!(pid.parse::<u32>().is_ok(), "{}", finished.log);
    assert!(!is_alive(pid), "the daemon {pid} lives");
}

/// Parents that end at once, so that the daemon is an orphan long before its command ends.
#[test]
fn an_orphan_of_several_generations_is_gone_too() {
    let fixture = Fixture::new();
    let orphan = format!("( ( {DAEMON} ) & ) & while [ ! -e pid ]; do sleep 0.01; done; cat pid");
    let finished = fixture.run(&shell(&orphan));
    assert_eq!(finished.report.outcome, Outcome::Completed);
    assert!(
        !is_alive(&finished.log),
        "the daemon {} lives",
        finished.log
    );
}

#[test]
fn a_timeout_reaches_daemons_too() {
    let fixture = Fixture::new();
    let mut spec = shell(&format!("{DAEMON}; sleep 300"));
    spec.work.timeout_ms = 1_000;
    spec.work.kill_grace_ms = 100;
    let marker = format!("{}", fixture.runner.state_dir().display());
    let finished = fixture.run(&spec);
    assert_eq!(finished.report.outcome, Outcome::TimedOut);
    assert_eq!(processes_below(&marker), Vec::<String>::new());
}

#[test]
fn a_fork_bomb_ends_with_its_attempt() {
    let fixture = Fixture::new();
    // It stops by itself when its directory is gone, for the case that this test fails.
    let script = ": > alive; bomb() { sleep 0.02; [ -e alive ] || exit; bomb & sleep 20; }; \
         bomb & bomb & sleep 20";
    let mut spec = shell(script);
    spec.work.timeout_ms = 1_000;
    spec.work.kill_grace_ms = 50;
    let marker = format!("{}", fixture.runner.state_dir().display());
    assert_eq!(fixture.run(&spec).report.outcome, Outcome::TimedOut);
    assert_eq!(processes_below(&marker), Vec::<String>::new());
}

/// What a supervisor is asked to run, with a grace that no test waits for.
fn order(script: &str, directory: &Path) -> Value {
    json!({
        "program": {
            "argv": ["sh", "-c", script],
            "env": { "PATH": std::env::var("PATH").unwrap() },
            "directory": directory,
            "confinement": { "level": "s0", "read": [], "hidden": [], "write": [], "memory_bytes": null },
        },
        "timeout_ms": 600_000,
        "kill_grace_ms": 600_000,
    })
}

fn supervisor() -> Child {
    Command::new(STAGES)
        .arg("attempt-supervisor")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_stop_that_comes_with_the_order_is_heard() {
    let home = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor();
    let mut lifeline = supervisor.stdin.take().unwrap();
    let both = format!("{}\nstop\n", order("sleep 300", home.path()));
    lifeline.write_all(both.as_bytes()).unwrap();
    wait_until("it ends", || supervisor.try_wait().unwrap().is_some());
    let notes = std::io::read_to_string(supervisor.stdout.take().unwrap()).unwrap();
    let last: Value = serde_json::from_str(notes.lines().last().unwrap()).unwrap();
    assert_eq!(last["ended"]["cause"], "stop", "{notes}");
    assert_eq!(
        processes_below(&home.path().display().to_string()),
        Vec::<String>::new()
    );
}

#[test]
fn the_tree_dies_with_the_node() {
    let home = tempfile::tempdir().unwrap();
    let script = format!("echo $$ > main; {DAEMON}; sleep 300");
    let mut supervisor = supervisor();
    let mut lifeline = supervisor.stdin.take().unwrap();
    writeln!(lifeline, "{}", order(&script, home.path())).unwrap();
    let marker = format!("{}", home.path().display());
    wait_until("the daemon runs", || home.path().join("pid").exists());
    let main = std::fs::read_to_string(home.path().join("main")).unwrap();
    assert!(is_alive(&main) && processes_below(&marker).len() >= 2);
    drop(lifeline); // what the kernel does when the node is killed
    supervisor.wait().unwrap();
    assert_eq!(processes_below(&marker), Vec::<String>::new());
}

#[test]
fn a_killed_supervisor_takes_its_command_along_and_is_reported() {
    let fixture = Fixture::new();
    let spec = shell("echo $$ $PPID; sleep 300");
    let report = std::thread::scope(|scope| {
        let running = scope.spawn(|| fixture.run(&spec).report);
        wait_until("the command runs", || fixture.log_of(&spec).ends_with('\n'));
        let log = fixture.log_of(&spec);
        let (main, supervisor) = log.trim().split_once(' ').unwrap();
        let killed = Command::new("kill").args(["-KILL", supervisor]).status();
        assert!(killed.unwrap().success());
        wait_until("the command is gone", || !is_alive(main));
        running.join().unwrap()
    });
    assert_eq!(crate::fixture::error_code(&report), "supervisor_failed");
}

/// Processes whose working directory is below a directory, as `pid command`.
fn processes_below(directory: &str) -> Vec<String> {
    let own_files = std::fs::read_dir("/proc").unwrap().flatten();
    own_files
        .filter(|entry| {
            std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory))
        })
        .map(|entry| {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let pid = entry.file_name();
            format!("{} {}", pid.display(), String::from_utf8_lossy(&command))
        })
        .collect()
}

//! Runs a test again inside a network namespace of its own, so that it may make interfaces.

use std::process::Command;

/// Set inside the namespace.
const INSIDE: &str = "SKEP_TEST_INSIDE_NAMESPACE";
/// Printed once the interfaces are made: what fails before it is this host, what fails after it
/// is the test.
const READY: &str = "the namespace is ready";

/// Whether the caller runs inside the namespace. If not, runs the test `name` there, after the
/// shell script `setup`, and fails as it does. Says so on stderr if this host allows no namespace.
#[track_caller]
#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
pub(crate) fn is_inside(name: &str, setup: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let script = format!("set -e; ip link set lo up; {setup}\necho '{READY}'; exec \"$@\"");
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--net",
            "sh",
            "-c",
            &script,
            "sh",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED (1 test): `unshare` cannot be run: {error}");
            return false;
        }
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !stdout.contains(READY) {
        eprintln!("SKIPPED (1 test): this host makes no network namespace: {stderr}");
        return false;
    }
    eprintln!("{stderr}");
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "inside the namespace: {stdout}\n{stderr}"
    );
    false
}

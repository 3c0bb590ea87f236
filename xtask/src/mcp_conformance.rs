//! The official conformance suite of the Model Context Protocol, against a real coordinator.
//!
//! Most of its scenarios call tools that a server offers for them alone. Run here are those that a
//! server of its own tools can pass; how many are left out is said.

mod token_proxy;

use crate::console::note;
use crate::step::Summary;
use crate::workspace::{Workspace, run_visibly};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The suite, and the runtime that it needs, which may be newer than the system's.
const PACKAGES: [&str; 2] = [
    "node@22",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
];
/// Longest time until the coordinator serves.
const START_TIMEOUT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);

/// A scenario, the revision in which it is run, and its checks that fail for want of a tool made
/// for them. One of those that does not fail is a fault too: the list has to be true.
struct Scenario {
    name: &'static str,
    revision: &'static str,
    untestable: &'static [&'static str],
}

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";

const fn whole(revision: &'static str, name: &'static str) -> Scenario {
    Scenario {
        name,
        revision,
        untestable: &[],
    }
}

const SCENARIOS: [Scenario; 15] = [
    whole(OLD, "server-initialize"),
    whole(OLD, "ping"),
    whole(OLD, "tools-list"),
    whole(OLD, "resources-list"),
    whole(OLD, "prompts-list"),
    whole(OLD, "dns-rebinding-protection"),
    Scenario {
        untestable: &[
            "sep-2575-server-rejects-undeclared-capability",
            "sep-2575-missing-capability-http-400",
            "sep-2575-http-server-no-independent-requests-on-stream",
            "sep-2575-server-no-log-without-loglevel",
        ],
        ..whole(NEW, "server-stateless")
    },
    whole(NEW, "tools-list"),
    whole(NEW, "resources-list"),
    whole(NEW, "prompts-list"),
    whole(NEW, "caching"),
    whole(NEW, "http-header-validation"),
    whole(NEW, "sep-2164-resource-not-found"),
    whole(NEW, "input-required-result-unsupported-methods"),
    whole(NEW, "dns-rebinding-protection"),
];

/// What `skep up` writes when it is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    url: String,
    token_file: PathBuf,
}

/// A coordinator that ends with its owner.
#[derive(Debug)]
struct Coordinator(Child);

impl Drop for Coordinator {
    fn drop(&mut self) {
        // It has no nodes and nothing to save.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs all scenarios and names those that failed.
pub(crate) fn run(workspace: &Workspace) -> Result<Summary> {
    let count = SCENARIOS.len();
    let directory = workspace.target_directory().join("mcp-conformance");
    if let Err(error) = install(&directory) {
        note(&format!("    the suite is not there: {error:#}"));
        return Ok(vec![format!(
            "MCP conformance: {count} scenarios SKIPPED, because npm or its packages are missing"
        )]);
    }
    run_visibly(&mut workspace.cargo("build --package skep-cli"))?;
    let home = tempfile::tempdir().context("make a temporary directory")?;
    let (coordinator, url) = start(&workspace.skep_binary("debug"), home.path())?;
    let mut failures = Vec::new();
    let mut checks = 0;
    for scenario in &SCENARIOS {
        match run_one(&directory, &url, scenario) {
            Ok(passed) => checks += passed,
            Err(error) => failures.push(format!(
                "{} at {}: {error:#}",
                scenario.name, scenario.revision
            )),
        }
    }
    drop(coordinator);
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(vec![format!(
        "MCP conformance: {checks} checks of {count} scenarios passed; what needs tools made for it \
         is not run"
    )])
}

/// Installs the suite below the target directory, unless it is there.
fn install(directory: &Path) -> Result<()> {
    let suite = directory.join("node_modules/.bin/conformance");
    if suite.exists() {
        return Ok(());
    }
    fs::create_dir_all(directory).context("make a directory for the suite")?;
    // Without a manifest of its own, npm would use one of a directory above.
    fs::write(directory.join("package.json"), "{\"private\": true}\n")
        .context("write a manifest")?;
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund"])
        .args(PACKAGES)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .context("start `npm`")?;
    if output.status.success() && suite.exists() {
        return Ok(());
    }
    bail!(
        "`npm install` failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
}

fn start(binary: &Path, home: &Path) -> Result<(Coordinator, String)> {
    let ready = home.join("ready.json");
    let child = Command::new(binary)
        .args([
            "up",
            "--nodes",
            "0",
            "--listen",
            "127.0.0.1:0",
            "--ready-file",
        ])
        .arg(&ready)
        .env("SKEP_HOME", home)
        .env_remove("SKEP_URL")
        .env_remove("SKEP_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start a coordinator")?;
    let mut coordinator = Coordinator(child);
    let started = Instant::now();
    while !ready.exists() {
        let ended = coordinator
            .0
            .try_wait()
            .context("look at the coordinator")?;
        ensure!(ended.is_none(), "the coordinator ended before it was ready");
        ensure!(
            started.elapsed() < START_TIMEOUT,
            "the coordinator is not ready in time"
        );
        thread::sleep(POLL);
    }
    let ready: Ready = serde_json::from_slice(&fs::read(&ready).context("read the ready file")?)
        .context("parse the ready file")?;
    let token = fs::read_to_string(&ready.token_file).context("read the token file")?;
    let address = ready.url.trim_start_matches("http://").parse();
    let proxy = token_proxy::start(address.context("read the address")?, token.trim())?;
    Ok((coordinator, format!("http://{proxy}/mcp")))
}

/// Runs a scenario; gives how many of its checks passed.
fn run_one(directory: &Path, url: &str, scenario: &Scenario) -> Result<usize> {
    let Scenario { name, revision, .. } = scenario;
    let binaries = directory.join("node_modules/.bin");
    let output = Command::new(binaries.join("node"))
        .arg(binaries.join("conformance"))
        .args(["server", "--url", url, "--scenario", name])
        .args(["--spec-version", revision])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .context("start the suite")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let judged = judge(&text, scenario);
    let word = if judged.is_ok() { "ok" } else { "FAILED" };
    note(&format!("    {name} at {revision}: {word}"));
    judged.with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// How many checks passed, when those that failed are exactly those that cannot be made here.
fn judge(text: &str, scenario: &Scenario) -> Result<usize> {
    let failed = text.lines().filter(|line| line.contains("FAILURE"));
    let failed: BTreeSet<_> = failed.filter_map(check_of).collect();
    let expected: BTreeSet<_> = scenario.untestable.iter().copied().collect();
    ensure!(
        failed == expected,
        "failed: {failed:?}, expected: {expected:?}"
    );
    let passed = text.lines().find_map(|line| line.strip_prefix("Passed: "));
    let passed = passed
        .and_then(|rest| rest.split('/').next())
        .and_then(|count| count.parse().ok())
        .context("the suite did not say how many checks passed")?;
    ensure!(passed > 0, "no check was made");
    Ok(passed)
}

/// The name of the check in a line of the suite: `TIME [NAME   ] RESULT ...`, with colours.
fn check_of(line: &str) -> Option<&str> {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix('['))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\u{1b}[90m2026\u{1b}[0m [a-b    ] \u{1b}[32mSUCCESS\u{1b}[0m fine\n\
                          \u{1b}[90m2026\u{1b}[0m [c-d    ] \u{1b}[31mFAILURE\u{1b}[0m bad\n\
                          Passed: 1/2, 1 failed, 0 warnings\n";

    fn judged(text: &str, untestable: &'static [&'static str]) -> Option<usize> {
        let scenario = Scenario {
            untestable,
            ..whole(NEW, "x")
        };
        judge(text, &scenario).ok()
    }

    #[test]
    fn exactly_the_known_checks_may_fail() {
        assert_eq!(judged(OUTPUT, &["c-d"]), Some(1));
        assert_eq!(judged(OUTPUT, &[]), None, "a new failure");
        assert_eq!(judged(OUTPUT, &["c-d", "e"]), None, "a stale entry");
    }

    #[test]
    fn a_scenario_that_checks_nothing_has_not_passed() {
        assert_eq!(judged("Passed: 0/0, 0 failed, 0 warnings\n", &[]), None);
        assert_eq!(judged("Error: no connection\n", &[]), None);
    }
}

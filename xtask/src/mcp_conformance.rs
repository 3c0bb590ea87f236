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
const START_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// Scenarios by the revision in which they are run.
const SCENARIOS: [(&str, &[&str]); 2] = [
    (
        "2025-11-25",
        &[
            "server-initialize",
            "ping",
            "tools-list",
            "resources-list",
            "prompts-list",
            "dns-rebinding-protection",
        ],
    ),
    (
        "2026-07-28",
        &[
            "server-stateless",
            "tools-list",
            "resources-list",
            "prompts-list",
            "caching",
            "http-header-validation",
            "sep-2164-resource-not-found",
            "dns-rebinding-protection",
        ],
    ),
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
    let count: usize = SCENARIOS.iter().map(|(_, names)| names.len()).sum();
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
    for (revision, names) in SCENARIOS {
        for name in names {
            if let Err(error) = run_one(&directory, &url, revision, name) {
                failures.push(format!("{name} at {revision}: {error:#}"));
            }
        }
    }
    drop(coordinator);
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(vec![format!(
        "MCP conformance: {count} scenarios passed; those that need tools made for them are not run"
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

fn run_one(directory: &Path, url: &str, revision: &str, name: &str) -> Result<()> {
    let binaries = directory.join("node_modules/.bin");
    let output = Command::new(binaries.join("node"))
        .arg(binaries.join("conformance"))
        .args(["server", "--url", url, "--scenario", name])
        .args(["--spec-version", revision])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .context("start the suite")?;
    let word = if output.status.success() {
        "ok"
    } else {
        "FAILED"
    };
    note(&format!("    {name} at {revision}: {word}"));
    ensure!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout).trim(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

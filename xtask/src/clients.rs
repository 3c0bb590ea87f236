//! Clients of the Model Context Protocol that other people wrote, against a real coordinator: each
//! lists the tools and calls some, by HTTP and over stdin and stdout, in the old and the new
//! revision where it lets one choose.
//!
//! The last of them is Claude Code, with a stand-in for its model that follows a script.

mod bounded;
mod claude_code;
mod inspector;
mod python;
mod rest;
mod stand_in;

use crate::console::note;
use crate::mcp_server::McpServer;
use crate::packages::{NpmPackages, PythonPackages};
use crate::step::Summary;
use crate::workspace::{Workspace, run_visibly};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::PathBuf;

const NPM: [&str; 3] = [
    "node@22.23.3",
    "@modelcontextprotocol/inspector@2.12.0",
    "@anthropic-ai/claude-code@2.1.329",
];
const PYTHON: [&str; 2] = ["mcp==2.3.0", "fastmcp==4.1.2"];

/// How many tools the coordinator lists at least.
const TOOLS_MIN: usize = 10;

/// How a client reaches the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Http,
    Stdio,
}

impl Transport {
    const ALL: [Self; 2] = [Self::Http, Self::Stdio];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Stdio => "stdio",
        }
    }
}

/// The coordinator as a client needs to know it.
#[derive(Debug)]
struct Target {
    server: McpServer,
    skep: PathBuf,
}

impl Target {
    /// Its URL for clients that speak HTTP.
    fn url(&self) -> String {
        format!("http://{}/mcp", self.server.address)
    }

    /// What such a client shows with each request.
    fn authorization(&self) -> String {
        format!("Bearer {}", self.server.token)
    }

    /// The program that a client of the other kind starts, and its arguments.
    fn command(&self) -> [String; 4] {
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let (skep, home) = (text(&self.skep), text(self.server.home()));
        [skep, "--home".to_owned(), home, "mcp".to_owned()]
    }
}

/// The clients, installed.
#[derive(Debug)]
struct Programs {
    npm: NpmPackages,
    python: PythonPackages,
}

impl Programs {
    fn install(workspace: &Workspace) -> Result<Self> {
        let directory = workspace.target_directory().join("mcp-clients");
        Ok(Self {
            npm: NpmPackages::install(directory.join("npm"), &NPM)?,
            python: PythonPackages::install(directory.join("python"), &PYTHON)?,
        })
    }
}

/// Runs all clients; nothing but a line that says so when they cannot be installed.
pub(crate) fn run_if_installed(workspace: &Workspace) -> Result<Summary> {
    match Programs::install(workspace) {
        Ok(programs) => run_all(workspace, &programs),
        Err(error) => {
            note(&format!("    the clients are not there: {error:#}"));
            let why = "SKIPPED, because npm, python3 or their packages are missing";
            Ok(vec![format!("MCP clients: all of them {why}")])
        }
    }
}

/// Runs all clients; fails when they cannot be installed.
pub(crate) fn run(workspace: &Workspace) -> Result<Summary> {
    run_all(workspace, &Programs::install(workspace)?)
}

fn run_all(workspace: &Workspace, programs: &Programs) -> Result<Summary> {
    run_visibly(&mut workspace.cargo("build --package skep-cli"))?;
    let target = Target {
        server: McpServer::of_skep(workspace, 1)?,
        skep: workspace.skep_binary("debug"),
    };
    let clients: [(&str, Client); 4] = [
        ("MCP Inspector", inspector::run),
        ("Python SDK", python::run_sdk),
        ("fastmcp", python::run_fastmcp),
        ("Claude Code", claude_code::run),
    ];
    let mut failures = Vec::new();
    let mut lines = Vec::new();
    for (name, client) in clients {
        let done = client(programs, &target);
        let word = if done.is_ok() { "ok" } else { "FAILED" };
        note(&format!("    {name}: {word}"));
        match done {
            Ok(did) => lines.push(format!("{name}: {did}")),
            Err(error) => failures.push(format!("{name}: {error:#}")),
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(lines)
}

/// A client; gives what it did.
type Client = fn(&Programs, &Target) -> Result<String>;

/// Checks a list of tools that a client saw.
fn check_tools(tools: &Value) -> Result<()> {
    let names: Vec<_> = tools
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    ensure!(
        names.len() >= TOOLS_MIN && names.contains(&"skep_wait"),
        "the list of tools is {names:?}"
    );
    Ok(())
}

/// Checks a task that a client says has succeeded: the coordinator has to say so too.
fn check_task(target: &Target, id: &Value) -> Result<()> {
    let id = id
        .as_str()
        .context("the client was not told the task's id")?;
    let task = rest::get(target, &format!("/api/v2/tasks/{id}"))?;
    let state = &task["state"];
    ensure!(state == "succeeded", "task `{id}` is {state}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_short_list_of_tools_is_no_list() {
        let tools = |count: usize| -> Value {
            let named = (1..count).map(|number| json!({ "name": format!("t{number}") }));
            named.chain([json!({ "name": "skep_wait" })]).collect()
        };
        assert!(check_tools(&tools(TOOLS_MIN)).is_ok());
        assert!(check_tools(&tools(TOOLS_MIN - 1)).is_err());
        assert!(check_tools(&json!(null)).is_err());
    }
}

//! The official conformance suite of the Model Context Protocol.
//!
//! It runs twice: all that a revision requires, and what is reported beside, against a server that
//! has the tools which the suite calls; and the scenarios that need none against `skep` itself.

mod own_scenarios;
mod requirements;
mod token_proxy;

use crate::console::note;
use crate::mcp_server::McpServer;
use crate::packages::NpmPackages;
use crate::step::Summary;
use crate::workspace::{Workspace, run_visibly};
use anyhow::{Result, ensure};

/// The suite, and the runtime that it needs.
const PACKAGES: [&str; 2] = [
    "node@22.23.3",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
];

/// Runs everything and names what failed.
pub(crate) fn run(workspace: &Workspace) -> Result<Summary> {
    let directory = workspace.target_directory().join("mcp-conformance");
    let suite = match NpmPackages::install(directory, &PACKAGES) {
        Ok(suite) => suite,
        Err(error) => {
            note(&format!("    the suite is not there: {error:#}"));
            let why = "SKIPPED, because npm or its packages are missing";
            return Ok(vec![format!("MCP conformance: all of it {why}")]);
        }
    };
    let packages = "build --package skep-cli --package skep-mcp-conformance";
    run_visibly(&mut workspace.cargo(packages))?;
    let mut lines = Vec::new();
    let mut failures = Vec::new();
    for set in &requirements::SETS {
        match requirements::run(&suite, workspace, set) {
            Ok(line) => lines.push(line),
            Err(error) => failures.push(format!("{set}: {error:#}")),
        }
    }
    let server = McpServer::of_skep(workspace, 0)?;
    match own_scenarios::run(&suite, &url(&server)?) {
        Ok(line) => lines.push(line),
        Err(error) => failures.push(format!("{error:#}")),
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(lines)
}

/// Where the suite reaches a server: by the proxy that adds the token.
fn url(server: &McpServer) -> Result<String> {
    let proxy = token_proxy::start(server.address, &server.token)?;
    Ok(format!("http://{proxy}/mcp"))
}

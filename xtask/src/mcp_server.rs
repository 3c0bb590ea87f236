//! A server of the Model Context Protocol for tests: the product, or the suite's server around it.

use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest time until a server is ready.
const START_TIMEOUT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);

/// What a server writes when it is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    url: String,
    token_file: PathBuf,
}

/// A running server on data of its own; ends with its owner.
#[derive(Debug)]
pub(crate) struct McpServer {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// A token that may do everything.
    pub(crate) token: String,
    home: TempDir,
}

impl Drop for McpServer {
    fn drop(&mut self) {
        // It has nothing to save, and its nodes end with it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl McpServer {
    /// The product, as `skep up` starts it, with so many nodes.
    pub(crate) fn of_skep(workspace: &Workspace, nodes: u32) -> Result<Self> {
        Self::start(|home, ready| {
            let mut command = Command::new(workspace.skep_binary("debug"));
            command
                .args(["up", "--listen", "127.0.0.1:0"])
                .args(["--nodes", &nodes.to_string(), "--ready-file"])
                .arg(ready)
                .env("SKEP_HOME", home);
            command
        })
    }

    /// The suite's server around the product's, with or without sessions for older clients.
    pub(crate) fn of_suite(workspace: &Workspace, has_sessions: bool) -> Result<Self> {
        Self::start(|home, ready| {
            let directory = workspace.target_directory().join("debug");
            let mut command = Command::new(directory.join("skep-mcp-conformance"));
            command.arg("--home").arg(home);
            command.arg("--ready-file").arg(ready);
            command.arg("--skep").arg(workspace.skep_binary("debug"));
            command.args(has_sessions.then_some("--sessions"));
            command
        })
    }

    /// Directory of its data; `SKEP_HOME` of commands that shall find it.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    fn start(command: impl FnOnce(&Path, &Path) -> Command) -> Result<Self> {
        let home = tempfile::tempdir().context("make a temporary directory")?;
        let ready = home.path().join("ready.json");
        let mut child = command(home.path(), &ready)
            .env_remove("SKEP_URL")
            .env_remove("SKEP_TOKEN")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start a server")?;
        let started = Instant::now();
        while !ready.exists() {
            let ended = child.try_wait().context("look at the server")?;
            ensure!(ended.is_none(), "the server ended before it was ready");
            if started.elapsed() > START_TIMEOUT {
                drop(child.kill());
                drop(child.wait());
                anyhow::bail!("the server is not ready in time");
            }
            thread::sleep(POLL);
        }
        let text = fs::read(&ready).context("read the ready file")?;
        let ready: Ready = serde_json::from_slice(&text).context("parse the ready file")?;
        let token = fs::read_to_string(&ready.token_file).context("read the token file")?;
        let address = ready.url.trim_start_matches("http://").parse();
        Ok(Self {
            child,
            address: address.context("read the address")?,
            token: token.trim().to_owned(),
            home,
        })
    }
}

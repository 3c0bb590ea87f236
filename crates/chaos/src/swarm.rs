//! A coordinator and its nodes as real processes that can be killed, stopped and started again.

use crate::http::Server;
use crate::process::Process;
use crate::random::Random;
use crate::sabotage::Sabotage;
use crate::wiring::{self, Commands, HOME, LABEL, Wiring};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest time until the processes of a killed node are gone too.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);
/// Longest time until a drained node has nothing left to do. The longest task takes 3 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// Ports are taken from here: below those that the system gives to outgoing connections, so that
/// none of them holds the port while the coordinator is down.
const PORTS: std::ops::Range<u64> = 20_000..30_000;

/// The processes, in one directory.
#[derive(Debug)]
pub(crate) struct Swarm {
    pub(crate) server: Server,
    skep: PathBuf,
    ready_file: PathBuf,
    coordinator: Process,
    sabotage: Option<Sabotage>,
    nodes: Vec<Process>,
    /// What ended, or stayed, although nobody told it to.
    breakdowns: Vec<String>,
    orphans: Vec<String>,
    kills: usize,
}

/// What went wrong with processes.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) breakdowns: Vec<String>,
    pub(crate) orphans: Vec<String>,
    /// How many processes were killed.
    pub(crate) kills: usize,
}

impl Swarm {
    /// Starts a coordinator and its nodes, and waits until all take work.
    pub(crate) fn start(skep: &Path, directory: &Path, wiring: &Wiring) -> Result<Self> {
        let commands = Commands {
            wiring,
            skep,
            directory,
        };
        let coordinator = Process::new("coordinator", directory, HOME, commands.coordinator());
        let mut swarm = Self {
            server: Server {
                address: wiring.address(),
                token: String::new(),
            },
            skep: skep.to_owned(),
            ready_file: commands.ready_file(),
            coordinator,
            sabotage: None,
            nodes: Vec::new(),
            breakdowns: Vec::new(),
            orphans: Vec::new(),
            kills: 0,
        };
        let ready = swarm.start_coordinator()?;
        for node in 0..wiring.nodes() {
            let name = wiring::name(node);
            let first = commands.join(node, &ready)?;
            let process = Process::new(&name, directory, &wiring.home(&name), first);
            swarm.nodes.push(process);
            swarm.start_node(node)?;
        }
        if wiring.is_joined() {
            swarm.wait_for_nodes(|_| true)?;
            for node in 0..wiring.nodes() {
                swarm.stop_node(node)?;
                swarm.nodes[node].becomes(commands.node(node));
                swarm.start_node(node)?;
            }
        }
        swarm.wait_for_nodes(|shown| shown["labels"][LABEL] == shown["name"])?;
        Ok(swarm)
    }

    /// From now on the coordinator's data is tampered with.
    pub(crate) fn sabotage(&mut self, directory: &Path) {
        let data = directory.join("home/state/coordinator");
        self.sabotage = Some(Sabotage::new(data, directory.join("earlier-data")));
    }

    /// Starts the coordinator on its data and waits until it serves; what its ready file says.
    pub(crate) fn start_coordinator(&mut self) -> Result<Value> {
        self.begin_coordinator()?;
        let start = Instant::now();
        while !self.ready_file.exists() {
            self.coordinator.is_starting(start)?;
            thread::sleep(POLL);
        }
        let ready: Value =
            serde_json::from_slice(&fs::read(&self.ready_file)?).context("parse the ready file")?;
        let token = ready["token_file"]
            .as_str()
            .context("the ready file names no token file")?;
        let token = fs::read_to_string(token).context("read the token file")?;
        token.trim().clone_into(&mut self.server.token);
        Ok(ready)
    }

    /// Starts the coordinator without waiting for it.
    pub(crate) fn begin_coordinator(&mut self) -> Result<()> {
        match fs::remove_file(&self.ready_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => self.coordinator.start(),
        }
    }

    pub(crate) fn kill_coordinator(&mut self) -> Result<()> {
        self.kills += 1;
        self.breakdowns.extend(self.coordinator.kill()?);
        let sabotage = self.sabotage.as_mut();
        sabotage.map_or(Ok(()), Sabotage::coordinator_was_killed)
    }

    /// Asks the coordinator to end.
    pub(crate) fn stop_coordinator(&mut self) -> Result<()> {
        self.breakdowns.extend(self.coordinator.stop()?);
        Ok(())
    }

    pub(crate) fn start_node(&mut self, node: usize) -> Result<()> {
        self.nodes[node].start()
    }

    /// Kills a node and looks whether the processes of its attempts go with it.
    pub(crate) fn kill_node(&mut self, node: usize) -> Result<()> {
        self.kills += 1;
        self.breakdowns.extend(self.nodes[node].kill()?);
        self.expect_no_orphans(node, "was killed");
        Ok(())
    }

    /// Asks a node to end; its attempts have to go with it.
    pub(crate) fn stop_node(&mut self, node: usize) -> Result<()> {
        self.breakdowns.extend(self.nodes[node].stop()?);
        self.expect_no_orphans(node, "ended");
        Ok(())
    }

    fn expect_no_orphans(&mut self, node: usize, fate: &str) {
        let process = &self.nodes[node];
        let left = crate::living::wait_until_none(&process.state(), ORPHAN_TIMEOUT);
        let orphan = |what: String| format!("after `{}` {fate}: {what}", process.name);
        self.orphans.extend(left.into_iter().map(orphan));
    }

    /// Gives a node no new work, by the command line, and waits until what it runs has ended.
    pub(crate) fn drain_node(&mut self, node: usize) -> Result<()> {
        self.command(&["node", "drain", &wiring::name(node)])?;
        let start = Instant::now();
        while self.attempts_of(node)? > 0 {
            if start.elapsed() > DRAIN_TIMEOUT {
                let (name, bound) = (wiring::name(node), DRAIN_TIMEOUT.as_secs());
                let breakdown = format!("`{name}` was drained and still works after {bound} s");
                self.breakdowns.push(breakdown);
                break;
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Gives a drained node work again; until now it must have had none.
    pub(crate) fn undrain_node(&mut self, node: usize) -> Result<()> {
        let attempts = self.attempts_of(node)?;
        if attempts > 0 {
            let name = wiring::name(node);
            let breakdown = format!("`{name}` was drained and then given {attempts} attempts");
            self.breakdowns.push(breakdown);
        }
        self.command(&["node", "resume", &wiring::name(node)])
    }

    fn attempts_of(&self, node: usize) -> Result<u64> {
        let attempts = &self.shown(node)?["in_use"]["attempts"];
        attempts.as_u64().context("a node shows no attempts")
    }

    /// Runs a command of Skep as its user would.
    fn command(&self, words: &[&str]) -> Result<()> {
        let output = Command::new(&self.skep)
            .args(words)
            .env("SKEP_URL", format!("http://{}", self.server.address))
            .env("SKEP_TOKEN", &self.server.token)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("start `{}`", self.skep.display()))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "`skep {}` failed: {complaint}",
            words.join(" ")
        );
        Ok(())
    }

    pub(crate) fn pause_node(&self, node: usize) -> Result<()> {
        self.nodes[node].signal(Signal::STOP)
    }

    pub(crate) fn resume_node(&self, node: usize) -> Result<()> {
        self.nodes[node].signal(Signal::CONT)
    }

    /// The state of a node, as the coordinator sees it.
    pub(crate) fn node_state(&self, node: usize) -> Result<String> {
        let state = self.shown(node)?["state"].as_str().map(str::to_owned);
        state.context("a node has no state")
    }

    fn shown(&self, node: usize) -> Result<Value> {
        let answer = self.server.get("/api/v2/nodes")?;
        let nodes = answer["items"].as_array().into_iter().flatten();
        let mut named = nodes.filter(|shown| shown["name"] == *self.nodes[node].name);
        named.next().cloned().context("the node is not listed")
    }

    /// Waits until every node takes work and is shown as wanted.
    fn wait_for_nodes(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Result<()> {
        let start = Instant::now();
        loop {
            let answer = self.server.get("/api/v2/nodes")?;
            let nodes = answer["items"].as_array().into_iter().flatten();
            let ready = nodes.filter(|node| node["state"] == "ready" && is_wanted(node));
            if ready.count() >= self.nodes.len() {
                return Ok(());
            }
            for process in &mut self.nodes {
                process.is_starting(start)?;
            }
            thread::sleep(POLL);
        }
    }

    /// Asks all processes to end, nodes first; says what went wrong, now and before.
    pub(crate) fn stop(mut self, directory: &Path) -> Result<Findings> {
        for mut process in self.nodes.drain(..).chain([self.coordinator]) {
            self.breakdowns.extend(process.stop()?);
            self.breakdowns.extend(process.complaints());
        }
        let left = crate::living::wait_until_none(directory, ORPHAN_TIMEOUT);
        self.orphans.extend(
            left.into_iter()
                .map(|what| format!("after the end: {what}")),
        );
        Ok(Findings {
            breakdowns: self.breakdowns,
            orphans: self.orphans,
            kills: self.kills,
        })
    }
}

/// An address for a coordinator on this machine.
pub(crate) fn free_address(random: &mut Random) -> Result<SocketAddr> {
    for _ in 0..100 {
        let port = random.between(PORTS.start, PORTS.end - 1) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port was found in {PORTS:?}");
}

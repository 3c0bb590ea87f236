//! A coordinator and its nodes as real processes that can be killed, stopped and started again.

use crate::http::Server;
use crate::random::Random;
use crate::sabotage::Sabotage;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest time until a process serves.
const START_TIMEOUT: Duration = Duration::from_secs(40);
/// Longest time until a process ends after it was asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest time until the processes of a killed node are gone too.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);
/// Attempts that a node runs at a time.
const SLOTS: &str = "16";
/// Ports are taken from here: below those that the system gives to outgoing connections, so that
/// none of them holds the port while the coordinator is down.
const PORTS: std::ops::Range<u64> = 20_000..30_000;

/// The processes, in one directory.
#[derive(Debug)]
pub(crate) struct Swarm {
    pub(crate) server: Server,
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
    /// Starts a coordinator and so many nodes, and waits until all take work.
    pub(crate) fn start(
        skep: &Path,
        directory: &Path,
        nodes: usize,
        random: &mut Random,
    ) -> Result<Self> {
        let address = free_address(random)?;
        let ready_file = directory.join("ready.json");
        let up = [
            "up",
            "--nodes",
            "0",
            "--listen",
            &address.to_string(),
            "--ready-file",
        ];
        let up = up
            .map(OsString::from)
            .into_iter()
            .chain([ready_file.clone().into()]);
        let mut swarm = Self {
            server: Server {
                address,
                token: String::new(),
            },
            ready_file,
            coordinator: Process::new("coordinator", skep, directory, up.collect()),
            sabotage: None,
            nodes: Vec::new(),
            breakdowns: Vec::new(),
            orphans: Vec::new(),
            kills: 0,
        };
        swarm.start_coordinator()?;
        for number in 1..=nodes {
            let name = format!("n{number}");
            let arguments = swarm.node_arguments(&name, directory);
            swarm
                .nodes
                .push(Process::new(&name, skep, directory, arguments));
            swarm.start_node(number - 1)?;
        }
        swarm.wait_for_nodes(nodes)?;
        Ok(swarm)
    }

    /// From now on the coordinator's data is tampered with.
    pub(crate) fn sabotage(&mut self, directory: &Path) {
        let data = directory.join("home/state/coordinator");
        self.sabotage = Some(Sabotage::new(data, directory.join("earlier-data")));
    }

    fn node_arguments(&self, name: &str, directory: &Path) -> Vec<OsString> {
        let url = format!("http://{}", self.server.address);
        let words = [
            "node",
            "start",
            "--coordinator",
            &url,
            "--name",
            name,
            "--slots",
            SLOTS,
        ];
        let token = directory.join("home/state/node-token");
        let paths = [
            "--state-dir".into(),
            directory.join(name).into(),
            "--token-file".into(),
            token.into(),
        ];
        words.map(OsString::from).into_iter().chain(paths).collect()
    }

    /// Starts the coordinator on its data and waits until it serves.
    pub(crate) fn start_coordinator(&mut self) -> Result<()> {
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
        Ok(())
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
        let left = crate::living::wait_until_none(&self.nodes[node].state(), ORPHAN_TIMEOUT);
        let name = &self.nodes[node].name;
        let orphan = |what: String| format!("after `{name}` was killed: {what}");
        self.orphans.extend(left.into_iter().map(orphan));
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
        let answer = self.server.get("/api/v2/nodes")?;
        let nodes = answer["items"].as_array().into_iter().flatten();
        let mut named = nodes.filter(|shown| shown["name"] == *self.nodes[node].name);
        let state = named.next().and_then(|shown| shown["state"].as_str());
        Ok(state.context("the node is not listed")?.to_owned())
    }

    fn wait_for_nodes(&mut self, wanted: usize) -> Result<()> {
        let start = Instant::now();
        loop {
            let answer = self.server.get("/api/v2/nodes")?;
            let nodes = answer["items"].as_array().into_iter().flatten();
            if nodes.filter(|node| node["state"] == "ready").count() >= wanted {
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

fn free_address(random: &mut Random) -> Result<SocketAddr> {
    for _ in 0..100 {
        let port = random.between(PORTS.start, PORTS.end - 1) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port was found in {PORTS:?}");
}

/// One process, which may run or not, with a file for what it prints.
#[derive(Debug)]
struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    directory: PathBuf,
    child: Option<Child>,
}

impl Process {
    fn new(name: &str, program: &Path, directory: &Path, arguments: Vec<OsString>) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments,
            directory: directory.to_owned(),
            child: None,
        }
    }

    /// The directory of this process alone.
    fn state(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    fn log(&self) -> PathBuf {
        self.directory.join(format!("{}.log", self.name))
    }

    fn start(&mut self) -> Result<()> {
        let output = File::options().create(true).append(true).open(self.log())?;
        let errors = output.try_clone()?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(&self.directory)
            .env("SKEP_HOME", self.directory.join("home"))
            .env_remove("SKEP_URL")
            .env_remove("SKEP_TOKEN")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("start `{}`", self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Fails when it ended or takes too long.
    fn is_starting(&mut self, since: Instant) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("`{}` ended with {status} while it started", self.name);
        }
        if since.elapsed() > START_TIMEOUT {
            bail!(
                "`{}` did not serve within {} s",
                self.name,
                START_TIMEOUT.as_secs()
            );
        }
        Ok(())
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let child = self.child.as_mut().context("the process was not started")?;
        Ok(child.try_wait()?)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("the process was not started")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process has no id")?, signal)?;
        Ok(())
    }

    /// Says so when it had ended before.
    fn kill(&mut self) -> Result<Option<String>> {
        if let Some(status) = self.ended()? {
            return Ok(Some(format!(
                "`{}` ended by itself with {status}",
                self.name
            )));
        }
        let child = self.child.as_mut().context("the process was not started")?;
        child.kill()?;
        child.wait()?;
        Ok(None)
    }

    /// Says what was not in order about its end.
    fn stop(&mut self) -> Result<Option<String>> {
        if let Some(status) = self.ended()? {
            return Ok(Some(format!(
                "`{}` ended by itself with {status}",
                self.name
            )));
        }
        self.signal(Signal::TERM)?;
        let start = Instant::now();
        while start.elapsed() < STOP_TIMEOUT {
            if let Some(status) = self.ended()? {
                let is_orderly = status.success();
                let complaint = format!("`{}` was told to end and ended with {status}", self.name);
                return Ok((!is_orderly).then_some(complaint));
            }
            thread::sleep(POLL);
        }
        self.kill()?;
        let bound = STOP_TIMEOUT.as_secs();
        Ok(Some(format!(
            "`{}` was told to end and did not within {bound} s",
            self.name
        )))
    }

    /// Panics and errors in its log.
    fn complaints(&self) -> Vec<String> {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let is_bad =
            |line: &&str| line.contains("panicked at") || line.contains("\"level\":\"ERROR\"");
        let lines = log.lines().filter(is_bad);
        lines
            .map(|line| format!("`{}` logged: {line}", self.name))
            .collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // After a stop it is gone already, and both calls say so.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

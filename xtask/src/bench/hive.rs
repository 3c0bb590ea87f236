//! A coordinator and its nodes as real processes, started for one row and stopped after it.

use super::contract::{self, ReadyFile};
use super::http::{self, Server};
use super::metrics_text::MetricsText;
use super::usage::Usage;
use super::{Bench, fresh_directory};
use crate::orphans;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest time until a process serves.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// Longest time until a process ends after it was asked to.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);
/// How exactly the start is timed.
const READY_POLL: Duration = Duration::from_micros(100);
const POLL: Duration = Duration::from_millis(5);

/// How a coordinator ends before it is started again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Kill,
    Stop,
}

/// Running processes. They are killed when this is dropped without [`Hive::stop`].
#[derive(Debug)]
pub(super) struct Hive {
    pub(super) server: Server,
    /// From the start of the coordinator's process until it served.
    pub(super) ready_after: Duration,
    ready: ReadyFile,
    /// The coordinator, then the nodes.
    processes: Vec<Process>,
    home: tempfile::TempDir,
}

impl Hive {
    /// Starts `skep up` as a person does.
    pub(super) fn start_with_own_nodes(bench: &Bench) -> Result<Self> {
        Self::start_coordinator(bench, contract::up)
    }

    /// Starts a coordinator and so many nodes, and waits until all take work.
    pub(super) fn start(bench: &Bench, nodes: usize) -> Result<Self> {
        let mut hive = Self::start_coordinator(bench, contract::up_without_nodes)?;
        for number in 1..=nodes {
            let name = format!("n{number}");
            let state = hive.home.path().join(&name);
            let arguments = contract::node(&hive.ready.url, &name, &state);
            hive.processes
                .push(Process::start(bench, &name, &arguments, hive.home.path())?);
        }
        if nodes > 0 {
            hive.wait_for_nodes(nodes)?;
        }
        Ok(hive)
    }

    /// Starts a coordinator that other machines reach, without nodes.
    pub(super) fn start_for_machines(bench: &Bench) -> Result<Self> {
        Self::start_coordinator(bench, contract::up_for_machines)
    }

    fn start_coordinator(bench: &Bench, up: fn(&Path) -> Vec<OsString>) -> Result<Self> {
        Self::start_in(fresh_directory(&bench.directory)?, bench, up)
    }

    fn start_in(
        home: tempfile::TempDir,
        bench: &Bench,
        up: fn(&Path) -> Vec<OsString>,
    ) -> Result<Self> {
        let ready_file = home.path().join("ready.json");
        let start = Instant::now();
        let mut coordinator = Process::start(bench, "coordinator", &up(&ready_file), home.path())?;
        while !ready_file.exists() {
            coordinator.is_starting(start, "write its ready file")?;
            thread::sleep(READY_POLL);
        }
        let ready_after = start.elapsed();
        let ready = fs::read(&ready_file).context("read the ready file")?;
        let ready: ReadyFile = serde_json::from_slice(&ready).context("parse the ready file")?;
        let token = fs::read_to_string(&ready.token_file)
            .with_context(|| format!("read the token file `{}`", ready.token_file.display()))?;
        let server = Server::new(&ready.url, &token)?;
        Ok(Self {
            server,
            ready_after,
            ready,
            processes: vec![coordinator],
            home,
        })
    }

    /// Kills the coordinator as a loss of power does, or ends it, and starts it on its data again.
    pub(super) fn restart(mut self, bench: &Bench, how: Ending) -> Result<Self> {
        let coordinator = self.processes.pop().context("the coordinator runs")?;
        match how {
            Ending::Kill => drop(coordinator),
            Ending::Stop => coordinator.stop()?,
        }
        match fs::remove_file(self.home.path().join("ready.json")) {
            // A coordinator that ends by itself takes it away.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.context("remove the ready file")?,
        }
        Self::start_in(self.home, bench, contract::up_without_nodes)
    }

    fn wait_for_nodes(&mut self, wanted: usize) -> Result<()> {
        let start = Instant::now();
        loop {
            let server = self.server.clone();
            let answer = http::run_client(async move {
                server
                    .connect()
                    .await?
                    .exchange_json(&server.get(contract::NODES))
                    .await
            })?;
            let ready = contract::ready_nodes(&answer)?;
            if ready >= wanted {
                return Ok(());
            }
            let what = format!("become one of {wanted} ready nodes ({ready} are)");
            for process in &mut self.processes {
                process.is_starting(start, &what)?;
            }
            thread::sleep(POLL);
        }
    }

    /// What the coordinator's process uses.
    pub(super) fn usage(&self) -> Result<Usage> {
        let coordinator = self.processes.first().context("the coordinator runs")?;
        Usage::of(coordinator.child.id())
    }

    /// Where it listens and what opens it, for another program.
    pub(super) const fn place(&self) -> &ReadyFile {
        &self.ready
    }

    /// `SKEP_HOME` of the coordinator, for commands that shall find it.
    pub(super) fn skep_home(&self) -> PathBuf {
        self.home.path().join("skep")
    }

    /// The coordinator's metrics now.
    pub(super) fn metrics(&self) -> Result<MetricsText> {
        let server = self.server.clone();
        http::run_client(async move {
            let mut connection = server.connect().await?;
            let text = connection.exchange(&server.get(contract::METRICS)).await?;
            Ok(MetricsText::new(String::from_utf8_lossy(text).into_owned()))
        })
    }

    /// Asks all processes to end, nodes first, and fails when one does not or leaves another.
    pub(super) fn stop(mut self) -> Result<()> {
        while let Some(process) = self.processes.pop() {
            process.stop()?;
        }
        orphans::none_left(self.home.path())
    }
}

/// One process with a file for what it prints.
#[derive(Debug)]
struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(bench: &Bench, name: &str, arguments: &[OsString], home: &Path) -> Result<Self> {
        let log = home.join(format!("{name}.log"));
        let output = File::create(&log).context("make a log file")?;
        let errors = output.try_clone().context("make a log file")?;
        let child = Command::new(&bench.binary)
            .args(arguments)
            .current_dir(home)
            .env("SKEP_HOME", home.join("skep"))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("start `{}`", bench.binary.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Fails when it ended or takes too long to do this.
    fn is_starting(&mut self, since: Instant, what: &str) -> Result<()> {
        let ended = self.child.try_wait().context("look at a process")?;
        if ended.is_none() && since.elapsed() < START_TIMEOUT {
            return Ok(());
        }
        let how = ended.map_or_else(
            || format!("did not {what} within {} s", START_TIMEOUT.as_secs()),
            |status| format!("ended with {status} before it could {what}"),
        );
        bail!("`{}` {how}; its output:\n{}", self.name, self.output());
    }

    fn output(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).trim_end().to_owned()
    }

    fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.context("a process has no id")?;
        kill_process(pid, Signal::TERM).with_context(|| format!("end `{}`", self.name))?;
        let start = Instant::now();
        while start.elapsed() < STOP_TIMEOUT {
            if let Some(status) = self.child.try_wait().context("wait for a process")? {
                let output = self.output();
                ensure!(
                    status.success(),
                    "`{}` ended with {status}:\n{output}",
                    self.name
                );
                return Ok(());
            }
            thread::sleep(POLL);
        }
        bail!(
            "`{}` did not end within {} s",
            self.name,
            STOP_TIMEOUT.as_secs()
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After a stop it is gone already, and both calls say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A program that takes the arguments of `skep up` and does this instead.
    fn bench_with(script: &str, directory: &Path) -> Bench {
        let binary = directory.join("skep");
        fs::write(&binary, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        Bench {
            binary,
            directory: directory.to_owned(),
            fleet: PathBuf::new(),
            quick: true,
            runs: 1,
        }
    }

    #[test]
    fn a_coordinator_that_ends_at_once_is_shown_with_its_output() {
        let directory = tempfile::tempdir().unwrap();
        let bench = bench_with("echo no luck >&2; exit 7", directory.path());
        let error = Hive::start(&bench, 0).unwrap_err().to_string();
        let expected = "`coordinator` ended with exit status: 7 before it could write its ready \
                        file; its output:\nno luck";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_process_that_outlives_the_coordinator_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let script = "echo secret > \"$PWD/token\"\n\
                      sleep 600 &\n\
                      trap 'exit 0' TERM\n\
                      printf '{\"url\":\"http://127.0.0.1:1\",\"token_file\":\"%s/token\"}' \
                      \"$PWD\" > \"$PWD/new\"\n\
                      mv \"$PWD/new\" \"$5\"\n\
                      wait";
        let hive = Hive::start(&bench_with(script, directory.path()), 0).unwrap();
        let error = hive.stop().unwrap_err().to_string();
        assert!(error.contains("`sleep 600`"), "{error}");
    }
}

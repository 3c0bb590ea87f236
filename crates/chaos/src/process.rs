//! One process that can be started, killed, and asked to end, again and again.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest time until a process serves.
const START_TIMEOUT: Duration = Duration::from_secs(40);
/// Longest time until a process ends after it was asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// One process, which may run or not, with a file for what it prints.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    /// The program and its arguments; it may be started by another one that becomes it.
    command: Vec<OsString>,
    directory: PathBuf,
    /// Where Skep keeps what it keeps.
    home: PathBuf,
    child: Option<Child>,
}

impl Process {
    pub(crate) fn new(name: &str, directory: &Path, home: &str, command: Vec<OsString>) -> Self {
        Self {
            name: name.to_owned(),
            command,
            directory: directory.to_owned(),
            home: directory.join(home),
            child: None,
        }
    }

    /// From its next start on it is another command.
    pub(crate) fn becomes(&mut self, command: Vec<OsString>) {
        self.command = command;
    }

    /// The directory of this process alone.
    pub(crate) fn state(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    fn log(&self) -> PathBuf {
        self.directory.join(format!("{}.log", self.name))
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        let output = File::options().create(true).append(true).open(self.log())?;
        let errors = output.try_clone()?;
        let (program, arguments) = self.command.split_first().context("no command")?;
        let child = Command::new(program)
            .args(arguments)
            .current_dir(&self.directory)
            .env("SKEP_HOME", &self.home)
            .env_remove("SKEP_URL")
            .env_remove("SKEP_AUTHORITY")
            .env_remove("SKEP_TOKEN")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("start `{}`", program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Fails when it ended or takes too long.
    pub(crate) fn is_starting(&mut self, since: Instant) -> Result<()> {
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

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("the process was not started")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process has no id")?, signal)?;
        Ok(())
    }

    /// Says so when it had ended before.
    pub(crate) fn kill(&mut self) -> Result<Option<String>> {
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
    pub(crate) fn stop(&mut self) -> Result<Option<String>> {
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
    pub(crate) fn complaints(&self) -> Vec<String> {
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

//! The program that plays many callers, as a child process that prints one answer a line.

use super::Bench;
use super::contract;
use super::hive::Hive;
use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

/// How often a process that measures by itself is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What played nodes answer.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(super) struct Told {
    /// Connections that broke without being cut on purpose.
    pub(super) lost: u64,
    /// From the word to the answer.
    pub(super) seconds: f64,
}

/// Played nodes. The process is killed when this is dropped.
#[derive(Debug)]
pub(super) struct PlayedNodes {
    child: Child,
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// How starting went.
    pub(super) started: Told,
}

impl PlayedNodes {
    /// Starts the nodes and waits until all have a live session.
    pub(super) fn start(bench: &Bench, hive: &Hive, nodes: usize, slots: usize) -> Result<Self> {
        let numbers = [("nodes", nodes), ("slots", slots)];
        let mut child = spawn(bench, hive, "nodes", &numbers)?;
        let words = child.stdin.take();
        let stdout = child.stdout.take().context("its output is a pipe")?;
        let mut played = Self {
            child,
            words,
            answers: BufReader::new(stdout),
            started: Told {
                lost: 0,
                seconds: 0.0,
            },
        };
        played.started = played.answer()?;
        Ok(played)
    }

    /// Breaks all connections at once; returns when all nodes are live again.
    pub(super) fn cut(&mut self) -> Result<Told> {
        self.ask("cut")
    }

    pub(super) fn tell(&mut self) -> Result<Told> {
        self.ask("tell")
    }

    fn ask(&mut self, word: &str) -> Result<Told> {
        let words = self.words.as_mut().context("it takes words")?;
        writeln!(words, "{word}").context("ask the played nodes")?;
        words.flush().context("ask the played nodes")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Told> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        read.context("read what the played nodes say")?;
        ensure!(!line.is_empty(), "the played nodes ended; see above why");
        serde_json::from_str(&line).with_context(|| format!("the played nodes said `{line}`"))
    }

    /// Ends them.
    pub(super) fn stop(mut self) -> Result<()> {
        self.words = None;
        let status = self.child.wait().context("wait for the played nodes")?;
        ensure!(status.success(), "the played nodes ended with {status}");
        Ok(())
    }
}

impl Drop for PlayedNodes {
    fn drop(&mut self) {
        // After a stop it is gone already, and both calls say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that ends by itself, and looks at the coordinator meanwhile.
pub(super) fn run<T: DeserializeOwned>(
    bench: &Bench,
    hive: &Hive,
    command: &str,
    numbers: &[(&str, usize)],
    mut look: impl FnMut() -> Result<()>,
) -> Result<T> {
    let mut child = spawn(bench, hive, command, numbers)?;
    while child.try_wait().context("look at a process")?.is_none() {
        if let Err(error) = look() {
            // It would go on alone otherwise; whether it still ran does not matter.
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        thread::sleep(LOOK);
    }
    let output = child.wait_with_output().context("wait for a process")?;
    let status = output.status;
    ensure!(
        status.success(),
        "`skep-fleet {command}` ended with {status}"
    );
    serde_json::from_slice(&output.stdout).context("read what it measured")
}

fn spawn(bench: &Bench, hive: &Hive, command: &str, numbers: &[(&str, usize)]) -> Result<Child> {
    Command::new(&bench.fleet)
        .args(contract::fleet(command, hive.place(), numbers))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start `{}`", bench.fleet.display()))
}

//! A program that has to end in time, and its output.

use anyhow::{Context, Result, bail};
use std::io::{Read, Seek, SeekFrom};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest time that a client may take for what is asked of it.
const TIME_MAX: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(10);

/// What a program said, and how it ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ended {
    /// Both outputs, for a report.
    pub(super) fn said(&self) -> String {
        format!("{}\n{}", self.stdout.trim(), self.stderr.trim())
    }
}

/// Runs a program to its end.
pub(super) fn run(command: &mut Command) -> Result<Ended> {
    let name = command.get_program().to_string_lossy().into_owned();
    // Files take all that is written, so nothing has to be read while it runs.
    let mut outputs = [tempfile::tempfile()?, tempfile::tempfile()?];
    let mut child = command
        .stdin(Stdio::null())
        .stdout(outputs[0].try_clone()?)
        .stderr(outputs[1].try_clone()?)
        .spawn()
        .with_context(|| format!("start `{name}`"))?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().context("look at a client")? {
            break Some(status);
        }
        if started.elapsed() > TIME_MAX {
            drop(child.kill());
            drop(child.wait());
            break None;
        }
        thread::sleep(POLL);
    };
    let [stdout, stderr] = outputs.each_mut().map(|output| {
        let mut bytes = Vec::new();
        let read = output.seek(SeekFrom::Start(0));
        let read = read.and_then(|_| output.read_to_end(&mut bytes));
        read.map(|_| String::from_utf8_lossy(&bytes).into_owned())
    });
    let (stdout, stderr) = (
        stdout.context("read stdout")?,
        stderr.context("read stderr")?,
    );
    match status {
        Some(status) => Ok(Ended {
            status,
            stdout,
            stderr,
        }),
        None => bail!("`{name}` did not end in time: {stdout}\n{stderr}"),
    }
}

//! A coordinator with nodes in a temporary directory, and the commands that use it.

use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Nothing here takes this long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// Pause between two looks at a condition.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// What a coordinator says on stderr, in its directory.
const UP_LOG: &str = "up.log";

/// Looks until the condition holds; fails with what is waited for and how it stands.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut look: impl FnMut() -> Result<(), String>) {
    let started = Instant::now();
    while let Err(standing) = look() {
        assert!(
            started.elapsed() < PATIENCE,
            "waited too long for {what}: {standing}"
        );
        std::thread::sleep(LOOK_PAUSE);
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Answer {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            code,
            "stdout: {}\nstderr: {}",
            self.text(),
            self.stderr
        );
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Stdout as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Stdout as one JSON document a line.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        self.text().lines().map(parse).collect()
    }

    /// The error on the last line of stderr.
    #[track_caller]
    pub(crate) fn json_error(&self) -> Value {
        let last = self.stderr.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {}", self.stderr))
    }
}

/// A command in a directory, with this home and nothing of the environment of the tests.
pub(crate) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    command
        .args(arguments)
        .current_dir(directory)
        .env("SKEP_HOME", directory.join("home"))
        .env_remove("SKEP_URL")
        .env_remove("SKEP_AUTHORITY")
        .env_remove("SKEP_TOKEN")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

/// A process that ends with its owner.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    pub(crate) fn start_with(mut command: Command, stderr: Stdio) -> Self {
        Self(
            command
                .stdout(Stdio::null())
                .stderr(stderr)
                .spawn()
                .unwrap(),
        )
    }

    fn terminate(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        // It may have ended by itself.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
    }

    /// Asks it to end and gives its exit code.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.terminate();
        self.code()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn code(&mut self) -> Option<i32> {
        let mut code = None;
        wait_until("the end of a process", || {
            match self.0.try_wait().unwrap() {
                Some(status) => {
                    code = status.code();
                    Ok(())
                }
                None => Err("it runs".to_owned()),
            }
        });
        code
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.terminate();
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            match self.0.try_wait() {
                Ok(None) => std::thread::sleep(LOOK_PAUSE),
                _ => return,
            }
        }
        self.0.kill().ok();
    }
}

/// A coordinator with nodes.
#[derive(Debug)]
pub(crate) struct TestHive {
    // Ended before the directory goes: fields are dropped in this order.
    up: Process,
    path: PathBuf,
    /// Gone with the hive, unless the test owns it.
    _directory: Option<TempDir>,
    address: SocketAddr,
}

impl TestHive {
    /// Starts a coordinator on a free port and waits until its nodes take work. What it says on
    /// stderr is kept for [`TestHive::says`].
    pub(crate) fn start(nodes: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (up, address) = start_up(directory.path(), free, nodes);
        let hive = Self {
            up,
            path: directory.path().to_owned(),
            _directory: Some(directory),
            address,
        };
        hive.wait_for_nodes(nodes as usize);
        hive
    }

    /// Starts a coordinator without nodes in a directory of the test, with variables and flags.
    pub(crate) fn start_in(path: &Path, variables: &[(&str, &str)], flags: &[&str]) -> Self {
        let (up, address) = start_with(path, variables, &[&["--nodes", "0"], flags].concat());
        Self {
            up,
            path: path.to_owned(),
            _directory: None,
            address,
        }
    }

    /// Whether the coordinator has said this on stderr; else what it said.
    pub(crate) fn says(&self, text: &str) -> Result<(), String> {
        let log = std::fs::read_to_string(self.path().join(UP_LOG)).unwrap();
        if log.contains(text) { Ok(()) } else { Err(log) }
    }

    /// Ends the coordinator as a crash would, and starts it again at the same address.
    pub(crate) fn crash_and_restart(&mut self, nodes: u32) {
        self.up.0.kill().unwrap();
        self.up.0.wait().unwrap();
        let (up, address) = start_up(&self.path, self.address, nodes);
        assert_eq!(address, self.address);
        self.up = up;
    }

    /// Asks the coordinator to end, and gives its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.up.stop()
    }

    /// A node process of the test.
    pub(crate) fn start_node(&self, name: &str) -> Process {
        let node = command(
            self.path(),
            &["node", "start", "--name", name, "--slots", "2"],
        );
        Process::start(node)
    }

    pub(crate) fn wait_for_nodes(&self, count: usize) {
        wait_until("ready nodes", || {
            let nodes = self.skep(&["--json", "node", "ls"]).expect(0).json();
            let ready = nodes["items"].as_array().unwrap().iter();
            let ready = ready.filter(|node| node["state"] == "ready").count();
            if ready >= count {
                Ok(())
            } else {
                Err(nodes.to_string())
            }
        });
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs a command to its end.
    pub(crate) fn skep(&self, arguments: &[&str]) -> Answer {
        Answer::of(command(self.path(), arguments).output().unwrap())
    }

    /// As [`TestHive::skep`], with variables.
    pub(crate) fn skep_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Answer {
        let mut command = command(self.path(), arguments);
        Answer::of(command.envs(variables.iter().copied()).output().unwrap())
    }

    /// Writes a plan file and gives its name.
    pub(crate) fn plan(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path().join(name), text).unwrap();
        name.to_owned()
    }

    /// Submits a plan and gives the ids of its run and of a task.
    #[track_caller]
    pub(crate) fn submit(&self, plan: &str, task: &str) -> (String, String) {
        let submitted = self.skep(&["--json", "submit", plan]).expect(0).json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&submitted["run"]["id"]),
            text(&submitted["tasks"][task]),
        )
    }
}

/// Runs a command in a directory without a coordinator.
pub(crate) fn skep_in(directory: &Path, arguments: &[&str]) -> Answer {
    Answer::of(command(directory, arguments).output().unwrap())
}

fn start_up(directory: &Path, listen: SocketAddr, nodes: u32) -> (Process, SocketAddr) {
    let (listen, nodes) = (listen.to_string(), nodes.to_string());
    start_with(directory, &[], &["--listen", &listen, "--nodes", &nodes])
}

fn start_with(
    directory: &Path,
    variables: &[(&str, &str)],
    flags: &[&str],
) -> (Process, SocketAddr) {
    let ready: PathBuf = directory.join("ready.json");
    std::fs::remove_file(&ready).ok();
    let arguments = [&["up", "--ready-file", "ready.json"], flags].concat();
    let log = std::fs::File::create(directory.join(UP_LOG)).unwrap();
    let mut command = command(directory, &arguments);
    command.envs(variables.iter().copied());
    let mut up = Process::start_with(command, log.into());
    wait_until("a ready coordinator", || match up.0.try_wait().unwrap() {
        Some(status) => panic!("the coordinator ended: {status}"),
        None if ready.exists() => Ok(()),
        None => Err("its ready file is not there".to_owned()),
    });
    let note: Value = serde_json::from_slice(&std::fs::read(&ready).unwrap()).unwrap();
    let url = note["url"].as_str().unwrap();
    (up, url.trim_start_matches("http://").parse().unwrap())
}

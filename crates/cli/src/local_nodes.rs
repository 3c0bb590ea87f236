//! Node processes that this process starts beside its coordinator, and ends with it.

use crate::exit::{Exit, Failure};
use crate::places::{CoordinatorNote, Places};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long nodes may take to say goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(15);

/// Node processes, owned.
#[derive(Debug, Default)]
pub(crate) struct LocalNodes {
    children: Vec<(String, Child)>,
}

/// A node process that ended by itself.
#[derive(Debug)]
pub(crate) struct EndedNode {
    pub(crate) name: String,
    /// How, in words of the system.
    pub(crate) status: String,
    /// Node processes of this one that go on.
    pub(crate) left: usize,
}

impl LocalNodes {
    /// Starts `count` node processes; each has its own state directory and logs to a file there.
    pub(crate) fn start(
        places: &Places,
        note: &CoordinatorNote,
        count: u32,
        quiet: bool,
    ) -> Result<Self, Failure> {
        let mut nodes = Self::default();
        for number in 1..=count {
            let name = format!("local-{number}");
            let child = start_one(places, note, &name, quiet).map_err(|error| {
                Failure::new(
                    Exit::Failed,
                    "node_not_started",
                    format!("cannot start node `{name}`: {error}"),
                )
            })?;
            nodes.children.push((name, child));
        }
        Ok(nodes)
    }

    /// Waits until a node process ended although nobody told it to, and lets go of it; never ends
    /// without nodes.
    pub(crate) async fn one_ended(&mut self) -> EndedNode {
        let mut poll = tokio::time::interval(Duration::from_millis(500));
        loop {
            poll.tick().await;
            let ended = self.children.iter_mut().position(|(_, child)| {
                // An error is no end: the process may live.
                matches!(child.try_wait(), Ok(Some(_)))
            });
            if let Some(position) = ended {
                let (name, mut child) = self.children.remove(position);
                let status = child.try_wait().ok().flatten();
                return EndedNode {
                    name,
                    status: status.map_or_else(String::new, |status| status.to_string()),
                    left: self.children.len(),
                };
            }
        }
    }

    /// Waits until no node process is left; never, without nodes.
    pub(crate) async fn all_ended(&mut self) -> String {
        let mut poll = tokio::time::interval(Duration::from_millis(500));
        loop {
            poll.tick().await;
            let mut statuses = Vec::new();
            for (name, child) in &mut self.children {
                match child.try_wait() {
                    Ok(Some(status)) => statuses.push(format!("`{name}`: {status}")),
                    Ok(None) | Err(_) => break,
                }
            }
            if !statuses.is_empty() && statuses.len() == self.children.len() {
                return statuses.join(", ");
            }
        }
    }

    /// TERM to all, then KILL to those that take too long.
    pub(crate) async fn stop(mut self) {
        for (_, child) in &self.children {
            let pid = child
                .id()
                .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
            if let Some(pid) = pid {
                // It may be gone already.
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
            }
        }
        for (name, child) in &mut self.children {
            if tokio::time::timeout(GOODBYE_MAX, child.wait())
                .await
                .is_err()
            {
                tracing::warn!(node = %name, "it did not stop in time; killing it");
                drop(child.kill().await);
            }
        }
    }
}

fn start_one(
    places: &Places,
    note: &CoordinatorNote,
    name: &str,
    quiet: bool,
) -> std::io::Result<Child> {
    let state = places.node(name);
    std::fs::create_dir_all(&state)?;
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(state.join("node.log"))?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["node", "start", "--coordinator", &note.url, "--name", name])
        .arg("--state-dir")
        .arg(&state)
        .arg("--hide")
        .arg(&places.state)
        .arg("--token-file")
        .arg(places.node_token())
        .env_remove("SKEP_TOKEN")
        .env_remove("SKEP_URL")
        .env_remove("SKEP_AUTHORITY")
        // Open as long as this process lives: when it dies, however that comes, the node does too.
        // A node that stayed would hold its directory, and look for us at a port that is gone.
        .arg("--end-with-stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        // A Ctrl-C on the terminal is for us; the nodes are told by us.
        .process_group(0)
        .kill_on_drop(true);
    if quiet {
        command.env("RUST_LOG", "warn");
    }
    command.spawn()
}

//! Where things lie on this machine: data, configuration, and the note a coordinator leaves.

use crate::exit::{Exit, Failure};
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The note that a running coordinator leaves for the commands of its user.
const COORDINATOR_NOTE: &str = "coordinator.json";

/// Directories of one user or of one `SKEP_HOME`.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Log, database, artifacts, tokens.
    pub(crate) state: PathBuf,
    /// Configuration of the user.
    pub(crate) config: PathBuf,
}

/// Where a coordinator is and where its token lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CoordinatorNote {
    /// Base URL.
    pub(crate) url: String,
    /// File with an admin token, mode 0600.
    pub(crate) token_file: PathBuf,
    /// `HOST:PORT` under which other machines reach it; none on loopback.
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
}

impl Places {
    /// The directories below `home`, or the XDG directories without one.
    pub(crate) fn resolve(home: Option<&Path>) -> Result<Self, Failure> {
        if let Some(home) = home {
            let home = std::path::absolute(home)?;
            return Ok(Self {
                state: home.join("state"),
                config: home.join("config"),
            });
        }
        let base = etcetera::choose_base_strategy().map_err(|_| {
            Failure::new(Exit::Invalid, "no_home", "this user has no home directory")
                .hint("set SKEP_HOME to a directory for all data")
        })?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir());
        Ok(Self {
            state: state.join("skep"),
            config: base.config_dir().join("skep"),
        })
    }

    /// Directory of the coordinator's data.
    pub(crate) fn coordinator(&self) -> PathBuf {
        self.state.join("coordinator")
    }

    /// Directory of a node on this machine.
    pub(crate) fn node(&self, name: &str) -> PathBuf {
        self.nodes().join(name)
    }

    /// Where the directories of all nodes on this machine lie.
    pub(crate) fn nodes(&self) -> PathBuf {
        self.state.join("nodes")
    }

    /// File with the token of the CLI.
    pub(crate) fn admin_token(&self) -> PathBuf {
        self.state.join("token")
    }

    /// File with the token of local nodes.
    pub(crate) fn node_token(&self) -> PathBuf {
        self.state.join("node-token")
    }

    /// Directory into which `skep run` puts artifacts of a run.
    pub(crate) fn results(&self, run: &str) -> PathBuf {
        self.state.join("results").join(run)
    }

    /// Leaves the note that this user's commands look for.
    pub(crate) fn leave_note(&self, note: &CoordinatorNote) -> std::io::Result<()> {
        write_json(&self.state.join(COORDINATOR_NOTE), note)
    }

    /// The note, if a coordinator left one.
    pub(crate) fn note(&self) -> Option<CoordinatorNote> {
        let text = std::fs::read_to_string(self.state.join(COORDINATOR_NOTE)).ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// Writes a small file so that readers see all of it or none.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    write_private(path, serde_json::to_string(value)?.as_bytes())
}

/// Writes a file of mode 0600 so that readers see all of it or none.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let draft = directory.join(format!(".{name}.{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

/// Reads a token file.
pub(crate) fn read_token(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|error| {
            Failure::new(
                Exit::Denied,
                "token_unreadable",
                format!("cannot read the token file `{}`: {error}", path.display()),
            )
            .hint("run the command as the user who runs `skep up`, or set SKEP_TOKEN")
        })
}

//! What an attempt is given: its specification, and the ports through which it talks.

use skep_model::attempt::{ArtifactRecord, Fence, GateReport};
use skep_model::ids::TaskId;
use skep_model::isolation::IsolationLevel;
use skep_model::work::{CommandWork, Input};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// One attempt to run.
#[derive(Debug, Clone)]
pub struct AttemptSpec {
    /// The task.
    pub task: TaskId,
    /// Which attempt of the task; names its directory.
    pub attempt: u32,
    /// The grant, copied into the report.
    pub fence: Fence,
    /// What to run.
    pub work: CommandWork,
    /// Variables of the caller, e.g. `SKEP_URL` and `SKEP_TOKEN`. They win over the plan's.
    pub env: BTreeMap<String, String>,
    /// The isolation that the task asks for; it runs at exactly this level or not at all.
    pub isolation: IsolationLevel,
    /// Private memory that one process may have, if the task said.
    pub memory_bytes: Option<u64>,
}

/// Where an attempt is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Workspace and inputs are laid out.
    Preparing,
    /// The command runs.
    Running,
    /// The gates run.
    Verifying,
    /// Artifacts and changes are handed in.
    HandingIn,
}

/// Hears how an attempt goes. Called on the attempt's thread: MUST NOT block.
pub trait AttemptEvents {
    /// A phase began.
    fn phase(&self, phase: Phase);
    /// A gate ended.
    fn gate_ended(&self, gate: &GateReport);
    /// The log has this many bytes now; see [`crate::Runner::read_log`].
    fn log_appended(&self, written: u64);
}

/// A failure of a port, with its words for people.
pub type PortError = Box<dyn std::error::Error + Send + Sync>;

/// Brings the artifacts of other tasks.
pub trait ArtifactSource {
    /// Writes every file that `input` selects into `place`.
    fn fetch(&self, input: &Input, place: &mut dyn InputPlace) -> Result<(), PortError>;
}

/// Where the files of one input go; the runner makes sure that they stay in the workspace.
pub trait InputPlace {
    /// Makes a file at an artifact's path, which may come from an untrusted node.
    fn create(&mut self, path: &str, executable: bool) -> Result<File, PortError>;
}

/// Takes the files that an attempt hands in.
pub trait ArtifactSink {
    /// Takes one file; `Ok` means that it is stored for good. `file` is gone afterwards.
    fn put(&self, record: &ArtifactRecord, file: &Path) -> Result<(), PortError>;
}

/// The ports of one attempt.
#[derive(Clone, Copy)]
pub struct AttemptPorts<'a> {
    /// Hears how it goes.
    pub events: &'a dyn AttemptEvents,
    /// Brings inputs.
    pub source: &'a dyn ArtifactSource,
    /// Takes artifacts.
    pub sink: &'a dyn ArtifactSink,
}

impl std::fmt::Debug for AttemptPorts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttemptPorts").finish_non_exhaustive()
    }
}

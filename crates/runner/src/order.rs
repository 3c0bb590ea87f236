//! What the runner, the supervisor and the exec stage say to each other: one JSON line each.

use crate::isolation::Confinement;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// First argument that makes the binary a supervisor.
pub(crate) const SUPERVISOR_STAGE: &str = "attempt-supervisor";
/// First argument that makes the binary confine itself and become the program.
pub(crate) const EXEC_STAGE: &str = "attempt-exec";
/// First argument that makes the binary try what a sandbox must stop.
pub(crate) const PROBE_STAGE: &str = "attempt-probe";

/// Bytes of one order: environment and script at their limits, and room for escapes.
pub(crate) const ORDER_BYTES_MAX: usize = 32 << 20;
/// Bytes of all notes of one supervisor.
pub(crate) const NOTES_BYTES_MAX: usize = 64 << 10;
/// Line on the supervisor's stdin that asks for TERM, grace, KILL.
pub(crate) const STOP_LINE: &[u8] = b"stop\n";
/// Line on the supervisor's stdin that asks it to let the tree stand still.
pub(crate) const FREEZE_LINE: &[u8] = b"freeze\n";
/// Line on the supervisor's stdin that asks it to let the tree go on.
pub(crate) const THAW_LINE: &[u8] = b"thaw\n";
/// What the exec stage writes when only the `exec` itself is left to fail.
pub(crate) const READY_MARK: &str = "ready\n";

/// What the supervisor is asked to run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LaunchOrder {
    /// Handed on to the exec stage.
    pub(crate) program: ProgramOrder,
    /// Milliseconds until the tree is stopped.
    pub(crate) timeout_ms: u64,
    /// Milliseconds between TERM and KILL.
    pub(crate) kill_grace_ms: u64,
}

/// What the exec stage becomes, and within which walls.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProgramOrder {
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub(crate) env: BTreeMap<String, String>,
    /// Working directory.
    pub(crate) directory: PathBuf,
    /// What it may do.
    pub(crate) confinement: Confinement,
}

/// What a supervisor tells the runner.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SupervisorNote {
    /// The program runs.
    Started {
        /// Its process id, also its session and process group.
        pid: i32,
    },
    /// Every process of the program stands still.
    Frozen,
    /// The program never ran.
    LaunchFailed {
        /// What failed.
        message: String,
    },
    /// The program and all its descendants are gone.
    Ended(EndNote),
}

/// How a process tree ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndNote {
    /// Who ended it.
    pub(crate) cause: EndCause,
    /// Exit code of the program; 128 + signal when a signal ended it.
    pub(crate) exit_code: Option<i32>,
    /// Processor time in user mode.
    pub(crate) user_ms: u64,
    /// Processor time in the kernel.
    pub(crate) system_ms: u64,
    /// Largest resident size of one process.
    pub(crate) memory_peak_bytes: u64,
    /// Processes that could not be killed within the bound.
    pub(crate) survivors: usize,
}

/// Who ended a process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndCause {
    /// The program itself.
    Program,
    /// Its timeout.
    Timeout,
    /// The runner's stop line.
    Stop,
}

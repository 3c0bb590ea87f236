//! Runs one attempt on this machine, and answers for its end.
//!
//! A node makes one [`Runner`] and calls [`Runner::run`] on a thread of its own for each attempt:
//! workspace, inputs, command, gates, artifacts, report. The command runs below two stages of the
//! node's own binary, for which its `main` calls [`internal_main`] first:
//!
//! ```text
//! node (Runner::run)      poll: output, notes, cancel
//!   | stdin = order, stop lines, lifeline     stdout = notes     stderr = output
//! attempt-supervisor      subreaper: adopts every orphan, kills the tree, counts its use
//!   | stdin = order                           stdout = report    stderr = output
//! attempt-exec            rlimits, Landlock, seccomp, then `exec`
//!   | stdin = /dev/null                       stdout = stderr = output
//! the command
//! ```
//!
//! What holds whatever happens: nothing that an attempt started outlives it, not even when the
//! node is killed (its end of the lifeline closes); a command runs at the isolation its task asks
//! for or not at all; a file of an attempt is read and written through `openat2`, never through a
//! path that the attempt could redirect; git never runs a program that a repository names.
//!
//! This crate may not: know the coordinator or HTTP, decide whether to retry, or run anything
//! without a bound in time and output.

mod allowed_paths;
mod artifacts;
mod attempt;
mod attempt_log;
mod cancel;
mod confined_dir;
mod environment;
mod error;
mod exec_stage;
mod freezer;
mod glob;
mod inputs;
mod internal;
mod isolation;
mod order;
mod paths;
mod process_tree;
mod runner;
mod spec;
mod supervised;
mod supervisor;
mod tail_buffer;
mod workspace;

pub use attempt_log::{LogChunk, cut_mark};
pub use cancel::{CancelHandle, StopReason};
pub use environment::ENV_ALLOW_LIST_DEFAULT;
pub use error::AttemptError;
pub use glob::{Glob, GlobError};
pub use internal::internal_main;
pub use isolation::{ConfineError, MeasuredIsolation, ProbeError};
pub use runner::{Runner, RunnerOptions};
pub use spec::{
    ArtifactSink, ArtifactSource, AttemptEvents, AttemptPorts, AttemptSpec, InputPlace, Phase,
    PortError,
};
pub use supervised::SupervisedError;
pub use workspace::WorkspaceError;

//! What shuts an attempt off from its machine: one trait, one implementation per level.
//!
//! S0 is no wall at all. S1 is Landlock, seccomp, rlimits and fewer capabilities, without
//! namespaces: an attempt reads the system's programs and libraries, reads and writes its
//! workspace and its own home and temporary directory, and nothing else. What S1 does *not*
//! promise: it has the network (so that it reaches the API), it sees the command lines of other
//! processes in `/proc`, and its memory is bounded per process, not in sum.

mod capabilities;
mod filesystem;
mod measure;
mod probe;
mod resources;
mod socket_address;
mod system_calls;

pub use measure::{MeasuredIsolation, ProbeError};

pub(crate) use measure::measure;
pub(crate) use probe::try_the_forbidden;

use serde::{Deserialize, Serialize};
use skep_model::isolation::IsolationLevel;
use std::path::PathBuf;

/// What one process tree may touch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Confinement {
    /// How strict.
    pub(crate) level: IsolationLevel,
    /// Files and directories it may read and execute, beyond the system's own.
    pub(crate) read: Vec<PathBuf>,
    /// Files and directories it never sees, also where `read` would show them. Resolved.
    pub(crate) hidden: Vec<PathBuf>,
    /// A program it may read and start wherever it lies, also where all else is hidden.
    pub(crate) program: Option<PathBuf>,
    /// Directories it may also change.
    pub(crate) write: Vec<PathBuf>,
    /// Private memory of one process.
    pub(crate) memory_bytes: Option<u64>,
}

/// Why a wall could not be built; the program is not started then.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// No implementation of this level exists in this version.
    #[error("isolation level `{0}` is not available: this version offers s0 and s1")]
    NoSuchLevel(IsolationLevel),
    /// Landlock is missing, too old or refused.
    #[error("restrict the file system with Landlock ABI 6 (Linux 6.12 or newer)")]
    FileSystem(#[source] landlock::RulesetError),
    /// A path that must be allowed cannot be opened.
    #[error("open `{path}` to allow it in the sandbox")]
    AllowedPath {
        /// The path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: landlock::PathFdError,
    },
    /// A directory around a hidden path cannot be listed.
    #[error("list `{path}` to allow its entries in the sandbox")]
    ListAllowed {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What should be a program is a directory or the like.
    #[error("`{path}` is not a file: only a program can be allowed there")]
    NotAProgram {
        /// The path.
        path: PathBuf,
    },
    /// The system call filter could not be made.
    #[error("compile the system call filter")]
    CompileFilter(#[source] seccompiler::BackendError),
    /// The kernel refused the system call filter.
    #[error("install the system call filter")]
    InstallFilter(#[source] seccompiler::Error),
    /// A resource limit was refused.
    #[error("set the resource limit `{limit}`")]
    ResourceLimit {
        /// Its name.
        limit: &'static str,
        /// Why not.
        #[source]
        source: rustix::io::Errno,
    },
    /// The kernel refused to give up privileges.
    #[error("give up privileges for good")]
    Privileges(#[source] rustix::io::Errno),
}

/// A level of isolation. Confining binds the calling thread and all it starts, for good, so it is
/// called by the single-threaded exec stage only.
pub(crate) trait Isolation {
    /// Builds the wall. After an error the caller MUST NOT start the program.
    fn confine(&self, confinement: &Confinement) -> Result<(), ConfineError>;
}

/// The implementation of a level.
pub(crate) fn isolation_of(level: IsolationLevel) -> Result<&'static dyn Isolation, ConfineError> {
    match level {
        IsolationLevel::S0 => Ok(&Open),
        IsolationLevel::S1 => Ok(&Walled),
        IsolationLevel::S2 => Err(ConfineError::NoSuchLevel(level)),
    }
}

/// S0: no wall, only no core dumps.
struct Open;

impl Isolation for Open {
    fn confine(&self, _: &Confinement) -> Result<(), ConfineError> {
        resources::forbid_core_dumps()
    }
}

/// S1: Landlock, seccomp, rlimits, fewer capabilities.
struct Walled;

impl Isolation for Walled {
    /// The filter comes last, since it forbids some of what the other steps call.
    fn confine(&self, confinement: &Confinement) -> Result<(), ConfineError> {
        resources::forbid_core_dumps()?;
        resources::limit(confinement.memory_bytes)?;
        capabilities::drop_dangerous()?;
        rustix::thread::set_no_new_privs(true).map_err(ConfineError::Privileges)?;
        filesystem::restrict(confinement)?;
        system_calls::restrict()
    }
}

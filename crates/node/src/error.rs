//! Why a node cannot start.

use std::io;
use std::path::{Path, PathBuf};

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// An option that cannot be used.
    #[error("{option} `{value}` cannot be used: {detail}")]
    Option {
        /// Which one.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is wrong.
        detail: String,
    },
    /// Another node process uses the state directory.
    #[error(
        "another node process uses `{path}`: stop it, or give this one a state directory of its own"
    )]
    InUse {
        /// The state directory.
        path: PathBuf,
    },
    /// A file of the state directory.
    #[error("{step} `{path}`")]
    File {
        /// What was done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The identity file does not hold an identity.
    #[error(
        "`{path}` does not hold a node's identity ({detail}): restore it, or remove it to join as a new node"
    )]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The membership file cannot be used.
    #[error(
        "`{path}` does not say which swarm this machine joined ({detail}): restore it, or empty the \
         directory and join anew"
    )]
    MembershipDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The spool cannot be read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The machine cannot be measured.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] skep_client::ClientError),
    /// The system gives no random numbers.
    #[error("draw random numbers: {0}")]
    Random(getrandom::Error),
    /// A thread cannot be started.
    #[error("start the thread `{name}`")]
    Thread {
        /// Its name.
        name: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// What went wrong with results on disk.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file cannot be read or written.
    #[error("{step} the results in `{path}`")]
    File {
        /// What was done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file was made by another version.
    #[error(
        "`{path}` is not a spool that this version can read: start the version that wrote it once more, so that it hands its results in"
    )]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// A result cannot be written.
    #[error("write a result as bytes")]
    Encode(#[source] postcard::Error),
    /// A result is larger than any that can be written.
    #[error("a result has {bytes} bytes, more than SPOOL_RECORD_BYTES_MAX")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// Why the machine cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// Its memory is not known.
    #[error("measure the memory of this machine: {0}")]
    Memory(String),
    /// The space of its disk is not known.
    #[error("measure the free space of `{path}`")]
    Disk {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Its isolation cannot be measured.
    #[error(transparent)]
    Isolation(#[from] skep_runner::ProbeError),
}

impl NodeError {
    pub(crate) fn file(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            step,
            path: path.to_owned(),
            source,
        }
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

//! Copies of a data directory that can be checked part by part, and a start from such a copy.
//!
//! A backup is a directory:
//!
//! ```text
//! skep.db               the database, as of one log index
//! artifacts/ab/HASH     the bytes of the artifacts that it refers to
//! logs/ab/NAME          what attempts had printed
//! ca/NAME               the certificate authority of the cluster, if it has one
//! manifest.json         what belongs to it: each part with its size and BLAKE3; written last
//! ```
//!
//! It is made beside a running coordinator and holds nobody up: the database is copied in one
//! read transaction, which writers do not wait for. It is made under another name and gets its
//! own when it is complete, so that half a backup is never taken for one.
//!
//! All of it is as secret as the data directory, and readable by its owner only; `ca/` may hold a
//! private key. The secret that signs task tokens is not part of it: a restored coordinator makes
//! its own, and attempts of the old cluster can hand in nothing. Tokens of the API and
//! idempotency keys are rows, and go on working. Nodes, machines that joined, join tokens and
//! tokens of nodes are rows too: the first start lets go of them ([`owes_farewell`]).
//!
//! The hashes tell damage from what was written. They do not tell who wrote it: whoever can change
//! all files can make a manifest that fits. Keep [`Summary::manifest`] elsewhere if that matters.

mod create;
mod error;
mod farewell;
mod files;
mod manifest;
mod restore;
mod staging;
mod verify;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;

pub use create::{CreateOptions, create};
pub use error::BackupError;
pub use farewell::{farewell_said, owes_farewell};
pub use manifest::{LeftOut, LogPlace, StatePlace, WhyLeftOut};
pub use restore::restore;
pub use staging::{Applied, apply_staged, discard, stage};
pub use verify::verify;

use skep_model::attempt::ArtifactHash;
use skep_model::ids::ClusterId;
use skep_model::time::UnixMillis;

/// The database, in a backup and in a data directory.
const DATABASE: &str = "skep.db";
/// The artifacts of a backup.
const ARTIFACTS: &str = "artifacts";
/// The artifacts of a data directory.
const BLOBS: &str = "blobs";
/// The logs of attempts, in both.
const LOGS: &str = "logs";
/// The certificate authority, in both.
const CA: &str = "ca";
/// Says what belongs to the backup.
const MANIFEST: &str = "manifest.json";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The installation that was backed up.
    pub cluster: ClusterId,
    /// When.
    pub created_at: UnixMillis,
    /// The version of skep that made it.
    pub skep_version: String,
    /// Where its log ends.
    pub log: LogPlace,
    /// The newest entry whose state digest was stored with it; none for an empty log.
    pub state: Option<StatePlace>,
    /// Files besides the manifest.
    pub parts: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Artifacts among the parts.
    pub artifacts: u64,
    /// Artifacts that it refers to and does not have, because the data directory did not have
    /// them either. Someone should be told.
    pub left_out: Vec<LeftOut>,
    /// BLAKE3 of the manifest, and by it of everything.
    pub manifest: ArtifactHash,
}

//! The list of what belongs to a backup, with a hash over itself in its last line.

use super::error::BackupError;
use super::files::Content;
use super::{ARTIFACTS, MANIFEST, Summary};
use serde::{Deserialize, Serialize};
use skep_model::attempt::{ArtifactHash, LogIndex};
use skep_model::ids::ClusterId;
use skep_model::time::UnixMillis;
use std::io;
use std::path::Path;

/// The format this version writes.
const FORMAT: u32 = 1;
/// Bytes of a manifest that is read: ten million parts.
const MANIFEST_BYTES_MAX: u64 = 2 << 30;
/// What follows the body, up to the hash of everything before.
const HASH_LINE_BEFORE: &str = ",\n  \"manifest_blake3\": \"";
/// What follows the hash.
const HASH_LINE_AFTER: &str = "\"\n}\n";
/// Hexadecimal digits of a hash.
const HASH_DIGITS: usize = 64;

/// Where a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPlace {
    /// The last entry; 0 for an empty log.
    pub index: LogIndex,
    /// Hash of the log up to it.
    pub hash: ArtifactHash,
}

/// What the state was at an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatePlace {
    /// The entry.
    pub index: LogIndex,
    /// The state digest after it.
    pub digest: ArtifactHash,
}

/// An artifact that is referred to and not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The artifact.
    pub artifact: ArtifactHash,
    /// Why.
    pub reason: WhyLeftOut,
}

/// Why an artifact could not be taken along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyLeftOut {
    /// Its file was not there; maybe it was removed with its task just now.
    Missing,
    /// Its bytes do not have its hash.
    Damaged,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) blake3: ArtifactHash,
}

impl Part {
    pub(super) fn new(name: impl Into<String>, content: Content) -> Self {
        Self {
            name: name.into(),
            bytes: content.bytes,
            blake3: content.blake3,
        }
    }
}

/// All that is said about a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) skep_version: String,
    pub(super) cluster: ClusterId,
    pub(super) created_at: UnixMillis,
    pub(super) log: LogPlace,
    pub(super) state: Option<StatePlace>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) parts: Vec<Part>,
}

/// Only what every format says, so that a newer one is named as such.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl Manifest {
    pub(super) fn new(
        cluster: ClusterId,
        created_at: UnixMillis,
        places: (LogPlace, Option<StatePlace>),
    ) -> Self {
        Self {
            format: FORMAT,
            skep_version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster,
            created_at,
            log: places.0,
            state: places.1,
            left_out: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Its text; the last line holds the hash of all that stands before that line.
    pub(super) fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a struct of numbers, texts and lists can always be encoded");
        text.truncate(text.trim_end_matches(['\n', '}']).len());
        let hash = ArtifactHash::of(text.as_bytes());
        text + HASH_LINE_BEFORE + &hash.to_string() + HASH_LINE_AFTER
    }

    /// Reads a text that must be exactly as it was written.
    pub(super) fn from_text(text: &str) -> Result<Self, BackupError> {
        let damaged = |detail: &str| BackupError::DamagedManifest {
            detail: detail.to_owned(),
        };
        let line_bytes = HASH_LINE_BEFORE.len() + HASH_DIGITS + HASH_LINE_AFTER.len();
        let (body, line) = text
            .len()
            .checked_sub(line_bytes)
            .and_then(|at| text.split_at_checked(at))
            .ok_or_else(|| damaged("its last line is not its hash"))?;
        let hash = ArtifactHash::of(body.as_bytes());
        if line != format!("{HASH_LINE_BEFORE}{hash}{HASH_LINE_AFTER}") {
            return Err(damaged("the hash in its last line is not its own"));
        }
        let body = format!("{body}\n}}");
        let parse = |error: serde_json::Error| damaged(&error.to_string());
        let format = serde_json::from_str::<FormatOnly>(&body).map_err(parse)?;
        if format.format != FORMAT {
            return Err(BackupError::NewerFormat {
                found: format.format,
                known: FORMAT,
            });
        }
        serde_json::from_str(&body).map_err(parse)
    }

    /// Reads the manifest of a backup.
    pub(super) fn read(directory: &Path) -> Result<(Self, ArtifactHash), BackupError> {
        let path = directory.join(MANIFEST);
        let read = || -> io::Result<Vec<u8>> {
            let mut file = super::files::open(&path)?;
            if file.metadata()?.len() > MANIFEST_BYTES_MAX {
                return Err(io::Error::other("it is too large for a manifest"));
            }
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut file, &mut bytes)?;
            Ok(bytes)
        };
        let bytes = match read() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::NoManifest {
                    path: directory.to_owned(),
                });
            }
            Err(error) => return Err(BackupError::file("read", path)(error)),
        };
        let text = std::str::from_utf8(&bytes).map_err(|error| BackupError::DamagedManifest {
            detail: error.to_string(),
        })?;
        Ok((Self::from_text(text)?, ArtifactHash::of(&bytes)))
    }

    pub(super) fn summary(self, hash: ArtifactHash) -> Summary {
        let artifacts = self
            .parts
            .iter()
            .filter(|part| part.name.starts_with(ARTIFACTS));
        Summary {
            artifacts: artifacts.count() as u64,
            parts: self.parts.len() as u64,
            bytes: self.parts.iter().map(|part| part.bytes).sum(),
            cluster: self.cluster,
            created_at: self.created_at,
            skep_version: self.skep_version,
            log: self.log,
            state: self.state,
            left_out: self.left_out,
            manifest: hash,
        }
    }
}

//! The hash chain over the log: each entry's hash covers the one before it.

use crate::error::StoreError;
use crate::sealed;
use skep_coordinator::ports::StateDigest;
use skep_model::attempt::LogIndex;
use skep_model::command::{LOG_FORMAT, LogEntry};

/// BLAKE3 over an entry and the hash of the entry before it.
pub(crate) type ChainHash = [u8; 32];

/// What stands for the hash before entry 1.
pub(crate) const GENESIS: ChainHash = [0; 32];

/// The hash of an entry with these stored bytes.
pub(crate) fn link(previous: &ChainHash, index: LogIndex, format: i64, body: &[u8]) -> ChainHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous);
    hasher.update(&index.0.to_le_bytes());
    hasher.update(&format.to_le_bytes());
    hasher.update(body);
    *hasher.finalize().as_bytes()
}

/// One row of the log as it is stored.
#[derive(Debug)]
pub(crate) struct StoredEntry {
    pub(crate) index: LogIndex,
    pub(crate) format: i64,
    pub(crate) body: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    /// The state digest after it, if its events were stored.
    pub(crate) digest: Option<Vec<u8>>,
}

impl StoredEntry {
    /// Columns and order that [`StoredEntry::read`] expects; follow with a `WHERE`.
    pub(crate) const SELECT: &str = "SELECT log.idx, log.format, log.body, log.hash, events.digest \
         FROM log LEFT JOIN events ON events.idx = log.idx";

    pub(crate) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            index: LogIndex(row.get::<_, i64>(0)? as u64),
            format: row.get(1)?,
            body: row.get(2)?,
            hash: row.get(3)?,
            digest: row.get(4)?,
        })
    }

    /// The state digest, checked for its length.
    pub(crate) fn digest(&self) -> Result<Option<StateDigest>, StoreError> {
        let Some(digest) = &self.digest else {
            return Ok(None);
        };
        digest.as_slice().try_into().map(Some).map_err(|_| {
            StoreError::damaged(
                format!("the events of log entry {}", self.index),
                format!("their digest has {} bytes instead of 32", digest.len()),
            )
        })
    }
}

/// Walks along the chain and checks each link.
#[derive(Debug)]
pub(crate) struct ChainWalk {
    at: LogIndex,
    hash: ChainHash,
}

impl ChainWalk {
    /// Starts after the entry at `at`, whose hash is known from elsewhere.
    pub(crate) const fn after(at: LogIndex, hash: ChainHash) -> Self {
        Self { at, hash }
    }

    /// The last entry that was checked, and its hash.
    pub(crate) const fn head(&self) -> (LogIndex, ChainHash) {
        (self.at, self.hash)
    }

    /// Checks that `entry` is the next one and is what was written; decodes it.
    pub(crate) fn step(&mut self, entry: &StoredEntry) -> Result<LogEntry, StoreError> {
        let place = || format!("log entry {}", entry.index);
        if entry.index != self.at.next() {
            return Err(StoreError::damaged(
                format!("log entry {}", self.at.next()),
                format!("it is missing; the next entry is {}", entry.index),
            ));
        }
        if entry.format != i64::from(LOG_FORMAT) {
            return Err(StoreError::UnknownFormat {
                index: entry.index.0,
                found: entry.format,
                known: LOG_FORMAT,
            });
        }
        let hash = link(&self.hash, entry.index, entry.format, &entry.body);
        if hash.as_slice() != entry.hash.as_slice() {
            return Err(StoreError::damaged(
                place(),
                "its hash does not follow from its bytes and the entry before it",
            ));
        }
        let decoded = sealed::decode(&entry.body)
            .map_err(|error| StoreError::damaged(place(), error.to_string()))?;
        self.at = entry.index;
        self.hash = hash;
        Ok(decoded)
    }
}

//! Bytes of artifacts under their BLAKE3 hash: taken in by pieces, believed only when complete.

use crate::data_dir::DataDir;
use crate::error::StoreError;
use crate::key_locks::KeyLocks;
use crate::shards::{self, Directory};
use skep_model::attempt::ArtifactHash;
use skep_model::limits::ARTIFACT_BYTES_MAX;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

/// Why bytes were not taken in or cannot be given out.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The piece does not begin where the last one ended.
    #[error("artifact `{hash}` has {expected} bytes so far: send what follows offset {expected}")]
    WrongOffset {
        /// The artifact.
        hash: ArtifactHash,
        /// Where the next piece begins.
        expected: u64,
    },
    /// More bytes than an artifact may have.
    #[error(
        "artifact `{hash}` would have {bytes} bytes; ARTIFACT_BYTES_MAX is {ARTIFACT_BYTES_MAX}"
    )]
    TooLarge {
        /// The artifact.
        hash: ArtifactHash,
        /// How many it would have.
        bytes: u64,
    },
    /// It was to be finished, and bytes are missing or too many.
    #[error("artifact `{hash}` has {found} bytes, not {expected}: send the missing ones first")]
    WrongLength {
        /// The artifact.
        hash: ArtifactHash,
        /// What was taken in.
        found: u64,
        /// What was promised.
        expected: u64,
    },
    /// The bytes are not those of the hash; they were thrown away.
    #[error("the bytes sent as artifact `{expected}` have the hash `{found}`: send it anew")]
    WrongHash {
        /// What was promised.
        expected: ArtifactHash,
        /// What came.
        found: ArtifactHash,
    },
    /// The system refused an operation.
    #[error("could not {step} artifact `{hash}`")]
    File {
        /// What was tried.
        step: &'static str,
        /// The artifact.
        hash: ArtifactHash,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// How much of an artifact is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobStatus {
    /// Nothing.
    Missing,
    /// The first bytes; the next piece begins here.
    Partial(u64),
    /// All of it: this many bytes, checked.
    Complete(u64),
}

/// Bytes of artifacts, by hash. Cheap to clone; clones share their locks.
#[derive(Debug, Clone)]
pub struct BlobStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    complete: Directory,
    parts: Directory,
    /// One writer per hash at a time: a second upload of the same bytes goes on where the first
    /// one is.
    locks: KeyLocks<ArtifactHash>,
    _dir: DataDir,
}

impl BlobStore {
    pub(crate) fn open(dir: DataDir) -> Result<Self, StoreError> {
        let path = dir.path().join("blobs");
        let open = || {
            let complete = Directory::open(&path)?;
            let parts = complete.child("parts")?;
            Ok((complete, parts))
        };
        let (complete, parts) = open().map_err(StoreError::file("open", &path))?;
        let inner = Inner {
            complete,
            parts,
            locks: KeyLocks::default(),
            _dir: dir,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// How much of it is here. What is complete stays for the grace of the retention policy from
    /// now on, whether or not anything refers to it yet: a report may be about to.
    pub fn status(&self, hash: ArtifactHash) -> Result<BlobStatus, BlobError> {
        self.inner.locks.with(hash, || {
            self.inner
                .status(hash)
                .map_err(file_error("look for", hash))
        })
    }

    /// Adds a piece; gives the offset of the next one. Nothing is durable before
    /// [`BlobStore::finish`]. A complete artifact takes no piece: its status says so.
    pub fn append(&self, hash: ArtifactHash, offset: u64, bytes: &[u8]) -> Result<u64, BlobError> {
        self.inner
            .locks
            .with(hash, || self.inner.append(hash, offset, bytes))
    }

    /// Checks the bytes against the hash and makes them durable. Wrong bytes are thrown away.
    /// Does nothing when it is complete already.
    pub fn finish(&self, hash: ArtifactHash, total: u64) -> Result<(), BlobError> {
        self.inner
            .locks
            .with(hash, || self.inner.finish(hash, total))
    }

    /// Opens a complete artifact; none if it is not here.
    pub fn open_blob(&self, hash: ArtifactHash) -> Result<Option<File>, BlobError> {
        let name = hash.to_string();
        self.inner
            .complete
            .shard(hash.0[0])
            .and_then(|shard| shard.read(&name))
            .map_err(file_error("open", hash))
    }

    /// Removes a complete artifact. Says whether it was here.
    pub fn remove(&self, hash: ArtifactHash) -> Result<bool, BlobError> {
        let name = hash.to_string();
        self.inner.locks.with(hash, || {
            self.inner
                .complete
                .shard(hash.0[0])
                .and_then(|shard| shard.remove(&name))
                .map_err(file_error("remove", hash))
        })
    }

    /// The complete artifacts whose hashes begin with this byte.
    pub(crate) fn hashes_in_shard(&self, byte: u8) -> Result<Vec<ArtifactHash>, StoreError> {
        let names = self
            .inner
            .complete
            .shard(byte)
            .and_then(|shard| shard.names())
            .map_err(StoreError::file("list", self.inner.complete.path()))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Removes a complete artifact unless it was written or asked for since `then`; gives its
    /// size if it went.
    pub(crate) fn remove_untouched(
        &self,
        hash: ArtifactHash,
        then: SystemTime,
    ) -> Result<Option<u64>, BlobError> {
        let name = hash.to_string();
        self.inner.locks.with(hash, || {
            self.inner
                .complete
                .shard(hash.0[0])
                .and_then(|shard| shard.remove_untouched(&name, then))
                .map_err(file_error("remove", hash))
        })
    }

    /// Removes unfinished uploads that got no piece since `then`; gives their number.
    pub fn sweep_parts(&self, then: SystemTime) -> Result<usize, StoreError> {
        let parts = &self.inner.parts;
        let error = || StoreError::file("sweep", parts.path());
        let mut removed = 0;
        for name in parts.names().map_err(error())? {
            let Ok(hash) = name.parse::<ArtifactHash>() else {
                continue;
            };
            let old = self
                .inner
                .locks
                .with(hash, || parts.remove_untouched(&name, then));
            removed += usize::from(old.map_err(error())?.is_some());
        }
        Ok(removed)
    }
}

impl Inner {
    fn status(&self, hash: ArtifactHash) -> io::Result<BlobStatus> {
        let name = hash.to_string();
        if let Some(file) = self.complete.shard(hash.0[0])?.read(&name)? {
            shards::touch(&file)?;
            return Ok(BlobStatus::Complete(file.metadata()?.len()));
        }
        match self.parts.read(&name)? {
            Some(file) => Ok(BlobStatus::Partial(file.metadata()?.len())),
            None => Ok(BlobStatus::Missing),
        }
    }

    fn append(&self, hash: ArtifactHash, offset: u64, bytes: &[u8]) -> Result<u64, BlobError> {
        let (expected, complete) = match self.status(hash).map_err(file_error("look for", hash))? {
            BlobStatus::Missing => (0, false),
            BlobStatus::Partial(length) => (length, false),
            BlobStatus::Complete(length) => (length, true),
        };
        if offset != expected {
            return Err(BlobError::WrongOffset { hash, expected });
        }
        let end = offset.saturating_add(bytes.len() as u64);
        if complete {
            return if end == expected {
                Ok(expected)
            } else {
                Err(BlobError::WrongLength {
                    hash,
                    found: end,
                    expected,
                })
            };
        }
        if end > ARTIFACT_BYTES_MAX {
            return Err(BlobError::TooLarge { hash, bytes: end });
        }
        let file = self
            .parts
            .write_or_create(&hash.to_string())
            .map_err(file_error("open the upload of", hash))?;
        if let Err(error) = file.write_all_at(bytes, offset) {
            // What was written of the piece must not look like the piece.
            file.set_len(offset)
                .map_err(file_error("cut the upload of", hash))?;
            return Err(file_error("write", hash)(error));
        }
        Ok(end)
    }

    fn finish(&self, hash: ArtifactHash, total: u64) -> Result<(), BlobError> {
        if let BlobStatus::Complete(found) =
            self.status(hash).map_err(file_error("look for", hash))?
        {
            return if found == total {
                Ok(())
            } else {
                Err(BlobError::WrongLength {
                    hash,
                    found,
                    expected: total,
                })
            };
        }
        let name = hash.to_string();
        let open = match total {
            0 => self.parts.write_or_create(&name).map(Some),
            _ => self.parts.write(&name),
        };
        let Some(file) = open.map_err(file_error("open the upload of", hash))? else {
            return Err(BlobError::WrongLength {
                hash,
                found: 0,
                expected: total,
            });
        };
        let found = file
            .metadata()
            .map_err(file_error("read the size of", hash))?
            .len();
        if found != total {
            return Err(BlobError::WrongLength {
                hash,
                found,
                expected: total,
            });
        }
        self.check_bytes(hash, &file)?;
        let keep = || {
            file.sync_all()?;
            let shard = self.complete.shard(hash.0[0])?;
            self.parts.rename(&name, &shard, &name)
        };
        keep().map_err(file_error("make durable", hash))
    }

    fn check_bytes(&self, hash: ArtifactHash, file: &File) -> Result<(), BlobError> {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update_reader(file)
            .map_err(file_error("read", hash))?;
        let found = ArtifactHash(*hasher.finalize().as_bytes());
        if found == hash {
            return Ok(());
        }
        self.parts
            .remove(&hash.to_string())
            .map_err(file_error("throw away", hash))?;
        Err(BlobError::WrongHash {
            expected: hash,
            found,
        })
    }
}

fn file_error(step: &'static str, hash: ArtifactHash) -> impl FnOnce(io::Error) -> BlobError {
    move |source| BlobError::File { step, hash, source }
}

#[cfg(test)]
mod tests;

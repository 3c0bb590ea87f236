//! Artifacts of other tasks, downloaded once and verified at each use.

use crate::INPUT_CACHE_BYTES_MAX;
use crate::files::make_directory;
use skep_model::attempt::{ArtifactHash, ArtifactRecord};
use skep_runner::PortError;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const COPY_BYTES: usize = 128 << 10;
/// What names of unfinished downloads begin with.
const DRAFT_PREFIX: &str = "draft-";

/// Why an artifact cannot be placed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    #[error("download artifact `{path}`")]
    Download {
        path: String,
        #[source]
        source: PortError,
    },
    #[error("copy artifact `{path}` into the workspace")]
    Copy {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("the bytes kept for artifact `{path}` are damaged, and a fresh download is too")]
    Damaged { path: String },
}

/// A directory of artifacts by hash, bounded in size.
#[derive(Debug)]
pub(crate) struct InputCache {
    root: PathBuf,
    bytes_max: u64,
    drafts: AtomicU64,
}

impl InputCache {
    /// Opens the directory, and removes downloads that an earlier process did not finish.
    pub(crate) fn open(root: PathBuf) -> io::Result<Self> {
        make_directory(&root)?;
        for entry in fs::read_dir(&root)? {
            let entry = entry?;
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(DRAFT_PREFIX)
            {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self {
            root,
            bytes_max: INPUT_CACHE_BYTES_MAX,
            drafts: AtomicU64::new(0),
        })
    }

    /// Writes the bytes of an artifact into `target`. `download` brings them to a path, verified,
    /// when they are not here.
    pub(crate) fn copy_to(
        &self,
        record: &ArtifactRecord,
        target: &mut File,
        download: impl Fn(&Path) -> Result<(), PortError>,
    ) -> Result<(), CacheError> {
        const TRIES: u32 = 2;
        let kept = self.root.join(record.blake3.to_string());
        let failed = |source| CacheError::Copy {
            path: record.path.clone(),
            source,
        };
        for _ in 0..TRIES {
            if !kept.exists() {
                self.fetch(record, &kept, &download)?;
            }
            target
                .set_len(0)
                .and_then(|()| target.rewind())
                .map_err(failed)?;
            match copy_and_hash(&kept, target) {
                Ok(hash) if hash == record.blake3 => return Ok(()),
                // It was evicted by another attempt just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
                Ok(_) => {
                    tracing::warn!(hash = %record.blake3, "a cached artifact is damaged");
                    let _ = fs::remove_file(&kept);
                }
            }
        }
        Err(CacheError::Damaged {
            path: record.path.clone(),
        })
    }

    fn fetch(
        &self,
        record: &ArtifactRecord,
        kept: &Path,
        download: &impl Fn(&Path) -> Result<(), PortError>,
    ) -> Result<(), CacheError> {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let draft = self.root.join(format!("{DRAFT_PREFIX}{number}"));
        if let Err(source) = download(&draft) {
            // Nobody would go on with it: the next download has another number.
            let _ = fs::remove_file(draft.with_extension("part"));
            let path = record.path.clone();
            return Err(CacheError::Download { path, source });
        }
        fs::rename(&draft, kept).map_err(|source| CacheError::Copy {
            path: record.path.clone(),
            source,
        })?;
        self.evict(kept);
        Ok(())
    }

    /// Takes files in that this node made itself. They are moved, and checked when they are used.
    pub(crate) fn adopt(&self, files: Vec<(ArtifactHash, PathBuf)>) {
        let mut newest = None;
        for (hash, file) in files {
            let kept = self.root.join(hash.to_string());
            // Who cannot be taken in is downloaded when it is needed.
            if fs::rename(&file, &kept).is_ok() {
                newest = Some(kept);
            }
        }
        if let Some(newest) = newest {
            self.evict(&newest);
        }
    }

    /// Removes the artifacts that were used longest ago until the rest is within the bound.
    fn evict(&self, newest: &Path) {
        let Ok(entries) = fs::read_dir(&self.root) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .filter(|(_, _, path)| !is_draft(path))
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total <= self.bytes_max {
                return;
            }
            if path != newest && fs::remove_file(&path).is_ok() {
                total -= bytes;
            }
        }
    }
}

fn is_draft(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(DRAFT_PREFIX))
}

fn copy_and_hash(source: &Path, target: &mut File) -> io::Result<ArtifactHash> {
    let mut source = File::open(source)?;
    // The time of use; who cannot set it evicts in another order, no more.
    let _ = source.set_modified(SystemTime::now());
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            return Ok(ArtifactHash(*hasher.finalize().as_bytes()));
        }
        hasher.update(&buffer[..count]);
        target.write_all(&buffer[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;

    struct Fixture {
        directory: tempfile::TempDir,
        cache: InputCache,
        downloads: Cell<u32>,
    }

    impl Fixture {
        fn new(bytes_max: u64) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let mut cache = InputCache::open(directory.path().join("cache")).unwrap();
            cache.bytes_max = bytes_max;
            Self {
                directory,
                cache,
                downloads: Cell::new(0),
            }
        }

        fn kept(&self, bytes: &[u8]) -> PathBuf {
            self.directory
                .path()
                .join("cache")
                .join(ArtifactHash::of(bytes).to_string())
        }

        fn get(&self, bytes: &[u8]) -> Result<Vec<u8>, CacheError> {
            let record = ArtifactRecord {
                name: "n".to_owned(),
                path: "p".to_owned(),
                bytes: bytes.len() as u64,
                blake3: ArtifactHash::of(bytes),
                executable: false,
            };
            let path = self.directory.path().join("target");
            let mut target = File::create(&path).unwrap();
            self.cache.copy_to(&record, &mut target, |path| {
                self.downloads.set(self.downloads.get() + 1);
                fs::write(path, bytes).unwrap();
                Ok(())
            })?;
            Ok(fs::read(path).unwrap())
        }
    }

    #[test]
    fn an_artifact_is_downloaded_once_and_again_when_it_was_damaged() {
        let fixture = Fixture::new(1_000);
        for _ in 0..3 {
            assert_eq!(fixture.get(b"abc").unwrap(), b"abc");
        }
        assert_eq!(fixture.downloads.get(), 1);
        fs::write(fixture.kept(b"abc"), b"abd").unwrap();
        assert_eq!(fixture.get(b"abc").unwrap(), b"abc");
        assert_eq!(fixture.downloads.get(), 2);
    }

    #[test]
    fn the_artifact_used_longest_ago_gives_way() {
        let fixture = Fixture::new(10);
        let past = |seconds| SystemTime::now() - Duration::from_secs(seconds);
        for (bytes, seconds) in [(b"aaaa", 100), (b"bbbb", 200)] {
            fixture.get(bytes).unwrap();
            File::open(fixture.kept(bytes))
                .unwrap()
                .set_modified(past(seconds))
                .unwrap();
        }
        fixture.get(b"cccc").unwrap();
        let left = [b"aaaa", b"bbbb", b"cccc"].map(|bytes| fixture.kept(bytes).exists());
        assert_eq!(left, [true, false, true]);
    }
}

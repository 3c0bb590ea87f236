//! What attempts printed: one file per attempt, filled by pieces that may come twice.

use crate::data_dir::DataDir;
use crate::error::StoreError;
use crate::key_locks::KeyLocks;
use crate::shards::Directory;
use regex::bytes::{Regex, RegexBuilder};
use skep_model::ids::TaskId;
use skep_model::limits::LOG_BYTES_PER_ATTEMPT_MAX;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

/// Bytes given out by one read.
const READ_BYTES_MAX: usize = 1 << 20;
/// Bytes of a line that are searched and shown; the rest of a longer one is skipped.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Lines that one search gives out.
const GREP_LINES_MAX: usize = 10_000;
/// Size of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Why log bytes were not taken in or cannot be given out.
#[derive(Debug, thiserror::Error)]
pub enum AttemptLogError {
    /// The piece begins after the end of what is here.
    #[error(
        "the log of attempt {attempt} of `{task}` has {expected} bytes so far: send what follows \
         offset {expected}"
    )]
    Gap {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
        /// Where the next piece begins.
        expected: u64,
    },
    /// More bytes than the log of an attempt may have.
    #[error(
        "the log of attempt {attempt} of `{task}` would have {bytes} bytes; \
         LOG_BYTES_PER_ATTEMPT_MAX is {LOG_BYTES_PER_ATTEMPT_MAX}"
    )]
    TooLarge {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
        /// How many it would have.
        bytes: u64,
    },
    /// The pattern is not a regular expression, or too large a one.
    #[error("the pattern is not a usable regular expression: {0}")]
    Pattern(#[from] regex::Error),
    /// The system refused an operation.
    #[error("could not {step} the log of attempt {attempt} of `{task}`")]
    File {
        /// What was tried.
        step: &'static str,
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A line that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Counted from 1.
    pub number: u64,
    /// Where it begins in the log.
    pub offset: u64,
    /// Its first bytes, as text.
    pub text: String,
}

/// What attempts printed. Cheap to clone; clones share their locks.
#[derive(Debug, Clone)]
pub struct AttemptLogs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: Directory,
    locks: KeyLocks<(TaskId, u32)>,
    _dir: DataDir,
}

impl AttemptLogs {
    pub(crate) fn open(dir: DataDir) -> Result<Self, StoreError> {
        let path = dir.path().join("logs");
        let directory = Directory::open(&path).map_err(StoreError::file("open", &path))?;
        let inner = Inner {
            directory,
            locks: KeyLocks::default(),
            _dir: dir,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Adds a piece; gives the new length. What is here already is skipped, so a piece may be
    /// sent again; a piece that would leave a gap is refused.
    pub fn append(
        &self,
        task: TaskId,
        attempt: u32,
        offset: u64,
        bytes: &[u8],
    ) -> Result<u64, AttemptLogError> {
        let end = bounded_end(task, attempt, offset, bytes)?;
        self.with_file(task, attempt, |file, length| {
            if offset > length {
                return Err(AttemptLogError::Gap {
                    task,
                    attempt,
                    expected: length,
                });
            }
            if end <= length {
                return Ok(length);
            }
            let known = (length - offset) as usize;
            write_at_end((task, attempt), file, length, &bytes[known..])?;
            Ok(end)
        })
    }

    /// Adds something behind all that is here, whoever else adds at the same time; gives the new
    /// length. What is added twice is there twice.
    pub fn append_at_end(
        &self,
        task: TaskId,
        attempt: u32,
        bytes: &[u8],
    ) -> Result<u64, AttemptLogError> {
        self.with_file(task, attempt, |file, length| {
            let end = bounded_end(task, attempt, length, bytes)?;
            write_at_end((task, attempt), file, length, bytes)?;
            Ok(end)
        })
    }

    /// Opens the log of an attempt, and makes it if there is none, while nobody else writes it.
    fn with_file<T>(
        &self,
        task: TaskId,
        attempt: u32,
        work: impl FnOnce(&File, u64) -> Result<T, AttemptLogError>,
    ) -> Result<T, AttemptLogError> {
        let error = |step| file_error(step, task, attempt);
        self.inner.locks.with((task, attempt), || {
            let file = self
                .shard(task)
                .and_then(|shard| shard.write_or_create(&file_name(task, attempt)))
                .map_err(error("open"))?;
            let length = file.metadata().map_err(error("measure"))?.len();
            work(&file, length)
        })
    }

    /// Up to `max` bytes from `offset` on; empty at the end and for an unknown attempt.
    pub fn read(
        &self,
        task: TaskId,
        attempt: u32,
        offset: u64,
        max: usize,
    ) -> Result<Vec<u8>, AttemptLogError> {
        let error = |step| file_error(step, task, attempt);
        let Some(file) = self.file(task, attempt)? else {
            return Ok(Vec::new());
        };
        let length = file.metadata().map_err(error("measure"))?.len();
        let left = length.saturating_sub(offset);
        let wanted = left.min(max.min(READ_BYTES_MAX) as u64) as usize;
        let mut bytes = vec![0; wanted];
        file.read_exact_at(&mut bytes, offset)
            .map_err(error("read"))?;
        Ok(bytes)
    }

    /// Its length; 0 for an unknown attempt.
    pub fn length(&self, task: TaskId, attempt: u32) -> Result<u64, AttemptLogError> {
        let Some(file) = self.file(task, attempt)? else {
            return Ok(0);
        };
        let metadata = file
            .metadata()
            .map_err(file_error("measure", task, attempt))?;
        Ok(metadata.len())
    }

    /// Makes what was added so far survive a power cut.
    pub fn sync(&self, task: TaskId, attempt: u32) -> Result<(), AttemptLogError> {
        let Some(file) = self.file(task, attempt)? else {
            return Ok(());
        };
        file.sync_data().map_err(file_error("sync", task, attempt))
    }

    /// Removes the log of an attempt. Says whether there was one.
    pub fn remove(&self, task: TaskId, attempt: u32) -> Result<bool, AttemptLogError> {
        self.inner.locks.with((task, attempt), || {
            self.shard(task)
                .and_then(|shard| shard.remove(&file_name(task, attempt)))
                .map_err(file_error("remove", task, attempt))
        })
    }

    /// The logs in one of 256 parts of the directory.
    pub(crate) fn in_shard(&self, byte: u8) -> Result<Vec<(TaskId, u32)>, StoreError> {
        let directory = &self.inner.directory;
        let names = directory
            .shard(byte)
            .and_then(|shard| shard.names())
            .map_err(StoreError::file("list", directory.path()))?;
        Ok(names.iter().filter_map(|name| parse_name(name)).collect())
    }

    /// Removes the log of an attempt unless it was written since `then`; gives its size if it
    /// went.
    pub(crate) fn remove_untouched(
        &self,
        task: TaskId,
        attempt: u32,
        then: SystemTime,
    ) -> Result<Option<u64>, AttemptLogError> {
        self.inner.locks.with((task, attempt), || {
            self.shard(task)
                .and_then(|shard| shard.remove_untouched(&file_name(task, attempt), then))
                .map_err(file_error("remove", task, attempt))
        })
    }

    /// The first `max_lines` lines that match the regular expression.
    pub fn grep(
        &self,
        task: TaskId,
        attempt: u32,
        pattern: &str,
        max_lines: usize,
    ) -> Result<Vec<LogLine>, AttemptLogError> {
        let pattern = RegexBuilder::new(pattern)
            .size_limit(PATTERN_BYTES_MAX)
            .build()?;
        let Some(file) = self.file(task, attempt)? else {
            return Ok(Vec::new());
        };
        matching_lines(
            BufReader::new(file),
            &pattern,
            max_lines.min(GREP_LINES_MAX),
        )
        .map_err(file_error("search", task, attempt))
    }

    fn file(&self, task: TaskId, attempt: u32) -> Result<Option<File>, AttemptLogError> {
        self.shard(task)
            .and_then(|shard| shard.read(&file_name(task, attempt)))
            .map_err(file_error("open", task, attempt))
    }

    fn shard(&self, task: TaskId) -> io::Result<Directory> {
        // The last byte of the id is random; the first ones are its time.
        self.inner.directory.shard(task.as_u128() as u8)
    }
}

/// Where a piece ends, unless that is too far.
fn bounded_end(
    task: TaskId,
    attempt: u32,
    offset: u64,
    bytes: &[u8],
) -> Result<u64, AttemptLogError> {
    let end = offset.saturating_add(bytes.len() as u64);
    if end <= LOG_BYTES_PER_ATTEMPT_MAX {
        return Ok(end);
    }
    Err(AttemptLogError::TooLarge {
        task,
        attempt,
        bytes: end,
    })
}

fn write_at_end(
    (task, attempt): (TaskId, u32),
    file: &File,
    length: u64,
    bytes: &[u8],
) -> Result<(), AttemptLogError> {
    let error = |step| file_error(step, task, attempt);
    if let Err(source) = file.write_all_at(bytes, length) {
        // Half a piece would be taken for the whole by the next one.
        file.set_len(length).map_err(error("cut"))?;
        return Err(error("write")(source));
    }
    Ok(())
}

fn file_name(task: TaskId, attempt: u32) -> String {
    format!("{task}.{attempt}.log")
}

/// What [`file_name`] was made from.
fn parse_name(name: &str) -> Option<(TaskId, u32)> {
    let (task, attempt) = name.strip_suffix(".log")?.rsplit_once('.')?;
    Some((task.parse().ok()?, attempt.parse().ok()?))
}

fn matching_lines(
    mut reader: impl BufRead,
    pattern: &Regex,
    max_lines: usize,
) -> io::Result<Vec<LogLine>> {
    let mut found = Vec::new();
    let mut line = Vec::new();
    let (mut number, mut offset) = (0, 0);
    while found.len() < max_lines {
        line.clear();
        let mut length = reader
            .by_ref()
            .take(LINE_BYTES_MAX as u64)
            .read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            break;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else {
            length += reader.skip_until(b'\n')? as u64;
        }
        number += 1;
        if pattern.is_match(&line) {
            let text = String::from_utf8_lossy(&line).into_owned();
            found.push(LogLine {
                number,
                offset,
                text,
            });
        }
        offset += length;
    }
    Ok(found)
}

fn file_error(
    step: &'static str,
    task: TaskId,
    attempt: u32,
) -> impl FnOnce(io::Error) -> AttemptLogError {
    move |source| AttemptLogError::File {
        step,
        task,
        attempt,
        source,
    }
}

#[cfg(test)]
mod tests;

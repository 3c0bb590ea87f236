//! The output of one attempt on disk: its head and its tail within a bound.
//!
//! Positions count the bytes that the program wrote, whether they are kept or not. The file holds
//! the first bytes as they came; beyond them a ring of the latest ones; and, once the ring turned,
//! the number of all bytes behind the ring. So a log within the bound is a plain text file.

use crate::supervised::OutputSink;
use parking_lot::Mutex;
use skep_model::limits::LOG_BYTES_PER_ATTEMPT_MAX;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Bytes behind the ring that hold the number of bytes ever written.
const TRAILER_BYTES: u64 = 8;

/// How the bytes of a log file are divided.
#[derive(Debug, Clone, Copy)]
struct Layout {
    head: u64,
    ring: u64,
}

impl Layout {
    const fn of(file_bytes_max: u64) -> Self {
        let head = file_bytes_max / 2;
        Self {
            head,
            ring: file_bytes_max - head - TRAILER_BYTES,
        }
    }

    const fn trailer(self) -> u64 {
        self.head + self.ring
    }

    /// Where the byte at a position is in the file, and how many follow it without a break.
    fn place(self, position: u64) -> (u64, u64) {
        if position < self.head {
            return (position, self.head - position);
        }
        let in_ring = (position - self.head) % self.ring;
        (self.head + in_ring, self.ring - in_ring)
    }

    /// The first position behind the head that is still kept.
    fn tail_start(self, written: u64) -> u64 {
        self.head.max(written.saturating_sub(self.ring))
    }
}

/// Part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// Bytes between the wanted position and `bytes` that were dropped to keep the bound. Show
    /// [`cut_mark`] in their place.
    pub skipped: u64,
    /// The output.
    pub bytes: Vec<u8>,
    /// The position to ask for next.
    pub next_offset: u64,
    /// Bytes written so far.
    pub written: u64,
    /// Whether the attempt still runs, so that more may come.
    pub live: bool,
}

/// The line that stands for dropped output.
pub fn cut_mark(skipped: u64) -> String {
    format!("\n[skep: {skipped} bytes of output were dropped here]\n")
}

/// A log that is written or read. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct AttemptLog {
    shared: Arc<Mutex<LogFile>>,
}

#[derive(Debug)]
struct LogFile {
    file: File,
    layout: Layout,
    written: u64,
}

impl AttemptLog {
    /// Starts an empty log.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        Ok(Self::over(file, LOG_BYTES_PER_ATTEMPT_MAX, 0))
    }

    /// Opens the log of an attempt that ended.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::open_bounded(path, LOG_BYTES_PER_ATTEMPT_MAX)
    }

    fn open_bounded(path: &Path, file_bytes_max: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut written = size;
        if size >= file_bytes_max {
            let mut trailer = [0; TRAILER_BYTES as usize];
            file.read_exact_at(&mut trailer, Layout::of(file_bytes_max).trailer())?;
            written = u64::from_le_bytes(trailer);
        }
        Ok(Self::over(file, file_bytes_max, written))
    }

    fn over(file: File, file_bytes_max: u64, written: u64) -> Self {
        let log = LogFile {
            file,
            layout: Layout::of(file_bytes_max),
            written,
        };
        Self {
            shared: Arc::new(Mutex::new(log)),
        }
    }

    /// Adds output; answers the number of bytes written so far.
    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        self.shared.lock().append(bytes)
    }

    /// Reads at most `bytes_max` bytes from a position on.
    pub(crate) fn read(&self, offset: u64, bytes_max: usize, live: bool) -> io::Result<LogChunk> {
        let (skipped, bytes, written) = self.shared.lock().read(offset, bytes_max)?;
        Ok(LogChunk {
            skipped,
            next_offset: offset + skipped + bytes.len() as u64,
            bytes,
            written,
            live,
        })
    }
}

impl LogFile {
    fn append(&mut self, mut bytes: &[u8]) -> io::Result<u64> {
        while !bytes.is_empty() {
            let (place, room) = self.layout.place(self.written);
            let count = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            self.file.write_all_at(&bytes[..count], place)?;
            self.written += count as u64;
            bytes = &bytes[count..];
        }
        if self.written > self.layout.trailer() {
            let total = self.written.to_le_bytes();
            self.file.write_all_at(&total, self.layout.trailer())?;
        }
        Ok(self.written)
    }

    fn read(&self, offset: u64, bytes_max: usize) -> io::Result<(u64, Vec<u8>, u64)> {
        let tail_start = self.layout.tail_start(self.written);
        let start = if offset >= self.layout.head {
            offset.max(tail_start)
        } else {
            offset
        };
        let (place, unbroken) = self.layout.place(start);
        let left = self.written.saturating_sub(start);
        let count = left.min(unbroken).min(bytes_max as u64);
        let mut bytes = vec![0; count as usize];
        self.file.read_exact_at(&mut bytes, place)?;
        Ok((start - offset, bytes, self.written))
    }
}

/// Writes into a log and tells somebody how long it is.
pub(crate) struct LogSink<'a> {
    pub(crate) log: &'a AttemptLog,
    pub(crate) on_appended: &'a dyn Fn(u64),
}

impl OutputSink for LogSink<'_> {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !bytes.is_empty() {
            (self.on_appended)(self.log.append(bytes)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE_BYTES_MAX: u64 = 48; // 24 of head, 16 of ring, 8 of trailer

    fn temp_log(bytes: &[&[u8]]) -> (tempfile::TempDir, AttemptLog) {
        let directory = tempfile::tempdir().unwrap();
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(directory.path().join("log"))
            .unwrap();
        let log = AttemptLog::over(file, FILE_BYTES_MAX, 0);
        for piece in bytes {
            log.append(piece).unwrap();
        }
        (directory, log)
    }

    /// Reads all in pieces of three bytes, with `<n>` for a cut of n bytes.
    fn read_all(log: &AttemptLog) -> String {
        let mut text = String::new();
        let mut offset = 0;
        loop {
            let chunk = log.read(offset, 3, false).unwrap();
            if chunk.skipped > 0 {
                text.extend(["<", &chunk.skipped.to_string(), ">"]);
            }
            if chunk.bytes.is_empty() {
                return text;
            }
            text.push_str(std::str::from_utf8(&chunk.bytes).unwrap());
            offset = chunk.next_offset;
        }
    }

    #[test]
    fn a_log_is_read_back_with_its_middle_cut_only_when_it_is_too_long() {
        let alphabet = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        for (length, expected) in [
            (0, ""),
            (5, "abcde"),
            (24, "abcdefghijklmnopqrstuvwx"),
            (40, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN"),
            (41, "abcdefghijklmnopqrstuvwx<1>zABCDEFGHIJKLMNO"),
            (62, "abcdefghijklmnopqrstuvwx<22>UVWXYZ0123456789"),
        ] {
            let pieces: Vec<&[u8]> = alphabet[..length].chunks(7).collect();
            let (directory, log) = temp_log(&pieces);
            assert_eq!(read_all(&log), expected, "{length} bytes, live");
            let path = directory.path().join("log");
            let closed = AttemptLog::open_bounded(&path, FILE_BYTES_MAX).unwrap();
            assert_eq!(read_all(&closed), expected, "{length} bytes, reopened");
            assert!(path.metadata().unwrap().len() <= FILE_BYTES_MAX);
        }
    }

    #[test]
    fn a_follower_that_fell_behind_learns_how_much_it_missed() {
        let (_directory, log) = temp_log(&[&[b'a'; 30], &[b'b'; 100]]);
        let chunk = log.read(28, 100, true).unwrap();
        assert_eq!(chunk.skipped, 130 - 16 - 28);
        assert_eq!(
            chunk.next_offset,
            28 + chunk.skipped + chunk.bytes.len() as u64
        );
        assert!(chunk.live && chunk.written == 130);
    }

    #[test]
    fn reading_beyond_the_end_gives_nothing() {
        let (_directory, log) = temp_log(&[b"abc"]);
        let chunk = log.read(100, 10, true).unwrap();
        assert_eq!((chunk.bytes.len(), chunk.next_offset), (0, 100));
    }
}

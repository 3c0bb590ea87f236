//! Tells a torn end of the write-ahead log from damage within it.
//!
//! `SQLite` reads its write-ahead log up to the first frame whose checksum does not match and
//! silently ignores the rest. That is right for the end that a power cut tore off, and wrong for a
//! byte that flipped in the middle: acknowledged commits would vanish without a word. The two can
//! be told apart, because each commit is synced before the next one begins: at most one
//! transaction can be torn. A frame of this log *behind* a commit frame that lies behind the first
//! bad frame therefore proves that synced data was damaged.

use crate::error::StoreError;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const MAGIC_LITTLE_ENDIAN: u32 = 0x377f_0682;
const MAGIC_BIG_ENDIAN: u32 = 0x377f_0683;
const PAGE_BYTES_MAX: u32 = 65_536;

/// Refuses a database whose write-ahead log is damaged before its end. Call it before `SQLite`
/// opens the file, which would drop what cannot be read.
pub(crate) fn refuse_damage(database: &Path) -> Result<(), StoreError> {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    let path = Path::new(&path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::file("open", path)(error)),
    };
    match scan(BufReader::with_capacity(1 << 20, file)) {
        Ok(Verdict::Usable) => Ok(()),
        Ok(Verdict::DamagedAt { frame }) => Err(StoreError::damaged(
            format!("frame {frame} of the write-ahead log `{}`", path.display()),
            "its checksum does not match and synced frames follow it",
        )),
        Ok(Verdict::DamagedHeader) => Err(StoreError::damaged(
            format!("the header of the write-ahead log `{}`", path.display()),
            "its checksum does not match",
        )),
        Err(error) => Err(StoreError::file("read", path)(error)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Whole, or torn at its end only.
    Usable,
    /// Counted from 1.
    DamagedAt {
        frame: u64,
    },
    DamagedHeader,
}

/// The running checksum of the format: each frame goes on from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Checksum(u32, u32);

impl Checksum {
    fn over(mut self, bytes: &[u8], big_endian: bool) -> Self {
        for pair in bytes.chunks_exact(8) {
            let (first, second) = (word(pair, 0), word(pair, 4));
            let (first, second) = if big_endian {
                (first, second)
            } else {
                (first.swap_bytes(), second.swap_bytes())
            };
            self.0 = self.0.wrapping_add(first).wrapping_add(self.1);
            self.1 = self.1.wrapping_add(second).wrapping_add(self.0);
        }
        self
    }
}

/// The big-endian word at this offset; callers pass offsets within fixed-size headers.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn scan(mut log: impl Read) -> io::Result<Verdict> {
    let mut header = [0; HEADER_BYTES];
    if !read_whole(&mut log, &mut header)? || header == [0; HEADER_BYTES] {
        return Ok(Verdict::Usable);
    }
    let big_endian = match word(&header, 0) {
        MAGIC_LITTLE_ENDIAN => false,
        MAGIC_BIG_ENDIAN => true,
        _ => return Ok(Verdict::DamagedHeader),
    };
    let page_bytes = word(&header, 8);
    let mut sum = Checksum(0, 0).over(&header[..24], big_endian);
    let sane = page_bytes.is_power_of_two() && (512..=PAGE_BYTES_MAX).contains(&page_bytes);
    if sum != Checksum(word(&header, 24), word(&header, 28)) || !sane {
        return Ok(Verdict::DamagedHeader);
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes as usize];
    let mut number = 0;
    let mut first_bad = None;
    let mut commit_behind_bad = false;
    while read_whole(&mut log, &mut frame)? {
        number += 1;
        let stored = Checksum(word(&frame, 16), word(&frame, 20));
        // Frames of an earlier round have other salts. Either the log ends here and only such
        // frames follow, or the salts of this one were damaged.
        if frame[8..16] != header[16..24] {
            first_bad.get_or_insert(number);
            sum = stored;
            continue;
        }
        if let Some(frame) = first_bad.filter(|_| commit_behind_bad) {
            return Ok(Verdict::DamagedAt { frame });
        }
        let expected = sum
            .over(&frame[..8], big_endian)
            .over(&frame[FRAME_HEADER_BYTES..], big_endian);
        let is_commit = word(&frame, 4) != 0;
        if stored == expected {
            commit_behind_bad |= first_bad.is_some() && is_commit;
        } else {
            first_bad.get_or_insert(number);
        }
        sum = stored;
    }
    Ok(Verdict::Usable)
}

/// Fills the buffer; false if the input ends before.
fn read_whole(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// A write-ahead log with eight commits.
    fn log_of_eight_commits() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))
            .unwrap();
        connection
            .execute_batch("CREATE TABLE a (x BLOB) STRICT")
            .unwrap();
        for _ in 0..7 {
            connection
                .execute("INSERT INTO a VALUES (randomblob(9000))", [])
                .unwrap();
        }
        std::fs::read(dir.path().join("a.db-wal")).unwrap()
    }

    fn frame_bytes(log: &[u8]) -> usize {
        FRAME_HEADER_BYTES + word(log, 8) as usize
    }

    #[test]
    fn a_whole_log_is_usable_and_so_is_every_torn_one() {
        let log = log_of_eight_commits();
        assert!((log.len() - HEADER_BYTES) / frame_bytes(&log) >= 16);
        for end in (0..=log.len()).step_by(511).chain([log.len()]) {
            assert_eq!(scan(&log[..end]).unwrap(), Verdict::Usable, "cut at {end}");
        }
    }

    #[test]
    fn a_flipped_bit_in_any_but_the_last_commits_is_damage() {
        let log = log_of_eight_commits();
        let size = frame_bytes(&log);
        let commits: Vec<usize> = (0..(log.len() - HEADER_BYTES) / size)
            .filter(|frame| word(&log, HEADER_BYTES + frame * size + 4) != 0)
            .collect();
        assert_eq!(commits.len(), 8);
        // A bit of a later transaction must be there to prove that the earlier one was synced.
        for frame in 0..=commits[5] {
            // Page number, size, salt, page; not the stored checksum: the next frame is bad, too.
            for at in [3, 7, 9, 15, FRAME_HEADER_BYTES + 77] {
                let mut damaged = log.clone();
                damaged[HEADER_BYTES + frame * size + at] ^= 4;
                let expected = Verdict::DamagedAt {
                    frame: frame as u64 + 1,
                };
                assert_eq!(scan(damaged.as_slice()).unwrap(), expected, "{frame}+{at}");
            }
        }
    }

    #[test]
    fn frames_of_an_earlier_round_behind_the_end_are_no_damage() {
        let log = log_of_eight_commits();
        let size = frame_bytes(&log);
        let mut mixed = log.clone();
        for frame in 5..(log.len() - HEADER_BYTES) / size {
            let salt = HEADER_BYTES + frame * size + 8;
            mixed[salt..salt + 8].copy_from_slice(b"oldsalts");
        }
        assert_eq!(scan(mixed.as_slice()).unwrap(), Verdict::Usable);
    }

    #[test]
    fn a_flipped_bit_in_the_last_transaction_cannot_be_told_from_a_power_cut() {
        let mut log = log_of_eight_commits();
        let at = log.len() - 100;
        log[at] ^= 1;
        assert_eq!(scan(log.as_slice()).unwrap(), Verdict::Usable);
    }

    #[test]
    fn a_changed_header_is_damage() {
        let mut log = log_of_eight_commits();
        for at in 0..HEADER_BYTES {
            log[at] ^= 1;
            assert_eq!(
                scan(log.as_slice()).unwrap(),
                Verdict::DamagedHeader,
                "{at}"
            );
            log[at] ^= 1;
        }
    }
}

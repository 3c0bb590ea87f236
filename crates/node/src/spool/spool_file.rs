//! The spool's file: read once, appended to, and cleared out when most of it is answered.
//!
//! Invariants: everything before `end` is whole records; `live` says where the newest record of
//! each unanswered result lies, below `end`; what lies behind `end` is never read.

use super::format::{MAGIC, Record, decode, encode};
use crate::SPOOL_COMPACT_BYTES;
use crate::error::SpoolError;
use crate::files::{make_directory, move_for_good, private_file};
use skep_model::attempt::AttemptReport;
use skep_wire::payload::AttemptKey;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file is written anew when less than one in this many bytes is still needed.
const LIVE_SHARE_MIN: u64 = 4;
const HEAD: u64 = MAGIC.len() as u64;

#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    length: usize,
}

/// The file, open for appending.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    path: PathBuf,
    file: File,
    end: u64,
    live: HashMap<AttemptKey, Place>,
}

impl SpoolFile {
    /// Opens the spool in a directory and reads the results that were not answered.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Vec<AttemptReport>), SpoolError> {
        let path = directory.join("results");
        let failed = |step| error_at(step, &path);
        make_directory(directory).map_err(failed("make the directory of"))?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("read")(error)),
        };
        let file = private_file()
            .truncate(false)
            .open(&path)
            .map_err(failed("open"))?;
        let mut spool = Self {
            path,
            file,
            end: HEAD,
            live: HashMap::new(),
        };
        let reports = if bytes.len() < MAGIC.len() {
            // Torn at its very first write.
            spool.begin()?;
            BTreeMap::new()
        } else {
            spool.read(&bytes)?
        };
        Ok((spool, reports.into_values().collect()))
    }

    fn begin(&mut self) -> Result<(), SpoolError> {
        let begun = self
            .file
            .set_len(0)
            .and_then(|()| self.file.write_all_at(MAGIC, 0))
            .and_then(|()| self.file.sync_all())
            .and_then(|()| {
                // The file's name in its directory, and the directory's in the one above.
                let mut directories = self.path.ancestors().skip(1).take(2);
                directories.try_for_each(|directory| File::open(directory)?.sync_all())
            });
        begun.map_err(error_at("begin", &self.path))
    }

    fn read(&mut self, bytes: &[u8]) -> Result<BTreeMap<AttemptKey, AttemptReport>, SpoolError> {
        if !bytes.starts_with(MAGIC) {
            return Err(SpoolError::Format {
                path: self.path.clone(),
            });
        }
        let mut reports = BTreeMap::new();
        let mut at = MAGIC.len();
        while let Some((record, length)) = decode(&bytes[at..]) {
            match record {
                Record::Report(report) => {
                    let report = report.into_owned();
                    let key = AttemptKey::from(&report);
                    self.live.insert(
                        key,
                        Place {
                            offset: at as u64,
                            length,
                        },
                    );
                    reports.insert(key, report);
                }
                Record::Answered(keys) => {
                    for key in &*keys {
                        self.live.remove(key);
                        reports.remove(key);
                    }
                }
            }
            at += length;
        }
        self.end = at as u64;
        let torn = bytes.len() - at;
        if torn > 0 {
            tracing::warn!(path = %self.path.display(), torn, "the spool's torn end is cut off");
            self.cut_to_end()?;
        }
        Ok(reports)
    }

    /// Adds results. They are durable after [`Self::sync`] only. After an error nothing was added,
    /// and the same may be tried again.
    pub(crate) fn append(&mut self, reports: &[Arc<AttemptReport>]) -> Result<(), SpoolError> {
        let mut buffer = Vec::new();
        let mut places = Vec::with_capacity(reports.len());
        for report in reports {
            let offset = self.end + buffer.len() as u64;
            let length = encode(&Record::Report(Cow::Borrowed(report)), &mut buffer)?;
            places.push((AttemptKey::from(&**report), Place { offset, length }));
        }
        self.write(&buffer)?;
        self.live.extend(places);
        Ok(())
    }

    /// Makes everything durable. After an error nothing can be said about what is on disk.
    pub(crate) fn sync(&self) -> Result<(), SpoolError> {
        self.file.sync_data().map_err(error_at("sync", &self.path))
    }

    /// Notes that results were answered. Not synced: if it is lost, they are sent again, and the
    /// coordinator knows them.
    pub(crate) fn forget(&mut self, keys: &[AttemptKey]) -> Result<(), SpoolError> {
        for key in keys {
            self.live.remove(key);
        }
        if self.live.is_empty() && self.end > SPOOL_COMPACT_BYTES {
            self.end = HEAD;
            return self.cut_to_end();
        }
        let mut buffer = Vec::new();
        encode(&Record::Answered(Cow::Borrowed(keys)), &mut buffer)?;
        self.write(&buffer)?;
        if self.end > SPOOL_COMPACT_BYTES && self.live_bytes() < self.end / LIVE_SHARE_MIN {
            self.compact()?;
        }
        Ok(())
    }

    fn live_bytes(&self) -> u64 {
        self.live.values().map(|place| place.length as u64).sum()
    }

    fn write(&mut self, buffer: &[u8]) -> Result<(), SpoolError> {
        if let Err(error) = self.file.write_all_at(buffer, self.end) {
            // Whole records may lie behind the end now; they must not be read after a restart.
            let _ = self.file.set_len(self.end);
            return Err(error_at("write", &self.path)(error));
        }
        self.end += buffer.len() as u64;
        Ok(())
    }

    fn cut_to_end(&self) -> Result<(), SpoolError> {
        self.file
            .set_len(self.end)
            .map_err(error_at("shorten", &self.path))
    }

    /// Writes what is unanswered into a new file, which then takes the place of the old one.
    fn compact(&mut self) -> Result<(), SpoolError> {
        let draft_path = self.path.with_extension("new");
        let failed = |step| error_at(step, &self.path);
        let mut bytes = MAGIC.to_vec();
        let mut live = HashMap::with_capacity(self.live.len());
        for (key, place) in &self.live {
            let offset = bytes.len() as u64;
            bytes.resize(bytes.len() + place.length, 0);
            let target = &mut bytes[offset as usize..];
            self.file
                .read_exact_at(target, place.offset)
                .map_err(failed("read"))?;
            live.insert(
                *key,
                Place {
                    offset,
                    length: place.length,
                },
            );
        }
        let draft = private_file()
            .truncate(true)
            .open(&draft_path)
            .map_err(failed("clear"))?;
        draft.write_all_at(&bytes, 0).map_err(failed("clear"))?;
        draft.sync_all().map_err(failed("sync"))?;
        move_for_good(&draft_path, &self.path).map_err(failed("replace"))?;
        self.file = draft;
        self.end = bytes.len() as u64;
        self.live = live;
        Ok(())
    }
}

fn error_at(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::File { step, path, source }
}

impl SpoolError {
    /// Whether it will pass when somebody frees space.
    pub(super) fn is_disk_full(&self) -> bool {
        let Self::File { source, .. } = self else {
            return false;
        };
        matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

#[cfg(test)]
impl SpoolFile {
    /// As if the disk had become full since the file was opened.
    pub(super) fn fill_disk(&mut self) {
        self.file = File::options()
            .read(true)
            .write(true)
            .open("/dev/full")
            .unwrap();
    }

    /// As if the disk had broken since: what takes every write and syncs none.
    pub(super) fn break_disk(&mut self) {
        self.file = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .unwrap();
    }

    pub(super) fn bytes_on_disk(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }
}

//! How results lie in the spool's file: records with length and checksum behind a magic number.

use crate::SPOOL_RECORD_BYTES_MAX;
use crate::error::SpoolError;
use serde::{Deserialize, Serialize};
use skep_model::attempt::AttemptReport;
use skep_wire::payload::AttemptKey;
use std::borrow::Cow;

/// What every spool of this version begins with.
pub(super) const MAGIC: &[u8; 8] = b"skepspl1";
const LENGTH_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 8;
/// What stands before the content of a record.
const HEAD_BYTES: usize = LENGTH_BYTES + CHECKSUM_BYTES;

/// One record. New kinds are only ever appended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Record<'a> {
    /// An attempt ended.
    Report(Cow<'a, AttemptReport>),
    /// These results were answered and are not needed any more.
    Answered(Cow<'a, [AttemptKey]>),
}

/// Adds a record to the buffer; answers how many bytes it takes. After an error the buffer is as
/// it was.
pub(super) fn encode(record: &Record<'_>, buffer: &mut Vec<u8>) -> Result<usize, SpoolError> {
    let content = postcard::to_stdvec(record).map_err(SpoolError::Encode)?;
    if content.len() > SPOOL_RECORD_BYTES_MAX {
        return Err(SpoolError::TooLarge {
            bytes: content.len(),
        });
    }
    buffer.extend_from_slice(&(content.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&checksum(&content));
    buffer.extend_from_slice(&content);
    Ok(HEAD_BYTES + content.len())
}

/// Reads the record at the start of `bytes` and says how many bytes it takes. None when it is not
/// whole: it was being written when the node ended, and nobody was told of it.
pub(super) fn decode(bytes: &[u8]) -> Option<(Record<'static>, usize)> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let (sum, rest) = rest.split_first_chunk::<CHECKSUM_BYTES>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > SPOOL_RECORD_BYTES_MAX {
        return None;
    }
    let content = rest.get(..length)?;
    if checksum(content) != *sum {
        return None;
    }
    let record = postcard::from_bytes(content).ok()?;
    Some((record, HEAD_BYTES + length))
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::hash(content);
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

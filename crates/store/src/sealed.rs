//! Encoded values with a checksum, so that a changed byte is noticed and not believed.
//!
//! A sealed body is the postcard encoding followed by eight bytes of BLAKE3 over the table, the
//! key and the encoding. The table and key are part of it, so that a body that ended up under
//! another key is noticed too.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the checksum at the end of a sealed body.
const SEAL_BYTES: usize = 8;

/// The table a body belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Table {
    Events = 1,
    Live = 2,
    Tasks = 3,
    Runs = 4,
    Anchors = 5,
    Memory = 6,
}

/// Why a sealed body cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnsealError {
    #[error("it is shorter than its checksum")]
    TooShort,
    #[error("its checksum does not match")]
    Checksum,
    #[error("it cannot be decoded: {0}")]
    Decode(postcard::Error),
    #[error("it has {0} bytes too many")]
    Trailing(usize),
}

/// Replaces `body` by the sealed encoding of `value`.
pub(crate) fn seal<T: Serialize>(
    body: &mut Vec<u8>,
    table: Table,
    key: &[&[u8]],
    value: &T,
) -> Result<(), postcard::Error> {
    body.clear();
    encode(body, value)?;
    let sum = checksum(table, key, body);
    body.extend_from_slice(&sum);
    Ok(())
}

/// Appends the plain encoding of `value` to `buffer`.
pub(crate) fn encode<T: Serialize>(buffer: &mut Vec<u8>, value: &T) -> Result<(), postcard::Error> {
    *buffer = postcard::to_extend(value, std::mem::take(buffer))?;
    Ok(())
}

/// The value in a sealed body.
pub(crate) fn unseal<T: DeserializeOwned>(
    body: &[u8],
    table: Table,
    key: &[&[u8]],
) -> Result<T, UnsealError> {
    let (body, sum) = body
        .split_last_chunk::<SEAL_BYTES>()
        .ok_or(UnsealError::TooShort)?;
    if checksum(table, key, body) != *sum {
        return Err(UnsealError::Checksum);
    }
    decode(body)
}

/// The value in a plain encoding; all bytes must belong to it.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, UnsealError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(UnsealError::Trailing(rest.len())),
        Err(error) => Err(UnsealError::Decode(error)),
    }
}

/// The checksum of a body of this table under this key.
pub(crate) fn checksum(table: Table, key: &[&[u8]], body: &[u8]) -> [u8; SEAL_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[table as u8]);
    for part in key {
        hasher.update(part);
    }
    hasher.update(body);
    let mut sum = [0; SEAL_BYTES];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..SEAL_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_is_refused_when_any_byte_of_it_changed() {
        let mut body = Vec::new();
        seal(
            &mut body,
            Table::Runs,
            &[b"key"],
            &(7_u32, "text".to_owned()),
        )
        .unwrap();
        let back: (u32, String) = unseal(&body, Table::Runs, &[b"key"]).unwrap();
        assert_eq!(back, (7, "text".to_owned()));
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 1;
            assert!(
                unseal::<(u32, String)>(&changed, Table::Runs, &[b"key"]).is_err(),
                "{at}"
            );
        }
    }

    #[test]
    fn a_sealed_value_is_refused_under_another_key_or_table() {
        let mut body = Vec::new();
        seal(&mut body, Table::Runs, &[b"key"], &7_u32).unwrap();
        assert!(unseal::<u32>(&body, Table::Runs, &[b"other"]).is_err());
        assert!(unseal::<u32>(&body, Table::Tasks, &[b"key"]).is_err());
    }

    #[test]
    fn bytes_after_a_value_are_refused() {
        assert!(matches!(
            decode::<u8>(&[1, 2]),
            Err(UnsealError::Trailing(1))
        ));
    }
}

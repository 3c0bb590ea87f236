//! Binary frames: MessagePack of the same types as the JSON, with names, and perhaps compressed.
//!
//! A frame begins with one byte that tells its form. [`PLAIN`] is followed by the content;
//! [`COMPRESSED`] by the content's length (four bytes, the highest first) and its zstd frame.
//! The content is two MessagePack values, one after the other: a head `{id, method, part}`, and
//! the value of the JSON-RPC member that `part` names: `params`, `result` or `error`. So the
//! second value is read straight into its type, like the raw JSON of a text frame.
//!
//! Texts in JSON (ids, hashes) are texts here, too: a frame can be turned into the other form
//! without knowing its types.

use crate::bounds::{BINARY_HEAD_BYTES_MAX, COMPRESS_ABOVE_BYTES, NESTING_MAX};
use crate::codec::{RequestId, WRITES};
use crate::fault::{WireError, detail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use skep_model::limits::FRAME_BYTES_MAX;
use std::borrow::Cow;

/// The content follows.
pub(crate) const PLAIN: u8 = 1;
/// Its length and its zstd frame follow.
pub(crate) const COMPRESSED: u8 = 2;
/// What fits into a binary frame.
pub(crate) const CONTENT_BYTES_MAX: usize = FRAME_BYTES_MAX - BINARY_HEAD_BYTES_MAX;
/// The fastest level that all versions of zstd have: frames are small and leave at once.
const LEVEL: i32 = 1;

/// The member of JSON-RPC that follows the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Params,
    Result,
    Error,
}

/// The first of the two values.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<RequestId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<Cow<'a, str>>,
    pub(crate) part: Part,
}

/// Appends a value.
pub(crate) fn write<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) {
    let mut serializer = rmp_serde::Serializer::new(bytes)
        .with_struct_map()
        .with_human_readable();
    value.serialize(&mut serializer).expect(WRITES);
}

/// Reads the value at the front; says what follows it.
pub(crate) fn read_front<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), String> {
    let mut deserializer = rmp_serde::Deserializer::new(bytes).with_human_readable();
    deserializer.set_max_depth(NESTING_MAX);
    let value = T::deserialize(&mut deserializer).map_err(|error| detail(&error))?;
    Ok((value, deserializer.into_inner()))
}

/// Reads a value that is all there is.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match read_front(bytes)? {
        (value, []) => Ok(value),
        (_, rest) => Err(format!("`{}` bytes follow the value", rest.len())),
    }
}

/// The content of a frame: head and value.
pub(crate) fn content<T: Serialize + ?Sized>(head: &Head<'_>, value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    write(&mut bytes, head);
    write(&mut bytes, value);
    bytes
}

/// Puts content into a frame, compressed if that is agreed on and makes it smaller.
pub(crate) fn seal(content: &[u8], compress: bool) -> Vec<u8> {
    if compress
        && content.len() > COMPRESS_ABOVE_BYTES
        && let Ok(compressed) = zstd::bulk::compress(content, LEVEL)
        && compressed.len() + BINARY_HEAD_BYTES_MAX < content.len()
    {
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let mut frame = Vec::with_capacity(BINARY_HEAD_BYTES_MAX + compressed.len());
        frame.push(COMPRESSED);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&compressed);
        return frame;
    }
    let mut frame = Vec::with_capacity(1 + content.len());
    frame.push(PLAIN);
    frame.extend_from_slice(content);
    frame
}

/// The content of a frame. Never allocates more than a frame may hold.
///
/// # Errors
/// The form is unknown, the content is broken, or it would be larger than a frame.
pub(crate) fn open(frame: &[u8]) -> Result<Cow<'_, [u8]>, WireError> {
    if frame.len() > FRAME_BYTES_MAX {
        return Err(WireError::FrameTooLarge { bytes: frame.len() });
    }
    let broken = |detail: &str| WireError::NotCompressed {
        detail: detail.to_owned(),
    };
    match frame.split_first() {
        Some((&PLAIN, content)) => Ok(Cow::Borrowed(content)),
        Some((&COMPRESSED, rest)) => {
            let (length, compressed) = rest
                .split_first_chunk::<4>()
                .ok_or_else(|| broken("the length is missing"))?;
            let bytes = u32::from_be_bytes(*length) as usize;
            if bytes > FRAME_BYTES_MAX {
                return Err(WireError::UnpacksTooLarge { bytes });
            }
            let content = zstd::bulk::decompress(compressed, bytes)
                .map_err(|error| broken(&detail(&error)))?;
            if content.len() != bytes {
                return Err(broken("the length is not that of the content"));
            }
            Ok(Cow::Owned(content))
        }
        Some((form, _)) => Err(WireError::NotPacked {
            detail: format!("its form `{form}` is neither `{PLAIN}` nor `{COMPRESSED}`"),
        }),
        None => Err(WireError::NotPacked {
            detail: "it is empty".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Vec<u8> {
        b"the same words again and again; ".repeat(100)
    }

    #[test]
    fn what_is_sealed_is_opened_to_the_same() {
        for (content, compress, form) in [
            (words(), true, COMPRESSED),
            (words(), false, PLAIN),
            (words()[..COMPRESS_ABOVE_BYTES].to_vec(), true, PLAIN),
            (Vec::new(), true, PLAIN),
        ] {
            let frame = seal(&content, compress);
            assert_eq!(frame[0], form);
            assert_eq!(open(&frame).unwrap(), content);
        }
    }

    #[test]
    fn broken_frames_are_refused_by_name() {
        let mut short = seal(&words(), true);
        short[4] -= 1;
        let mut long = seal(&words(), true);
        long[4] += 1;
        let mut torn = seal(&words(), true);
        torn.truncate(20);
        for frame in [short, long, torn, vec![COMPRESSED, 0, 0]] {
            let error = open(&frame).unwrap_err();
            assert!(matches!(error, WireError::NotCompressed { .. }), "{error}");
        }
        for frame in [vec![], vec![0, 1], vec![9]] {
            let error = open(&frame).unwrap_err();
            assert!(matches!(error, WireError::NotPacked { .. }), "{error}");
        }
    }

    #[test]
    fn a_frame_that_unpacks_to_more_than_a_frame_is_refused_before_it_is_unpacked() {
        let bomb = vec![0_u8; FRAME_BYTES_MAX + 1];
        let compressed = zstd::bulk::compress(&bomb, LEVEL).unwrap();
        assert!(compressed.len() < 4_096, "it is a bomb");
        let honest = u32::try_from(bomb.len()).unwrap();
        let mut frame = vec![COMPRESSED];
        frame.extend_from_slice(&honest.to_be_bytes());
        frame.extend_from_slice(&compressed);
        let bytes = bomb.len();
        assert_eq!(open(&frame), Err(WireError::UnpacksTooLarge { bytes }));
        // One that lies about its length does not get further than that length.
        frame[1..5].copy_from_slice(&1_000_u32.to_be_bytes());
        let error = open(&frame).unwrap_err();
        assert!(matches!(error, WireError::NotCompressed { .. }), "{error}");
    }

    #[test]
    fn values_nested_too_deep_and_lengths_out_of_the_air_are_refused() {
        let mut deep = vec![0x91_u8; NESTING_MAX + 1];
        deep.push(0xc0);
        assert!(read::<serde_json::Value>(&deep).is_err());
        // An array and a text of four billion, of which nothing is there.
        for prefix in [0xdd_u8, 0xdb] {
            let lie = [prefix, 0xff, 0xff, 0xff, 0xff];
            assert!(read::<serde_json::Value>(&lie).is_err());
        }
    }
}

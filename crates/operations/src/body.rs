//! Reading JSON bodies, and telling equal ones from others.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::exchange::RequestBody;
use crate::parameters::PathParameters;
use bytes::Bytes;
use serde::de::DeserializeOwned;

/// The whole body.
pub(crate) fn whole(body: RequestBody) -> Result<Bytes, OperationError> {
    match body {
        RequestBody::Whole(bytes) => Ok(bytes),
        RequestBody::Stream(_) => Err(OperationError::new(
            ErrorCode::BodyMalformed,
            "the body should come as a whole",
        )),
    }
}

/// The value in a JSON body; a missing one counts as the empty object.
pub(crate) fn read_body<B: DeserializeOwned>(bytes: &[u8]) -> Result<B, OperationError> {
    let malformed = |detail: String| OperationError::new(ErrorCode::BodyMalformed, detail);
    // A body that may be left out is one that accepts the empty object.
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let value = serde_json::from_slice(bytes)
        // serde_json ends its message with the line and column.
        .map_err(|error| malformed(error.to_string()))?;
    // Serde would take an array for a struct, its elements for the fields.
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Ok(value),
        _ => Err(malformed(
            "the body should be an object at line 1 column 1".to_owned(),
        )),
    }
}

/// The key of fingerprints: the log keeps them, and nobody who only has the log may try out which
/// values they are of. The same secret gives the same key, so a restart changes nothing.
pub(crate) fn fingerprint_key(secret: &[u8; blake3::KEY_LEN]) -> [u8; blake3::KEY_LEN] {
    blake3::derive_key("skep 2026-11 fingerprints of requests", secret)
}

/// Equal for requests that differ only in spaces and in the order of keys of the body.
pub(crate) fn fingerprint(
    key: &[u8; blake3::KEY_LEN],
    path: &PathParameters,
    query: &str,
    bytes: &[u8],
) -> Result<[u8; 32], OperationError> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let value: serde_json::Value = serde_json::from_slice(bytes)
        .map_err(|error| OperationError::new(ErrorCode::BodyMalformed, error.to_string()))?;
    let canonical = serde_json::json!([path, query, value]).to_string();
    Ok(*blake3::keyed_hash(key, canonical.as_bytes()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_ignores_spaces_and_the_order_of_keys() {
        let of = |query, body: &str| {
            let key = fingerprint_key(&[1; 32]);
            fingerprint(&key, &Vec::new(), query, body.as_bytes()).unwrap()
        };
        let left = of("", r#"{"a": 1, "b": [2]}"#);
        assert_eq!(left, of("", r#"{"b":[2],"a":1}"#));
        assert_ne!(left, of("", r#"{"b":[3],"a":1}"#));
        assert_ne!(left, of("run=x", r#"{"b":[2],"a":1}"#));
    }

    #[test]
    fn a_fingerprint_cannot_be_made_without_the_secret() {
        let of = |secret| {
            let key = fingerprint_key(&[secret; 32]);
            fingerprint(&key, &Vec::new(), "", b"{\"value\":1}").unwrap()
        };
        let plain = blake3::hash(br#"[[],"",{"value":1}]"#);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_ne!(of(1), *plain.as_bytes());
    }

    #[test]
    fn a_body_that_cannot_be_read_is_located() {
        type Body = std::collections::BTreeMap<String, u8>;
        for (body, place) in [
            ("{\"a\": 1,\n  x}", "line 2 column 3"),
            ("[]", "line 1 column"),
        ] {
            let error = read_body::<Body>(body.as_bytes()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::BodyMalformed);
            assert!(error.detail().contains(place), "{error}");
        }
    }

    #[test]
    fn an_array_is_not_taken_for_an_object() {
        #[derive(Debug, Default, serde::Deserialize)]
        #[serde(default)]
        struct Change {
            _a: Option<u8>,
        }
        assert!(read_body::<Change>(b" {}").is_ok());
        assert!(read_body::<Change>(b"").is_ok());
        assert!(read_body::<Change>(b"[]").is_err());
    }
}

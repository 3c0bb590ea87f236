//! Parameters and results that were not read yet, in either form.

use crate::fault::{WireError, detail};
use crate::packed;
use crate::payload::{Credit, Meta};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// What `_meta` is looked for by; a value that does not hold these bytes has none.
const META: &str = "_meta";

/// Parameters or a result, not read yet.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// Of a text frame.
    Json(&'a RawValue),
    /// Of a binary frame.
    Packed(&'a [u8]),
}

impl Body<'_> {
    fn read<T: DeserializeOwned>(self) -> Result<T, String> {
        match self {
            Self::Json(raw) => serde_json::from_str(raw.get()).map_err(|error| detail(&error)),
            Self::Packed(bytes) => packed::read(bytes),
        }
    }

    fn may_have_meta(self) -> bool {
        match self {
            Self::Json(raw) => raw.get().contains(META),
            Self::Packed(bytes) => contains(bytes, META.as_bytes()),
        }
    }
}

/// Whether `wanted`, which does not begin with a byte it repeats, stands in `bytes`.
fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some(first) = wanted.first() else {
        return true;
    };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(wanted) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// Reads parameters as those of a method.
pub(super) fn read_params<T: DeserializeOwned>(
    method: &'static str,
    params: Body<'_>,
) -> Result<T, WireError> {
    params
        .read()
        .map_err(|detail| WireError::InvalidParams { method, detail })
}

/// Reads the result of an answer as what the asker expects.
///
/// # Errors
/// The result is not that; `method` says what was asked.
pub fn read_result<T: DeserializeOwned>(
    method: &'static str,
    result: Body<'_>,
) -> Result<T, WireError> {
    read_params(method, result)
}

/// What the `_meta` of an answer grants, if it grants anything. One that cannot be read does not:
/// the answer itself counts all the same.
pub(crate) fn granted_by(result: Body<'_>) -> Option<Credit> {
    read_meta("an answer", result).ok()??.credit
}

/// Reads `_meta` of parameters or a result, if they have one.
pub(super) fn read_meta(
    method: &'static str,
    params: Body<'_>,
) -> Result<Option<Box<Meta>>, WireError> {
    #[derive(Deserialize)]
    struct OnlyMeta {
        #[serde(rename = "_meta", default)]
        meta: Option<Box<Meta>>,
    }
    if !params.may_have_meta() {
        return Ok(None);
    }
    let only: OnlyMeta = read_params(method, params)?;
    Ok(only.meta)
}

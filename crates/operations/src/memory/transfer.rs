//! One version of an entry as a line of an export, and back.

use super::access::EntryName;
use super::entry_view::{ValueView, VersionView};
use super::given::{ArtifactReference, PutBody};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::rfc3339::Timestamp;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use skep_model::memory::{MemoryKey, MemoryRecord, Namespace};
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// The word that says what a file is, with the version of its form.
pub(super) const FORMAT: &str = "skep-memory/1";
/// Bytes of one line. A value of 1 MiB takes up to six times as much when it is written as JSON.
pub(super) const LINE_BYTES_MAX: usize = 8 << 20;

/// The first line of an export.
#[derive(Debug, Serialize)]
pub(super) struct Head<'a> {
    pub(super) format: &'a str,
    pub(super) namespace: &'a Namespace,
    pub(super) exported_at: Timestamp,
    pub(super) applied_index: u64,
}

/// The last line: a file without it was cut.
#[derive(Debug, Serialize)]
pub(super) struct End {
    pub(super) end: u64,
}

/// The bytes of an artifact to which later lines refer; only snapshots have them.
#[derive(Debug, Serialize)]
pub(super) struct Content<'a> {
    /// In base64.
    pub(super) content: &'a str,
}

/// A version on its way out.
#[derive(Debug, Serialize)]
struct LineOut<'a> {
    namespace: &'a Namespace,
    key: &'a MemoryKey,
    #[serde(flatten)]
    version: VersionView,
    #[serde(flatten)]
    value: ValueView,
    /// Where its meaning lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<Vec<f32>>,
    /// Whether it is not the entry any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    history: bool,
}

/// One line of JSON, with its end.
pub(super) fn line_of<T: Serialize>(value: &T) -> Result<Vec<u8>, OperationError> {
    let mut line = serde_json::to_vec(value)
        .map_err(|error| OperationError::internal("encode a line", &error))?;
    line.push(b'\n');
    Ok(line)
}

/// The line of an entry, or of an earlier version.
pub(super) fn line_of_version(
    record: &MemoryRecord,
    expires_at: Option<UnixMillis>,
    history: bool,
) -> Result<Vec<u8>, OperationError> {
    let put = record.put.as_deref();
    let embedding = put.and_then(|put| put.embedding.as_ref());
    line_of(&LineOut {
        namespace: &record.namespace,
        key: &record.key,
        version: VersionView::whole(record).ending(expires_at),
        value: put.map(|put| ValueView::of(&put.value)).unwrap_or_default(),
        embedding: embedding.map(|embedding| embedding.values().collect()),
        history,
    })
}

/// A line on its way in. What only tells of the past is passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LineIn {
    format: Option<String>,
    end: Option<u64>,
    content: Option<String>,
    namespace: Option<String>,
    key: Option<String>,
    #[serde(deserialize_with = "super::given::any_json")]
    value: Option<Box<RawValue>>,
    base64: Option<String>,
    artifact: Option<ArtifactReference>,
    embedding: Option<Vec<f32>>,
    embedding_model: Option<String>,
    tags: BTreeSet<String>,
    metadata: BTreeMap<String, String>,
    why: Option<String>,
    expires_at: Option<String>,
    history: bool,
}

/// What a line asks for.
#[derive(Debug)]
pub(super) enum Line {
    /// The entry is to be this.
    Entry(EntryName, Box<PutBody>),
    /// Its time is over.
    Expired,
    /// The bytes of an artifact, to which later lines refer.
    Content(Vec<u8>),
    /// It tells of the past.
    History,
    /// It begins the file, and says which namespace this is of.
    Head(Option<String>),
    /// It ends the file.
    End,
}

/// Reads a line. The namespace that the caller names counts more than the one in the line.
pub(super) fn read_line(
    text: &[u8],
    namespace: Option<&Namespace>,
    now: UnixMillis,
) -> Result<Line, OperationError> {
    let wrong = |detail: String| OperationError::new(ErrorCode::MemoryImportMalformed, detail);
    let line: LineIn = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
    if let Some(format) = &line.format {
        return if format == FORMAT {
            Ok(Line::Head(line.namespace))
        } else {
            Err(wrong(format!(
                "`{format}` is a form of another version; want `{FORMAT}`"
            )))
        };
    }
    if line.end.is_some() {
        return Ok(Line::End);
    }
    if let Some(content) = &line.content {
        let bytes = BASE64_STANDARD.decode(content).map(Line::Content);
        return bytes.map_err(|error| wrong(format!("`content` is no base64: {error}")));
    }
    if line.history {
        return Ok(Line::History);
    }
    let key = line
        .key
        .ok_or_else(|| wrong("`key` is missing".to_owned()))?;
    let namespace = match (namespace, line.namespace) {
        (Some(namespace), _) => namespace.clone(),
        (None, Some(text)) => super::access::named_namespace(&text)?,
        (None, None) => {
            return Err(wrong(
                "neither the line nor the request names a namespace".to_owned(),
            ));
        }
    };
    let expires_at: Option<Timestamp> = line
        .expires_at
        .map(|text| text.parse())
        .transpose()
        .map_err(|error| wrong(format!("`expires_at`: {error}")))?;
    if expires_at.is_some_and(|end| end.0 <= now) {
        return Ok(Line::Expired);
    }
    let name = EntryName {
        namespace,
        key: super::access::named_key(&key)?,
    };
    let body = PutBody {
        value: line.value,
        base64: line.base64,
        artifact: line.artifact,
        embedding: line.embedding,
        embedding_model: line.embedding_model,
        ttl_s: expires_at.map(|end| end.0.since(now).div_ceil(1_000)),
        tags: line.tags,
        metadata: line.metadata,
        why: line.why,
        ..PutBody::default()
    };
    Ok(Line::Entry(name, Box::new(body)))
}

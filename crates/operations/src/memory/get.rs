//! Reads an entry, or an earlier version of it.

use super::EntryPath;
use super::access::{EntryName, known_namespace, may_use, may_use_history};
use super::entry_view::{Consistency, EntryView, Freshness, ValueView, VersionView, open};
use super::refusals::missing;
use super::values::{opened, read_value, read_version, value_in_view};
use crate::artifacts;
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::exchange::{Reply, ReplyBody, RequestBody};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;
use skep_model::memory::{MemoryRecord, MemoryValue, MemoryVersion};
use skep_model::time::UnixMillis;
use std::sync::Arc;

/// How often an entry is looked up anew because it was replaced between two looks.
const READ_TRIES_MAX: u32 = 8;

/// Which entry, and how.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reading {
    /// The namespace. In a URL, a `/` in it is written `%2F`.
    namespace: String,
    /// The key. In a URL, a `/` in it is written `%2F`.
    key: String,
    /// An earlier version.
    version: Option<MemoryVersion>,
    /// What the answer has to know of.
    #[serde(default)]
    consistency: Consistency,
    /// Only the value itself.
    #[serde(default)]
    raw: bool,
}

/// An entry that was found, and what the live state says about it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) record: Arc<MemoryRecord>,
    pub(super) expires_at: Option<UnixMillis>,
    pub(super) conflicts: Vec<MemoryVersion>,
    pub(super) freshness: Freshness,
}

impl Found {
    pub(super) fn view(self, name: EntryName) -> EntryView {
        let put = self.record.put.as_deref();
        EntryView {
            namespace: name.namespace,
            key: name.key,
            version: VersionView::whole(&self.record).ending(self.expires_at),
            value: put.map(|put| ValueView::of(&put.value)).unwrap_or_default(),
            conflicts: self.conflicts,
            freshness: self.freshness,
        }
    }
}

pub(super) async fn get(
    context: Context,
    reading: Reading,
    _: RequestBody,
) -> Result<Reply, OperationError> {
    let path = EntryPath {
        namespace: reading.namespace,
        key: reading.key,
    };
    let name = EntryName::of(&path)?;
    let found = match reading.version {
        Some(version) => earlier(&context, &name, version, reading.consistency).await?,
        None => present(&context, &name, reading.consistency).await?,
    };
    let tag = format!("\"{}\"", found.record.version);
    let reply = if reading.raw {
        raw(&context, &found.record).await?
    } else {
        Reply::json(&found.view(name))?
    };
    Ok(reply.header("etag", tag))
}

/// The entry as it is. The view is the one that acknowledges writes, so whatever was acknowledged
/// before is in it; and the value of a version never changes. So a strong read needs no more.
pub(super) async fn present(
    context: &Context,
    name: &EntryName,
    consistency: Consistency,
) -> Result<Found, OperationError> {
    for _ in 0..READ_TRIES_MAX {
        let at = context.services.now();
        let (version, expires_at, conflicts, freshness, recent) = {
            let view = context.services.hive.view();
            may_use(&view, &context.caller, &name.namespace)?;
            let entry = view.state.memory_entry(&name.namespace, &name.key, at);
            let Some(entry) = entry else {
                known_namespace(&view, &name.namespace)?;
                return Err(missing(name));
            };
            (
                entry.version,
                entry.expires_at,
                open(&entry.conflicts),
                Freshness::of(&view, at, consistency),
                value_in_view(&view, name, entry.version),
            )
        };
        let record = match recent {
            Some(record) => Some(opened(&context.services, record).await?),
            None => read_value(&context.services, name, version).await?,
        };
        if let Some(record) = record {
            return Ok(Found {
                record,
                expires_at,
                conflicts,
                freshness,
            });
        }
        // So many wrote it since that the history lost the version: look again.
    }
    let detail = format!(
        "`{}` in `{}` was replaced {READ_TRIES_MAX} times (READ_TRIES_MAX) while it was read",
        name.key, name.namespace
    );
    Err(OperationError::new(ErrorCode::MemoryContended, detail))
}

async fn earlier(
    context: &Context,
    name: &EntryName,
    version: MemoryVersion,
    consistency: Consistency,
) -> Result<Found, OperationError> {
    let at = context.services.now();
    let freshness = {
        let view = context.services.hive.view();
        may_use_history(&view, &context.caller, &name.namespace)?;
        Freshness::of(&view, at, consistency)
    };
    let record = read_version(&context.services, name, version).await?;
    let record = record.ok_or_else(|| {
        let detail = format!(
            "the history has no version {version} of `{}` in `{}`",
            name.key, name.namespace
        );
        OperationError::new(ErrorCode::MemoryNotFound, detail)
    })?;
    Ok(Found {
        expires_at: record.expires_at,
        record,
        conflicts: Vec::new(),
        freshness,
    })
}

/// The bytes of a value.
async fn raw(context: &Context, record: &MemoryRecord) -> Result<Reply, OperationError> {
    let value = record.put.as_ref().map(|put| &put.value);
    let (media_type, bytes) = match value {
        Some(MemoryValue::Artifact { blake3, .. }) => {
            return artifacts::content(context, *blake3).await;
        }
        Some(MemoryValue::Json(text)) => {
            ("application/json", Bytes::copy_from_slice(text.as_bytes()))
        }
        // Sealed ones were opened before.
        Some(MemoryValue::Bytes(bytes) | MemoryValue::Sealed(bytes)) => {
            (artifacts::OCTETS, Bytes::copy_from_slice(bytes.as_slice()))
        }
        None => (artifacts::OCTETS, Bytes::new()),
    };
    let length = bytes.len().to_string();
    let body = ReplyBody::Stream(media_type, stream::once(async { Ok(bytes) }).boxed());
    let reply = Reply {
        body,
        ..Reply::empty()
    };
    Ok(reply.header("content-length", length))
}

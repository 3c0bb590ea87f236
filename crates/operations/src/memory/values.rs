//! The one way in which values are read, and the one in which they are made ready for the log.
//! Whatever lies between callers and what is stored belongs here.

use super::access::EntryName;
use super::given::GivenValue;
use crate::context::Services;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup;
use skep_coordinator::View;
use skep_model::attempt::ArtifactHash;
use skep_model::limits::{ARTIFACT_BYTES_MAX, MEMORY_VALUE_BYTES_MAX};
use skep_model::memory::{MemoryRecord, MemoryValue, MemoryVersion};
use skep_store::{BlobError, BlobStatus};
use std::sync::Arc;

/// A version that the view still has, which is one that the archive may lack.
pub(super) fn value_in_view(
    view: &View,
    name: &EntryName,
    version: MemoryVersion,
) -> Option<Arc<MemoryRecord>> {
    view.recent.memory(&name.namespace, &name.key, version)
}

/// A version with its value; none if the history does not keep it any more. The view was looked
/// at before.
pub(crate) async fn read_value(
    services: &Arc<Services>,
    name: &EntryName,
    version: MemoryVersion,
) -> Result<Option<Arc<MemoryRecord>>, OperationError> {
    let recent = value_in_view(&services.hive.view(), name, version);
    if recent.is_some() {
        return Ok(recent);
    }
    let name = name.clone();
    let found = lookup::ask(services, "read shared memory", move |archive| {
        archive.memory(&name.namespace, &name.key, version)
    });
    Ok(found.await?.map(Arc::new))
}

/// What the log is to hold of a value. One that is too large for the log becomes an artifact, and
/// the entry refers to it.
pub(crate) async fn store_value(
    services: &Arc<Services>,
    given: GivenValue,
) -> Result<MemoryValue, OperationError> {
    let bytes = match given {
        GivenValue::Artifact { blake3, bytes } => {
            check_artifact(services, blake3, bytes).await?;
            return Ok(MemoryValue::Artifact { blake3, bytes });
        }
        GivenValue::Json(text) if text.len() <= MEMORY_VALUE_BYTES_MAX => {
            return Ok(MemoryValue::Json(text.into()));
        }
        GivenValue::Bytes(bytes) if bytes.len() <= MEMORY_VALUE_BYTES_MAX => {
            return Ok(MemoryValue::Bytes(bytes.into()));
        }
        GivenValue::Json(text) => text.into_bytes(),
        GivenValue::Bytes(bytes) => bytes,
    };
    let (blake3, size) = (ArtifactHash::of(&bytes), bytes.len() as u64);
    let blobs = services.blobs.clone();
    let stored = lookup::blocking("store a large value as an artifact", move || {
        if blobs.status(blake3)? != BlobStatus::Complete(size) {
            blobs.append(blake3, 0, &bytes)?;
            blobs.finish(blake3, size)?;
        }
        Ok::<_, BlobError>(())
    });
    stored.await?;
    Ok(MemoryValue::Artifact {
        blake3,
        bytes: size,
    })
}

/// Nobody refers to what is not here.
async fn check_artifact(
    services: &Arc<Services>,
    blake3: ArtifactHash,
    bytes: u64,
) -> Result<(), OperationError> {
    let blobs = services.blobs.clone();
    let status = lookup::blocking("look for an artifact", move || blobs.status(blake3)).await?;
    if status == BlobStatus::Complete(bytes) && bytes <= ARTIFACT_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("no artifact `{blake3}` of {bytes} bytes is here");
    Err(OperationError::new(ErrorCode::ArtifactMissing, detail))
}

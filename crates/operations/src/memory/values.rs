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
use skep_model::memory::{
    MemoryChange, MemoryPut, MemoryRecord, MemoryValue, MemoryVersion, MemoryWrite, Namespace,
};
use skep_store::{BlobError, BlobStatus};
use skep_tiers::Place;
use std::sync::Arc;

/// A version that the view still has, which is one that the archive may lack. Sealed, if its
/// namespace is secret.
pub(super) fn value_in_view(
    view: &View,
    name: &EntryName,
    version: MemoryVersion,
) -> Option<Arc<MemoryRecord>> {
    view.recent.memory(&name.namespace, &name.key, version)
}

/// The value of a version, opened; none if the history does not keep it any more. The view was
/// looked at before.
///
/// It may come from a tier, which does not hear when the end of an entry is moved or a conflict is
/// settled: take the end from the live state, or use [`read_version`].
pub(crate) async fn read_value(
    services: &Arc<Services>,
    name: &EntryName,
    version: MemoryVersion,
) -> Result<Option<Arc<MemoryRecord>>, OperationError> {
    let recent = value_in_view(&services.hive.view(), name, version);
    if let Some(recent) = recent {
        return opened(services, recent).await.map(Some);
    }
    let tiers = &services.shared_memory.tiers;
    let place = Place {
        namespace: &name.namespace,
        key: &name.key,
        version,
    };
    let mut found = tiers.get_local(&place);
    if found.is_none() && tiers.has_shared() {
        found = tiers.get_shared(&place).await;
    }
    if found.is_none() {
        found = archived(services, name, version).await?;
        if let Some(record) = &found {
            tiers.put(record);
        }
    }
    match found {
        Some(record) => opened(services, record).await.map(Some),
        None => Ok(None),
    }
}

/// A version as the history has it now, opened; none if it does not keep it any more.
pub(crate) async fn read_version(
    services: &Arc<Services>,
    name: &EntryName,
    version: MemoryVersion,
) -> Result<Option<Arc<MemoryRecord>>, OperationError> {
    let recent = value_in_view(&services.hive.view(), name, version);
    let found = match recent {
        Some(recent) => Some(recent),
        None => archived(services, name, version).await?,
    };
    match found {
        Some(record) => opened(services, record).await.map(Some),
        None => Ok(None),
    }
}

async fn archived(
    services: &Arc<Services>,
    name: &EntryName,
    version: MemoryVersion,
) -> Result<Option<Arc<MemoryRecord>>, OperationError> {
    let name = name.clone();
    let found = lookup::ask(services, "read shared memory", move |archive| {
        archive.memory(&name.namespace, &name.key, version)
    });
    Ok(found.await?.map(Arc::new))
}

/// The version with a value that can be read.
pub(super) async fn opened(
    services: &Arc<Services>,
    record: Arc<MemoryRecord>,
) -> Result<Arc<MemoryRecord>, OperationError> {
    let put = record.put.as_deref();
    if !put.is_some_and(|put| matches!(put.value, MemoryValue::Sealed(_))) {
        return Ok(record);
    }
    let services = Arc::clone(services);
    let opening = lookup::blocking("open a sealed value", move || {
        Ok::<_, std::convert::Infallible>(open(&services, &record))
    });
    opening.await?
}

fn open(services: &Services, record: &MemoryRecord) -> Result<Arc<MemoryRecord>, OperationError> {
    let mut record = record.clone();
    if let Some(put) = record.put.take() {
        let MemoryValue::Sealed(sealed) = &put.value else {
            return Ok(Arc::new(MemoryRecord {
                put: Some(put),
                ..record
            }));
        };
        let place = (&record.namespace, &record.key);
        let value = services.shared_memory.secrets.open(place, sealed)?;
        record.put = Some(Arc::new(MemoryPut {
            value,
            ..(*put).clone()
        }));
    }
    Ok(Arc::new(record))
}

/// What the log is to hold of a value. One that is too large for the log becomes an artifact, and
/// the entry refers to it; not in a secret namespace, for artifacts lie in the open.
pub(crate) async fn store_value(
    services: &Arc<Services>,
    namespace: &Namespace,
    given: GivenValue,
) -> Result<MemoryValue, OperationError> {
    let is_secret = is_secret(&services.hive.view(), namespace);
    let bytes = match given {
        GivenValue::Artifact { .. } if is_secret => return Err(artifact_in_secret(namespace)),
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
    if is_secret {
        let detail = format!(
            "`{namespace}` is secret, and MEMORY_VALUE_BYTES_MAX is {MEMORY_VALUE_BYTES_MAX}: a \
             larger value would become an artifact, which lies in the open"
        );
        return Err(OperationError::new(ErrorCode::MemoryValueTooLarge, detail));
    }
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

/// Whether values of the namespace are sealed.
pub(super) fn is_secret(view: &View, namespace: &Namespace) -> bool {
    let found = view.state.namespace(namespace);
    found.is_some_and(|found| found.record.settings.secret)
}

fn artifact_in_secret(namespace: &Namespace) -> OperationError {
    let detail = format!("`{namespace}` is secret, and artifacts lie in the open");
    OperationError::new(ErrorCode::MemoryNotSealed, detail)
}

/// The writes as the log may see them: values of secret namespaces are sealed.
pub(super) async fn sealed(
    services: &Arc<Services>,
    writes: Vec<MemoryWrite>,
) -> Result<Vec<MemoryWrite>, OperationError> {
    let may_make_key = {
        let view = services.hive.view();
        let touches_secrets = writes
            .iter()
            .any(|write| is_secret(&view, &write.namespace));
        if !touches_secrets {
            return Ok(writes);
        }
        // Where nothing lies, nothing was sealed that another key could not open.
        let secret = view.state.namespaces();
        let mut secret = secret.filter(|found| found.record.settings.secret);
        secret.all(|found| found.entries == 0)
    };
    let services = Arc::clone(services);
    let sealing = lookup::blocking("seal values", move || {
        let sealed = writes.into_iter();
        let sealed = sealed.map(|write| seal(&services, write, may_make_key));
        Ok::<_, std::convert::Infallible>(sealed.collect())
    });
    sealing.await?
}

fn seal(
    services: &Services,
    mut write: MemoryWrite,
    may_make_key: bool,
) -> Result<MemoryWrite, OperationError> {
    let MemoryChange::Put(put) = &write.change else {
        return Ok(write);
    };
    if !is_secret(&services.hive.view(), &write.namespace) {
        return Ok(write);
    }
    let place = (&write.namespace, &write.key);
    let secrets = &services.shared_memory.secrets;
    let value = secrets.seal(place, &put.value, may_make_key)?;
    write.change = MemoryChange::Put(Arc::new(MemoryPut {
        value,
        ..(**put).clone()
    }));
    Ok(write)
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

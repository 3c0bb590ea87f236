//! Versions of shared memory as rows: small values inside, larger ones beside, each of those once.

use crate::error::StoreError;
use crate::sealed::{self, Table};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use skep_model::attempt::ArtifactHash;
use skep_model::command::Actor;
use skep_model::limits::MEMORY_SEALED_BYTES_MAX;
use skep_model::memory::{
    Bytes, Embedding, MemoryKey, MemoryProvenance, MemoryPut, MemoryRecord, MemoryStamp, MemoryTag,
    MemoryValue, MemoryVersion, Namespace, RecordState,
};
use skep_model::time::UnixMillis;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Values above this lie beside their row.
const VALUE_BYTES_INSIDE_MAX: usize = 1 << 10;
/// How hard zstd tries: a value is compressed in the way of a commit.
const COMPRESSION_LEVEL: i32 = 1;

/// Columns that [`StoredRow::read`] expects.
pub(crate) const COLUMNS: &str = "seq, namespace, key, version, state, expires_at, body";

/// The state of a version as a number. Part of the file format.
pub(crate) const fn state_code(state: RecordState) -> i64 {
    match state {
        RecordState::Written => 0,
        RecordState::Deleted => 1,
        RecordState::Expired => 2,
        RecordState::Conflict => 3,
        RecordState::Lost => 4,
    }
}

const fn state_of(code: i64) -> Option<RecordState> {
    Some(match code {
        0 => RecordState::Written,
        1 => RecordState::Deleted,
        2 => RecordState::Expired,
        3 => RecordState::Conflict,
        4 => RecordState::Lost,
        _ => return None,
    })
}

/// The sealed body of a row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredBody<'a> {
    written_at: UnixMillis,
    actor: Actor,
    provenance: Cow<'a, MemoryProvenance>,
    stamp: Option<Cow<'a, MemoryStamp>>,
    replaced: Option<MemoryVersion>,
    put: Option<StoredPut<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredPut<'a> {
    value: StoredValue,
    ttl_ms: Option<u64>,
    tags: Cow<'a, BTreeSet<MemoryTag>>,
    metadata: Cow<'a, BTreeMap<String, String>>,
    embedding: Option<Cow<'a, Embedding>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum StoredValue {
    Inside(MemoryValue),
    JsonBeside { blake3: ArtifactHash, bytes: u64 },
    BytesBeside { blake3: ArtifactHash, bytes: u64 },
    SealedBeside { blake3: ArtifactHash, bytes: u64 },
}

impl StoredValue {
    fn of(value: &MemoryValue, blob: Option<&Blob<'_>>) -> Self {
        let Some(Blob { hash, .. }) = blob else {
            return Self::Inside(value.clone());
        };
        let (blake3, bytes) = (*hash, value.bytes());
        match value {
            MemoryValue::Json(_) => Self::JsonBeside { blake3, bytes },
            MemoryValue::Sealed(_) => Self::SealedBeside { blake3, bytes },
            MemoryValue::Bytes(_) | MemoryValue::Artifact { .. } => {
                Self::BytesBeside { blake3, bytes }
            }
        }
    }
}

/// A value that lies beside its row.
#[derive(Debug)]
pub(crate) struct Blob<'a> {
    pub(crate) hash: ArtifactHash,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Blob<'a> {
    /// The part of a value that does not lie in the row itself.
    pub(crate) fn of(value: &'a MemoryValue) -> Option<Self> {
        let bytes = match value {
            MemoryValue::Json(text) => text.as_bytes(),
            MemoryValue::Bytes(bytes) | MemoryValue::Sealed(bytes) => bytes.as_slice(),
            MemoryValue::Artifact { .. } => return None,
        };
        (bytes.len() > VALUE_BYTES_INSIDE_MAX).then(|| Self {
            hash: ArtifactHash::of(bytes),
            bytes,
        })
    }

    /// The columns `packed` and `body`: compressed, unless that makes it no smaller.
    pub(crate) fn packed(&self) -> std::io::Result<(bool, Cow<'a, [u8]>)> {
        let packed = zstd::bulk::compress(self.bytes, COMPRESSION_LEVEL)?;
        Ok(if packed.len() < self.bytes.len() {
            (true, packed.into())
        } else {
            (false, self.bytes.into())
        })
    }
}

impl<'a> StoredBody<'a> {
    pub(crate) fn of(record: &'a MemoryRecord, blob: Option<&Blob<'_>>) -> Self {
        let put = record.put.as_deref().map(|put| StoredPut {
            value: StoredValue::of(&put.value, blob),
            ttl_ms: put.ttl_ms,
            tags: Cow::Borrowed(&put.tags),
            metadata: Cow::Borrowed(&put.metadata),
            embedding: put.embedding.as_ref().map(Cow::Borrowed),
        });
        Self {
            written_at: record.written_at,
            actor: record.actor,
            provenance: Cow::Borrowed(&record.provenance),
            stamp: record.stamp.as_deref().map(Cow::Borrowed),
            replaced: record.replaced,
            put,
        }
    }

    /// Seals it under its place.
    pub(crate) fn seal(
        &self,
        scratch: &mut Vec<u8>,
        record: &MemoryRecord,
    ) -> Result<(), postcard::Error> {
        let version = record.version.0.to_le_bytes();
        let place = place(&record.namespace, &record.key, &version);
        sealed::seal(scratch, Table::Memory, &place, self)
    }
}

/// What a body is sealed under. A zero byte is in no name.
fn place<'a>(namespace: &'a Namespace, key: &'a MemoryKey, version: &'a [u8; 8]) -> [&'a [u8]; 4] {
    [
        namespace.as_str().as_bytes(),
        b"\0",
        key.as_str().as_bytes(),
        version,
    ]
}

/// A row that was read and checked, without the value that may lie beside it.
#[derive(Debug)]
pub(crate) struct StoredRow {
    pub(crate) seq: i64,
    pub(crate) namespace: Namespace,
    pub(crate) key: MemoryKey,
    pub(crate) version: MemoryVersion,
    pub(crate) state: RecordState,
    expires_at: Option<UnixMillis>,
    body: StoredBody<'static>,
}

impl StoredRow {
    /// Decodes a row with [`COLUMNS`].
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        let database = || StoreError::database("read shared memory");
        let seq: i64 = row.get(0).map_err(database())?;
        let damaged =
            |detail: String| StoreError::damaged(format!("row {seq} of shared memory"), detail);
        let columns = || -> rusqlite::Result<_> {
            Ok((
                row.get_ref(1)?.as_str()?,
                row.get_ref(2)?.as_str()?,
                row.get::<_, i64>(3)?,
                row.get::<_, i64>(4)?,
                row.get::<_, Option<i64>>(5)?,
                row.get_ref(6)?.as_blob()?,
            ))
        };
        let (namespace, key, version, state, expires_at, body) = columns().map_err(database())?;
        let namespace: Namespace = namespace
            .parse()
            .map_err(|error| damaged(format!("{error}")))?;
        let key: MemoryKey = key.parse().map_err(|error| damaged(format!("{error}")))?;
        let state =
            state_of(state).ok_or_else(|| damaged(format!("it has the unknown state {state}")))?;
        let number = (version as u64).to_le_bytes();
        let body = sealed::unseal(body, Table::Memory, &place(&namespace, &key, &number))
            .map_err(|error| damaged(error.to_string()))?;
        Ok(Self {
            seq,
            namespace,
            key,
            version: MemoryVersion(version as u64),
            state,
            expires_at: expires_at.map(|at| UnixMillis(at as u64)),
            body,
        })
    }

    pub(crate) const fn written_at(&self) -> UnixMillis {
        self.body.written_at
    }

    /// How many bytes its value has.
    pub(crate) fn value_bytes(&self) -> u64 {
        match self.body.put.as_ref().map(|put| &put.value) {
            None => 0,
            Some(StoredValue::Inside(value)) => value.bytes(),
            Some(
                StoredValue::JsonBeside { bytes, .. }
                | StoredValue::BytesBeside { bytes, .. }
                | StoredValue::SealedBeside { bytes, .. },
            ) => *bytes,
        }
    }

    /// The hash of the value that lies beside it.
    pub(crate) fn blob(&self) -> Option<ArtifactHash> {
        match self.body.put.as_ref().map(|put| &put.value) {
            Some(
                StoredValue::JsonBeside { blake3, .. }
                | StoredValue::BytesBeside { blake3, .. }
                | StoredValue::SealedBeside { blake3, .. },
            ) => Some(*blake3),
            _ => None,
        }
    }

    /// The artifact that its value refers to.
    pub(crate) fn artifact(&self) -> Option<ArtifactHash> {
        match self.body.put.as_ref().map(|put| &put.value) {
            Some(StoredValue::Inside(MemoryValue::Artifact { blake3, .. })) => Some(*blake3),
            _ => None,
        }
    }

    /// The whole version; reads the value that lies beside it.
    pub(crate) fn into_record(self, connection: &Connection) -> Result<MemoryRecord, StoreError> {
        let put = match self.body.put {
            None => None,
            Some(put) => Some(Arc::new(MemoryPut {
                value: load(connection, put.value)?,
                ttl_ms: put.ttl_ms,
                tags: put.tags.into_owned(),
                metadata: put.metadata.into_owned(),
                embedding: put.embedding.map(Cow::into_owned),
            })),
        };
        Ok(MemoryRecord {
            put,
            ..Self {
                body: StoredBody {
                    put: None,
                    ..self.body
                },
                ..self
            }
            .into_head()
        })
    }

    /// The version without its value.
    pub(crate) fn into_head(self) -> MemoryRecord {
        MemoryRecord {
            namespace: self.namespace,
            key: self.key,
            version: self.version,
            state: self.state,
            put: None,
            expires_at: self.expires_at,
            written_at: self.body.written_at,
            actor: self.body.actor,
            provenance: self.body.provenance.into_owned(),
            stamp: self.body.stamp.map(|stamp| Box::new(stamp.into_owned())),
            replaced: self.body.replaced,
        }
    }
}

fn load(connection: &Connection, value: StoredValue) -> Result<MemoryValue, StoreError> {
    match value {
        StoredValue::Inside(value) => Ok(value),
        StoredValue::BytesBeside { blake3, .. } => {
            Ok(MemoryValue::Bytes(Bytes::from(blob(connection, blake3)?)))
        }
        StoredValue::SealedBeside { blake3, .. } => {
            Ok(MemoryValue::Sealed(Bytes::from(blob(connection, blake3)?)))
        }
        StoredValue::JsonBeside { blake3, .. } => {
            let text = String::from_utf8(blob(connection, blake3)?)
                .map_err(|error| damaged(blake3, error.to_string()))?;
            Ok(MemoryValue::Json(text.into()))
        }
    }
}

/// The bytes of a value that lies beside its rows, checked against their hash.
pub(crate) fn blob(connection: &Connection, hash: ArtifactHash) -> Result<Vec<u8>, StoreError> {
    let found = connection
        .prepare_cached("SELECT packed, bytes, body FROM memory_blobs WHERE hash = ?1")
        .and_then(|mut select| {
            select
                .query_row(params![hash.0], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()
        })
        .map_err(StoreError::database("read a value of shared memory"))?;
    let Some((packed, bytes, body)): Option<(bool, i64, Vec<u8>)> = found else {
        return Err(damaged(hash, "it is missing".to_owned()));
    };
    let value = if packed {
        let length = (bytes as usize).min(MEMORY_SEALED_BYTES_MAX);
        zstd::bulk::decompress(&body, length).map_err(|error| damaged(hash, error.to_string()))?
    } else {
        body
    };
    if ArtifactHash::of(&value) != hash {
        return Err(damaged(hash, "its hash differs".to_owned()));
    }
    Ok(value)
}

fn damaged(hash: ArtifactHash, detail: String) -> StoreError {
    StoreError::damaged(format!("value `{hash}` of shared memory"), detail)
}

//! Writes versions of shared memory.

use super::{classify, refused};
use crate::memory_row::{Blob, StoredBody, state_code};
use rusqlite::{Statement, Transaction, params};
use skep_coordinator::ports::JournalError;
use skep_model::memory::{
    MemoryEffect, MemoryKey, MemoryRecord, MemoryValue, MemoryVersion, Namespace, RecordState,
};
use skep_model::time::UnixMillis;

type Result<T> = std::result::Result<T, JournalError>;

/// Writes what became of shared memory. A version that is there already is left as it is.
/// `scratch` is overwritten.
pub(super) fn write(
    transaction: &Transaction<'_>,
    effects: &[MemoryEffect],
    scratch: &mut Vec<u8>,
) -> Result<()> {
    if effects.is_empty() {
        return Ok(());
    }
    let mut insert = transaction
        .prepare_cached(
            "INSERT INTO memory
                 (namespace, key, version, state, written_at, expires_at, blob, artifact, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (namespace, version) DO NOTHING",
        )
        .map_err(classify("store shared memory"))?;
    for effect in effects {
        match effect {
            MemoryEffect::Recorded(record) => {
                write_record(transaction, &mut insert, record, scratch)?;
            }
            MemoryEffect::Touched {
                namespace,
                key,
                version,
                expires_at,
            } => touch(transaction, (namespace, key, *version), *expires_at)?,
            MemoryEffect::Settled {
                namespace,
                key,
                version,
            } => settle(transaction, (namespace, key, *version))?,
        }
    }
    Ok(())
}

fn write_record(
    transaction: &Transaction<'_>,
    insert: &mut Statement<'_>,
    record: &MemoryRecord,
    scratch: &mut Vec<u8>,
) -> Result<()> {
    let value = record.put.as_ref().map(|put| &put.value);
    let blob = value.and_then(Blob::of);
    if let Some(blob) = &blob {
        write_blob(transaction, blob)?;
    }
    let artifact = match value {
        Some(MemoryValue::Artifact { blake3, .. }) => Some(blake3.0),
        _ => None,
    };
    StoredBody::of(record, blob.as_ref())
        .seal(scratch, record)
        .map_err(|error| refused("encode", &error))?;
    let new = insert
        .execute(params![
            record.namespace.as_str(),
            record.key.as_str(),
            record.version.0 as i64,
            state_code(record.state),
            record.written_at.0 as i64,
            record.expires_at.map(|at| at.0 as i64),
            blob.as_ref().map(|blob| blob.hash.0),
            artifact,
            scratch.as_slice(),
        ])
        .map_err(classify("store shared memory"))?;
    if new == 0 {
        check_same_key(transaction, record)?;
    }
    Ok(())
}

/// The same version belonged to another entry when it was first stored: state would differ from what
/// was told.
fn check_same_key(transaction: &Transaction<'_>, record: &MemoryRecord) -> Result<()> {
    let (namespace, key) = (record.namespace.as_str(), record.key.as_str());
    let version = record.version.0 as i64;
    let same: bool = transaction
        .prepare_cached("SELECT key = ?3 FROM memory WHERE namespace = ?1 AND version = ?2")
        .and_then(|mut select| select.query_row(params![namespace, version, key], |row| row.get(0)))
        .map_err(classify("read a version of shared memory"))?;
    if same {
        return Ok(());
    }
    Err(JournalError::Damaged {
        detail: format!(
            "version {version} in `{namespace}` was of another entry before it was of `{key}`"
        ),
    })
}

/// Compressed only if it is new.
fn write_blob(transaction: &Transaction<'_>, blob: &Blob<'_>) -> Result<()> {
    let database = || classify("store a value of shared memory");
    let known: bool = transaction
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM memory_blobs WHERE hash = ?1)")
        .and_then(|mut select| select.query_row(params![blob.hash.0], |row| row.get(0)))
        .map_err(database())?;
    if known {
        return Ok(());
    }
    let (packed, body) = blob.packed().map_err(|error| JournalError::NotDurable {
        detail: format!("could not compress a value: {error}"),
    })?;
    transaction
        .prepare_cached(
            "INSERT INTO memory_blobs (hash, packed, bytes, body) VALUES (?1, ?2, ?3, ?4)",
        )
        .and_then(|mut insert| {
            let bytes = blob.bytes.len() as i64;
            insert.execute(params![blob.hash.0, packed, bytes, body])
        })
        .map_err(database())?;
    Ok(())
}

type Place<'a> = (&'a Namespace, &'a MemoryKey, MemoryVersion);

fn touch(
    transaction: &Transaction<'_>,
    (namespace, key, version): Place<'_>,
    expires_at: Option<UnixMillis>,
) -> Result<()> {
    transaction
        .prepare_cached(
            "UPDATE memory SET expires_at = ?4
             WHERE namespace = ?1 AND key = ?2 AND version = ?3",
        )
        .and_then(|mut update| {
            let end = expires_at.map(|at| at.0 as i64);
            update.execute(params![
                namespace.as_str(),
                key.as_str(),
                version.0 as i64,
                end
            ])
        })
        .map(drop)
        .map_err(classify("touch an entry of shared memory"))
}

fn settle(transaction: &Transaction<'_>, (namespace, key, version): Place<'_>) -> Result<()> {
    transaction
        .prepare_cached(
            "UPDATE memory SET state = ?4
             WHERE namespace = ?1 AND key = ?2 AND version = ?3",
        )
        .and_then(|mut update| {
            let state = state_code(RecordState::Lost);
            update.execute(params![
                namespace.as_str(),
                key.as_str(),
                version.0 as i64,
                state
            ])
        })
        .map(drop)
        .map_err(classify("settle a conflict of shared memory"))
}

//! The key that keeps values of shared memory secret wherever they lie: log, archive, backups.
//!
//! A sealed value is bound to its namespace and key: moved elsewhere, it cannot be opened.

use crate::hex;
use crate::key_file::{self, KeyFileError};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use skep_model::memory::{Bytes, MemoryKey, MemoryValue, Namespace};
use std::fmt;
use std::path::{Path, PathBuf};

const KEY_BYTES: usize = 32;
/// Bytes of the number that is used once with a key.
pub const NONCE_BYTES: usize = 24;
const ID_BYTES: usize = 8;
/// First byte of what is sealed this way.
const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 1 + ID_BYTES + NONCE_BYTES;
/// What a key's name is derived for. Never changes.
const ID_CONTEXT: &str = "skep 2026 id of the key that seals shared memory";
const JSON: u8 = 0;
const BYTES: u8 = 1;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeyError {
    /// Its file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The file does not hold a key.
    #[error("`{path}` does not hold {KEY_BYTES} bytes: restore the key from where you keep it")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// A value cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It lies somewhere else, in the open.
    #[error("an artifact lies in the open, so a secret namespace cannot refer to one")]
    Artifact,
    /// The cipher refused it: it is far too long.
    #[error("the value is too long to be sealed")]
    TooLong,
}

/// A sealed value cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was sealed by another key.
    #[error("the value was sealed by key `{wanted}`, and the key here is `{present}`")]
    OtherKey {
        /// The id of the key that is needed.
        wanted: String,
        /// The id of this key.
        present: String,
    },
    /// It was changed, cut, or moved from another place.
    #[error("the sealed value was changed, or belongs to another entry")]
    Damaged,
}

/// A key for values of shared memory.
pub struct SealingKey {
    cipher: XChaCha20Poly1305,
    id: [u8; ID_BYTES],
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id())
    }
}

impl SealingKey {
    /// The key in this file, if there is one.
    pub fn load(path: &Path) -> Result<Option<Self>, SealingKeyError> {
        let Some(bytes) = key_file::read(path)? else {
            return Ok(None);
        };
        let secret: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| SealingKeyError::Damaged {
            path: path.to_owned(),
        })?;
        Ok(Some(Self::of(secret)))
    }

    /// Makes a key of fresh random bytes and stores it durably. Replaces a key that is there.
    pub fn create(path: &Path, secret: [u8; KEY_BYTES]) -> Result<Self, SealingKeyError> {
        key_file::write(path, &secret)?;
        Ok(Self::of(secret))
    }

    fn of(secret: [u8; KEY_BYTES]) -> Self {
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&blake3::derive_key(ID_CONTEXT, &secret)[..ID_BYTES]);
        Self {
            cipher: XChaCha20Poly1305::new(&secret.into()),
            id,
        }
    }

    /// Names the key without telling of it.
    pub fn id(&self) -> String {
        hex::encode(&self.id)
    }

    /// Seals a value for one entry. The nonce has to be random, and fresh for each call.
    pub fn seal(
        &self,
        (namespace, key): (&Namespace, &MemoryKey),
        value: &MemoryValue,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<MemoryValue, SealError> {
        let (form, body) = match value {
            MemoryValue::Json(text) => (JSON, text.as_bytes()),
            MemoryValue::Bytes(bytes) => (BYTES, bytes.as_slice()),
            MemoryValue::Sealed(_) => return Ok(value.clone()),
            MemoryValue::Artifact { .. } => return Err(SealError::Artifact),
        };
        let mut plain = Vec::with_capacity(1 + body.len());
        plain.push(form);
        plain.extend_from_slice(body);
        let place = place(namespace, key);
        let payload = Payload {
            msg: &plain,
            aad: &place,
        };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| SealError::TooLong)?;
        let mut envelope = Vec::with_capacity(HEADER_BYTES + sealed.len());
        envelope.push(FORMAT);
        envelope.extend_from_slice(&self.id);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&sealed);
        Ok(MemoryValue::Sealed(envelope.into()))
    }

    /// Opens what [`Self::seal`] made for this entry.
    pub fn open(
        &self,
        (namespace, key): (&Namespace, &MemoryKey),
        sealed: &Bytes,
    ) -> Result<MemoryValue, OpenError> {
        let (header, body) = sealed
            .as_slice()
            .split_at_checked(HEADER_BYTES)
            .ok_or(OpenError::Damaged)?;
        let (format, header) = header.split_at(1);
        let (id, nonce) = header.split_at(ID_BYTES);
        if format != [FORMAT] {
            return Err(OpenError::Damaged);
        }
        if id != self.id {
            return Err(OpenError::OtherKey {
                wanted: hex::encode(id),
                present: self.id(),
            });
        }
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| OpenError::Damaged)?;
        let place = place(namespace, key);
        let payload = Payload {
            msg: body,
            aad: &place,
        };
        let plain = self.cipher.decrypt(&XNonce::from(nonce), payload);
        let mut plain = plain.map_err(|_| OpenError::Damaged)?;
        if plain.is_empty() {
            return Err(OpenError::Damaged);
        }
        let form = plain.remove(0);
        match form {
            BYTES => Ok(MemoryValue::Bytes(plain.into())),
            JSON => {
                let text = String::from_utf8(plain).map_err(|_| OpenError::Damaged)?;
                Ok(MemoryValue::Json(text.into()))
            }
            _ => Err(OpenError::Damaged),
        }
    }
}

/// What a value is sealed under. A zero byte is in no name.
fn place(namespace: &Namespace, key: &MemoryKey) -> Vec<u8> {
    let mut place = namespace.as_str().as_bytes().to_vec();
    place.push(0);
    place.extend_from_slice(key.as_str().as_bytes());
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(key: &str) -> (Namespace, MemoryKey) {
        ("secrets".parse().unwrap(), key.parse().unwrap())
    }

    fn bytes_of(value: &MemoryValue) -> Vec<u8> {
        match value {
            MemoryValue::Sealed(bytes) => bytes.as_slice().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_value_is_opened_as_it_was_sealed() {
        let key = SealingKey::of([7; KEY_BYTES]);
        let (namespace, name) = names("a");
        let place = (&namespace, &name);
        for value in [
            MemoryValue::Json("{\"password\":1}".into()),
            MemoryValue::Bytes(vec![0, 255].into()),
            MemoryValue::Bytes(Vec::new().into()),
        ] {
            let sealed = key.seal(place, &value, [9; NONCE_BYTES]).unwrap();
            let envelope = bytes_of(&sealed);
            let added = envelope.len() as u64 - value.bytes();
            assert!(added <= skep_model::limits::MEMORY_SEAL_BYTES as u64);
            let text = String::from_utf8_lossy(&envelope);
            assert!(!text.contains("password"), "{text}");
            assert_eq!(key.open(place, &envelope.into()), Ok(value));
        }
    }

    #[test]
    fn what_was_changed_moved_or_sealed_by_another_key_is_not_opened() {
        let key = SealingKey::of([7; KEY_BYTES]);
        let (namespace, name) = names("a");
        let place = (&namespace, &name);
        let value = MemoryValue::Json("1".into());
        let envelope = bytes_of(&key.seal(place, &value, [9; NONCE_BYTES]).unwrap());
        for at in 0..envelope.len() {
            let mut changed = envelope.clone();
            changed[at] ^= 1;
            let opened = key.open(place, &changed.into());
            assert!(opened.is_err(), "byte {at}: {opened:?}");
            let cut = envelope[..at].to_vec();
            assert_eq!(key.open(place, &cut.into()), Err(OpenError::Damaged));
        }
        let elsewhere = names("b");
        let moved = key.open((&elsewhere.0, &elsewhere.1), &envelope.clone().into());
        assert_eq!(moved, Err(OpenError::Damaged));
        let other = SealingKey::of([8; KEY_BYTES]);
        let opened = other.open(place, &envelope.into());
        assert!(
            matches!(opened, Err(OpenError::OtherKey { .. })),
            "{opened:?}"
        );
    }

    #[test]
    fn an_artifact_is_not_sealed() {
        let key = SealingKey::of([7; KEY_BYTES]);
        let (namespace, name) = names("a");
        let artifact = MemoryValue::Artifact {
            blake3: skep_model::attempt::ArtifactHash::of(b"x"),
            bytes: 1,
        };
        let sealed = key.seal((&namespace, &name), &artifact, [9; NONCE_BYTES]);
        assert_eq!(sealed, Err(SealError::Artifact));
    }

    #[test]
    fn a_key_is_kept_in_its_file_and_a_damaged_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("memory.key");
        assert!(SealingKey::load(&path).unwrap().is_none());
        let made = SealingKey::create(&path, [3; KEY_BYTES]).unwrap();
        let loaded = SealingKey::load(&path).unwrap().unwrap();
        assert_eq!(made.id(), loaded.id());
        key_file::write(&path, b"short").unwrap();
        let error = SealingKey::load(&path).unwrap_err();
        assert!(matches!(error, SealingKeyError::Damaged { .. }), "{error}");
    }
}

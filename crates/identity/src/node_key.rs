//! The Ed25519 key by which a node is known, and signatures by it.

use crate::key_file::{self, KeyFileError};
use crate::{HexError, hex};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use std::fmt;
use std::path::Path;

/// Hexadecimal digits of a key that are shown to people.
const SHORT_DIGITS: usize = 16;

/// Why a node's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeKeyError {
    /// Its file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The file does not hold a key.
    #[error(
        "`{path}` does not hold a node's key: restore it, or empty the directory and join anew"
    )]
    Damaged {
        /// The file.
        path: std::path::PathBuf,
    },
    /// The system gave no randomness.
    #[error("make a key: the system gave no randomness")]
    NoRandomness,
}

/// A node's private key.
pub struct NodeKey {
    pair: Ed25519KeyPair,
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.public().fingerprint())
    }
}

impl NodeKey {
    /// The key in this file; a new one is made and stored durably when there is none.
    ///
    /// # Errors
    /// The file cannot be used, or holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, NodeKeyError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| NodeKeyError::NoRandomness)?;
        key_file::write(path, document.as_ref())?;
        Self::read(path, document.as_ref())
    }

    /// The key in this file, if there is one.
    ///
    /// # Errors
    /// The file cannot be used, or holds something else.
    pub fn load(path: &Path) -> Result<Option<Self>, NodeKeyError> {
        let Some(bytes) = key_file::read(path)? else {
            return Ok(None);
        };
        Self::read(path, &bytes).map(Some)
    }

    fn read(path: &Path, bytes: &[u8]) -> Result<Self, NodeKeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).map_err(|_| NodeKeyError::Damaged {
            path: path.to_owned(),
        })?;
        Ok(Self { pair })
    }

    /// What others know of it.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs a message, which must begin with words that no other kind of message begins with.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.pair.sign(message).as_ref());
        Signature(bytes)
    }
}

/// A node's public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, HexError> {
        hex::decode(text).map(Self)
    }

    /// Its bytes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0)
    }

    /// A short form for people; too short to be trusted alone.
    pub fn fingerprint(&self) -> String {
        let mut text = hex::encode(blake3::hash(&self.0).as_bytes());
        text.truncate(SHORT_DIGITS);
        text
    }

    /// Whether this key signed the message.
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        key.verify(message, &signature.0).is_ok()
    }
}

/// A signature by a node's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Reads 128 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, HexError> {
        hex::decode(text).map(Self)
    }

    /// 128 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_the_same_over_restarts_and_signs_for_itself_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.key");
        let key = NodeKey::load_or_create(&path).unwrap();
        assert_eq!(
            NodeKey::load_or_create(&path).unwrap().public(),
            key.public()
        );
        let signature = key.sign(b"hello");
        assert!(key.public().verifies(b"hello", &signature));
        assert!(!key.public().verifies(b"hullo", &signature));
        let other = NodeKey::load_or_create(&directory.path().join("other.key")).unwrap();
        assert!(!other.public().verifies(b"hello", &signature));
    }

    #[test]
    fn a_file_that_holds_no_key_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.key");
        key_file::write(&path, b"not a key").unwrap();
        let error = NodeKey::load_or_create(&path).unwrap_err();
        assert!(matches!(error, NodeKeyError::Damaged { .. }), "{error}");
    }
}

//! The secret of a join token. Only its hash is kept.

use crate::{HexError, hex};
use std::fmt;
use subtle::ConstantTimeEq;

const HASH_CONTEXT: &str = "skep join token secret v1";

/// 32 random bytes that let a machine in.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// A secret of these bytes, which must be random.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, HexError> {
        hex::decode(text).map(Self)
    }

    /// 64 hexadecimal digits, for the one message that shows it.
    pub fn reveal(&self) -> String {
        hex::encode(&self.0)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        blake3::derive_key(HASH_CONTEXT, &self.0)
    }

    /// Whether this is the secret of which `hash` was kept, in constant time.
    pub fn matches(&self, hash: &[u8; 32]) -> bool {
        self.hash().ct_eq(hash).into()
    }
}

//! Who is who between machines: join tokens, the swarm's own certificate authority, and the keys
//! of nodes. And the key of secrets: [`SealingKey`] seals values of shared memory.
//!
//! A machine that holds a [`JoinToken`] knows the fingerprint of the coordinator's
//! [`Authority`] before it connects for the first time, so no third party has to vouch for
//! anybody. [`pinned_client_config`] trusts this authority alone. From then on the machine is known
//! by its [`NodeKey`]: it proves at each login that it holds it, by signing a [`Login`] with a
//! [`Nonce`] that the coordinator has just made.
//!
//! This crate may not: open a socket, decide who may join, or keep state beyond the key files it
//! is told to write. Time and randomness come in from outside, but for the generation of keys.

mod authority;
mod base62;
mod certificate_keeper;
mod hex;
mod join_token;
mod key_file;
mod login;
mod node_key;
mod pinned;
mod sealing_key;
mod secret;
mod server_certificate;

pub use authority::{Authority, AuthorityError, SERVER_NAME};
pub use certificate_keeper::CertificateKeeper;
pub use join_token::{JOIN_ADDRESSES_MAX, JOIN_TOKEN_PREFIX, JoinToken, JoinTokenError};
pub use key_file::KeyFileError;
pub use login::{ChallengeKey, Login, NONCE_TTL_MS, Nonce, join_message, pairing_code};
pub use node_key::{NodeKey, NodeKeyError, PublicKey, Signature};
pub use pinned::{TlsFailure, explain_tls_error, pinned_client_config};
pub use sealing_key::{NONCE_BYTES, OpenError, SealError, SealingKey, SealingKeyError};
pub use secret::Secret;

/// SHA-256 of a certificate authority's certificate: what join tokens pin.
pub type Fingerprint = [u8; 32];

/// A fingerprint as 64 hexadecimal digits.
pub fn fingerprint_text(fingerprint: &Fingerprint) -> String {
    hex::encode(fingerprint)
}

/// Reads 64 hexadecimal digits.
///
/// # Errors
/// The text is something else.
pub fn parse_fingerprint(text: &str) -> Result<Fingerprint, HexError> {
    hex::decode(text)
}

/// A text that is not the hexadecimal form of so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it should be {digits} hexadecimal digits")]
pub struct HexError {
    digits: usize,
}

//! One candidate: a coordinator that was heard of.

use std::net::SocketAddr;

use skep_model::ids::ClusterId;

use crate::FingerprintPrefix;

/// A coordinator that somebody claims to be; see the crate's documentation on trust.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The cluster it says to belong to.
    pub cluster: ClusterId,
    /// Name of the instance: printable ASCII, at most [`crate::INSTANCE_BYTES_MAX`] bytes.
    pub instance: String,
    /// Where it may be reached, the likeliest first.
    pub addresses: Vec<SocketAddr>,
    /// The start of the fingerprint it claims.
    pub fingerprint_prefix: FingerprintPrefix,
    /// How its API is spoken.
    pub api: ApiScheme,
    /// Names of the interfaces on which it was heard, sorted.
    pub seen_on: Vec<String>,
}

/// How an announced API is spoken.
///
/// Only one value is understood: an announcement that offers anything weaker is ignored, or else
/// every neighbour could talk a node out of its encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiScheme {
    /// HTTP over TLS.
    Https,
}

impl ApiScheme {
    /// The text in TXT records and URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
        }
    }
}

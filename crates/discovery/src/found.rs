//! One candidate: a coordinator that was heard of, and by which way.

use std::net::SocketAddr;

use skep_model::ids::ClusterId;

use crate::{FingerprintPrefix, HostPort};

/// A coordinator that somebody claims to be; see the crate's documentation on trust.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The cluster it says to belong to; a seed says nothing.
    pub cluster: Option<ClusterId>,
    /// Name of the instance: printable ASCII, at most [`crate::INSTANCE_BYTES_MAX`] bytes. For a
    /// seed its text.
    pub instance: String,
    /// Where it may be reached, the likeliest first. A seed given by name has none.
    pub addresses: Vec<SocketAddr>,
    /// The start of the fingerprint it claims; a seed claims none.
    pub fingerprint_prefix: Option<FingerprintPrefix>,
    /// How its API is spoken; a seed does not say.
    pub api: Option<ApiScheme>,
    /// By which way it was heard of.
    pub source: Source,
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

/// By which way a candidate was heard of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Its announcement was heard on these interfaces, sorted by name.
    LocalNetwork {
        /// Names of the interfaces.
        interfaces: Vec<String>,
    },
    /// It was listed by the user; nothing was asked or heard.
    Seed {
        /// The entry of the list.
        seed: HostPort,
    },
}

impl Found {
    /// The interfaces on which it was heard, sorted; empty for a seed.
    pub fn seen_on(&self) -> &[String] {
        match &self.source {
            Source::LocalNetwork { interfaces } => interfaces,
            Source::Seed { .. } => &[],
        }
    }
}

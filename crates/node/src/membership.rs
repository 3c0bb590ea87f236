//! What a node keeps of its joining: who it is, which swarm it belongs to, where to find it.

use crate::error::NodeError;
use crate::files::replace_file;
use serde::{Deserialize, Serialize};
use skep_client::{BaseUrl, ClientError, Dial};
use skep_identity::{NodeKey, fingerprint_text, parse_fingerprint, pinned_client_config};
use skep_model::ids::{ClusterId, NodeId};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const FORMAT: u32 = 1;
const FILE: &str = "membership.json";
const KEY_FILE: &str = "node.key";

/// A swarm that this machine joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    format: u32,
    /// The swarm.
    pub cluster: ClusterId,
    /// The node that this machine is there.
    pub node: NodeId,
    /// Name that it joined under.
    pub name: String,
    /// Fingerprint of the authority that vouches for the coordinator, hexadecimal.
    pub fingerprint: String,
    /// Where the coordinator listens, `HOST:PORT`, the best first.
    pub addresses: Vec<String>,
}

impl Membership {
    /// A membership as the coordinator granted it.
    pub fn new(
        cluster: ClusterId,
        node: NodeId,
        name: String,
        fingerprint: [u8; 32],
        addresses: Vec<String>,
    ) -> Self {
        Self {
            format: FORMAT,
            cluster,
            node,
            name,
            fingerprint: fingerprint_text(&fingerprint),
            addresses,
        }
    }

    /// What a state directory holds; `None` when the machine joined nothing there.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn load(state_dir: &Path) -> Result<Option<Self>, NodeError> {
        let path = state_dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(NodeError::file("read", &path)(error)),
        };
        let damaged = |detail: String| NodeError::MembershipDamaged {
            path: path.clone(),
            detail,
        };
        let membership: Self =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if membership.format != FORMAT {
            return Err(damaged(format!("its format is {}", membership.format)));
        }
        Ok(Some(membership))
    }

    /// Writes it, durably, into a state directory that exists.
    ///
    /// # Errors
    /// The disk.
    pub fn store(&self, state_dir: &Path) -> Result<(), NodeError> {
        let path = state_dir.join(FILE);
        let text = serde_json::to_vec_pretty(self).expect("plain fields");
        replace_file(&path, &text).map_err(NodeError::file("write", &path))
    }

    /// Where the node's key lies.
    pub fn key_path(state_dir: &Path) -> PathBuf {
        state_dir.join(KEY_FILE)
    }

    /// How to reach the coordinator, and whom to trust there.
    ///
    /// # Errors
    /// An address or the fingerprint cannot be read.
    pub fn dial(&self) -> Result<Dial, NodeError> {
        let damaged = |detail: String| NodeError::MembershipDamaged {
            path: PathBuf::from(FILE),
            detail,
        };
        let fingerprint = parse_fingerprint(&self.fingerprint)
            .map_err(|error| damaged(format!("`fingerprint`: {error}")))?;
        let parse = |address: &String| BaseUrl::parse(&format!("https://{address}"));
        let bases: Result<Vec<BaseUrl>, ClientError> = self.addresses.iter().map(parse).collect();
        let mut bases = bases?.into_iter();
        let first = bases
            .next()
            .ok_or_else(|| damaged("`addresses` is empty".to_owned()))?;
        let tls = pinned_client_config(fingerprint);
        Ok(Dial::new(first, Some(tls)).or(bases))
    }
}

/// The two proofs by which a coordinator lets a node in.
#[derive(Clone)]
pub enum Access {
    /// A token, for nodes on the coordinator's own machine.
    Token {
        /// Where it listens.
        coordinator: BaseUrl,
        /// The token.
        token: String,
    },
    /// The key of a machine that joined.
    Key {
        /// What it joined.
        membership: Membership,
        /// Its key.
        key: std::sync::Arc<NodeKey>,
    },
}

impl Access {
    /// Fingerprint of the authority that is trusted alone, hexadecimal; `None` where the address
    /// is plain.
    pub(crate) const fn authority(&self) -> Option<&str> {
        match self {
            Self::Token { .. } => None,
            Self::Key { membership, .. } => Some(membership.fingerprint.as_str()),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { coordinator, .. } => write!(f, "Token({coordinator})"),
            Self::Key { membership, .. } => write!(f, "Key({})", membership.node),
        }
    }
}

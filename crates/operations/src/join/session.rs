//! Session tokens of nodes: what a node shows after it proved that it holds its key.
//!
//! A token is a keyed BLAKE3 over node and end. Nothing is stored for it: whoever checks it also
//! asks the state whether the node is still welcome, so a removed node is out at once.

use skep_model::ids::NodeId;
use skep_model::time::UnixMillis;
use std::fmt;
use subtle::ConstantTimeEq;

/// How long a session token is good for. A node asks for a new one well before.
pub const SESSION_TTL_MS: u64 = 3_600_000;
/// What stands before the text; it shares the prefix with other node tokens, for secret scanners.
const PREFIX: &str = "swn1_";
/// Hexadecimal digits of the keyed hash.
const MAC_DIGITS: usize = 32;

/// The secret from which session tokens are made.
#[derive(Clone)]
pub struct NodeSessionKey([u8; 32]);

impl fmt::Debug for NodeSessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeSessionKey(..)")
    }
}

impl NodeSessionKey {
    /// A key derived from the secret of the data directory, so that sessions outlive a restart.
    pub fn derived_from(secret: &[u8; 32]) -> Self {
        Self(blake3::derive_key("skep node session v1", secret))
    }

    /// The token of a node, good until `end`.
    pub fn mint(&self, node: NodeId, end: UnixMillis) -> String {
        format!("{PREFIX}{node}.{}.{}", end.0, self.mac(node, end))
    }

    /// Whether a text has the form of a session token, as opposed to a stored token of a node.
    pub fn is_session(token: &str) -> bool {
        token.starts_with(PREFIX) && token.contains('.')
    }

    /// The node a token was made for and its end; `None` when this key did not make it.
    pub fn verify(&self, token: &str) -> Option<(NodeId, UnixMillis)> {
        let mut parts = token.strip_prefix(PREFIX)?.split('.');
        let (node, end, mac) = (parts.next()?, parts.next()?, parts.next()?);
        let (node, end) = (node.parse().ok()?, UnixMillis(end.parse().ok()?));
        let is_ours: bool = self.mac(node, end).as_bytes().ct_eq(mac.as_bytes()).into();
        (is_ours && parts.next().is_none()).then_some((node, end))
    }

    fn mac(&self, node: NodeId, end: UnixMillis) -> String {
        let mut input = [0_u8; 24];
        input[..16].copy_from_slice(&node.as_u128().to_le_bytes());
        input[16..].copy_from_slice(&end.0.to_le_bytes());
        let mut text = blake3::keyed_hash(&self.0, &input).to_hex().to_string();
        text.truncate(MAC_DIGITS);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_node_and_end_to_the_key_that_made_it() {
        let key = NodeSessionKey::derived_from(&[1; 32]);
        let (node, end) = (NodeId::from_u128(5), UnixMillis(99));
        let token = key.mint(node, end);
        assert!(NodeSessionKey::is_session(&token));
        assert_eq!(key.verify(&token), Some((node, end)));
    }

    #[test]
    fn a_token_that_was_changed_or_made_elsewhere_is_worthless() {
        let key = NodeSessionKey::derived_from(&[1; 32]);
        let token = key.mint(NodeId::from_u128(5), UnixMillis(99));
        let other = NodeSessionKey::derived_from(&[2; 32]);
        assert_eq!(other.verify(&token), None);
        for wrong in [
            token.replace(".99.", ".100."),
            format!("{token}.x"),
            String::new(),
        ] {
            assert_eq!(key.verify(&wrong), None, "{wrong}");
        }
    }
}

//! What nodes sign, and the challenges that make each login a fresh one.

use crate::node_key::PublicKey;
use crate::{HexError, hex};
use skep_model::ids::{ClusterId, InstanceId, JoinTokenId, NodeId};
use std::fmt;
use subtle::ConstantTimeEq;

/// How long a challenge can be answered.
pub const NONCE_TTL_MS: u64 = 60_000;
const JOIN_WORDS: &[u8] = b"skep join v1";
const LOGIN_WORDS: &[u8] = b"skep node login v1";
const PAIRING_CONTEXT: &str = "skep pairing code v1";
const NONCE_BYTES: usize = 40;
const MAC_BYTES: usize = 16;
const CODES: u64 = 1_000_000;

/// What a machine signs to prove that it holds the key it joins with.
pub fn join_message(token: JoinTokenId, key: &PublicKey) -> Vec<u8> {
    let mut message = JOIN_WORDS.to_vec();
    message.extend(token.as_u128().to_be_bytes());
    message.extend(key.to_bytes());
    message
}

/// Six digits that both sides show to the person who approves a machine. They tell machines that
/// join at the same time apart; they do not prove anything alone.
pub fn pairing_code(key: &PublicKey, cluster: ClusterId) -> String {
    let mut input = cluster.as_u128().to_be_bytes().to_vec();
    input.extend(key.to_bytes());
    let hash = blake3::derive_key(PAIRING_CONTEXT, &input);
    let mut number = [0; 8];
    number.copy_from_slice(&hash[..8]);
    let code = u64::from_be_bytes(number) % CODES;
    format!("{:03}-{:03}", code / 1_000, code % 1_000)
}

/// One start of a node's process, about to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// The swarm that it joined.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// This start of its process.
    pub instance: InstanceId,
    /// How often it was started.
    pub starts: u64,
}

impl Login {
    /// What the node signs.
    pub fn message(&self, nonce: &Nonce) -> Vec<u8> {
        let mut message = LOGIN_WORDS.to_vec();
        message.extend(self.cluster.as_u128().to_be_bytes());
        message.extend(self.node.as_u128().to_be_bytes());
        message.extend(self.instance.as_u128().to_be_bytes());
        message.extend(self.starts.to_be_bytes());
        message.extend(nonce.0);
        message
    }
}

/// A challenge: end, random bytes and a keyed hash over both. The coordinator keeps nothing of it.
///
/// It can be answered more than once within its time. That gives nothing away: the answer is
/// bound to one process of one node, travels encrypted, and only ever opens a session for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; NONCE_BYTES]);

impl Nonce {
    /// Reads 80 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, HexError> {
        hex::decode(text).map(Self)
    }

    /// 80 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0)
    }
}

/// Makes and checks challenges; one for each start of a coordinator.
#[derive(Clone)]
pub struct ChallengeKey([u8; 32]);

impl fmt::Debug for ChallengeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeKey(..)")
    }
}

impl ChallengeKey {
    /// A key of these bytes, which must be random.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A challenge at this time of the coordinator's own clock.
    pub fn nonce(&self, now_ms: u64, random: [u8; 16]) -> Nonce {
        let mut bytes = [0; NONCE_BYTES];
        bytes[..8].copy_from_slice(&now_ms.saturating_add(NONCE_TTL_MS).to_be_bytes());
        bytes[8..24].copy_from_slice(&random);
        let mac = self.mac(&bytes);
        bytes[24..].copy_from_slice(&mac);
        Nonce(bytes)
    }

    /// Whether this key made the challenge, and its time is not over.
    pub fn accepts(&self, nonce: &Nonce, now_ms: u64) -> bool {
        let is_ours: bool = self.mac(&nonce.0).ct_eq(&nonce.0[24..]).into();
        let mut end = [0; 8];
        end.copy_from_slice(&nonce.0[..8]);
        is_ours && now_ms < u64::from_be_bytes(end)
    }

    fn mac(&self, bytes: &[u8; NONCE_BYTES]) -> [u8; MAC_BYTES] {
        let hash = blake3::keyed_hash(&self.0, &bytes[..24]);
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&hash.as_bytes()[..MAC_BYTES]);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_taken_within_its_time_by_the_key_that_made_it() {
        let key = ChallengeKey::new([1; 32]);
        let nonce = key.nonce(1_000, [2; 16]);
        let again = Nonce::from_hex(&nonce.to_hex()).unwrap();
        assert!(key.accepts(&again, 1_000) && key.accepts(&again, 60_999));
        assert!(!key.accepts(&again, 61_000), "its time is over");
        assert!(
            !ChallengeKey::new([3; 32]).accepts(&again, 1_000),
            "another key"
        );
        let mut later = again;
        later.0[0] = 1;
        assert!(!key.accepts(&later, 1_000), "its end was changed");
    }

    #[test]
    fn everything_a_login_says_is_signed() {
        let login = Login {
            cluster: ClusterId::from_u128(1),
            node: NodeId::from_u128(2),
            instance: InstanceId::from_u128(3),
            starts: 4,
        };
        let key = ChallengeKey::new([1; 32]);
        let (nonce, other) = (key.nonce(0, [2; 16]), key.nonce(0, [3; 16]));
        let mut messages = vec![login.message(&nonce), login.message(&other)];
        for changed in [
            Login {
                cluster: ClusterId::from_u128(9),
                ..login
            },
            Login {
                node: NodeId::from_u128(9),
                ..login
            },
            Login {
                instance: InstanceId::from_u128(9),
                ..login
            },
            Login { starts: 9, ..login },
        ] {
            messages.push(changed.message(&nonce));
        }
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), 6);
    }

    #[test]
    fn both_sides_show_the_same_six_digits() {
        let key = PublicKey::from_bytes([5; 32]);
        let code = pairing_code(&key, ClusterId::from_u128(1));
        assert_eq!(code, pairing_code(&key, ClusterId::from_u128(1)));
        assert_ne!(code, pairing_code(&key, ClusterId::from_u128(2)));
        let digits = code.replace('-', "");
        assert!(
            digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_digit()),
            "{code}"
        );
    }
}

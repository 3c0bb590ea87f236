//! Join tokens: one text that says where the coordinator is, by what to know it, and that lets a
//! machine in.
//!
//! `skj1_` and, in base 62: version, kind, fingerprint of the authority, id, secret, addresses,
//! and four bytes of BLAKE3 over all of it, so that a token that was cut or mistyped is told from
//! one that is not known.

use crate::secret::Secret;
use crate::{Fingerprint, base62};
use skep_model::ids::JoinTokenId;
use skep_model::join::JoinKind;
use std::fmt;

/// What stands before every join token.
pub const JOIN_TOKEN_PREFIX: &str = "skj1_";
/// Addresses in one token.
pub const JOIN_ADDRESSES_MAX: usize = 16;
/// Bytes of one address.
const ADDRESS_BYTES_MAX: usize = 255;
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
/// Bytes of the largest token: version and kind, fingerprint, id, secret, addresses, checksum.
const TOKEN_BYTES_MAX: usize =
    2 + 32 + 16 + 32 + JOIN_ADDRESSES_MAX * (1 + ADDRESS_BYTES_MAX) + CHECKSUM_BYTES;
/// Characters after the prefix; longer texts are not looked at. A character of base 62 carries
/// more than 5.95 bits.
const TOKEN_LENGTH_MAX: usize = TOKEN_BYTES_MAX * 800 / 595 + 1;

/// Why a text is not a join token, or a token cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    /// It begins like something else.
    #[error("this is not a join token: one begins with `skj1_`, and `skep token join` makes it")]
    Prefix,
    /// It is an API token.
    #[error(
        "this is an API token: a join token begins with `skj1_`, and `skep token join` makes it"
    )]
    ApiToken,
    /// Characters are missing, or were changed.
    #[error(
        "the join token is damaged: the {characters} characters that arrived do not fit together; \
         it was cut or changed when it was copied, so copy it again"
    )]
    Damaged {
        /// Characters of the text, without white space around it.
        characters: usize,
    },
    /// No token is so long.
    #[error(
        "this is no join token: it has {characters} characters, and the longest token has {}",
        JOIN_TOKEN_PREFIX.len() + TOKEN_LENGTH_MAX
    )]
    TooLong {
        /// Characters of the text, without white space around it.
        characters: usize,
    },
    /// A newer Skep made it.
    #[error("the join token has version {0}, and this Skep knows version 1: update Skep here")]
    Version(u8),
    /// It lets in what this Skep does not know.
    #[error(
        "the join token lets in something that this Skep does not know (kind {0}): update Skep here"
    )]
    Kind(u8),
    /// No addresses, too many, too long ones, or texts that are none.
    #[error("a join token names 1 to 16 addresses `HOST:PORT` of at most 255 visible characters")]
    Addresses,
}

/// A join token, whole.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// What it lets in.
    pub kind: JoinKind,
    /// Fingerprint of the authority that vouches for the coordinator.
    pub fingerprint: Fingerprint,
    /// Where the coordinator listens, `HOST:PORT`, the best first.
    pub addresses: Vec<String>,
    /// Its record.
    pub id: JoinTokenId,
    /// What lets in.
    pub secret: Secret,
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "JoinToken({}, {}, {:?})",
            self.id, self.kind, self.addresses
        )
    }
}

impl JoinToken {
    /// A token with this secret, which must be random.
    ///
    /// # Errors
    /// The addresses do not fit.
    pub fn new(
        kind: JoinKind,
        fingerprint: Fingerprint,
        addresses: Vec<String>,
        id: JoinTokenId,
        secret: [u8; 32],
    ) -> Result<Self, JoinTokenError> {
        let fits = addresses.iter().all(|address| is_address(address));
        if !(1..=JOIN_ADDRESSES_MAX).contains(&addresses.len()) || !fits {
            return Err(JoinTokenError::Addresses);
        }
        Ok(Self {
            kind,
            fingerprint,
            addresses,
            id,
            secret: Secret::from_bytes(secret),
        })
    }

    /// What the coordinator keeps of the secret.
    pub fn secret_hash(&self) -> [u8; 32] {
        self.secret.hash()
    }

    /// The text, with the secret in it.
    pub fn encode(&self) -> String {
        // 2 is kept for attached agents, which do not exist yet.
        let kind = match self.kind {
            JoinKind::Server => 0,
            JoinKind::Node => 1,
            JoinKind::Volunteer => 3,
        };
        let mut bytes = vec![VERSION, kind];
        bytes.extend(self.fingerprint);
        bytes.extend(self.id.as_u128().to_be_bytes());
        bytes.extend(self.secret.as_bytes());
        for address in &self.addresses {
            bytes.push(address.len() as u8);
            bytes.extend(address.as_bytes());
        }
        let checksum = checksum(&bytes);
        bytes.extend(checksum);
        format!("{JOIN_TOKEN_PREFIX}{}", base62::encode(&bytes))
    }

    /// Reads a text. White space around it does not count.
    ///
    /// # Errors
    /// It is something else, or damaged.
    pub fn decode(text: &str) -> Result<Self, JoinTokenError> {
        let text = text.trim();
        if ["swu1_", "swt1_", "swn1_"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            return Err(JoinTokenError::ApiToken);
        }
        let digits = text
            .strip_prefix(JOIN_TOKEN_PREFIX)
            .ok_or(JoinTokenError::Prefix)?;
        if digits.len() > TOKEN_LENGTH_MAX {
            let characters = text.chars().count();
            return Err(JoinTokenError::TooLong { characters });
        }
        let damaged = || JoinTokenError::Damaged {
            characters: text.chars().count(),
        };
        let body = checked_body(digits).ok_or_else(damaged)?;
        match body.first() {
            Some(&VERSION) => match body.get(1).map(|kind| (kind, kind_of(*kind))) {
                Some((_, Some(kind))) => read(kind, &body[2..]).ok_or_else(damaged),
                Some((kind, None)) => Err(JoinTokenError::Kind(*kind)),
                None => Err(damaged()),
            },
            Some(&other) => Err(JoinTokenError::Version(other)),
            None => Err(damaged()),
        }
    }
}

/// What stands before the checksum, if the checksum fits.
fn checked_body(digits: &str) -> Option<Vec<u8>> {
    // Zeros in front would not change the number, and no token begins with one.
    if digits.starts_with('0') {
        return None;
    }
    let mut bytes = base62::decode(digits)?;
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    let length = body.len();
    if checksum(body) != *sum {
        return None;
    }
    bytes.truncate(length);
    Some(bytes)
}

/// Whether this is a host and a port that can be shown on a terminal as they are. The checksum
/// keeps nobody from making a token that says something else.
fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    text.len() <= ADDRESS_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::hash(bytes);
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&hash.as_bytes()[..CHECKSUM_BYTES]);
    sum
}

fn kind_of(byte: u8) -> Option<JoinKind> {
    match byte {
        0 => Some(JoinKind::Server),
        1 => Some(JoinKind::Node),
        3 => Some(JoinKind::Volunteer),
        _ => None,
    }
}

/// Reads what stands behind version and kind.
fn read(kind: JoinKind, rest: &[u8]) -> Option<JoinToken> {
    let (fingerprint, rest) = rest.split_first_chunk::<32>()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let (secret, mut rest) = rest.split_first_chunk::<32>()?;
    let mut addresses = Vec::new();
    while let Some((length, after)) = rest.split_first() {
        let (address, after) = after.split_at_checked(usize::from(*length))?;
        addresses.push(String::from_utf8(address.to_vec()).ok()?);
        rest = after;
    }
    let id = JoinTokenId::from_u128(u128::from_be_bytes(*id));
    JoinToken::new(kind, *fingerprint, addresses, id, *secret).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> JoinToken {
        JoinToken::new(
            JoinKind::Node,
            [7; 32],
            vec!["10.0.0.1:8600".to_owned(), "hive.example:8600".to_owned()],
            JoinTokenId::from_u128(5),
            [9; 32],
        )
        .unwrap()
    }

    #[test]
    fn a_token_survives_its_text_and_never_shows_its_secret_otherwise() {
        let text = token().encode();
        assert_eq!(JoinToken::decode(&format!(" {text}\n")), Ok(token()));
        let shown = format!("{:?}", token());
        assert!(!shown.contains(&token().secret.reveal()), "{shown}");
    }

    #[test]
    fn a_damaged_or_foreign_text_is_refused_with_its_own_sentence() {
        let text = token().encode();
        let damaged = |characters| JoinTokenError::Damaged { characters };
        let longer = format!("{text}A");
        let padded = text.replace("skj1_", "skj1_000");
        let endless = format!("skj1_{}", "z".repeat(TOKEN_LENGTH_MAX + 1));
        let too_long = JoinTokenError::TooLong {
            characters: endless.len(),
        };
        for (wrong, expected) in [
            (&text[..text.len() - 1], damaged(text.len() - 1)),
            (&longer, damaged(longer.len())),
            (&padded, damaged(padded.len())),
            (&endless, too_long),
            ("skj1_", damaged(5)),
            ("skj1_a-b", damaged(8)),
            ("swu1_0123", JoinTokenError::ApiToken),
            ("K10abc::x:y", JoinTokenError::Prefix),
            ("", JoinTokenError::Prefix),
        ] {
            assert_eq!(JoinToken::decode(wrong), Err(expected), "{wrong}");
        }
    }

    #[test]
    fn a_token_of_a_later_version_asks_for_an_update() {
        let mut bytes = vec![2, 0];
        let sum = checksum(&bytes);
        bytes.extend(sum);
        let text = format!("skj1_{}", base62::encode(&bytes));
        assert_eq!(JoinToken::decode(&text), Err(JoinTokenError::Version(2)));
    }

    #[test]
    fn a_token_for_what_is_not_known_asks_for_an_update() {
        let mut bytes = vec![VERSION, 2];
        bytes.extend([0; 80]);
        let sum = checksum(&bytes);
        bytes.extend(sum);
        let text = format!("skj1_{}", base62::encode(&bytes));
        assert_eq!(JoinToken::decode(&text), Err(JoinTokenError::Kind(2)));
    }

    #[test]
    fn a_token_without_addresses_or_with_wrong_ones_is_not_made() {
        let one = |address: &str| vec![address.to_owned()];
        for addresses in [
            vec![],
            vec!["a:1".to_owned(); JOIN_ADDRESSES_MAX + 1],
            one(""),
            one("no-port"),
            one(":8600"),
            one("a:65536"),
            one("clear\u{1b}[2J:1"),
            one("two\nlines:1"),
            one(&format!("{}:1", "a".repeat(ADDRESS_BYTES_MAX - 1))),
        ] {
            let id = JoinTokenId::from_u128(1);
            let made = JoinToken::new(JoinKind::Node, [0; 32], addresses, id, [0; 32]);
            assert_eq!(made, Err(JoinTokenError::Addresses));
        }
    }

    #[test]
    fn the_largest_token_survives_its_text() {
        let address = format!("{}:65535", "a".repeat(ADDRESS_BYTES_MAX - 6));
        let addresses = vec![address; JOIN_ADDRESSES_MAX];
        let id = JoinTokenId::from_u128(u128::MAX);
        let token = JoinToken::new(JoinKind::Server, [255; 32], addresses, id, [255; 32]).unwrap();
        assert_eq!(JoinToken::decode(&token.encode()), Ok(token));
    }

    proptest! {
        #[test]
        fn every_token_survives_its_text(
            kind in proptest::sample::select(&JoinKind::ALL[..]),
            fingerprint: [u8; 32],
            id: u128,
            secret: [u8; 32],
            addresses in proptest::collection::vec("[a-z0-9.-]{1,40}:[1-9][0-9]{0,3}", 1..=6),
        ) {
            let id = JoinTokenId::from_u128(id);
            let token = JoinToken::new(kind, fingerprint, addresses, id, secret).unwrap();
            prop_assert_eq!(JoinToken::decode(&token.encode()), Ok(token));
        }

        #[test]
        fn no_text_makes_the_reader_fail(text in "(skj1_)?[0-9A-Za-z]{0,300}") {
            let _ = JoinToken::decode(&text);
        }

        #[test]
        fn one_changed_character_is_noticed(position in 5_usize..150, with in "[0-9A-Za-z]") {
            let mut text = token().encode();
            let position = position.min(text.len() - 1);
            if text[position..=position] != with {
                text.replace_range(position..=position, &with);
                prop_assert!(JoinToken::decode(&text).is_err());
            }
        }
    }
}

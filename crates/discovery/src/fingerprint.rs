//! The first bytes of a certificate authority's fingerprint: enough to tell clusters apart.

use std::fmt;
use std::str::FromStr;

/// The first eight bytes of the fingerprint of a cluster's certificate authority.
///
/// A hint for people who compare it with their join token, never a proof: eight bytes can be
/// copied by everybody who heard them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FingerprintPrefix([u8; Self::BYTES]);

impl FingerprintPrefix {
    /// Bytes of the prefix.
    pub const BYTES: usize = 8;

    /// The prefix of a whole fingerprint.
    pub fn of(fingerprint: &[u8; 32]) -> Self {
        let mut prefix = [0; Self::BYTES];
        prefix.copy_from_slice(&fingerprint[..Self::BYTES]);
        Self(prefix)
    }

    /// Whether `fingerprint` starts with this prefix.
    pub fn matches(&self, fingerprint: &[u8; 32]) -> bool {
        fingerprint.starts_with(&self.0)
    }

    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl From<[u8; FingerprintPrefix::BYTES]> for FingerprintPrefix {
    fn from(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for FingerprintPrefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The text is no fingerprint prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no fingerprint prefix; it should be 16 lowercase hexadecimal digits")]
pub struct ParseFingerprintPrefixError {
    text: String,
}

impl FromStr for FingerprintPrefix {
    type Err = ParseFingerprintPrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseFingerprintPrefixError {
            text: text.escape_default().to_string(),
        };
        if text.len() != 2 * Self::BYTES {
            return Err(refuse());
        }
        let mut bytes = [0; Self::BYTES];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (Some(high), Some(low)) = (hex_digit(pair[0]), hex_digit(pair[1])) else {
                return Err(refuse());
            };
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

fn hex_digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_survives_its_text_form_and_matches_its_fingerprint() {
        let fingerprint = std::array::from_fn(|index| index as u8 * 7);
        let prefix = FingerprintPrefix::of(&fingerprint);
        assert_eq!(prefix.to_string(), "00070e151c232a31");
        assert_eq!("00070e151c232a31".parse(), Ok(prefix));
        assert!(prefix.matches(&fingerprint));
        assert!(!prefix.matches(&[9; 32]));
    }

    #[test]
    fn a_text_that_is_no_lowercase_hex_of_eight_bytes_is_refused() {
        for text in [
            "",
            "00",
            "00070E151C232A31",
            "00070e151c232a3g",
            "00070e151c232a3ä",
        ] {
            assert!(text.parse::<FingerprintPrefix>().is_err(), "{text}");
        }
    }
}

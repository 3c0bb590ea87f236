//! What stands before all names of a mirror, so that several of them find room in one server.

use std::fmt;
use std::str::FromStr;

/// Bytes of a prefix.
const PREFIX_BYTES_MAX: usize = 64;

/// Up to 64 printable characters without spaces; nothing unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirrorPrefix(String);

/// A text that is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{shown}` is no prefix: use up to {PREFIX_BYTES_MAX} printable ASCII characters without spaces"
)]
pub struct MirrorPrefixError {
    shown: String,
}

impl MirrorPrefix {
    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MirrorPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MirrorPrefix {
    type Err = MirrorPrefixError;

    fn from_str(text: &str) -> Result<Self, MirrorPrefixError> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_plain && text.len() <= PREFIX_BYTES_MAX {
            return Ok(Self(text.to_owned()));
        }
        let shown = text.escape_debug().take(PREFIX_BYTES_MAX).collect();
        Err(MirrorPrefixError { shown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_short_and_plain() {
        for text in ["", "skep:", "team-one/", &"x".repeat(64)] {
            assert_eq!(text.parse::<MirrorPrefix>().unwrap().as_str(), text);
        }
        for text in ["a b", "a\n", "ä", &"x".repeat(65)] {
            assert!(text.parse::<MirrorPrefix>().is_err(), "{text}");
        }
    }
}

//! Patterns over names and keys: `*` stands for any letters or none, `?` for one.

use crate::limits::TRIGGER_PATTERN_BYTES_MAX;
use crate::trigger::WatchError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A pattern over a whole text. `*` stands for any letters, also `/` and none at all; `?` stands for
/// one letter; every other letter stands for itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Glob(String);

impl Default for Glob {
    /// Everything.
    fn default() -> Self {
        Self("*".to_owned())
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Glob {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Glob {
    /// Whether every text matches.
    pub fn takes_all(&self) -> bool {
        self.0 == "*"
    }

    /// Whether the whole text matches. Takes at most as many steps as the lengths of both multiplied.
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.as_str(), text);
        // Where the newest `*` was seen, and what it left over: it is the only one that may have
        // to take more.
        let mut star: Option<(&str, &str)> = None;
        loop {
            let mut letters = pattern.chars();
            match (letters.next(), rest.chars().next()) {
                (Some('*'), _) => {
                    pattern = letters.as_str();
                    star = Some((pattern, rest));
                }
                (None, None) => return true,
                (Some(wanted), Some(letter)) if wanted == '?' || wanted == letter => {
                    pattern = letters.as_str();
                    rest = &rest[letter.len_utf8()..];
                }
                _ => {
                    let Some((after, left)) = star else {
                        return false;
                    };
                    let Some(taken) = left.chars().next() else {
                        return false;
                    };
                    rest = &left[taken.len_utf8()..];
                    pattern = after;
                    star = Some((after, rest));
                }
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), WatchError> {
        let bytes = self.0.len();
        if (1..=TRIGGER_PATTERN_BYTES_MAX).contains(&bytes) {
            return Ok(());
        }
        Err(WatchError::Pattern { bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_texts_only() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "any/thing", true),
            ("", "", true),
            ("", "a", false),
            ("build", "build", true),
            ("build", "builds", false),
            ("build*", "build-7", true),
            ("*.rs", "src/main.rs", true),
            ("*.rs", "src/main.rsx", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*b*c*", "xxaxxcxxbxx", false),
            ("é*", "éa", true),
            ("**", "x", true),
            ("*?", "", false),
        ] {
            assert_eq!(
                Glob::from(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_pattern_of_many_stars_ends() {
        let pattern = Glob::from("*a".repeat(200).as_str());
        assert!(!pattern.matches(&format!("{}b", "a".repeat(2_000))));
    }
}

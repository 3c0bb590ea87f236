//! Patterns of entries of shared memory, for those who follow them.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use skep_model::event::Event;
use skep_model::limits::MEMORY_KEY_BYTES_MAX;
use skep_model::memory::{MemoryKey, Namespace};
use std::sync::Arc;

/// A text in which `*` stands for any letters, none and `/` included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wildcard(Arc<str>);

impl Wildcard {
    fn parse(name: &str, text: &str) -> Result<Self, OperationError> {
        if (1..=MEMORY_KEY_BYTES_MAX).contains(&text.len()) {
            return Ok(Self(text.into()));
        }
        let detail = format!(
            "`{name}` is a pattern of {} bytes; want 1 to {MEMORY_KEY_BYTES_MAX} \
             (MEMORY_KEY_BYTES_MAX)",
            text.len()
        );
        Err(OperationError::new(ErrorCode::QueryMalformed, detail))
    }

    /// The parts between the stars have to occur one behind the other; the earliest place for each
    /// leaves the most for the rest.
    fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else {
            return *self.0 == *text;
        };
        let Some(mut text) = text.strip_prefix(first) else {
            return false;
        };
        let mut parts: Vec<_> = rest.split('*').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            match text.find(part) {
                Some(at) => text = &text[at + part.len()..],
                None => return false,
            }
        }
        text.ends_with(last)
    }
}

/// Which entries of shared memory are followed; all that is given must match.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct MemoryPattern {
    namespace: Option<Wildcard>,
    key: Option<Wildcard>,
}

impl MemoryPattern {
    /// A pattern of namespace and key; none when neither is given.
    ///
    /// # Errors
    /// `query_malformed`.
    pub fn parse(
        namespace: Option<&str>,
        key: Option<&str>,
    ) -> Result<Option<Self>, OperationError> {
        let pattern = Self {
            namespace: namespace
                .map(|text| Wildcard::parse("namespace", text))
                .transpose()?,
            key: key.map(|text| Wildcard::parse("key", text)).transpose()?,
        };
        Ok(Some(pattern).filter(|pattern| *pattern != Self::default()))
    }

    /// Whether it wants this entry.
    pub fn matches(&self, namespace: &Namespace, key: &MemoryKey) -> bool {
        let fits = |wanted: &Option<Wildcard>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.matches(text))
        };
        fits(&self.namespace, namespace.as_str()) && fits(&self.key, key.as_str())
    }
}

/// The entry that an event changed. A refused write changed none.
pub(crate) fn changed(event: &Event) -> Option<(Namespace, MemoryKey)> {
    if matches!(event, Event::MemoryRefused { .. }) {
        return None;
    }
    let (namespace, key) = event.memory()?;
    Some((namespace.clone(), key.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, text, expected) in [
            ("plan", "plan", true),
            ("plan", "plan/a", false),
            ("plan/*", "plan/a/b", true),
            ("plan/*", "plan", false),
            ("*", "anything", true),
            ("*/done", "a/b/done", true),
            ("*/done", "done", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*ab", "aab", true),
            ("**", "x", true),
        ] {
            let wildcard = Wildcard::parse("key", pattern).unwrap();
            assert_eq!(wildcard.matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn both_parts_have_to_match_and_an_empty_pattern_is_refused() {
        let (swarm, key) = ("swarm".parse().unwrap(), "a/b".parse().unwrap());
        for (namespace, pattern, expected) in [
            (Some("swarm"), Some("a/*"), true),
            (Some("run/*"), Some("a/*"), false),
            (None, Some("b*"), false),
            (Some("s*m"), None, true),
        ] {
            let pattern = MemoryPattern::parse(namespace, pattern).unwrap().unwrap();
            assert_eq!(pattern.matches(&swarm, &key), expected, "{pattern:?}");
        }
        assert_eq!(MemoryPattern::parse(None, None), Ok(None));
        let empty = MemoryPattern::parse(Some(""), None).unwrap_err();
        assert_eq!(empty.code(), ErrorCode::QueryMalformed);
    }
}

//! Names in shared memory: one that exists is one that is allowed.

use crate::limits;
use crate::memory::names::rules::{is_key, is_namespace, is_tag};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// A text that is no namespace, key or tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {rule}")]
pub struct ParseNameError {
    text: String,
    what: &'static str,
    rule: &'static str,
}

/// What makes a text a name.
mod rules {
    use crate::limits;

    pub(super) fn is_namespace(text: &str) -> bool {
        let allowed =
            |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/');
        text.len() <= limits::NAMESPACE_BYTES_MAX
            && text.bytes().all(allowed)
            && text.split('/').all(|part| !part.is_empty())
    }

    pub(super) fn is_key(text: &str) -> bool {
        (1..=limits::MEMORY_KEY_BYTES_MAX).contains(&text.len())
            && !text.chars().any(char::is_control)
    }

    pub(super) fn is_tag(text: &str) -> bool {
        let forbidden = |letter: char| letter.is_control() || letter.is_whitespace();
        (1..=limits::MEMORY_TAG_BYTES_MAX).contains(&text.len()) && !text.chars().any(forbidden)
    }
}

/// Reads a name from a text without copying it first.
struct TextVisitor<T>(std::marker::PhantomData<T>);

impl<T> serde::de::Visitor<'_> for TextVisitor<T>
where
    T: std::str::FromStr<Err = ParseNameError>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name in shared memory")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $is_name:path, $length_max:expr, $what:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseNameError;

            fn from_str(text: &str) -> Result<Self, ParseNameError> {
                if $is_name(text) {
                    return Ok(Self(text.into()));
                }
                let text = text.chars().take(limits::NAME_LENGTH_MAX).collect();
                Err(ParseNameError { text, what: $what, rule: $rule })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(TextVisitor(std::marker::PhantomData::<Self>))
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": $rule,
                    "minLength": 1,
                    "maxLength": $length_max,
                })
            }
        }
    };
}

name!(
    /// A part of shared memory with its own versions, quota and conflict strategies: `swarm` is
    /// for all, `knowledge` holds what was learned, `run/<id>` belongs to a run.
    Namespace,
    is_namespace,
    limits::NAMESPACE_BYTES_MAX,
    "namespace",
    "1 to 64 of the characters `a` to `z`, `0` to `9`, `.`, `_`, `-`, with `/` only between others"
);
name!(
    /// Name of an entry in its namespace. `/` is a letter like others; prefixes are what groups.
    MemoryKey,
    is_key,
    limits::MEMORY_KEY_BYTES_MAX,
    "key",
    "1 to 512 bytes without control characters"
);
name!(
    /// A word that finds entries.
    MemoryTag,
    is_tag,
    limits::MEMORY_TAG_BYTES_MAX,
    "tag",
    "1 to 64 bytes without spaces and control characters"
);

impl Namespace {
    /// For all.
    pub const SWARM: &'static str = "swarm";
    /// What was learned; keys are `TOPIC/NAME`.
    pub const KNOWLEDGE: &'static str = "knowledge";

    /// The namespace of a run.
    pub fn of_run(run: crate::ids::RunId) -> Self {
        Self(format!("run/{run}").into())
    }

    /// The run that this namespace belongs to.
    pub fn run(&self) -> Option<crate::ids::RunId> {
        self.0.strip_prefix("run/")?.parse().ok()
    }
}

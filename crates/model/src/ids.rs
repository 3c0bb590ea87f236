//! Identifiers: one newtype each, shown as `prefix_` and 26 base32 characters.
//!
//! The text form follows TypeID: Crockford base32 in lower case of a 128-bit
//! UUIDv7, so that ids sort by the time they were made. Binary formats carry the
//! plain 16 bytes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TEXT_LENGTH: usize = 26;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// The part before the underscore is another kind of id, or missing.
    #[error("`{text}` is not a {expected} id: it should start with `{expected}_`")]
    WrongPrefix {
        /// What was given.
        text: String,
        /// The prefix this kind of id has.
        expected: &'static str,
    },
    /// The part after the underscore is not 26 base32 characters.
    #[error("`{text}` is not a {expected} id: 26 characters of base32 should follow `{expected}_`")]
    BadText {
        /// What was given.
        text: String,
        /// The prefix this kind of id has.
        expected: &'static str,
    },
}

/// The value of each byte as a base32 digit; 255 for bytes that are none.
const DIGITS: [u8; 256] = {
    let mut digits = [255; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        digits[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

fn encode(value: u128, out: &mut [u8]) {
    for (position, slot) in out.iter_mut().take(TEXT_LENGTH).enumerate() {
        let shift = 5 * (TEXT_LENGTH - 1 - position);
        *slot = ALPHABET[((value >> shift) & 31) as usize];
    }
}

fn decode(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    // 26 characters hold 130 bits; the first may carry only three of them.
    if bytes.len() != TEXT_LENGTH || bytes[0] > b'7' {
        return None;
    }
    bytes.iter().try_fold(0_u128, |value, byte| {
        let digit = DIGITS[usize::from(*byte)];
        (digit < 32).then(|| (value << 5) | u128::from(digit))
    })
}

/// Reads an id from a text without copying it first.
struct TextVisitor<T>(std::marker::PhantomData<T>);

impl<T> serde::de::Visitor<'_> for TextVisitor<T>
where
    T: std::str::FromStr<Err = ParseIdError>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What stands before the underscore in the text form.
            pub const PREFIX: &'static str = $prefix;

            /// The id with these 128 bits; callers stamp a UUIDv7.
            pub const fn from_u128(value: u128) -> Self {
                Self(value)
            }

            /// The 128 bits.
            pub const fn as_u128(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                const PREFIX_LENGTH: usize = $prefix.len() + 1;
                let mut text = [b'_'; PREFIX_LENGTH + TEXT_LENGTH];
                text[..PREFIX_LENGTH - 1].copy_from_slice($prefix.as_bytes());
                encode(self.0, &mut text[PREFIX_LENGTH..]);
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let rest = text.strip_prefix(concat!($prefix, "_")).ok_or_else(|| {
                    ParseIdError::WrongPrefix { text: text.to_owned(), expected: $prefix }
                })?;
                decode(rest).map(Self).ok_or_else(|| ParseIdError::BadText {
                    text: text.to_owned(),
                    expected: $prefix,
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    // Fixed 16 bytes: a varint of a UUID would need up to 19.
                    self.0.to_le_bytes().serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(TextVisitor(std::marker::PhantomData::<Self>))
                } else {
                    Ok(Self(u128::from_le_bytes(<[u8; 16]>::deserialize(deserializer)?)))
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$"),
                })
            }
        }
    };
}

id!(
    /// One unit of work.
    TaskId, "task"
);
id!(
    /// One submitted task graph.
    RunId, "run"
);
id!(
    /// One machine that joined.
    NodeId, "node"
);
id!(
    /// One worker on a node, or an external session.
    AgentId, "agent"
);
id!(
    /// One API token (its record, never its secret).
    TokenId, "token"
);
id!(
    /// One join token (its record, never its secret).
    JoinTokenId, "join"
);
id!(
    /// One trigger: what is submitted when something happens.
    TriggerId, "trig"
);
id!(
    /// One installation of Skep: all coordinators that share a log.
    ClusterId, "cluster"
);
id!(
    /// One start of a node process; a restarted node has a new one.
    InstanceId, "inst"
);
id!(
    /// One schedule.
    ScheduleId, "sched"
);
id!(
    /// Whoever writes to shared memory while apart: a node or another swarm, with the bits of its
    /// id.
    ReplicaId, "replica"
);

impl ReplicaId {
    /// The log that the state belongs to.
    pub const HOME: Self = Self::from_u128(0);

    /// A node that writes while it is disconnected.
    pub const fn of_node(node: NodeId) -> Self {
        Self::from_u128(node.as_u128())
    }

    /// Another swarm.
    pub const fn of_cluster(cluster: ClusterId) -> Self {
        Self::from_u128(cluster.as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        for value in [0, 1, u128::MAX, 0x0192_3456_789a_7bcd_8ef0_1234_5678_9abc] {
            let id = TaskId::from_u128(value);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn ids_sort_as_their_texts_do() {
        let (early, late) = (RunId::from_u128(1 << 80), RunId::from_u128(2 << 80));
        assert!(early < late && early.to_string() < late.to_string());
    }

    #[test]
    fn a_text_of_another_kind_is_refused_with_the_expected_prefix() {
        let run = RunId::from_u128(7).to_string();
        let error = run.parse::<TaskId>().unwrap_err();
        assert!(
            error.to_string().contains("should start with `task_`"),
            "{error}"
        );
    }

    #[test]
    fn a_text_that_is_cut_or_out_of_range_is_refused() {
        for text in [
            "task_",
            "task_0",
            "task_80000000000000000000000000",
            "task_0000000000000000000000000l",
        ] {
            assert!(text.parse::<TaskId>().is_err(), "{text}");
        }
    }
}

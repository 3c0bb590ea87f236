//! The text as a tree of values with positions, before it has a meaning.

use crate::error::{ErrorCode, Problem, Problems};
use crate::position::Position;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use std::fmt;
use std::marker::PhantomData;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) position: Option<Position>,
}

/// A scalar, list or mapping. Numbers and booleans are kept as they were written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(String),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) position: Option<Position>,
}

impl Value {
    /// What it is, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    /// The text of a scalar.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match self {
            Self::Bool(text) | Self::Number(text) | Self::Text(text) => Some(text),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }
}

/// Reads YAML, of which JSON is a part.
pub(crate) fn parse(source: &str, problems: &mut Problems) -> Option<Node> {
    // Only `true` and `false` are booleans: `no` and `on` are words.
    let options = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Located>(source, options) {
        Ok(Located(mut node)) => {
            let lines: Vec<&str> = source.lines().collect();
            restore_spelling(&mut node, &lines);
            Some(node)
        }
        Err(error) => {
            let position = error.location().and_then(|location| place(&location));
            problems.add(position, syntax_problem(error.without_snippet()));
            None
        }
    }
}

fn syntax_problem(error: &serde_saphyr::Error) -> Problem {
    if let serde_saphyr::Error::DuplicateMappingKey { key, .. } = error {
        let key = key.as_deref().unwrap_or("?");
        let message = format!("the key `{key}` stands twice in one mapping");
        return Problem::new(
            ErrorCode::DuplicateKey,
            message,
            "rename or remove one of them",
        );
    }
    let text = error.render();
    let text = text
        .lines()
        .next()
        .unwrap_or("not readable")
        .trim_start_matches("error: ");
    Problem::new(
        ErrorCode::Syntax,
        format!("this is not YAML or JSON: {text}"),
        "check indentation, colons and quotes up to here",
    )
}

fn place(location: &Location) -> Option<Position> {
    (location.line() > 0).then(|| Position {
        line: location.line(),
        column: location.column(),
    })
}

/// A number is read as one and loses its spelling (`1.10` becomes 1.1): take it from the text.
fn restore_spelling(node: &mut Node, lines: &[&str]) {
    match &mut node.value {
        Value::List(items) => {
            for item in items {
                restore_spelling(item, lines);
            }
        }
        Value::Map(entries) => {
            for (_, item) in entries {
                restore_spelling(item, lines);
            }
        }
        Value::Number(text) | Value::Bool(text) => {
            let written = node.position.and_then(|at| word_at(at, lines));
            if let Some(written) = written.filter(|written| is_same(written, text)) {
                *text = written;
            }
        }
        Value::Null | Value::Text(_) => {}
    }
}

/// The plain scalar that begins here.
fn word_at(at: Position, lines: &[&str]) -> Option<String> {
    let line = lines.get(at.line.checked_sub(1)? as usize)?;
    let rest: String = line
        .chars()
        .skip(at.column.checked_sub(1)? as usize)
        .collect();
    let end = rest
        .find([',', ']', '}', ' ', '\t', '\r'])
        .unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

/// Whether two spellings mean the same. Behind an alias stands another word, and the value stays
/// as it was read.
fn is_same(written: &str, read: &str) -> bool {
    match (written.parse::<f64>(), read.parse::<f64>()) {
        (Ok(written), Ok(read)) => written.total_cmp(&read).is_eq(),
        _ => written.eq_ignore_ascii_case(read),
    }
}

/// How keys and values are read: with positions (YAML) or without (any other format).
trait Reading {
    type Key: for<'de> Deserialize<'de> + Into<Key>;
    type Item: for<'de> Deserialize<'de> + Into<Node>;
}

struct WithPositions;
struct WithoutPositions;
/// A node read from YAML.
struct Located(Node);
/// A node read from another format.
pub(crate) struct Bare(pub(crate) Node);

impl Reading for WithPositions {
    type Key = Spanned<String>;
    type Item = Located;
}

impl Reading for WithoutPositions {
    type Key = String;
    type Item = Bare;
}

impl From<Spanned<String>> for Key {
    fn from(key: Spanned<String>) -> Self {
        Self {
            position: place(&key.referenced),
            name: key.value,
        }
    }
}

impl From<String> for Key {
    fn from(name: String) -> Self {
        Self {
            name,
            position: None,
        }
    }
}

impl From<Located> for Node {
    fn from(located: Located) -> Self {
        located.0
    }
}

impl From<Bare> for Node {
    fn from(bare: Bare) -> Self {
        bare.0
    }
}

struct Read<R>(Value, PhantomData<R>);

impl<'de, R: Reading> Deserialize<'de> for Read<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(ValueVisitor::<R>(PhantomData))?;
        Ok(Self(value, PhantomData))
    }
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Read<WithPositions>>::deserialize(deserializer)?;
        Ok(Self(Node {
            position: place(&spanned.referenced),
            value: spanned.value.0,
        }))
    }
}

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::<WithoutPositions>::deserialize(deserializer)?;
        Ok(Self(Node {
            value: read.0,
            position: None,
        }))
    }
}

struct ValueVisitor<R>(PhantomData<R>);

impl<'de, R: Reading> Visitor<'de> for ValueVisitor<R> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Ok(Read::<R>::deserialize(deserializer)?.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<R::Item>()? {
            items.push(item.into());
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        while let Some(key) = access.next_key::<R::Key>()? {
            let key = key.into();
            if entries.iter().any(|(known, _)| known.name == key.name) {
                let name = key.name;
                return Err(serde::de::Error::custom(format!(
                    "the key `{name}` stands twice"
                )));
            }
            entries.push((key, access.next_value::<R::Item>()?.into()));
        }
        Ok(Value::Map(entries))
    }
}

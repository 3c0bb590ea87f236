//! Reading mappings, texts, words and numbers, and saying what is wrong with them.

use crate::error::{ErrorCode, Problem, Problems};
use crate::position::{At, Position};
use crate::quantity::{Cpu, Duration, Size};
use crate::schema::Named;
use crate::suggest;
use crate::tree::{Key, Node, Value};
use skep_model::limits;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Where errors go while a tree is read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    problems: &'a mut Problems,
    pub(crate) origin: &'a str,
}

/// The entries of a mapping that were not taken yet, and the keys it may have.
#[derive(Debug)]
pub(crate) struct Fields {
    what: String,
    position: Option<Position>,
    entries: Vec<(Key, Node)>,
    known: Vec<&'static str>,
}

impl Fields {
    pub(crate) fn of(reader: &mut Reader<'_>, node: Node, what: &str) -> Option<Self> {
        let position = node.position;
        match node.value {
            Value::Map(entries) => Some(Self {
                what: what.to_owned(),
                position,
                entries,
                known: Vec::new(),
            }),
            other => {
                reader.wrong_type(position, what, "a mapping", &other);
                None
            }
        }
    }

    pub(crate) const fn position(&self) -> Option<Position> {
        self.position
    }

    /// The entries that were not taken, for mappings whose keys are free.
    pub(crate) fn rest(self) -> Vec<(Key, Node)> {
        self.entries
    }

    /// The value of this key; nothing counts as not there.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Node> {
        self.known.push(name);
        let place = self.entries.iter().position(|(key, _)| key.name == name)?;
        let (_, node) = self.entries.remove(place);
        (node.value != Value::Null).then_some(node)
    }

    pub(crate) fn required(&mut self, reader: &mut Reader<'_>, name: &'static str) -> Option<Node> {
        let node = self.take(name);
        // A key that is one slip away is reported as such and not as missing too.
        let is_misspelt = self
            .entries
            .iter()
            .any(|(key, _)| suggest::closest(&key.name, [name]).is_some());
        if node.is_none() && !is_misspelt {
            let message = format!("{} lacks the key `{name}`", self.what);
            let fix = format!("add `{name}:`");
            reader.add(
                self.position,
                Problem::new(ErrorCode::MissingKey, message, fix),
            );
        }
        node
    }

    /// Reports the entries that nobody took.
    pub(crate) fn finish(self, reader: &mut Reader<'_>) {
        for (key, _) in &self.entries {
            let message = format!("{} has no key `{}`", self.what, key.name);
            let fix = suggest::hint(&key.name, self.known.iter().copied());
            reader.add(
                key.position,
                Problem::new(ErrorCode::UnknownKey, message, fix),
            );
        }
    }
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(problems: &'a mut Problems, origin: &'a str) -> Self {
        Self { problems, origin }
    }

    pub(crate) fn add(&mut self, position: Option<Position>, problem: Problem) {
        self.problems.add(position, problem);
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn wrong_type(
        &mut self,
        position: Option<Position>,
        what: &str,
        wanted: &str,
        found: &Value,
    ) {
        let message = format!("{what} must be {wanted}, not {}", found.kind());
        let problem = Problem::new(
            ErrorCode::WrongType,
            message,
            format!("write {wanted} here"),
        );
        let problem = match found.scalar() {
            Some(text) => problem.found(text),
            None => problem,
        };
        self.add(position, problem);
    }

    /// A text; numbers and booleans are taken as they are written.
    pub(crate) fn text(&mut self, node: Node, what: &str) -> Option<At<String>> {
        match node.value {
            Value::Text(text) | Value::Number(text) | Value::Bool(text) => {
                Some(At::new(text, node.position))
            }
            other => {
                self.wrong_type(node.position, &format!("`{what}`"), "a text", &other);
                None
            }
        }
    }

    pub(crate) fn check_length(&mut self, text: &At<String>, what: &str, max: usize) {
        let length = text.value.chars().count();
        if length == 0 || length > max {
            let message = format!("{what} must have 1 to {max} characters, not {length}");
            let problem = Problem::new(ErrorCode::BadName, message, "choose another one");
            self.add(text.position, problem.found(&text.value));
        }
    }

    /// Each item of a list; anything else counts as a list of itself.
    pub(crate) fn items<T>(
        &mut self,
        node: Node,
        mut item: impl FnMut(&mut Self, Node) -> Option<T>,
    ) -> Vec<T> {
        match node.value {
            Value::List(items) => items
                .into_iter()
                .filter_map(|node| item(self, node))
                .collect(),
            value => item(self, Node { value, ..node }).into_iter().collect(),
        }
    }

    /// Each entry of a mapping.
    pub(crate) fn named<T>(
        &mut self,
        node: Node,
        what: &str,
        mut item: impl FnMut(&mut Self, &At<String>, Node) -> Option<T>,
    ) -> Named<T> {
        let Value::Map(entries) = node.value else {
            self.wrong_type(
                node.position,
                &format!("`{what}`"),
                "a mapping",
                &node.value,
            );
            return Named::default();
        };
        let read = entries.into_iter().filter_map(|(key, node)| {
            let name = At::new(key.name, key.position);
            let value = item(self, &name, node)?;
            Some((name, value))
        });
        Named(read.collect())
    }

    /// A mapping of texts.
    pub(crate) fn texts(&mut self, node: Node, what: &str) -> Named<At<String>> {
        self.named(node, what, |reader, name, node| {
            reader.text(node, &format!("{what}.{}", name.value))
        })
    }

    /// Labels: a bounded mapping of texts with names of bounded length.
    pub(crate) fn labels(&mut self, node: Node) -> Named<At<String>> {
        let position = node.position;
        let labels = self.texts(node, "labels");
        for (name, _) in &labels.0 {
            self.check_length(name, "the name of a label", limits::NAME_LENGTH_MAX);
        }
        if labels.0.len() > limits::LABELS_MAX {
            let (given, max) = (labels.0.len(), limits::LABELS_MAX);
            let message = format!("{given} labels are too many; LABELS_MAX is {max}");
            self.add(
                position,
                Problem::new(ErrorCode::TooLong, message, "remove some"),
            );
        }
        labels
    }

    pub(crate) fn number(
        &mut self,
        node: Node,
        what: &str,
        bounds: RangeInclusive<u64>,
    ) -> Option<At<u64>> {
        let (least, most) = (*bounds.start(), *bounds.end());
        let wanted = format!("a whole number from {least} to {most}");
        let text = match node.value {
            Value::Number(text) => text,
            other => {
                self.wrong_type(node.position, &format!("`{what}`"), &wanted, &other);
                return None;
            }
        };
        match text.parse::<u64>() {
            Ok(number) if bounds.contains(&number) => Some(At::new(number, node.position)),
            _ => {
                let message = format!("`{what}` must be {wanted}");
                let fix = format!("choose {least} to {most}");
                let problem = Problem::new(ErrorCode::OutOfRange, message, fix);
                self.add(node.position, problem.found(&text));
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self, node: Node, what: &str) -> Option<At<bool>> {
        let text = match node.value {
            Value::Bool(text) => text,
            other => {
                self.wrong_type(node.position, &format!("`{what}`"), "true or false", &other);
                return None;
            }
        };
        Some(At::new(text.eq_ignore_ascii_case("true"), node.position))
    }

    /// One of some words.
    pub(crate) fn word<T: Clone>(
        &mut self,
        node: Node,
        what: &str,
        words: &[(&'static str, T)],
    ) -> Option<At<T>> {
        let text = self.text(node, what)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(At::new(meaning.clone(), text.position));
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("`{what}` must be {}", known.join(" or "));
        let fix = suggest::hint(&text.value, known);
        self.add(
            text.position,
            Problem::new(ErrorCode::WrongType, message, fix).found(&text.value),
        );
        None
    }

    pub(crate) fn duration(&mut self, node: Node, what: &str) -> Option<At<Duration>> {
        let text = self.text(node, what)?;
        let duration = Duration::parse(&text.value);
        if duration.is_none() {
            let message = format!("`{what}` must be a span of time");
            let fix = "write it like 30s, 5m or 1h30m, or as whole seconds";
            let problem = Problem::new(ErrorCode::BadDuration, message, fix);
            self.add(text.position, problem.found(&text.value));
        }
        Some(At::new(duration?, text.position))
    }

    /// A span of time that is neither nothing nor longer than `max_ms`.
    pub(crate) fn bounded_duration(
        &mut self,
        node: Node,
        what: &str,
        max_ms: u64,
    ) -> Option<At<Duration>> {
        let written = node.value.scalar().unwrap_or_default().to_owned();
        let duration = self.duration(node, what)?;
        if (1..=max_ms).contains(&duration.value.ms) {
            return Some(duration);
        }
        let hours = max_ms / 3_600_000;
        let message = format!("`{what}` must be more than 0 and at most {hours}h");
        let problem = Problem::new(ErrorCode::OutOfRange, message, "choose another span");
        self.add(duration.position, problem.found(&written));
        None
    }

    pub(crate) fn size(&mut self, node: Node, what: &str) -> Option<Size> {
        let fix = "write it like 512MiB or 2GiB, or as whole bytes";
        self.amount(node, what, "an amount of bytes", fix, Size::parse)
    }

    pub(crate) fn cpu(&mut self, node: Node, what: &str) -> Option<Cpu> {
        let fix = "write it like 2 or 0.5, with at most three decimals";
        self.amount(node, what, "a number of processors", fix, Cpu::parse)
    }

    fn amount<T>(
        &mut self,
        node: Node,
        what: &str,
        wanted: &str,
        fix: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(node, what)?;
        let amount = parse(&text.value);
        if amount.is_none() {
            let message = format!("`{what}` must be {wanted}");
            let problem = Problem::new(ErrorCode::BadSize, message, fix);
            self.add(text.position, problem.found(&text.value));
        }
        amount
    }
}

/// Names of tasks, parameters and axes: they appear in paths and variables.
pub(crate) fn check_name(reader: &mut Reader<'_>, name: &At<String>, what: &str) {
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    };
    if name.value.len() <= limits::NAME_LENGTH_MAX && is_name(&name.value) {
        return;
    }
    let message = format!(
        "the name of {what} must be 1 to {} letters, digits, `_`, `-` or `.`",
        limits::NAME_LENGTH_MAX
    );
    let fix = "rename it; it must begin with a letter, a digit or `_`";
    reader.add(
        name.position,
        Problem::new(ErrorCode::BadName, message, fix).found(&name.value),
    );
}

/// The end of a variable's name: `dir-a` becomes `DIR_A`.
pub(crate) fn variable_part(name: &str) -> String {
    let upper = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    name.chars().map(upper).collect()
}

/// Names whose variables differ, so that each value can be read.
pub(crate) fn check_variable_part<T>(
    reader: &mut Reader<'_>,
    named: &Named<T>,
    what: &str,
    prefix: &str,
) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (name, _) in &named.0 {
        check_name(reader, name, &format!("an entry of `{what}`"));
        let part = variable_part(&name.value);
        if let Some(other) = seen.insert(part.clone(), &name.value) {
            let message = format!(
                "`{other}` and `{}` are both SKEP_{prefix}_{part}",
                name.value
            );
            let problem = Problem::new(ErrorCode::VariableClash, message, "rename one of them");
            reader.add(name.position, problem);
        }
    }
}

//! One task of a batch. Most are of a few simple keys: they are read straight into their type,
//! and everything else goes the plan's way, which knows all keys and explains errors.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;
use skep_model::limits;
use skep_model::task::TaskSpec;
use skep_model::work::{CommandWork, Invocation, Work, Workspace};
use skep_plan::SingleTaskFile;
use std::collections::BTreeMap;

/// A task of a batch.
#[derive(Debug)]
pub(super) enum BatchItem {
    /// Of simple keys, with simple values; the text in case it must go the long way after all.
    Simple(Box<TaskSpec>, Box<RawValue>),
    /// Of any keys.
    Full(Box<SingleTaskFile>),
}

impl BatchItem {
    /// Reads a task from its JSON.
    fn read(text: Box<RawValue>) -> Result<Self, serde_json::Error> {
        // Serde would take an array for a struct, its elements for the fields.
        let object = Some(text.get()).filter(|text| text.starts_with('{'));
        let simple = object.and_then(|text| serde_json::from_str::<SimpleTask>(text).ok());
        match simple.and_then(SimpleTask::spec) {
            Some(spec) => Ok(Self::Simple(Box::new(spec), text)),
            None => serde_json::from_str(text.get())
                .map(Box::new)
                .map(Self::Full),
        }
    }

    /// The task with all its keys.
    pub(super) fn into_file(self) -> Result<SingleTaskFile, OperationError> {
        match self {
            Self::Full(file) => Ok(*file),
            Self::Simple(_, text) => serde_json::from_str(text.get())
                .map_err(|error| OperationError::new(ErrorCode::TaskInvalid, error.to_string())),
        }
    }
}

impl<'de> Deserialize<'de> for BatchItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::read(text).map_err(D::Error::custom)
    }
}

impl schemars::JsonSchema for BatchItem {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        SingleTaskFile::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        SingleTaskFile::json_schema(generator)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SimpleKind {
    Noop,
    Command,
}

/// The keys of a task that needs no resolving. Whatever is not plainly right here is `None`, and
/// the plan's own reader says what is wrong.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SimpleTask {
    name: String,
    kind: Option<SimpleKind>,
    run: Option<String>,
    argv: Option<Vec<String>>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl SimpleTask {
    fn spec(self) -> Option<TaskSpec> {
        let plain = |text: &String| !text.contains("${{");
        let name_fits = is_simple_name(&self.name);
        let labels_fit = self.labels.len() <= limits::LABELS_MAX
            && self.labels.iter().all(|(key, value)| {
                is_simple_name(key) && plain(value) && value.len() <= limits::NAME_LENGTH_MAX
            });
        if !name_fits || !labels_fit {
            return None;
        }
        let work = match (self.kind, self.run, self.argv) {
            (Some(SimpleKind::Noop), None, None) => Work::Noop,
            (None | Some(SimpleKind::Command), Some(script), None)
                if plain(&script)
                    && !script.trim().is_empty()
                    && script.len() <= limits::SCRIPT_BYTES_MAX =>
            {
                Work::Command(Box::new(command(Invocation::Shell(script))))
            }
            (None | Some(SimpleKind::Command), None, Some(argv))
                if argv.iter().all(plain)
                    && argv.first().is_some_and(|program| !program.is_empty())
                    && argv.iter().map(String::len).sum::<usize>() <= limits::SCRIPT_BYTES_MAX =>
            {
                Work::Command(Box::new(command(Invocation::Argv(argv))))
            }
            _ => return None,
        };
        Some(TaskSpec {
            work,
            labels: self.labels,
            ..TaskSpec::noop(self.name)
        })
    }
}

/// Letters, digits, `-` and `_`: a name that needs no closer look.
fn is_simple_name(name: &str) -> bool {
    (1..=limits::NAME_LENGTH_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && name.as_bytes()[0].is_ascii_alphabetic()
}

fn command(invocation: Invocation) -> CommandWork {
    CommandWork {
        invocation,
        env: BTreeMap::new(),
        workspace: Workspace::None,
        reads: Vec::new(),
        inputs: Vec::new(),
        artifacts: Vec::new(),
        gates: Vec::new(),
        timeout_ms: limits::TIMEOUT_DEFAULT_MS,
        kill_grace_ms: limits::KILL_GRACE_MS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::ids::TaskId;
    use skep_model::time::UnixMillis;

    fn read(text: &str) -> Result<BatchItem, serde_json::Error> {
        BatchItem::read(RawValue::from_string(text.to_owned())?)
    }

    fn by_plan(text: &str) -> TaskSpec {
        let file: SingleTaskFile = serde_json::from_str(text).unwrap();
        let draft = skep_plan::expand_task(&file.name, &file.task, &|_| None, "/").unwrap();
        let mut next = 0;
        let mut id = || {
            next += 1;
            TaskId::from_u128(next).as_u128()
        };
        let (_, tasks) = draft.stamp(UnixMillis(0), None, &mut id);
        TaskSpec::clone(&tasks[0].spec)
    }

    #[test]
    fn simple_tasks_mean_what_the_plan_says_they_mean() {
        for text in [
            r#"{"name": "a", "kind": "noop"}"#,
            r#"{"name": "a-1_B", "kind": "noop", "labels": {"team": "x", "empty": ""}}"#,
            r#"{"name": "a", "run": "echo hello\necho $HOME"}"#,
            r#"{"name": "a", "kind": "command", "argv": ["true", "", "x y"]}"#,
        ] {
            let BatchItem::Simple(spec, _) = read(text).unwrap() else {
                panic!("{text} went the long way");
            };
            assert_eq!(*spec, by_plan(text), "{text}");
        }
    }

    #[test]
    fn what_is_not_simple_goes_the_long_way_or_is_refused() {
        for text in [
            r#"{"name": "a", "run": "true", "needs": ["b"]}"#,
            r#"{"name": "a", "run": "true", "priority": 7}"#,
            r#"{"name": "a", "run": "true", "timeout": "5s"}"#,
        ] {
            let item = read(text).unwrap();
            assert!(matches!(item, BatchItem::Full(_)), "{text}");
        }
        for text in [
            r#"{"name": "a"}"#,
            r#"{"name": "", "kind": "noop"}"#,
            r#"{"name": "a", "run": "true", "argv": ["true"]}"#,
            r#"{"name": "a", "kind": "noop", "rnu": 1}"#,
            "[]",
            r#"["a", "noop"]"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

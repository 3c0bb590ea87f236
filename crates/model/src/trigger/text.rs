//! Watches as text: `task failed,expired name=build* label=kind=ci`.

use super::Glob;
use super::happened::{AgentChange, EntryChange, Subject};
use super::watch::{AgentWatch, MemoryWatch, NodeWatch, RunWatch, TaskWatch, Watch, WatchError};
use crate::node::NodeState;
use crate::run::RunState;
use crate::task::TaskState;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

impl Subject {
    /// The words for what can become of it.
    pub fn changes(self) -> Vec<&'static str> {
        match self {
            Self::Task => words(&TASK_ENDS, TaskState::as_str),
            Self::Run => words(&RUN_ENDS, RunState::as_str),
            Self::Memory => words(&EntryChange::ALL, EntryChange::as_str),
            Self::Node => words(&NODE_STATES, NodeState::as_str),
            Self::Agent => words(&AgentChange::ALL, AgentChange::as_str),
        }
    }

    pub(super) fn changes_in_words(self) -> String {
        format!("`{}`", self.changes().join("`, `"))
    }
}

const TASK_ENDS: [TaskState; 5] = [
    TaskState::Succeeded,
    TaskState::Failed,
    TaskState::Cancelled,
    TaskState::Expired,
    TaskState::Unknown,
];
const RUN_ENDS: [RunState; 3] = [RunState::Succeeded, RunState::Failed, RunState::Cancelled];
const NODE_STATES: [NodeState; 6] = [
    NodeState::Joining,
    NodeState::Ready,
    NodeState::Draining,
    NodeState::Suspect,
    NodeState::Lost,
    NodeState::Left,
];

fn words<T: Copy>(known: &[T], word: fn(T) -> &'static str) -> Vec<&'static str> {
    known.iter().map(|one| word(*one)).collect()
}

/// What was said of one subject, before it is a watch.
struct Said<'a> {
    subject: Subject,
    changes: Vec<&'a str>,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Said<'a> {
    fn of(text: &'a str) -> Result<Self, WatchError> {
        let mut parts = text.split_whitespace();
        let first = parts.next().unwrap_or_default();
        let subject = Subject::ALL.into_iter().find(|one| one.as_str() == first);
        let subject = subject.ok_or_else(|| WatchError::Subject(first.to_owned()))?;
        let (mut changes, mut fields) = (Vec::new(), Vec::new());
        for part in parts {
            match part.split_once('=') {
                Some(field) => fields.push(field),
                None => changes.extend(part.split(',').filter(|word| !word.is_empty())),
            }
        }
        Ok(Self {
            subject,
            changes,
            fields,
        })
    }

    fn changes<T: Copy + Ord>(
        &self,
        known: &[T],
        word: fn(T) -> &'static str,
    ) -> Result<BTreeSet<T>, WatchError> {
        let found = self.changes.iter().map(|given| {
            let found = known.iter().find(|one| word(**one) == *given);
            found.copied().ok_or_else(|| WatchError::Change {
                subject: self.subject,
                word: (*given).to_owned(),
                known: self.subject.changes_in_words(),
            })
        });
        found.collect()
    }

    fn glob(&self, name: &str) -> Option<Glob> {
        let found = self.fields.iter().find(|(field, _)| *field == name);
        found.map(|(_, pattern)| Glob::from(*pattern))
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.fields.iter().filter(|(field, _)| *field == "label");
        let pairs = labels.map(|(_, pair)| pair.split_once('=').unwrap_or((pair, "")));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Refuses what nobody would read, and what is said twice.
    fn only(&self, fields: &[&str], known: &'static str) -> Result<(), WatchError> {
        for (position, (field, _)) in self.fields.iter().enumerate() {
            let before = &self.fields[..position];
            let again = *field != "label" && before.iter().any(|(other, _)| other == field);
            if again || !fields.contains(field) {
                return Err(WatchError::Field {
                    subject: self.subject,
                    word: (*field).to_owned(),
                    known,
                });
            }
        }
        Ok(())
    }
}

impl FromStr for Watch {
    type Err = WatchError;

    fn from_str(text: &str) -> Result<Self, WatchError> {
        let said = Said::of(text)?;
        match said.subject {
            Subject::Task | Subject::Run => {
                said.only(&["name", "label"], "`name=` once, and `label=NAME=VALUE`")?;
            }
            Subject::Memory => {
                said.only(&["namespace", "key"], "`namespace=` and `key=`, each once")?;
            }
            Subject::Node | Subject::Agent => said.only(&["name"], "`name=` once")?,
        }
        let name = said.glob("name").unwrap_or_default();
        let watch = match said.subject {
            Subject::Task => Self::Task(TaskWatch {
                states: said.changes(&TASK_ENDS, TaskState::as_str)?,
                name,
                labels: said.labels(),
            }),
            Subject::Run => Self::Run(RunWatch {
                states: said.changes(&RUN_ENDS, RunState::as_str)?,
                name,
                labels: said.labels(),
            }),
            Subject::Memory => Self::Memory(MemoryWatch {
                changes: said.changes(&EntryChange::ALL, EntryChange::as_str)?,
                namespace: said.glob("namespace").ok_or(WatchError::NamespaceMissing)?,
                key: said.glob("key").unwrap_or_default(),
            }),
            Subject::Node => Self::Node(NodeWatch {
                states: said.changes(&NODE_STATES, NodeState::as_str)?,
                name,
            }),
            Subject::Agent => Self::Agent(AgentWatch {
                changes: said.changes(&AgentChange::ALL, AgentChange::as_str)?,
                name,
            }),
        };
        watch.check()?;
        Ok(watch)
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.subject().as_str())?;
        match self {
            Self::Task(watch) => {
                changes(f, watch.states.iter().map(|state| state.as_str()))?;
                pattern(f, "name", &watch.name)?;
                labels(f, &watch.labels)
            }
            Self::Run(watch) => {
                changes(f, watch.states.iter().map(|state| state.as_str()))?;
                pattern(f, "name", &watch.name)?;
                labels(f, &watch.labels)
            }
            Self::Memory(watch) => {
                changes(f, watch.changes.iter().map(|change| change.as_str()))?;
                write!(f, " namespace={}", watch.namespace)?;
                pattern(f, "key", &watch.key)
            }
            Self::Node(watch) => {
                changes(f, watch.states.iter().map(|state| state.as_str()))?;
                pattern(f, "name", &watch.name)
            }
            Self::Agent(watch) => {
                changes(f, watch.changes.iter().map(|change| change.as_str()))?;
                pattern(f, "name", &watch.name)
            }
        }
    }
}

fn changes<'a>(f: &mut fmt::Formatter<'_>, words: impl Iterator<Item = &'a str>) -> fmt::Result {
    for (position, word) in words.enumerate() {
        let between = if position == 0 { " " } else { "," };
        write!(f, "{between}{word}")?;
    }
    Ok(())
}

fn pattern(f: &mut fmt::Formatter<'_>, field: &str, pattern: &Glob) -> fmt::Result {
    if pattern.takes_all() {
        return Ok(());
    }
    write!(f, " {field}={pattern}")
}

fn labels(f: &mut fmt::Formatter<'_>, labels: &BTreeMap<String, String>) -> fmt::Result {
    for (name, value) in labels {
        write!(f, " label={name}={value}")?;
    }
    Ok(())
}

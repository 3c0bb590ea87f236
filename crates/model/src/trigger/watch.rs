//! What a trigger waits for.

use super::glob::Glob;
use super::happened::{AgentChange, EntryChange, Happened, Subject};
use crate::limits::{LABELS_MAX, TRIGGER_PATTERN_BYTES_MAX};
use crate::node::NodeState;
use crate::run::RunState;
use crate::task::TaskState;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Something to wait for. New values are only ever appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watch {
    /// A task ends.
    Task(TaskWatch),
    /// A run ends.
    Run(RunWatch),
    /// An entry of shared memory changes.
    Memory(MemoryWatch),
    /// A machine changes its state.
    Node(NodeWatch),
    /// An agent comes or goes.
    Agent(AgentWatch),
}

/// Which ends of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskWatch {
    /// Final states; all of them when there are none here.
    pub states: BTreeSet<TaskState>,
    /// Pattern over its name: `*` stands for any letters, `?` for one.
    pub name: Glob,
    /// Labels that it has.
    pub labels: BTreeMap<String, String>,
}

/// Which ends of runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunWatch {
    /// Final states; all of them when there are none here.
    pub states: BTreeSet<RunState>,
    /// Pattern over its name.
    pub name: Glob,
    /// Labels that it has.
    pub labels: BTreeMap<String, String>,
}

/// Which changes of shared memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryWatch {
    /// What becomes of the entry; anything when there is nothing here.
    pub changes: BTreeSet<EntryChange>,
    /// Pattern over the namespace.
    pub namespace: Glob,
    /// Pattern over the key.
    pub key: Glob,
}

/// Which changes of machines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeWatch {
    /// The states that it changes to; any when there are none here.
    pub states: BTreeSet<NodeState>,
    /// Pattern over its name.
    pub name: Glob,
}

/// Which comings and goings of agents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentWatch {
    /// What becomes of it; anything when there is nothing here.
    pub changes: BTreeSet<AgentChange>,
    /// Pattern over its name.
    pub name: Glob,
}

/// Why nothing can be watched for so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Nothing of this kind can be watched.
    #[error(
        "`{0}` cannot be watched: want one of `task`, `run`, `memory`, `node`, `agent`, and what \
         becomes of it, such as `task failed`"
    )]
    Subject(String),
    /// It does not change so.
    #[error("a {subject} is never `{word}` in an event that can be watched: want some of {known}", subject = subject.as_str())]
    Change {
        /// What it is about.
        subject: Subject,
        /// What was given.
        word: String,
        /// What can be given.
        known: String,
    },
    /// It is not matched by this.
    #[error("a watch of a {subject} has no `{word}`: want {known}", subject = subject.as_str())]
    Field {
        /// What it is about.
        subject: Subject,
        /// What was given.
        word: String,
        /// What can be given.
        known: &'static str,
    },
    /// Something has to be said.
    #[error("a watch of shared memory needs `namespace=`: a pattern, such as `swarm` or `run/*`")]
    NamespaceMissing,
    /// A pattern is too long, or empty.
    #[error(
        "a pattern has `{bytes}` bytes; want 1 to {max} (`TRIGGER_PATTERN_BYTES_MAX`)",
        max = TRIGGER_PATTERN_BYTES_MAX
    )]
    Pattern {
        /// How many.
        bytes: usize,
    },
    /// Too many labels.
    #[error("`{given}` labels are too many: LABELS_MAX is {max}", max = LABELS_MAX)]
    Labels {
        /// How many.
        given: usize,
    },
}

impl Watch {
    /// What it is about.
    pub const fn subject(&self) -> Subject {
        match self {
            Self::Task(_) => Subject::Task,
            Self::Run(_) => Subject::Run,
            Self::Memory(_) => Subject::Memory,
            Self::Node(_) => Subject::Node,
            Self::Agent(_) => Subject::Agent,
        }
    }

    /// Whether this is what it waits for. `labels` are those of the task or run.
    pub fn admits(&self, happened: &Happened, labels: &BTreeMap<String, String>) -> bool {
        match (self, happened) {
            (Self::Task(watch), Happened::Task { name, state, .. }) => {
                among(&watch.states, state)
                    && watch.name.matches(name)
                    && has(labels, &watch.labels)
            }
            (Self::Run(watch), Happened::Run { name, state, .. }) => {
                among(&watch.states, state)
                    && watch.name.matches(name)
                    && has(labels, &watch.labels)
            }
            (
                Self::Memory(watch),
                Happened::Memory {
                    namespace,
                    key,
                    change,
                    ..
                },
            ) => {
                among(&watch.changes, change)
                    && watch.namespace.matches(namespace.as_str())
                    && watch.key.matches(key.as_str())
            }
            (Self::Node(watch), Happened::Node { name, state, .. }) => {
                among(&watch.states, state) && watch.name.matches(name)
            }
            (Self::Agent(watch), Happened::Agent { name, change, .. }) => {
                among(&watch.changes, change) && watch.name.matches(name)
            }
            _ => false,
        }
    }

    /// Whether it keeps to the limits and can ever match.
    ///
    /// # Errors
    /// A pattern or labels beyond their limits, or a state in which nothing ends.
    pub fn check(&self) -> Result<(), WatchError> {
        match self {
            Self::Task(watch) => {
                let wrong = watch.states.iter().find(|state| !state.is_final());
                never(Subject::Task, wrong.map(|state| state.as_str()))?;
                check_labels(&watch.labels)?;
                watch.name.check()
            }
            Self::Run(watch) => {
                let wrong = watch.states.iter().find(|state| !state.is_final());
                never(Subject::Run, wrong.map(|state| state.as_str()))?;
                check_labels(&watch.labels)?;
                watch.name.check()
            }
            Self::Memory(watch) => {
                watch.namespace.check()?;
                watch.key.check()
            }
            Self::Node(watch) => watch.name.check(),
            Self::Agent(watch) => watch.name.check(),
        }
    }
}

fn among<T: Ord>(wanted: &BTreeSet<T>, given: &T) -> bool {
    wanted.is_empty() || wanted.contains(given)
}

fn has(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    let mut wanted = wanted.iter();
    wanted.all(|(name, value)| labels.get(name) == Some(value))
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), WatchError> {
    let given = labels.len();
    if given <= LABELS_MAX {
        return Ok(());
    }
    Err(WatchError::Labels { given })
}

fn never(subject: Subject, word: Option<&str>) -> Result<(), WatchError> {
    let Some(word) = word else { return Ok(()) };
    Err(WatchError::Change {
        subject,
        word: word.to_owned(),
        known: subject.changes_in_words(),
    })
}

//! What can be watched for, as it happened, and as the work that follows is told of it.

use crate::event::EventCursor;
use crate::ids::{AgentId, NodeId, RunId, TaskId};
use crate::memory::{MemoryKey, MemoryVersion, Namespace};
use crate::node::NodeState;
use crate::run::RunState;
use crate::task::TaskState;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a watch is about. New values are only ever appended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A task that ended.
    Task,
    /// A run that ended.
    Run,
    /// An entry of shared memory.
    Memory,
    /// A machine.
    Node,
    /// An agent.
    Agent,
}

impl Subject {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Task, Self::Run, Self::Memory, Self::Node, Self::Agent];

    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Run => "run",
            Self::Memory => "memory",
            Self::Node => "node",
            Self::Agent => "agent",
        }
    }
}

/// What became of an entry of shared memory. New values are only ever appended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EntryChange {
    /// It was made or replaced.
    Written,
    /// It was removed.
    Deleted,
    /// Its time was over.
    Expired,
}

impl EntryChange {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Written, Self::Deleted, Self::Expired];

    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Deleted => "deleted",
            Self::Expired => "expired",
        }
    }
}

/// What became of an agent. New values are only ever appended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AgentChange {
    /// It was made, or came with its node.
    Created,
    /// It is attached, and was not heard for too long.
    Offline,
    /// It was removed, said goodbye, or went with its node.
    Removed,
}

impl AgentChange {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Created, Self::Offline, Self::Removed];

    /// The word used in the API and on screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Offline => "offline",
            Self::Removed => "removed",
        }
    }
}

/// Something that can be watched for, as it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happened {
    /// A task ended.
    Task {
        /// The task.
        task: TaskId,
        /// Its name.
        name: String,
        /// Its run.
        run: Option<RunId>,
        /// How.
        state: TaskState,
    },
    /// A run ended.
    Run {
        /// The run.
        run: RunId,
        /// Its name.
        name: String,
        /// How.
        state: RunState,
    },
    /// An entry of shared memory changed.
    Memory {
        /// Where.
        namespace: Namespace,
        /// Which entry.
        key: MemoryKey,
        /// The version of the change.
        version: MemoryVersion,
        /// What became of it.
        change: EntryChange,
    },
    /// A machine changed its state.
    Node {
        /// The machine.
        node: NodeId,
        /// Its name.
        name: String,
        /// Its state now.
        state: NodeState,
    },
    /// An agent came or went.
    Agent {
        /// The agent.
        agent: AgentId,
        /// Its name.
        name: String,
        /// What became of it.
        change: AgentChange,
    },
}

impl Happened {
    /// What it is about.
    pub const fn subject(&self) -> Subject {
        match self {
            Self::Task { .. } => Subject::Task,
            Self::Run { .. } => Subject::Run,
            Self::Memory { .. } => Subject::Memory,
            Self::Node { .. } => Subject::Node,
            Self::Agent { .. } => Subject::Agent,
        }
    }

    /// The word for what became of it.
    pub const fn change(&self) -> &'static str {
        match self {
            Self::Task { state, .. } => state.as_str(),
            Self::Run { state, .. } => state.as_str(),
            Self::Memory { change, .. } => change.as_str(),
            Self::Node { state, .. } => state.as_str(),
            Self::Agent { change, .. } => change.as_str(),
        }
    }

    /// The id of what it is about; an entry of shared memory has none.
    fn id(&self) -> Option<String> {
        match self {
            Self::Task { task, .. } => Some(task.to_string()),
            Self::Run { run, .. } => Some(run.to_string()),
            Self::Node { node, .. } => Some(node.to_string()),
            Self::Agent { agent, .. } => Some(agent.to_string()),
            Self::Memory { .. } => None,
        }
    }

    /// The name of what it is about; an entry of shared memory has a key instead.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Task { name, .. }
            | Self::Run { name, .. }
            | Self::Node { name, .. }
            | Self::Agent { name, .. } => Some(name),
            Self::Memory { .. } => None,
        }
    }
}

/// Something that matched a trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The event.
    pub cause: EventCursor,
    /// When it entered the log.
    pub at: UnixMillis,
    /// What it says.
    pub happened: Happened,
    /// How many triggers lie between this and something that no trigger led to: 1 for the first.
    pub depth: u8,
}

/// Variables that [`Occurrence::variables`] may set.
pub const TRIGGER_VARIABLES: [&str; 10] = [
    "SKEP_TRIGGER",
    "SKEP_TRIGGER_EVENT",
    "SKEP_TRIGGER_SUBJECT",
    "SKEP_TRIGGER_CHANGE",
    "SKEP_TRIGGER_ID",
    "SKEP_TRIGGER_NAME",
    "SKEP_TRIGGER_RUN",
    "SKEP_TRIGGER_NAMESPACE",
    "SKEP_TRIGGER_KEY",
    "SKEP_TRIGGER_VERSION",
];

/// Labels that [`Occurrence::labels`] may set.
pub const TRIGGER_LABELS: [&str; 4] = [
    "trigger_event",
    "trigger_subject",
    "trigger_change",
    "trigger_id",
];

impl Occurrence {
    /// What commands are told, as variables of their environment: what others chose, such as a key,
    /// never becomes part of a script. Control characters are left out.
    pub fn variables(&self, trigger: &str) -> BTreeMap<String, String> {
        let happened = &self.happened;
        let mut variables = BTreeMap::new();
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let plain = value.chars().filter(|letter| !letter.is_control());
                variables.insert(name.to_owned(), plain.collect::<String>());
            }
        };
        set("SKEP_TRIGGER", Some(trigger.to_owned()));
        set("SKEP_TRIGGER_EVENT", Some(self.cause.to_string()));
        set(
            "SKEP_TRIGGER_SUBJECT",
            Some(happened.subject().as_str().to_owned()),
        );
        set("SKEP_TRIGGER_CHANGE", Some(happened.change().to_owned()));
        set("SKEP_TRIGGER_ID", happened.id());
        set("SKEP_TRIGGER_NAME", happened.name().map(str::to_owned));
        match happened {
            Happened::Task { run, .. } => {
                set("SKEP_TRIGGER_RUN", run.map(|run| run.to_string()));
            }
            Happened::Memory {
                namespace,
                key,
                version,
                ..
            } => {
                set("SKEP_TRIGGER_NAMESPACE", Some(namespace.to_string()));
                set("SKEP_TRIGGER_KEY", Some(key.to_string()));
                set("SKEP_TRIGGER_VERSION", Some(version.0.to_string()));
            }
            Happened::Run { .. } | Happened::Node { .. } | Happened::Agent { .. } => {}
        }
        variables
    }

    /// What the run is labelled with: nothing in it was chosen by others.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let happened = &self.happened;
        let mut labels = BTreeMap::from([
            ("trigger_event".to_owned(), self.cause.to_string()),
            (
                "trigger_subject".to_owned(),
                happened.subject().as_str().to_owned(),
            ),
            ("trigger_change".to_owned(), happened.change().to_owned()),
        ]);
        labels.extend(happened.id().map(|id| ("trigger_id".to_owned(), id)));
        labels
    }
}

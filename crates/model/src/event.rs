//! Events: what happened, in the past tense. The public stream shows them as they are.

use crate::attempt::{Fence, LogIndex};
use crate::command::{Actor, Phase};
use crate::ids::{AgentId, InstanceId, JoinTokenId, NodeId, RunId, TaskId, TokenId};
use crate::join::JoinKind;
use crate::node::NodeState;
use crate::refusal::Refusal;
use crate::run::{RunState, TaskCounts};
use crate::task::{AttemptEnd, FinalCause, TaskState};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Place of an event: log index and position among the events of that entry. Streams have no gap
/// and no duplicate per cursor.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub struct EventCursor {
    /// Log index.
    pub index: LogIndex,
    /// Counted from 0.
    pub ordinal: u32,
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.ordinal)
    }
}

impl std::str::FromStr for EventCursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, ParseCursorError> {
        let error = || ParseCursorError {
            text: text.to_owned(),
        };
        let (index, ordinal) = text.split_once('.').ok_or_else(error)?;
        Ok(Self {
            index: LogIndex(index.parse().map_err(|_| error())?),
            ordinal: ordinal.parse().map_err(|_| error())?,
        })
    }
}

/// A text that is not `INDEX.ORDINAL`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an event cursor: it should be two numbers, `INDEX.ORDINAL`")]
pub struct ParseCursorError {
    text: String,
}

/// All events of one log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryEvents {
    /// The entry.
    pub index: LogIndex,
    /// When it was proposed (never before an earlier entry).
    pub at: UnixMillis,
    /// Who asked.
    pub actor: Actor,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// What happened. New values are only ever appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A run was taken in.
    RunSubmitted {
        /// The run.
        run: RunId,
        /// Its name.
        name: String,
        /// How many tasks it has.
        tasks: u32,
    },
    /// A run changed its state.
    RunChanged {
        /// The run.
        run: RunId,
        /// Its state now.
        state: RunState,
        /// Its tasks now.
        counts: TaskCounts,
    },
    /// A task was taken in.
    TaskSubmitted {
        /// The task.
        task: TaskId,
        /// Its run.
        run: Option<RunId>,
        /// Its name.
        name: String,
        /// `Pending` or `Ready`.
        state: TaskState,
    },
    /// A task changed its state without an attempt (ready, paused, pending again).
    TaskChanged {
        /// The task.
        task: TaskId,
        /// Its run.
        run: Option<RunId>,
        /// Its state now.
        state: TaskState,
    },
    /// Priority or labels of a task changed, or it was assigned to an agent.
    TaskUpdated {
        /// The task.
        task: TaskId,
        /// Its run.
        run: Option<RunId>,
    },
    /// A task was granted.
    TaskLeased {
        /// The task.
        task: TaskId,
        /// Its run.
        run: Option<RunId>,
        /// Counted from 1.
        attempt: u32,
        /// Who.
        agent: AgentId,
        /// Where.
        node: NodeId,
        /// Proof.
        fence: Fence,
    },
    /// An attempt took a step.
    TaskProgressed {
        /// The task.
        task: TaskId,
        /// Its run.
        run: Option<RunId>,
        /// The step.
        phase: Phase,
    },
    /// An attempt ended and the task is not final.
    AttemptEnded {
        /// The task.
        task: TaskId,
        /// Its run.
        run: Option<RunId>,
        /// Counted from 1.
        attempt: u32,
        /// Where it ran.
        node: NodeId,
        /// How it ended.
        ended: AttemptEnd,
        /// When the next one may start, if it waits.
        retry_at: Option<UnixMillis>,
    },
    /// A task became final.
    TaskFinished {
        /// The task.
        task: TaskId,
        /// Its run.
        run: Option<RunId>,
        /// The final state.
        state: TaskState,
        /// Why.
        cause: FinalCause,
        /// Attempts that were granted.
        attempts: u32,
    },
    /// The node that holds an attempt should stop it.
    AttemptRevoked {
        /// The task.
        task: TaskId,
        /// The node.
        node: NodeId,
        /// The grant.
        fence: Fence,
    },
    /// A node joined, for the first time or again.
    NodeRegistered {
        /// The node.
        node: NodeId,
        /// The process.
        instance: InstanceId,
        /// Its name.
        name: String,
    },
    /// A node changed its state.
    NodeChanged {
        /// The node.
        node: NodeId,
        /// Its state now.
        state: NodeState,
    },
    /// A node was forgotten.
    NodeRemoved {
        /// The node.
        node: NodeId,
    },
    /// An agent was made.
    AgentCreated {
        /// The agent.
        agent: AgentId,
        /// Its name.
        name: String,
        /// Its node.
        node: NodeId,
    },
    /// An agent was changed.
    AgentUpdated {
        /// The agent.
        agent: AgentId,
    },
    /// An agent was removed.
    AgentRemoved {
        /// The agent.
        agent: AgentId,
    },
    /// A token was made.
    TokenCreated {
        /// The token.
        token: TokenId,
        /// Its name.
        name: String,
    },
    /// A token was ended.
    TokenRevoked {
        /// The token.
        token: TokenId,
    },
    /// A task asked to run without isolation. Kept for audits.
    IsolationWaived {
        /// The task.
        task: TaskId,
        /// Its run.
        run: Option<RunId>,
    },
    /// The command was a repetition: this is what the first one made.
    AlreadyDone {
        /// The run it made, if it made one.
        run: Option<RunId>,
        /// The tasks it made.
        tasks: Vec<TaskId>,
    },
    /// A late or repeated report changed nothing; kept as evidence.
    ReportRefused {
        /// The task.
        task: TaskId,
        /// The grant it carried.
        fence: Fence,
        /// Why.
        reason: Refusal,
    },
    /// One grant was refused.
    GrantRefused {
        /// The task.
        task: TaskId,
        /// Why.
        reason: Refusal,
    },
    /// The command was refused as a whole and changed nothing.
    Refused {
        /// Why.
        reason: Refusal,
    },
    /// A join token was made.
    JoinTokenCreated {
        /// The token.
        token: JoinTokenId,
        /// What it lets in.
        kind: JoinKind,
    },
    /// A join token was ended.
    JoinTokenRevoked {
        /// The token.
        token: JoinTokenId,
    },
    /// A machine joined by a token, or showed again that it had.
    NodeEnrolled {
        /// The node.
        node: NodeId,
        /// Its name.
        name: String,
        /// The token.
        token: JoinTokenId,
        /// Whether it may connect.
        approved: bool,
    },
    /// A machine that waited for approval may connect.
    NodeApproved {
        /// The node.
        node: NodeId,
    },
    /// An operator gave a node labels or a region.
    NodeUpdated {
        /// The node.
        node: NodeId,
    },
    /// The attempts of a node are to stand still until then, or may go on.
    NodeParked {
        /// The node.
        node: NodeId,
        /// Until when; `None` when they go on.
        until: Option<UnixMillis>,
    },
    /// A node takes no new work by its own schedule, or takes work again.
    NodeAway {
        /// The node.
        node: NodeId,
        /// Why; `None` when it is back.
        reason: Option<String>,
    },
    /// A gate of a running attempt answered.
    GateAnswered {
        /// The task.
        task: TaskId,
        /// Its run.
        run: Option<RunId>,
        /// Name of the gate.
        gate: String,
        /// Whether it passed.
        passed: bool,
    },
}

impl Event {
    /// The run this event is about, if it is about one.
    pub const fn run(&self) -> Option<RunId> {
        match self {
            Self::RunSubmitted { run, .. } | Self::RunChanged { run, .. } => Some(*run),
            Self::TaskSubmitted { run, .. }
            | Self::TaskChanged { run, .. }
            | Self::TaskUpdated { run, .. }
            | Self::TaskLeased { run, .. }
            | Self::TaskProgressed { run, .. }
            | Self::AttemptEnded { run, .. }
            | Self::TaskFinished { run, .. }
            | Self::GateAnswered { run, .. }
            | Self::IsolationWaived { run, .. } => *run,
            _ => None,
        }
    }

    /// The task this event is about, if it is about one.
    pub const fn task(&self) -> Option<TaskId> {
        match self {
            Self::TaskSubmitted { task, .. }
            | Self::TaskChanged { task, .. }
            | Self::TaskUpdated { task, .. }
            | Self::TaskLeased { task, .. }
            | Self::TaskProgressed { task, .. }
            | Self::AttemptEnded { task, .. }
            | Self::TaskFinished { task, .. }
            | Self::AttemptRevoked { task, .. }
            | Self::GateAnswered { task, .. }
            | Self::IsolationWaived { task, .. }
            | Self::ReportRefused { task, .. }
            | Self::GrantRefused { task, .. } => Some(*task),
            _ => None,
        }
    }
}

//! Events: what happened, in the past tense. The public stream shows them as they are.

use crate::attempt::Fence;
use crate::command::Phase;
use crate::ids::{AgentId, InstanceId, JoinTokenId, NodeId, RunId, ScheduleId, TaskId, TokenId};
use crate::join::JoinKind;
use crate::memory::{MemoryKey, MemoryRefusal, MemoryVersion, Namespace};
use crate::node::NodeState;
use crate::refusal::Refusal;
use crate::run::{RunState, TaskCounts};
use crate::task::{AttemptEnd, FinalCause, TaskState};
use crate::time::UnixMillis;
use crate::{schedule, trigger};
use serde::{Deserialize, Serialize};

mod cursor;
mod entry;
mod subject;

pub use cursor::{EventCursor, ParseCursorError};
pub use entry::EntryEvents;

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
    /// An entry of shared memory was made or replaced.
    MemoryWritten {
        /// Where.
        namespace: Namespace,
        /// Which entry.
        key: MemoryKey,
        /// Its version now.
        version: MemoryVersion,
        /// The version that it replaced; none when the entry is new.
        replaced: Option<MemoryVersion>,
        /// What it takes of the quota.
        bytes: u64,
        /// When it ends.
        expires_at: Option<UnixMillis>,
    },
    /// An entry of shared memory lives longer or shorter; its version stays.
    MemoryTouched {
        /// Where.
        namespace: Namespace,
        /// Which entry.
        key: MemoryKey,
        /// Its version.
        version: MemoryVersion,
        /// When it ends now.
        expires_at: Option<UnixMillis>,
    },
    /// An entry of shared memory was removed.
    MemoryDeleted {
        /// Where.
        namespace: Namespace,
        /// Which entry.
        key: MemoryKey,
        /// The version of the removal.
        version: MemoryVersion,
        /// The version that was removed; none when the key was only marked as deleted.
        replaced: Option<MemoryVersion>,
    },
    /// The time of an entry of shared memory was over.
    MemoryExpired {
        /// Where.
        namespace: Namespace,
        /// Which entry.
        key: MemoryKey,
        /// The version of the end.
        version: MemoryVersion,
        /// The version that ended.
        replaced: MemoryVersion,
    },
    /// Two writes of shared memory were made apart from each other.
    MemoryConflict {
        /// Where.
        namespace: Namespace,
        /// Which entry.
        key: MemoryKey,
        /// The version that is not the entry; the history has it.
        version: MemoryVersion,
        /// The version that is.
        current: MemoryVersion,
        /// Whether somebody has to decide.
        open: bool,
    },
    /// A conflict of shared memory was settled.
    MemoryConflictSettled {
        /// Where.
        namespace: Namespace,
        /// Which entry.
        key: MemoryKey,
        /// The version that waited.
        version: MemoryVersion,
    },
    /// One write to shared memory was refused.
    MemoryRefused {
        /// Which of the command, counted from 0.
        item: u32,
        /// Where.
        namespace: Namespace,
        /// Which entry.
        key: MemoryKey,
        /// Why.
        reason: MemoryRefusal,
    },
    /// The writes were a repetition: these are the versions that the first ones made, in their
    /// order; none for one that was refused.
    MemoryAlreadyWritten {
        /// The versions.
        versions: Vec<Option<MemoryVersion>>,
    },
    /// Settings of a namespace of shared memory were changed.
    NamespaceChanged {
        /// The namespace.
        namespace: Namespace,
    },
    /// A schedule was made.
    ScheduleCreated(schedule::CreatedSchedule),
    /// A schedule is held, or goes on.
    ScheduleChanged(schedule::ChangedSchedule),
    /// A schedule was forgotten.
    ScheduleDeleted {
        /// The schedule.
        schedule: ScheduleId,
    },
    /// A schedule submitted a run.
    ScheduleFired(schedule::FiredRun),
    /// A due time waits until no run of its schedule is live.
    ScheduleWaits(schedule::WaitingDue),
    /// Nothing was submitted for a due time.
    ScheduleSkipped(schedule::SkippedDue),
    /// A trigger was made.
    TriggerCreated(trigger::CreatedTrigger),
    /// A trigger is held, or watches again.
    TriggerChanged(trigger::ChangedTrigger),
    /// A trigger was forgotten.
    TriggerDeleted(trigger::DeletedTrigger),
    /// An event matched a trigger: a run will be submitted for it.
    TriggerMatched(trigger::MatchedEvent),
    /// Events matched a trigger, and nothing will be submitted for them.
    TriggerSkipped(trigger::SkippedEvents),
    /// A trigger submitted the run for an event that matched.
    TriggerFired(trigger::TriggeredRun),
    /// The run for an event that matched a trigger was refused; it is not tried again.
    TriggerRefused(trigger::RefusedFiring),
}

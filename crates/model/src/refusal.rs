//! Why the core refuses a command. A refusal is an event, never a panic.

use crate::attempt::Fence;
use crate::ids::{AgentId, JoinTokenId, NodeId, RunId, ScheduleId, TaskId, TokenId, TriggerId};
use crate::limits::{PARK_MS_MAX, PARK_MS_MIN};
use crate::memory::Namespace;
use crate::run::RunState;
use crate::task::TaskState;
use serde::{Deserialize, Serialize};

/// Why a command, or one item of it, was refused. New values are only ever appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The task is not live: it never was, or it is final.
    #[error("task `{0}` is not live: it is unknown or already final")]
    TaskNotLive(TaskId),
    /// The run is not live.
    #[error("run `{0}` is not live: it is unknown or already final")]
    RunNotLive(RunId),
    /// No such node.
    #[error("node `{0}` is unknown")]
    NodeUnknown(NodeId),
    /// No such agent.
    #[error("agent `{0}` is unknown")]
    AgentUnknown(AgentId),
    /// No such token.
    #[error("token `{0}` is unknown")]
    TokenUnknown(TokenId),
    /// The task's state does not allow it.
    #[error("task `{task}` is {state}, so it cannot be {wanted}")]
    TaskState {
        /// The task.
        task: TaskId,
        /// Where it stands.
        state: TaskState,
        /// What was asked for.
        wanted: TaskAction,
    },
    /// The run's state does not allow it.
    #[error("run `{run}` is {state}, so it cannot be {wanted}")]
    RunState {
        /// The run.
        run: RunId,
        /// Where it stands.
        state: RunState,
        /// What was asked for.
        wanted: TaskAction,
    },
    /// A dependency is neither in the submission nor live.
    #[error("task `{task}` needs `{needs}`, which is not live")]
    DependencyNotLive {
        /// The task.
        task: TaskId,
        /// The dependency.
        needs: TaskId,
    },
    /// The needs of a submission form a cycle through this task.
    #[error("task `{0}` needs itself, directly or through others")]
    Cycle(TaskId),
    /// An id of the submission is taken.
    #[error("id `{0}` is already taken")]
    DuplicateTask(TaskId),
    /// A report carries a fence that is not the current one.
    #[error("task `{task}` was granted anew: fence {given} is not the current one")]
    StaleFence {
        /// The task.
        task: TaskId,
        /// What the report carried.
        given: Fence,
    },
    /// A limit of `model::limits`.
    #[error("{limit} is {max}: {given} are too many")]
    Limit {
        /// Its name.
        limit: LimitName,
        /// Its value.
        max: u64,
        /// What was given.
        given: u64,
    },
    /// The same idempotency key with another body.
    #[error("the idempotency key `{0}` was used with another request in the last 24 hours")]
    IdempotencyMismatch(String),
    /// The name is taken by another node or agent.
    #[error("the name `{0}` is already taken")]
    NameTaken(String),
    /// The agent or node cannot take the grant any more.
    #[error("agent `{agent}` has no room for task `{task}` any more")]
    NoRoom {
        /// The task.
        task: TaskId,
        /// The agent.
        agent: AgentId,
    },
    /// The report lacks the evidence of a gate that the task declares.
    #[error("the report for task `{task}` lacks the evidence of gate `{gate}`")]
    GateEvidenceMissing {
        /// The task.
        task: TaskId,
        /// The gate.
        gate: String,
    },
    /// The node still holds attempts.
    #[error("node `{node}` still holds {attempts} attempts: drain it first")]
    NodeBusy {
        /// The node.
        node: NodeId,
        /// How many.
        attempts: u32,
    },
    /// The node was given up or said goodbye.
    #[error("node `{0}` is gone: it holds nothing that could wait for it")]
    NodeGone(NodeId),
    /// A node cannot be parked for so long, or so short.
    #[error(
        "a node cannot be parked for `{0}` ms: PARK_MS_MIN is {min}, PARK_MS_MAX is {max}",
        min = PARK_MS_MIN,
        max = PARK_MS_MAX
    )]
    ParkTime(u64),
    /// A newer instance of the node is connected.
    #[error("node `{0}` has a newer instance")]
    InstanceReplaced(NodeId),
    /// The agent came with its node and goes with it.
    #[error("agent `{0}` came with its node: remove the node instead")]
    AgentComesWithNode(AgentId),
    /// The id of a run is taken.
    #[error("id `{0}` is already taken")]
    DuplicateRun(RunId),
    /// No such join token.
    #[error("join token `{0}` is unknown or was revoked: ask for a new one")]
    JoinTokenUnknown(JoinTokenId),
    /// The time of the join token is over.
    #[error("join token `{0}` has expired: ask for a new one")]
    JoinTokenExpired(JoinTokenId),
    /// Nobody else may join by this token.
    #[error("join token `{0}` is used up: ask for a new one")]
    JoinTokenUsedUp(JoinTokenId),
    /// No machine with this id joined by a token.
    #[error("node `{0}` did not join by a token, or was removed")]
    EnrolmentUnknown(NodeId),
    /// Another process of the node was started later.
    #[error("node `{0}` was started again elsewhere: this is an old instance")]
    InstanceOld(NodeId),
    /// Two processes of the node claim the same start.
    #[error(
        "node `{0}` runs twice with one key: a copy of its state directory was started; let the \
         copy join anew"
    )]
    NodeCloned(NodeId),
    /// What is in the namespace was written under the other rule.
    #[error(
        "namespace `{0}` is not empty: what was written stays as it was written, so make it secret \
         or open before its first entry, or delete all of them"
    )]
    SecrecyTooLate(Namespace),
    /// What a task does and who is to do it do not fit together.
    #[error("task `{0}` asks for a performer that cannot do its kind of work")]
    PerformerMismatch(TaskId),
    /// What was named is no seat of an attached agent.
    #[error("node `{0}` is a machine, not an attached agent")]
    NotASeat(NodeId),
    /// No such schedule.
    #[error("schedule `{0}` is unknown")]
    ScheduleUnknown(ScheduleId),
    /// The due time was acted on before, or the schedule is held.
    #[error("schedule `{0}` is not due: the due time was acted on before, or it is paused")]
    ScheduleNotDue(ScheduleId),
    /// No such trigger.
    #[error("trigger `{0}` is unknown")]
    TriggerUnknown(TriggerId),
    /// No run is to be submitted for the event.
    #[error(
        "no run of trigger `{0}` is to be submitted: the event was acted on before, others came \
         first, or it is paused"
    )]
    TriggerNotPending(TriggerId),
}

/// What was asked of a task or run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskAction {
    /// Cancel it.
    Cancelled,
    /// Try it again.
    Retried,
    /// Hold it.
    Paused,
    /// Let it go on.
    Resumed,
    /// Grant it.
    Granted,
    /// Change it.
    Changed,
    /// Add tasks to it.
    Extended,
}

impl std::fmt::Display for TaskAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled",
            Self::Retried => "retried",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Granted => "granted",
            Self::Changed => "changed",
            Self::Extended => "extended",
        })
    }
}

/// A limit that the core enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitName {
    /// Live tasks.
    TasksLiveMax,
    /// Tasks of one submission.
    TasksPerSubmissionMax,
    /// Dependencies of a task.
    NeedsPerTaskMax,
    /// Machines.
    NodesMax,
    /// Agents.
    AgentsMax,
    /// Tokens.
    TokensMax,
    /// Join tokens.
    JoinTokensMax,
    /// Namespaces of shared memory.
    NamespacesMax,
    /// Entries of shared memory in all namespaces.
    MemoryEntriesMax,
    /// Writes to shared memory in one command.
    MemoryWritesPerCommandMax,
    /// Bytes of a value.
    MemoryValueBytesMax,
    /// Tags of an entry.
    MemoryTagsMax,
    /// Bytes of the metadata of an entry.
    MemoryMetadataBytesMax,
    /// Bytes of the reason for a write.
    MemoryWhyBytesMax,
    /// Time to live of an entry, milliseconds.
    MemoryTtlMsMax,
    /// Entries of one namespace, as its settings say.
    NamespaceEntries,
    /// Bytes of one namespace, as its settings say.
    NamespaceBytes,
    /// Conflict strategies of a namespace.
    StrategyRulesMax,
    /// Open conflicts of an entry.
    ConflictsPerEntryMax,
    /// Replicas in a vector clock.
    ReplicasPerClockMax,
    /// Bytes of a key, or of the prefix of keys.
    MemoryKeyBytesMax,
    /// Attached agents.
    SessionsMax,
    /// Schedules.
    SchedulesMax,
    /// Tasks of a schedule.
    ScheduleTasksMax,
    /// Live runs of a schedule.
    ScheduleRunsLiveMax,
    /// Triggers.
    TriggersMax,
    /// Tasks of a trigger.
    TriggerTasksMax,
    /// Watches of a trigger.
    TriggerWatchesMax,
}

impl std::fmt::Display for LimitName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TasksLiveMax => "TASKS_LIVE_MAX",
            Self::TasksPerSubmissionMax => "TASKS_PER_SUBMISSION_MAX",
            Self::NeedsPerTaskMax => "NEEDS_PER_TASK_MAX",
            Self::NodesMax => "NODES_MAX",
            Self::AgentsMax => "AGENTS_MAX",
            Self::TokensMax => "TOKENS_MAX",
            Self::JoinTokensMax => "JOIN_TOKENS_MAX",
            Self::NamespacesMax => "NAMESPACES_MAX",
            Self::MemoryEntriesMax => "MEMORY_ENTRIES_MAX",
            Self::MemoryWritesPerCommandMax => "MEMORY_WRITES_PER_COMMAND_MAX",
            Self::MemoryValueBytesMax => "MEMORY_VALUE_BYTES_MAX",
            Self::MemoryTagsMax => "MEMORY_TAGS_MAX",
            Self::MemoryMetadataBytesMax => "MEMORY_METADATA_BYTES_MAX",
            Self::MemoryWhyBytesMax => "MEMORY_WHY_BYTES_MAX",
            Self::MemoryTtlMsMax => "MEMORY_TTL_MS_MAX",
            Self::NamespaceEntries => "entries_max",
            Self::NamespaceBytes => "bytes_max",
            Self::StrategyRulesMax => "STRATEGY_RULES_MAX",
            Self::ConflictsPerEntryMax => "CONFLICTS_PER_ENTRY_MAX",
            Self::ReplicasPerClockMax => "REPLICAS_PER_CLOCK_MAX",
            Self::MemoryKeyBytesMax => "MEMORY_KEY_BYTES_MAX",
            Self::SessionsMax => "SESSIONS_MAX",
            Self::SchedulesMax => "SCHEDULES_MAX",
            Self::ScheduleTasksMax => "SCHEDULE_TASKS_MAX",
            Self::ScheduleRunsLiveMax => "SCHEDULE_RUNS_LIVE_MAX",
            Self::TriggersMax => "TRIGGERS_MAX",
            Self::TriggerTasksMax => "TRIGGER_TASKS_MAX",
            Self::TriggerWatchesMax => "TRIGGER_WATCHES_MAX",
        })
    }
}

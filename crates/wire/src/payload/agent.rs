//! What attached agents and coordinators say to each other: one session, one task at a time.
//!
//! What is only for the operations of sessions stays the JSON that it came as, so that they alone
//! say what is right in it.

use super::{AttemptKey, Extensions, Verdict};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use skep_model::attempt::{ArtifactRecord, Fence};
use skep_model::ids::{AgentId, TaskId};
use skep_model::task::TaskState;

/// Who a peer says that it is, in its first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A machine that runs commands.
    #[default]
    Node,
    /// An attached agent.
    Agent,
}

/// `mcpx.negotiate` from an agent, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentNegotiation {
    /// Version of the protocol.
    pub version: String,
    /// `agent`.
    pub role: Role,
    /// Names of capabilities; unknown ones are passed over. The answer holds what both have.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Groups that are read.
    #[serde(default)]
    pub extensions: Extensions,
}

/// `mcpx.orchestrate.session.start` from an agent: it introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentHello {
    /// Version of the protocol, e.g. `1.0`.
    pub protocol: String,
    /// `agent`.
    pub role: Role,
    /// What `sessions.register` takes: name, instance, capabilities and so on.
    #[serde(default)]
    pub session: Map<String, Value>,
    /// Whether it is to be given tasks from now on.
    #[serde(default = "wanted")]
    pub wants_work: bool,
}

const fn wanted() -> bool {
    true
}

/// What an agent has to keep to, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentTerms {
    /// How often it sends `mcpx.health.check`.
    pub heartbeat_ms: u64,
    /// Silence after which it is offline when it has nothing to do.
    pub offline_after_ms: u64,
    /// A task that was given has to be begun within this time.
    pub claim_timeout_ms: u64,
    /// Silence while it works after which its task is given to others.
    pub working_silence_ms: u64,
    /// Tasks that it has at a time.
    pub tasks_max: u32,
}

/// The answer to [`AgentHello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentWelcome {
    /// The agent.
    pub id: AgentId,
    /// Its name; to be said again with the next hello.
    pub name: String,
    /// Epoch of the coordinator.
    pub epoch: u32,
    /// Version of Skep that the coordinator runs.
    pub server_version: String,
    /// What it has to keep to.
    pub terms: AgentTerms,
    /// What it has already.
    pub assignment: Option<Box<AgentTask>>,
}

/// A task that an agent has: the parameters of `mcpx.orchestrate.task.assign`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentTask {
    /// The task.
    pub task: TaskId,
    /// The grant. Whatever is said about the task carries it.
    #[serde(with = "fence_text")]
    pub fence: Fence,
    /// Its name.
    pub name: String,
    /// Counted from 1.
    pub attempt: u32,
    /// What is to be done.
    pub instructions: String,
    /// What is to be there in the end, if it was said.
    #[serde(default)]
    pub expected: Option<String>,
    /// Whether it was begun.
    #[serde(default)]
    pub begun: bool,
    /// Milliseconds from when it was begun until the attempt ends as timed out.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// What else is known of it: run, inputs, priority, labels, deadline and so on.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl AgentTask {
    /// The attempt.
    pub const fn key(&self) -> AttemptKey {
        AttemptKey::new(self.task, self.fence)
    }
}

/// The answer to an assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentAccepts {
    /// Whether it begins the task; if not, the task goes back.
    pub accepted: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `mcpx.orchestrate.task.assign` from an agent: it wants this task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentClaim {
    /// The task.
    pub task: TaskId,
}

/// `mcpx.health.check` from an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentBeat {
    /// Rises with each; the answer repeats it.
    pub sequence: u64,
    /// What it works on, if it does. Naming a task begins it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
}

/// `mcpx.status.update` from an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Whether it is to be given tasks from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wants_work: Option<bool>,
    /// That work goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working: Option<AgentNote>,
}

/// That work goes on. It begins what was not begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentNote {
    /// The task.
    pub task: TaskId,
    /// The grant.
    #[serde(with = "fence_text")]
    pub fence: Fence,
    /// A line for the log of the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// `mcpx.orchestrate.task.complete` from an agent: how its task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentResult {
    /// The task.
    pub task: TaskId,
    /// The grant.
    #[serde(with = "fence_text")]
    pub fence: Fence,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: AgentOutcome,
}

impl AgentResult {
    /// The attempt.
    pub const fn key(&self) -> AttemptKey {
        AttemptKey::new(self.task, self.fence)
    }
}

/// How an agent's task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum AgentOutcome {
    /// Well.
    Completed {
        /// What came of it, as text or JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        /// The commit that holds it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
        /// Files; their bytes were uploaded before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        artifacts: Vec<ArtifactRecord>,
    },
    /// Badly.
    Failed {
        /// Why.
        reason: String,
    },
    /// It is for others.
    HandedBack,
}

/// The answer to [`AgentResult`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentEnded {
    /// The task.
    pub task: TaskId,
    /// Where it stands: final, or waiting for another attempt.
    pub state: TaskState,
    /// Whether this very report was taken in before.
    #[serde(default)]
    pub repeated: bool,
}

/// `mcpx.coordinate.dependency.resolve` and `mcpx.distribute.result.merge` from an agent: where
/// tasks of the same run stand, and what they handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentQuestion {
    /// The task that the agent has.
    pub task: TaskId,
    /// The grant.
    #[serde(with = "fence_text")]
    pub fence: Fence,
    /// Tasks of the same run; when empty, those whose artifacts the task takes as inputs.
    #[serde(default, alias = "shards", skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<TaskId>,
}

/// `mcpx.coordinate.state.sync` from an agent: what does it have?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentLook {}

/// `mcpx.coordinate.state.sync` from a coordinator: what the agent had is not its own any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRevoked {
    /// The task.
    pub task: TaskId,
    /// The grant.
    #[serde(with = "fence_text")]
    pub fence: Fence,
    /// What becomes of it: [`Verdict::Kill`].
    pub verdict: Verdict,
}

impl AgentRevoked {
    /// This attempt was taken back.
    pub const fn of(attempt: AttemptKey) -> Self {
        let AttemptKey { task, fence } = attempt;
        Self {
            task,
            fence,
            verdict: Verdict::Kill,
        }
    }

    /// The attempt.
    pub const fn key(&self) -> AttemptKey {
        AttemptKey::new(self.task, self.fence)
    }
}

/// What an agent asks for, as the operations of sessions have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentRequest {
    /// It is there.
    Beat(AgentBeat),
    /// It wants this task.
    Claim(AgentClaim),
    /// It begins what it was given.
    Begin(AttemptKey),
    /// It does not take what it was given.
    Decline(AttemptKey),
    /// Its work goes on.
    Note(AgentNote),
    /// Its task ended.
    End(Box<AgentResult>),
    /// Where tasks stand.
    Resolve(AgentQuestion),
    /// The same, and whether all of them succeeded.
    Merge(AgentQuestion),
    /// How it stands.
    Look,
    /// It leaves; what it has goes back.
    Leave,
}

/// What the coordinator says to a request of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentAnswer {
    /// It has this task now.
    Has(Box<AgentTask>),
    /// Its task ended.
    Ended(AgentEnded),
    /// It left.
    Left,
    /// Something that changes nothing about what it has.
    Said(Value),
}

/// A fence as the API writes it: `EPOCH.INDEX`.
mod fence_text {
    use super::{Deserialize, Deserializer, Fence, Serializer};

    pub(super) fn serialize<S: Serializer>(fence: &Fence, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(fence)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Fence, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

//! Commands: what the log orders. Imperative, complete, stamped.

mod progress;

pub use progress::{Phase, Progress};

use crate::agent::AgentSpec;
use crate::attempt::{AttemptReport, Fence, GateReport, LogIndex};
use crate::hold::DisconnectSetting;
use crate::ids::{
    AgentId, InstanceId, JoinTokenId, NodeId, RunId, ScheduleId, TaskId, TokenId, TriggerId,
};
use crate::join::JoinTokenRecord;
use crate::memory::{MemoryWrite, Namespace, NamespaceSettings};
use crate::node::NodeFacts;
use crate::requirements::Proficiency;
use crate::run::RunSpec;
use crate::schedule::{Firing, ScheduleSpec};
use crate::session::AttachedSpec;
use crate::task::{HandBack, NewTask, Priority};
use crate::time::UnixMillis;
use crate::token::TokenRecord;
use crate::trigger::{TriggerFiring, TriggerSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Version of the encoding of [`LogEntry`]. A reader that meets another one stops.
pub const LOG_FORMAT: u16 = 2;

/// One entry of the log, before it has an index. Everything that is not decided by the state
/// (time, randomness, ids) is stamped here by the proposer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When it was proposed. The core never lets time go back: it uses the largest seen.
    pub at: UnixMillis,
    /// Seed of all randomness in applying it.
    pub seed: u64,
    /// Who asked.
    pub actor: Actor,
    /// What is to happen.
    pub command: Command,
}

/// On whose behalf a command was proposed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The coordinator itself.
    Coordinator,
    /// The holder of a token.
    Token(TokenId),
    /// A node, for its own attempts.
    Node(NodeId),
    /// A running task, for its own run.
    Task(TaskId),
}

/// A caller's promise that two equal requests are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Idempotency {
    /// The caller's key, prefixed by its scope (actor and operation).
    pub key: String,
    /// BLAKE3 of the canonical request.
    pub fingerprint: [u8; 32],
}

/// What is to happen. New values are only ever appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Take in a run and its tasks.
    SubmitRun {
        /// Stamped.
        run: RunId,
        /// What was asked for.
        spec: Arc<RunSpec>,
        /// At least one.
        tasks: Vec<NewTask>,
        /// See [`Idempotency`].
        idempotency: Option<Idempotency>,
    },
    /// Take in tasks of a live run, or tasks without a run.
    SubmitTasks {
        /// The run they join.
        run: Option<RunId>,
        /// At least one.
        tasks: Vec<NewTask>,
        /// See [`Idempotency`].
        idempotency: Option<Idempotency>,
    },
    /// Cancel all tasks of a run.
    CancelRun(RunId),
    /// Hold a run.
    PauseRun(RunId),
    /// Let a run go on.
    ResumeRun(RunId),
    /// Cancel a task.
    CancelTask(TaskId),
    /// Try a live task again at once, with one more attempt than its policy allows if needed.
    RetryTask(TaskId),
    /// Hold a task that no agent holds.
    PauseTask(TaskId),
    /// Let a task go on.
    ResumeTask(TaskId),
    /// Change priority or labels of a task.
    UpdateTask {
        /// The task.
        task: TaskId,
        /// New priority.
        priority: Option<Priority>,
        /// New labels, all of them.
        labels: Option<BTreeMap<String, String>>,
    },
    /// Let only this agent run a task that no agent holds.
    AssignTask {
        /// The task.
        task: TaskId,
        /// The agent.
        agent: AgentId,
    },
    /// A node process connected: new node, restarted node, or the same process again.
    RegisterNode {
        /// The node.
        node: NodeId,
        /// The process.
        instance: InstanceId,
        /// How often the node was started, this start included; rises with each process. 0 when
        /// the node does not count.
        starts: u64,
        /// Id for the node's own agent, used when the node is new.
        agent: AgentId,
        /// What it says about itself.
        facts: Box<NodeFacts>,
    },
    /// The node and the coordinator agree on what it holds: it takes work again.
    ConfirmNode {
        /// The node.
        node: NodeId,
        /// The process.
        instance: InstanceId,
        /// Attempts the coordinator thought it held and it does not; they are lost.
        lost: Vec<(TaskId, Fence)>,
    },
    /// A node was silent for `SUSPECT_AFTER_MS`.
    SuspectNode(NodeId),
    /// A suspect node was heard again.
    TrustNode(NodeId),
    /// A node was silent for lease and grace: give up its attempts.
    LoseNode(NodeId),
    /// A node said goodbye: give up its attempts at once.
    NodeLeft {
        /// The node.
        node: NodeId,
        /// The process that left.
        instance: InstanceId,
    },
    /// Grant nothing new to a node.
    DrainNode(NodeId),
    /// End the draining of a node.
    ResumeNode(NodeId),
    /// Forget a node that holds nothing.
    RemoveNode(NodeId),
    /// Make a hosted agent.
    CreateAgent {
        /// Stamped.
        agent: AgentId,
        /// What was asked for.
        spec: Box<AgentSpec>,
    },
    /// Change an agent.
    UpdateAgent {
        /// The agent.
        agent: AgentId,
        /// New role.
        role: Option<String>,
        /// New capabilities, all of them.
        capabilities: Option<BTreeMap<String, Proficiency>>,
        /// New number of slots.
        slots: Option<u32>,
        /// Hold it or let it go on.
        paused: Option<bool>,
    },
    /// Remove an agent; its attempts go on, nothing new is granted.
    RemoveAgent(AgentId),
    /// Give tasks to agents. Each grant is checked again and refused alone if it no longer fits.
    GrantLeases(Vec<Grant>),
    /// Attempts started, or entered their gates.
    ReportProgress {
        /// The node.
        node: NodeId,
        /// What changed.
        items: Vec<Progress>,
    },
    /// Attempts ended.
    ReportResults {
        /// The node.
        node: NodeId,
        /// How. Each is accepted or refused alone.
        reports: Vec<AttemptReport>,
    },
    /// Time passed: retries, deadlines and forgotten idempotency keys that are due.
    FireTimers,
    /// Make a token.
    CreateToken(Box<TokenRecord>),
    /// End a token.
    RevokeToken(TokenId),
    /// Make a join token.
    CreateJoinToken(Box<JoinTokenRecord>),
    /// End a join token; machines that came in by it stay.
    RevokeJoinToken(JoinTokenId),
    /// A machine showed the secret of a join token: it is known by this key from now on.
    EnrolNode {
        /// Id for it, used when its key is new.
        node: NodeId,
        /// Its public key.
        key: [u8; 32],
        /// The token.
        token: JoinTokenId,
        /// Its name.
        name: String,
    },
    /// Let a machine connect that waits for approval.
    ApproveNode(NodeId),
    /// Give a node labels, a region and a policy that win over its own.
    SetNode {
        /// The node.
        node: NodeId,
        /// All of its assigned labels.
        labels: Option<BTreeMap<String, String>>,
        /// Its region; an empty one means its own again.
        region: Option<String>,
        /// What becomes of its attempts while it is not heard.
        on_disconnect: Option<DisconnectSetting>,
    },
    /// A node takes no new work for a while, by its own schedule, or takes work again.
    SetAvailability {
        /// The node.
        node: NodeId,
        /// The process.
        instance: InstanceId,
        /// Why it is away; `None` when it is back.
        away: Option<String>,
    },
    /// A node hands grants back that it never started.
    HandBackGrants {
        /// The node.
        node: NodeId,
        /// Each is taken back alone, if it is still current.
        grants: Vec<HandedBack>,
    },
    /// A gate of a running attempt answered. What counts in the end is the evidence of the result.
    ReportGate {
        /// The node.
        node: NodeId,
        /// The task.
        task: TaskId,
        /// The grant.
        fence: Fence,
        /// What it answered; the newest answer of a gate counts.
        gate: Box<GateReport>,
    },
    /// The machine of a node is about to sleep: its attempts are to stand still, and wait.
    ParkNode {
        /// The node.
        node: NodeId,
        /// For how long, `PARK_MS_MIN` to `PARK_MS_MAX` milliseconds.
        for_ms: u64,
    },
    /// A parked node goes on.
    UnparkNode(NodeId),
    /// A node acts by these terms now: what held before does not bind any more.
    ConfirmHold {
        /// The node.
        node: NodeId,
        /// The process.
        instance: InstanceId,
        /// The terms, see [`crate::hold::Hold::since`].
        since: LogIndex,
    },
    /// Attempts that stand still on parked nodes are taken back and granted to other agents. Each
    /// is checked again, and stays where it is if it cannot be moved any more.
    MoveAttempts(Vec<AttemptMove>),
    /// Write to shared memory. An older node has to stop at it.
    WriteMemory {
        /// At least one; each is done or refused alone, in order.
        writes: Vec<MemoryWrite>,
        /// Do none if one is refused.
        all_or_nothing: bool,
        /// See [`Idempotency`].
        idempotency: Option<Idempotency>,
    },
    /// Say how a namespace of shared memory is to be kept. An older node has to stop at it.
    SetNamespace {
        /// The namespace; it need not exist.
        namespace: Namespace,
        /// All of its settings.
        settings: Box<NamespaceSettings>,
    },
    /// A session attached itself as an agent, or came back. It takes its seat, which owns its
    /// leases, and gives nothing up by it. An older node has to stop at it.
    AttachAgent {
        /// Its seat.
        seat: NodeId,
        /// Its process, as far as it said.
        instance: InstanceId,
        /// Id for the agent, used when the seat is new.
        agent: AgentId,
        /// What it says about itself.
        spec: Box<AttachedSpec>,
    },
    /// Make a schedule. An older node has to stop at it.
    CreateSchedule {
        /// Stamped.
        schedule: ScheduleId,
        /// What was asked for.
        spec: Box<ScheduleSpec>,
        /// Its first due time.
        first: Option<UnixMillis>,
    },
    /// Hold a schedule; its live runs go on. An older node has to stop at it.
    PauseSchedule(ScheduleId),
    /// Let a schedule go on. What was due meanwhile is left out. An older node has to stop at it.
    ResumeSchedule {
        /// The schedule.
        schedule: ScheduleId,
        /// Its next due time.
        next: Option<UnixMillis>,
    },
    /// Forget a schedule; its live runs go on. An older node has to stop at it.
    DeleteSchedule(ScheduleId),
    /// Act on a due time: submit what the schedule says, or skip it, and move on to the next one,
    /// all in this one entry. Refused if the due time was acted on before. An older node has to
    /// stop at it.
    FireSchedule(Box<Firing>),
    /// Make a trigger. An older node has to stop at it.
    CreateTrigger {
        /// Stamped.
        trigger: TriggerId,
        /// What was asked for.
        spec: Box<TriggerSpec>,
    },
    /// Hold a trigger: it watches nothing, and what waits goes on waiting. An older node has to
    /// stop at it.
    PauseTrigger(TriggerId),
    /// Let a trigger watch again. An older node has to stop at it.
    ResumeTrigger(TriggerId),
    /// Forget a trigger and the events that wait; its live runs go on. An older node has to stop
    /// at it.
    DeleteTrigger(TriggerId),
    /// Submit the run for the event that waits longest, and take the event off, both in this one
    /// entry. Refused if the event does not wait any more. An older node has to stop at it.
    FireTrigger(Box<TriggerFiring>),
}

/// An attempt that stands still, and who is to have its task instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptMove {
    /// The task.
    pub task: TaskId,
    /// The grant that is taken back.
    pub fence: Fence,
    /// Who gets the task.
    pub agent: AgentId,
}

/// A grant that its node never started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedBack {
    /// The task.
    pub task: TaskId,
    /// The grant.
    pub fence: Fence,
    /// Why.
    pub reason: HandBack,
}

/// One task for one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The task.
    pub task: TaskId,
    /// The agent.
    pub agent: AgentId,
}

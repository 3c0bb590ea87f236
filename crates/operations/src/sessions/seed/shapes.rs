//! What clients of the Unified Swarm send and read.

use crate::rfc3339::Timestamp;
use crate::sessions::assignment::Assignment;
use crate::sessions::capabilities::Capabilities;
use crate::sessions::view::SessionView;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use skep_model::agent::AgentState;
use skep_model::attempt::ArtifactRecord;
use skep_model::ids::{AgentId, TaskId};
use skep_model::limits;
use skep_model::task::{TaskRecord, TaskState};
use skep_model::work::Work;

/// Type of a task that asks for no capability.
pub(super) const TYPE_DEFAULT: &str = "task";
/// Milliseconds in an hour.
const HOUR_MS: f64 = 3_600_000.0;

/// `POST /session/register`. Fields that are not known are left alone.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct SeedRegistration {
    /// Chosen by the session; made up when it is left out.
    #[serde(default)]
    pub(super) session_id: Option<String>,
    /// What it can do.
    #[serde(default)]
    pub(super) capabilities: Capabilities,
    /// Free word.
    #[serde(default)]
    pub(super) role: Option<String>,
    /// The program.
    #[serde(default)]
    pub(super) client: Option<String>,
}

/// `POST /session/heartbeat`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct SeedBeat {
    /// Which session.
    pub(super) session_id: String,
    /// What it works on.
    #[serde(default)]
    pub(super) current_task: Option<TaskId>,
    /// How far it is: a number or a text, for the task's log.
    #[serde(default)]
    pub(super) progress: Option<Value>,
}

/// `GET /work/request`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct WorkQuery {
    /// Which session.
    pub(super) session_id: String,
    /// How long to wait, such as `30s`.
    #[serde(default)]
    pub(super) wait: Option<String>,
}

/// `POST /work/claim`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct SeedClaim {
    /// Which session.
    pub(super) session_id: String,
    /// Which task.
    pub(super) task_id: TaskId,
}

/// `POST /work/complete`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(super) struct SeedCompletion {
    /// Which session.
    pub(super) session_id: String,
    /// Which task.
    pub(super) task_id: TaskId,
    /// `completed` unless said, or `failed`.
    #[serde(default)]
    pub(super) status: Option<String>,
    /// What came of it.
    #[serde(default)]
    pub(super) result: Option<Value>,
    /// Why it failed.
    #[serde(default)]
    pub(super) error: Option<String>,
    /// Proof of the grant, from the task; that of what the session holds when it is left out.
    #[serde(default)]
    pub(super) fence: Option<String>,
    /// The commit that holds it.
    #[serde(default)]
    pub(super) commit: Option<String>,
    /// Files; their bytes were uploaded before.
    #[serde(default)]
    pub(super) artifacts: Vec<ArtifactRecord>,
}

/// A session.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct SeedSession {
    /// Its name, which the Unified Swarm calls its id.
    session_id: String,
    /// Its id in this swarm.
    agent_id: AgentId,
    /// `idle`, `busy`, `paused` or `offline`.
    status: AgentState,
    /// Names of what it can do.
    capabilities: Vec<String>,
    /// What it has.
    current_task: Option<TaskId>,
    /// Seconds since its last call.
    last_heartbeat_age: Option<f64>,
    /// Share of its attempts that succeeded; none before the first.
    performance_score: Option<f64>,
    /// When it registered first.
    registered_at: Timestamp,
    /// Seconds between heartbeats.
    heartbeat_interval: u64,
    /// Seconds within which a task that was given has to be begun.
    task_claim_timeout: u64,
    /// Seconds of idleness after which it counts as available.
    idle_threshold: u64,
    /// Tasks at a time.
    max_concurrent_tasks: u32,
    /// What it was given.
    pub(super) assignment: Option<SeedTask>,
}

impl SeedSession {
    pub(super) fn of(session: &SessionView) -> Self {
        Self {
            session_id: session.name.clone(),
            agent_id: session.id,
            status: session.state,
            capabilities: session.declared.keys().cloned().collect(),
            current_task: session.current_task,
            last_heartbeat_age: session.silent_ms.map(|ms| ms as f64 / 1_000.0),
            performance_score: session.measured.all.success_rate,
            registered_at: session.registered_at,
            heartbeat_interval: limits::SESSION_HEARTBEAT_MS / 1_000,
            task_claim_timeout: limits::CLAIM_TIMEOUT_MS / 1_000,
            idle_threshold: limits::SESSION_IDLE_AFTER_MS / 1_000,
            max_concurrent_tasks: limits::SESSION_SLOTS,
            assignment: None,
        }
    }
}

impl SessionView {
    pub(super) fn is_busy(&self) -> bool {
        self.state == AgentState::Busy
    }

    pub(super) fn is_there(&self) -> bool {
        self.state != AgentState::Offline
    }
}

/// A task.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct SeedTask {
    /// Its id.
    id: TaskId,
    /// The first capability that it asks for, or `task`.
    #[serde(rename = "type")]
    kind: String,
    /// Its name.
    title: String,
    /// What is to be done.
    description: Option<String>,
    /// What is to be there in the end.
    expected: Option<String>,
    /// 1 to 10, 10 is the most urgent.
    priority: u8,
    /// The first capability that it asks for.
    required_capability: Option<String>,
    /// Hours that it may take; none when it was not said.
    estimated_hours: Option<f64>,
    /// Tasks that it waits for.
    dependencies: Vec<TaskId>,
    /// Who has it.
    assigned_to: Option<AgentId>,
    /// `pending`, `assigned`, `in_progress`, `completed` or `failed`.
    status: &'static str,
    /// Proof of the grant.
    fence: Option<String>,
}

impl SeedTask {
    pub(super) fn waiting(task: &TaskRecord) -> Self {
        let capability = task.spec.requirements.capabilities.keys().next();
        let (description, expected) = match &task.spec.work {
            Work::Described(work) => (Some(work.instructions.clone()), work.expected.clone()),
            Work::Noop | Work::Command(_) => (None, None),
        };
        Self {
            id: task.id,
            kind: capability.map_or(TYPE_DEFAULT, |name| name).to_owned(),
            title: task.spec.name.clone(),
            description,
            expected,
            priority: task.spec.priority.effective(task.had_needs),
            required_capability: capability.cloned(),
            estimated_hours: task.spec.work.timeout_ms().map(hours),
            dependencies: task.waits_for.clone(),
            assigned_to: task.lease.as_ref().map(|lease| lease.agent),
            status: task_status(task.state),
            fence: None,
        }
    }

    pub(super) fn of_assignment(given: Assignment) -> Self {
        let capability = given.requires.keys().next();
        Self {
            id: given.task,
            kind: capability.map_or(TYPE_DEFAULT, |name| name).to_owned(),
            required_capability: capability.cloned(),
            title: given.name,
            description: Some(given.instructions),
            expected: given.expected,
            priority: given.priority,
            estimated_hours: given.timeout_ms.map(hours),
            dependencies: Vec::new(),
            assigned_to: Some(given.agent),
            status: if given.begun {
                "in_progress"
            } else {
                "assigned"
            },
            fence: Some(given.fence),
        }
    }
}

pub(super) fn hours(ms: u64) -> f64 {
    ms as f64 / HOUR_MS
}

/// The Unified Swarm's word for the state of a task.
pub(super) const fn task_status(state: TaskState) -> &'static str {
    match state {
        TaskState::Pending | TaskState::Ready | TaskState::Paused => "pending",
        TaskState::Leased => "assigned",
        TaskState::Running | TaskState::Verifying => "in_progress",
        TaskState::Succeeded => "completed",
        TaskState::Failed | TaskState::Cancelled | TaskState::Expired | TaskState::Unknown => {
            "failed"
        }
    }
}

/// Answer to a heartbeat.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Beaten {
    /// It was taken in.
    pub(super) acknowledged: bool,
    /// How the session stands.
    #[serde(flatten)]
    pub(super) session: SeedSession,
}

/// Answer to a request for work.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct WorkGiven {
    /// The task; null when there is none.
    pub(super) task: Option<SeedTask>,
}

/// Answer to a claim.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Claimed {
    /// The session has it.
    pub(super) claimed: bool,
    /// The task.
    pub(super) task: SeedTask,
}

/// Answer to a completion.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Completed {
    /// The task.
    pub(super) task_id: TaskId,
    /// Where it stands: a failed attempt may be followed by another.
    pub(super) status: &'static str,
    /// Whether this very completion was taken in before.
    pub(super) repeated: bool,
}

/// `GET /swarm/status`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct SwarmStatus {
    /// Counts.
    pub(super) metrics: Metrics,
    /// Seconds between heartbeats.
    pub(super) heartbeat_interval: u64,
    /// The attached agents.
    pub(super) sessions: Vec<SeedSession>,
    /// Tasks that wait for an agent, the 100 most urgent ones.
    pub(super) work_queue: Vec<SeedTask>,
}

/// Counts of the swarm.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Metrics {
    /// Sessions that are known.
    pub(super) total_sessions: usize,
    /// Sessions that are not offline.
    pub(super) active_sessions: usize,
    /// Attempts of present agents, attached or hosted, that succeeded.
    pub(super) tasks_completed: u64,
    /// Tasks that wait.
    pub(super) tasks_pending: u64,
    /// Tasks that somebody has.
    pub(super) tasks_in_progress: u64,
    /// Mean duration of an attempt that succeeded, minutes; none before the first.
    pub(super) avg_task_time: Option<f64>,
    /// Share of the active sessions that are busy; none without any.
    pub(super) utilization: Option<f64>,
}

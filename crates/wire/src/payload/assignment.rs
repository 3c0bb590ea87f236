//! `mcpx.orchestrate.task.assign`: work for a node, and what the node says to it.

use super::{AttemptKey, Meta};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use skep_model::attempt::Fence;
use skep_model::ids::{RunId, TaskId};
use skep_model::isolation::IsolationLevel;
use skep_model::requirements::Resources;
use skep_model::task::TaskSpec;
use skep_model::time::UnixMillis;
use skep_model::work::Work;
use std::fmt;
use std::sync::Arc;

/// The secret with which an attempt speaks to the coordinator. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskToken(String);

impl TaskToken {
    /// A token with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the attempt's environment and requests.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TaskToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskToken(hidden)")
    }
}

/// One attempt for a node, as the node receives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The task.
    pub task: TaskId,
    /// Its run, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Name of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_name: Option<String>,
    /// Name of the task.
    pub name: String,
    /// Counted from 1.
    pub attempt: u32,
    /// The grant.
    pub fence: Fence,
    /// What is to be done.
    pub work: Work,
    /// The least isolation it accepts.
    pub isolation: IsolationLevel,
    /// What it occupies while it runs.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub resources: Resources,
    /// It expires when not final by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<UnixMillis>,
    /// W3C traceparent of the submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<String>,
    /// The same for all attempts of the task.
    pub idempotency_key: String,
    /// For the attempt's own requests.
    pub token: TaskToken,
    /// Optional groups.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl Assignment {
    /// The attempt it is about.
    pub const fn key(&self) -> AttemptKey {
        AttemptKey::new(self.task, self.fence)
    }
}

fn is_nothing(resources: &Resources) -> bool {
    *resources == Resources::NONE
}

/// One attempt for a node, as the coordinator sends it: shares the task's specification instead
/// of copying it. Written, it is an [`Assignment`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The task.
    pub task: TaskId,
    /// Its run, if it belongs to one.
    pub run: Option<RunId>,
    /// Name of the run.
    pub run_name: Option<Arc<str>>,
    /// Counted from 1.
    pub attempt: u32,
    /// The grant.
    pub fence: Fence,
    /// Name, work, isolation, resources, deadline and trace are read from here.
    pub spec: Arc<TaskSpec>,
    /// The same for all attempts of the task.
    pub idempotency_key: String,
    /// For the attempt's own requests.
    pub token: TaskToken,
    /// Optional groups.
    pub meta: Option<Meta>,
}

impl Offer {
    /// The attempt it is about.
    pub const fn key(&self) -> AttemptKey {
        AttemptKey::new(self.task, self.fence)
    }
}

impl Serialize for Offer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const ALWAYS: usize = 8;
        let spec = &*self.spec;
        let resources = Some(&spec.requirements.resources).filter(|some| !is_nothing(some));
        // Binary frames begin with the number of fields: it has to be exact.
        let sometimes = [
            self.run.is_some(),
            self.run_name.is_some(),
            resources.is_some(),
            spec.deadline.is_some(),
            spec.trace_parent.is_some(),
            self.meta.is_some(),
        ];
        let count = ALWAYS + sometimes.into_iter().filter(|there| *there).count();
        let mut fields = serializer.serialize_struct("Assignment", count)?;
        fields.serialize_field("task", &self.task)?;
        if let Some(run) = &self.run {
            fields.serialize_field("run", run)?;
        }
        if let Some(run_name) = &self.run_name {
            fields.serialize_field("run_name", run_name)?;
        }
        fields.serialize_field("name", &spec.name)?;
        fields.serialize_field("attempt", &self.attempt)?;
        fields.serialize_field("fence", &self.fence)?;
        fields.serialize_field("work", &spec.work)?;
        fields.serialize_field("isolation", &spec.requirements.isolation)?;
        if let Some(resources) = resources {
            fields.serialize_field("resources", resources)?;
        }
        if let Some(deadline) = &spec.deadline {
            fields.serialize_field("deadline", deadline)?;
        }
        if let Some(trace_parent) = &spec.trace_parent {
            fields.serialize_field("trace_parent", trace_parent)?;
        }
        fields.serialize_field("idempotency_key", &self.idempotency_key)?;
        fields.serialize_field("token", &self.token)?;
        if let Some(meta) = &self.meta {
            fields.serialize_field("_meta", meta)?;
        }
        fields.end()
    }
}

/// Assignments, at most `ITEMS_PER_FRAME_MAX`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AssignBatch {
    /// One for each attempt.
    pub items: Vec<Assignment>,
}

/// Why a node does not take an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssignRefusal {
    /// All its slots are taken.
    NoSlot,
    /// It knows a higher fence of the same task.
    Stale,
    /// It ran or stopped this very attempt before and does not run it twice.
    AlreadyEnded,
    /// It had no answer to a heartbeat for too long to start anything.
    LeaseExpired,
    /// Too many of its results are unanswered.
    SpoolFull,
    /// It is about to stop.
    ShuttingDown,
    /// The assignment does not fit into a frame. Said by the coordinator's own end.
    TooLarge,
    /// There is no session in which it could be sent. Said by the coordinator's own end.
    NotLive,
    /// The node answered the whole request with an error. Said by the coordinator's own end.
    RequestFailed,
    /// A reason that this version does not know.
    #[serde(other)]
    Other,
}

/// What a node says to one assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssignAnswer {
    /// It runs it, or will as soon as a stopped attempt has left its slot.
    Accepted,
    /// It has it already, running or finished.
    Duplicate,
    /// It does not run it.
    Refused {
        /// Why.
        code: AssignRefusal,
        /// For people.
        message: String,
    },
}

/// The answer to one assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// The task.
    pub task: TaskId,
    /// The grant.
    pub fence: Fence,
    /// What the node does with it.
    pub answer: AssignAnswer,
}

impl Assigned {
    /// This answer to the assignment of this attempt.
    pub const fn new(attempt: AttemptKey, answer: AssignAnswer) -> Self {
        Self {
            task: attempt.task,
            fence: attempt.fence,
            answer,
        }
    }

    /// The attempt it is about.
    pub const fn attempt(&self) -> AttemptKey {
        AttemptKey::new(self.task, self.fence)
    }
}

/// The answer to [`AssignBatch`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AssignAnswers {
    /// One for each assignment.
    pub items: Vec<Assigned>,
}

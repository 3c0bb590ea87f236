//! What a session is told about the task that it has.

use super::presence::Seat;
use crate::context::Context;
use crate::rfc3339::Timestamp;
use serde::Serialize;
use skep_core::State;
use skep_model::attempt::Fence;
use skep_model::ids::{AgentId, NodeId, RunId, TaskId};
use skep_model::limits::CLAIM_TIMEOUT_MS;
use skep_model::requirements::Proficiency;
use skep_model::task::TaskRecord;
use skep_model::work::{Input, Work};
use std::collections::BTreeMap;

/// A task that was given to a session.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(crate) struct Assignment {
    /// The task.
    pub(crate) task: TaskId,
    /// Who has it.
    pub(crate) agent: AgentId,
    /// Its name.
    pub(crate) name: String,
    /// Its run, if it belongs to one.
    pub(crate) run: Option<RunId>,
    /// Proof of the grant. Whatever is said about the task carries it.
    pub(crate) fence: String,
    /// Counted from 1.
    pub(crate) attempt: u32,
    /// What is to be done.
    pub(crate) instructions: String,
    /// What is to be there in the end, if it was said.
    pub(crate) expected: Option<String>,
    /// Artifacts of other tasks that are needed for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) inputs: Vec<Input>,
    /// 1 to 10, raises included.
    pub(crate) priority: u8,
    /// What it asks for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) requires: BTreeMap<String, Proficiency>,
    /// Free words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether it was begun. If not, it goes back `begin_within_ms` after it was given: claim it.
    pub(crate) begun: bool,
    /// How long after the grant it has to be begun, milliseconds.
    pub(crate) begin_within_ms: u64,
    /// When it was given.
    pub(crate) given_at: Timestamp,
    /// Milliseconds from when it was begun until the attempt ends as timed out.
    pub(crate) timeout_ms: Option<u64>,
    /// It expires when it is not final by then.
    pub(crate) deadline: Option<Timestamp>,
}

impl Assignment {
    pub(super) fn of(task: &TaskRecord) -> Option<Self> {
        let lease = task.lease.as_ref()?;
        let Work::Described(work) = &task.spec.work else {
            return None;
        };
        Some(Self {
            task: task.id,
            agent: lease.agent,
            name: task.spec.name.clone(),
            run: task.run,
            fence: lease.fence.to_string(),
            attempt: task.attempts,
            instructions: work.instructions.clone(),
            expected: work.expected.clone(),
            inputs: work.inputs.clone(),
            priority: task.spec.priority.effective(task.had_needs),
            requires: task.spec.requirements.capabilities.clone(),
            labels: task.spec.labels.clone(),
            begun: lease.started_at.is_some(),
            begin_within_ms: CLAIM_TIMEOUT_MS,
            given_at: lease.granted_at.into(),
            timeout_ms: work.timeout_ms,
            deadline: task.spec.deadline.map(Timestamp),
        })
    }

    /// What the session has now.
    pub(super) fn of_seat(context: &Context, seat: &Seat) -> Option<Self> {
        let view = context.services.hive.view();
        held(&view.state, seat.node).and_then(Self::of)
    }
}

/// The task that a session has.
pub(super) fn held(state: &State, seat: NodeId) -> Option<&TaskRecord> {
    state.held_by_node(seat).next()
}

/// The grant that a session has, with when it was begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grip {
    pub(super) task: TaskId,
    pub(super) fence: Fence,
    pub(super) attempt: u32,
    pub(super) begun: bool,
    /// Milliseconds since it was begun, or else given.
    pub(super) ran_ms: u64,
}

impl Grip {
    pub(super) fn of_seat(context: &Context, seat: &Seat) -> Option<Self> {
        let now = context.services.now();
        let view = context.services.hive.view();
        let task = held(&view.state, seat.node)?;
        let lease = task.lease.as_ref()?;
        let since = lease.started_at.unwrap_or(lease.granted_at);
        Some(Self {
            task: task.id,
            fence: lease.fence,
            attempt: task.attempts,
            begun: lease.started_at.is_some(),
            ran_ms: now.since(since),
        })
    }
}

//! Attached agents as callers see them.

use super::presence::{Seat, unknown};
use crate::context::Context;
use crate::error::OperationError;
use crate::rfc3339::Timestamp;
use serde::Serialize;
use skep_coordinator::{Hive, View};
use skep_model::agent::{AgentRecord, AgentState, Measured};
use skep_model::ids::{AgentId, TaskId};
use skep_model::limits::SESSION_IDLE_AFTER_MS;
use skep_model::node::NodeState;
use skep_model::requirements::Proficiency;
use skep_model::session::HeartbeatMode;
use std::collections::BTreeMap;

/// An attached agent.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct SessionView {
    /// The agent.
    pub(super) id: AgentId,
    /// Its name.
    pub(super) name: String,
    /// Its role.
    role: String,
    /// What it does at the moment: idle, busy, paused or offline.
    pub(super) state: AgentState,
    /// The task that it has.
    pub(super) current_task: Option<TaskId>,
    /// Proof of the grant of that task.
    fence: Option<String>,
    /// Whether it began that task.
    begun: bool,
    /// Whether it asks for work now.
    asks: bool,
    /// Whether work could reach it: it asks, or had nothing to do for `SESSION_IDLE_AFTER_MS`.
    available: bool,
    /// How it is known to be alive while it works.
    pub(super) heartbeat: HeartbeatMode,
    /// The program, as it calls itself.
    client: String,
    /// Milliseconds since its last call to this process of the coordinator.
    pub(super) silent_ms: Option<u64>,
    /// What it says that it can do.
    pub(super) declared: BTreeMap<String, Proficiency>,
    /// What came of its attempts.
    pub(super) measured: MeasuredView,
    /// When it registered first.
    pub(super) registered_at: Timestamp,
}

/// What came of the attempts of an agent, from history. Nothing of it was declared.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct MeasuredView {
    /// All attempts.
    pub(super) all: MeasuredRow,
    /// Attempts at tasks that asked for a capability, by its name.
    by_capability: BTreeMap<String, MeasuredRow>,
}

/// Attempts of one kind.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct MeasuredRow {
    /// Those that succeeded.
    pub(super) finished: u64,
    /// Those that failed or were lost.
    failed: u64,
    /// Share that succeeded, of those that ended; none before the first.
    pub(super) success_rate: Option<f64>,
    /// Mean duration of those that succeeded, milliseconds.
    pub(super) mean_ms: Option<u64>,
    /// Share of gates that passed; none when none ran, as for work that is described in words.
    gates_passed_rate: Option<f64>,
}

impl MeasuredRow {
    fn of(measured: &Measured) -> Self {
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let ended = measured.succeeded + measured.failed;
        Self {
            finished: measured.succeeded,
            failed: measured.failed,
            success_rate: share(measured.succeeded, ended),
            mean_ms: measured.busy_ms.checked_div(measured.succeeded),
            gates_passed_rate: share(measured.gates_passed, measured.gates_run),
        }
    }
}

impl MeasuredView {
    fn of(agent: &AgentRecord) -> Self {
        let all = Measured {
            succeeded: agent.succeeded,
            failed: agent.failed,
            busy_ms: agent.busy_ms,
            gates_run: agent.gates_run,
            gates_passed: agent.gates_passed,
        };
        let rows = agent.measured.iter();
        Self {
            all: MeasuredRow::of(&all),
            by_capability: rows
                .map(|(name, measured)| (name.clone(), MeasuredRow::of(measured)))
                .collect(),
        }
    }
}

impl SessionView {
    /// `None` when the agent is a hosted one.
    pub(super) fn of(hive: &Hive, view: &View, agent: &AgentRecord) -> Option<Self> {
        let seat = view.state.node(agent.spec.node)?;
        let session = seat.session.as_ref()?;
        let held = view.state.held_by_node(seat.id).next();
        let lease = held.and_then(|task| task.lease.as_ref());
        let asks = view.connected.contains(&seat.id);
        let silent_ms = hive.silent_ms(view, seat.id);
        let rests = held.is_none() && seat.state == NodeState::Ready;
        let rested = silent_ms.is_some_and(|silent| silent >= SESSION_IDLE_AFTER_MS);
        Some(Self {
            id: agent.id,
            name: agent.spec.name.clone(),
            role: agent.spec.role.clone(),
            state: view.state.agent_state(agent),
            current_task: held.map(|task| task.id),
            fence: lease.map(|lease| lease.fence.to_string()),
            begun: lease.is_some_and(|lease| lease.started_at.is_some()),
            asks,
            available: rests && (asks || rested),
            heartbeat: session.heartbeat,
            client: session.client.clone(),
            silent_ms,
            declared: agent.spec.capabilities.clone(),
            measured: MeasuredView::of(agent),
            registered_at: seat.joined_at.into(),
        })
    }

    pub(super) fn of_seat(context: &Context, seat: &Seat) -> Result<Self, OperationError> {
        let hive = &context.services.hive;
        let view = hive.view();
        let agent = view.state.agent(seat.agent);
        let shown = agent.and_then(|agent| Self::of(hive, &view, agent));
        shown.ok_or_else(|| unknown(&seat.agent.to_string()))
    }
}

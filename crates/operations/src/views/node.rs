//! Nodes as callers see them.

use crate::context::Services;
use crate::rfc3339::Timestamp;
use serde::Serialize;
use skep_coordinator::View;
use skep_model::hold::OnDisconnect;
use skep_model::ids::{AgentId, InstanceId, NodeId, TaskId};
use skep_model::isolation::{IsolationLevel, ProbeResult};
use skep_model::join::JoinKind;
use skep_model::node::{Hardware, NodeClass, NodeRecord, NodeState};
use skep_model::requirements::{Proficiency, Resources};
use skep_model::time::UnixMillis;
use skep_scheduler::BreakerView;
use std::collections::BTreeMap;

/// A node.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct NodeView {
    /// The node.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: NodeState,
    /// When `state` last changed.
    pub state_since: Timestamp,
    /// When it first joined.
    pub joined_at: Timestamp,
    /// The running process.
    pub instance: InstanceId,
    /// Version of Skep it runs.
    pub version: String,
    /// Operating system and kernel.
    pub system: String,
    /// What it offers.
    pub resources: Resources,
    /// Attempts it runs at a time.
    pub slots: u32,
    /// What its attempts occupy.
    pub in_use: NodeUseView,
    /// Labels: its own, and those that an operator gave it, which win.
    pub labels: BTreeMap<String, String>,
    /// Where it stands.
    pub region: Option<String>,
    /// How patient the swarm is with it.
    pub class: NodeClass,
    /// What becomes of its attempts while it is not heard.
    pub on_disconnect: OnDisconnect,
    /// The policy that holds now: a less patient one only when the node has said that it knows it.
    pub on_disconnect_now: OnDisconnect,
    /// The machine.
    pub hardware: Hardware,
    /// Models that its owner says it could serve.
    pub models: Vec<String>,
    /// What it came in as; `None` for nodes on the coordinator's own machine.
    pub joined_as: Option<JoinKind>,
    /// Capabilities of its own agent.
    pub capabilities: BTreeMap<String, Proficiency>,
    /// Measured isolation level.
    pub isolation: IsolationLevel,
    /// The probes behind it.
    pub probes: Vec<ProbeResult>,
    /// Whether a person asked it to drain.
    pub drain_requested: bool,
    /// Why it takes no new work by its own schedule.
    pub away: Option<String>,
    /// Until when its attempts stand still, if they do.
    pub parked: Option<ParkedView>,
    /// The way to it, as last measured.
    pub link: LinkView,
    /// How busy the machine says it is with everything it does, thousandths.
    pub load_permille: Option<u32>,
    /// How long it holds its work if it is not heard any more; `None` when it holds none.
    pub lease_ms_left: Option<u64>,
    /// Whether its failures keep work away from it.
    pub breaker: NodeBreakerView,
    /// Agents that live on it.
    pub agents: Vec<AgentId>,
    /// Tasks it holds.
    pub tasks: Vec<TaskId>,
}

/// A node whose attempts stand still, because its machine is about to sleep.
#[derive(Debug, Clone, Copy, Serialize, schemars::JsonSchema)]
pub struct ParkedView {
    /// When it wakes up, as was announced.
    pub until: Timestamp,
    /// Whether the node said that they stand still.
    pub stands_still: bool,
}

/// What the attempts on a node occupy.
#[derive(Debug, Clone, Copy, Serialize, schemars::JsonSchema)]
pub struct NodeUseView {
    /// How many there are.
    pub attempts: u32,
    /// The sum of what they asked for.
    pub resources: Resources,
}

/// The way from the coordinator to a node.
#[derive(Debug, Clone, Copy, Serialize, schemars::JsonSchema)]
pub struct LinkView {
    /// Whether there is a connection and both sides agree on what the node holds.
    pub connected: bool,
    /// From a heartbeat to its answer, milliseconds: the median of the last few.
    pub rtt_ms: Option<u32>,
    /// How fast the artifacts that it handed in lately went, bytes per second.
    pub throughput_bytes_s: Option<u64>,
}

/// Whether failures of a node keep work away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum NodeBreakerView {
    /// It is given work.
    Closed,
    /// It is tried out, with one attempt at a time.
    HalfOpen,
    /// It is given nothing.
    Open {
        /// Failures in a row.
        failures: u32,
        /// Milliseconds until it is tried again.
        retry_in_ms: u64,
    },
}

impl From<BreakerView> for NodeBreakerView {
    fn from(breaker: BreakerView) -> Self {
        match breaker {
            BreakerView::Closed => Self::Closed,
            BreakerView::HalfOpen { .. } => Self::HalfOpen,
            BreakerView::Open {
                failures,
                retry_in_ms,
            } => Self::Open {
                failures,
                retry_in_ms,
            },
        }
    }
}

/// When somebody looks at nodes, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: UnixMillis,
    pub(crate) elapsed_ms: u64,
}

impl Moment {
    /// Now. Not to be asked for while the view is held.
    pub(crate) fn of(services: &Services) -> Self {
        Self {
            now: services.now(),
            elapsed_ms: services.clock.elapsed_ms(),
        }
    }
}

impl NodeView {
    pub(crate) fn of(view: &View, record: &NodeRecord, moment: Moment) -> Self {
        let state = &view.state;
        let metrics = view.metrics.get(&record.id);
        let used = state.node_use(record.id);
        let facts = &record.facts;
        Self {
            id: record.id,
            name: facts.name.clone(),
            state: record.state,
            state_since: record.state_since.into(),
            joined_at: record.joined_at.into(),
            instance: record.instance,
            version: facts.version.clone(),
            system: facts.system.clone(),
            resources: facts.resources,
            slots: facts.slots,
            in_use: NodeUseView {
                attempts: used.attempts,
                resources: used.resources,
            },
            labels: state.node_labels(record.id).cloned().unwrap_or_default(),
            region: record.region().map(str::to_owned),
            class: facts.class,
            on_disconnect: record.on_disconnect(),
            on_disconnect_now: record.hold.bound.policy,
            hardware: facts.hardware.clone(),
            models: facts.models.clone(),
            joined_as: state.enrolment(record.id).map(|enrolment| enrolment.kind),
            capabilities: facts.capabilities.clone(),
            isolation: facts.isolation,
            probes: facts.probes.clone(),
            drain_requested: record.drain_requested,
            away: record.away.clone(),
            parked: record.parked.map(|parked| ParkedView {
                until: parked.until.into(),
                stands_still: parked.stands_still,
            }),
            link: LinkView {
                connected: view.connected.contains(&record.id),
                rtt_ms: metrics.and_then(|metrics| metrics.rtt_ms),
                throughput_bytes_s: metrics.and_then(|metrics| metrics.upload_bytes_s),
            },
            load_permille: metrics.map(|metrics| metrics.load_permille),
            lease_ms_left: view.leases.left_ms(record.id, moment.elapsed_ms),
            breaker: view.breakers.view(record.id, moment.now).into(),
            agents: state
                .agents_of_node(record.id)
                .map(|agent| agent.id)
                .collect(),
            tasks: state.held_by_node(record.id).map(|task| task.id).collect(),
        }
    }
}

//! A swarm for tests: owned nodes, agents and queues, of which a snapshot can be taken.

use crate::breaker::BreakerView;
use crate::performance::mean_ms;
use crate::snapshot::{AgentView, NodeView, QueueView, Snapshot, TaskInputs};
use skep_model::ids::{AgentId, NodeId, RunId, TaskId};
use skep_model::isolation::IsolationLevel;
use skep_model::node::NodeState;
use skep_model::requirements::{Performer, Proficiency, Requirements, Resources};
use skep_model::task::ReadyKey;
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const GIB: u64 = 1 << 30;

#[derive(Debug, Clone)]
pub(crate) struct NodeFixture {
    pub(crate) name: String,
    pub(crate) state: NodeState,
    pub(crate) performer: Performer,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) isolation: IsolationLevel,
    pub(crate) total: Resources,
    pub(crate) free: Resources,
    pub(crate) slots: u32,
    pub(crate) slots_free: u32,
    pub(crate) region: Option<String>,
    pub(crate) rtt_ms: Option<u32>,
    pub(crate) load_permille: Option<u32>,
    pub(crate) breaker: BreakerView,
}

#[derive(Debug, Clone)]
pub(crate) struct AgentFixture {
    pub(crate) name: String,
    pub(crate) node: usize,
    pub(crate) capabilities: BTreeMap<String, Proficiency>,
    pub(crate) slots: u32,
    pub(crate) slots_free: u32,
    pub(crate) paused: bool,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) busy_ms: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct QueueFixture {
    pub(crate) requirements: Requirements,
    pub(crate) run: Option<RunId>,
    pub(crate) weight: u8,
    pub(crate) held: u32,
    pub(crate) priority: u8,
    pub(crate) tasks: BTreeSet<ReadyKey>,
}

/// The i-th node has the id `node(i)`, the i-th agent `agent(i)`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Swarm {
    pub(crate) now: UnixMillis,
    pub(crate) nodes: Vec<NodeFixture>,
    pub(crate) agents: Vec<AgentFixture>,
    pub(crate) queues: Vec<QueueFixture>,
}

pub(crate) fn node(position: usize) -> NodeId {
    NodeId::from_u128(position as u128)
}

pub(crate) fn agent(position: usize) -> AgentId {
    AgentId::from_u128(position as u128)
}

pub(crate) fn task(number: u64) -> TaskId {
    TaskId::from_u128(u128::from(number))
}

pub(crate) fn run(number: u64) -> RunId {
    RunId::from_u128(u128::from(number))
}

pub(crate) fn ready(number: u64, at_ms: u64) -> ReadyKey {
    ReadyKey {
        ready_at: UnixMillis(at_ms),
        sequence: (number, 0),
        task: task(number),
    }
}

impl Swarm {
    /// Nodes of four slots with one agent each, all alike.
    pub(crate) fn with_nodes(count: usize) -> Self {
        let resources = Resources {
            cpu_millis: 8_000,
            memory_bytes: 16 * GIB,
            ..Resources::NONE
        };
        let mut swarm = Self::default();
        for position in 0..count {
            swarm.nodes.push(NodeFixture {
                name: format!("n{position}"),
                state: NodeState::Ready,
                performer: Performer::Node,
                labels: BTreeMap::new(),
                isolation: IsolationLevel::S1,
                total: resources,
                free: resources,
                slots: 4,
                slots_free: 4,
                region: None,
                rtt_ms: None,
                load_permille: None,
                breaker: BreakerView::Closed,
            });
            swarm.agents.push(AgentFixture {
                name: format!("a{position}"),
                node: position,
                capabilities: BTreeMap::new(),
                slots: 4,
                slots_free: 4,
                paused: false,
                succeeded: 0,
                failed: 0,
                busy_ms: 0,
            });
        }
        swarm
    }

    /// Adds a queue of priority 5 without a run; its tasks became ready at 0.
    pub(crate) fn queue(&mut self, requirements: Requirements, tasks: &[u64]) -> &mut QueueFixture {
        self.queues.push(QueueFixture {
            requirements,
            run: None,
            weight: 10,
            held: 0,
            priority: 5,
            tasks: tasks.iter().map(|number| ready(*number, 0)).collect(),
        });
        self.queues.last_mut().expect("just pushed")
    }

    pub(crate) fn snapshot(&self) -> Snapshot<'_> {
        self.snapshot_with(&|_| &[])
    }

    pub(crate) fn snapshot_with<'a>(
        &'a self,
        failed_on: &'a dyn Fn(TaskId) -> &'a [NodeId],
    ) -> Snapshot<'a> {
        let agents = self.agents.iter().enumerate();
        let agents: Vec<_> = agents.map(|(i, a)| a.view(agent(i))).collect();
        Snapshot {
            now: self.now,
            mean_ms: mean_ms(&agents),
            nodes: self
                .nodes
                .iter()
                .enumerate()
                .map(|(i, n)| n.view(node(i)))
                .collect(),
            agents,
            queues: self.queues.iter().map(QueueFixture::view).collect(),
            failed_on,
            inputs: &|_| TaskInputs::NONE,
        }
    }
}

impl NodeFixture {
    fn view(&self, id: NodeId) -> NodeView<'_> {
        NodeView {
            id,
            name: &self.name,
            state: self.state,
            performer: self.performer,
            labels: &self.labels,
            isolation: self.isolation,
            total: self.total,
            free: self.free,
            slots: self.slots,
            slots_free: self.slots_free,
            region: self.region.as_deref(),
            rtt_ms: self.rtt_ms,
            throughput_bytes_s: None,
            load_permille: self.load_permille,
            breaker: self.breaker,
        }
    }
}

impl AgentFixture {
    fn view(&self, id: AgentId) -> AgentView<'_> {
        AgentView {
            id,
            name: &self.name,
            node: self.node,
            capabilities: &self.capabilities,
            slots: self.slots,
            slots_free: self.slots_free,
            paused: self.paused,
            succeeded: self.succeeded,
            failed: self.failed,
            busy_ms: self.busy_ms,
        }
    }
}

impl QueueFixture {
    fn view(&self) -> QueueView<'_> {
        QueueView {
            requirements: &self.requirements,
            run: self.run,
            weight: self.weight,
            held_by_run: self.held,
            priority: self.priority,
            tasks: &self.tasks,
        }
    }
}

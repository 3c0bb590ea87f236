//! What a strategy sees: nodes, agents and queues, borrowed from the state.

use crate::breaker::BreakerView;
use skep_model::ids::{AgentId, NodeId, RunId, TaskId};
use skep_model::isolation::IsolationLevel;
use skep_model::node::NodeState;
use skep_model::requirements::{Performer, Proficiency, Requirements, Resources};
use skep_model::task::ReadyKey;
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The swarm at one log index.
#[derive(Clone)]
pub struct Snapshot<'a> {
    /// The time of the state, for ageing.
    pub now: UnixMillis,
    /// What a successful attempt took on average, over all agents that exist, milliseconds; 0 when
    /// there was none.
    pub mean_ms: u64,
    /// Nodes; agents name theirs by its position here. To place tasks, those that could take one
    /// are enough.
    pub nodes: Vec<NodeView<'a>>,
    /// Agents, by id.
    pub agents: Vec<AgentView<'a>>,
    /// All queues of ready tasks.
    pub queues: Vec<QueueView<'a>>,
    /// Nodes that already failed a task.
    pub failed_on: &'a dyn Fn(TaskId) -> &'a [NodeId],
    /// Where the inputs of a task lie. Asked once for each task that is granted, never for each
    /// task that waits; [`TaskInputs::NONE`] costs nothing.
    pub inputs: &'a dyn Fn(TaskId) -> TaskInputs<'a>,
}

/// Where the inputs of one task lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskInputs<'a> {
    /// Bytes that an attempt needs in its workspace before it starts.
    pub total_bytes: u64,
    /// Nodes that hold some of them already, those with most first. Only the first
    /// [`HOLDERS_MAX`] count.
    pub held: &'a [HeldInput],
}

/// Nodes that are considered for holding inputs of a task.
pub const HOLDERS_MAX: usize = 16;

/// What one node holds of a task's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldInput {
    /// The node.
    pub node: NodeId,
    /// Bytes that need not be moved to it.
    pub bytes: u64,
}

impl TaskInputs<'_> {
    /// Nothing has to be moved.
    pub const NONE: Self = Self {
        total_bytes: 0,
        held: &[],
    };

    /// Nodes that count as holders.
    pub(crate) fn holders(&self) -> impl Iterator<Item = &HeldInput> {
        self.held.iter().take(HOLDERS_MAX)
    }

    /// What the node holds, in thousandths.
    pub(crate) fn local_permille(&self, node: NodeId) -> u32 {
        let held = self.holders().find(|held| held.node == node);
        let (bytes, total) = (held.map_or(0, |held| held.bytes), self.total_bytes);
        match total {
            0 => 0,
            total => (u128::from(bytes.min(total)) * 1_000 / u128::from(total)) as u32,
        }
    }
}

impl fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("now", &self.now)
            .field("mean_ms", &self.mean_ms)
            .field("nodes", &self.nodes)
            .field("agents", &self.agents)
            .field("queues", &self.queues)
            .finish_non_exhaustive()
    }
}

/// One node.
#[derive(Debug, Clone, Copy)]
pub struct NodeView<'a> {
    /// The node.
    pub id: NodeId,
    /// Its name, for explanations.
    pub name: &'a str,
    /// Only ready nodes are given work. The seat of an attached agent that does not ask for work
    /// is shown as joining.
    pub state: NodeState,
    /// What kind of work it takes.
    pub performer: Performer,
    /// Words for affinity rules.
    pub labels: &'a BTreeMap<String, String>,
    /// Level that its probes measured.
    pub isolation: IsolationLevel,
    /// What it offers.
    pub total: Resources,
    /// What its attempts leave free.
    pub free: Resources,
    /// Attempts it runs at a time.
    pub slots: u32,
    /// How many more it could run now.
    pub slots_free: u32,
    /// Where it stands, as its operator calls it.
    pub region: Option<&'a str>,
    /// Round trip to it, as the coordinator measured it, milliseconds.
    pub rtt_ms: Option<u32>,
    /// How fast bytes reach it, as the coordinator measured it.
    pub throughput_bytes_s: Option<u64>,
    /// How busy it says it is with everything it does, thousandths.
    pub load_permille: Option<u32>,
    /// Whether its failures keep work away from it.
    pub breaker: BreakerView,
}

/// One agent.
#[derive(Debug, Clone, Copy)]
pub struct AgentView<'a> {
    /// The agent.
    pub id: AgentId,
    /// Its name, for explanations.
    pub name: &'a str,
    /// Position of its node in [`Snapshot::nodes`].
    pub node: usize,
    /// What it can do.
    pub capabilities: &'a BTreeMap<String, Proficiency>,
    /// Attempts it runs at a time.
    pub slots: u32,
    /// How many more it could run now.
    pub slots_free: u32,
    /// Whether a person holds it.
    pub paused: bool,
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed or were lost.
    pub failed: u64,
    /// Total duration of the attempts that succeeded, milliseconds.
    pub busy_ms: u64,
}

/// Ready tasks with the same requirements, priority and run.
#[derive(Debug, Clone, Copy)]
pub struct QueueView<'a> {
    /// What all of them need.
    pub requirements: &'a Requirements,
    /// Their run.
    pub run: Option<RunId>,
    /// The run's share relative to other runs; 0 counts as 1.
    pub weight: u8,
    /// Tasks of the run that agents hold now.
    pub held_by_run: u32,
    /// Priority before ageing.
    pub priority: u8,
    /// The tasks, first come first.
    pub tasks: &'a BTreeSet<ReadyKey>,
}

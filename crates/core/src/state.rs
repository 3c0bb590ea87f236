//! The live state and the ways to read it.

use crate::changes::Changes;
use crate::idempotency::IdempotencyTable;
use crate::memory::Memory;
use crate::open_nodes::Experience;
use crate::queues::ReadyQueue;
use crate::schedules::Schedules;
use crate::signatures::{SignatureId, Signatures};
use crate::triggers::Triggers;
use crate::waiting::Waiting;
use skep_model::agent::{AgentRecord, AgentState};
use skep_model::ids::{AgentId, JoinTokenId, NodeId, RunId, TaskId, TokenId};
use skep_model::join::{EnrolmentRecord, JoinTokenRecord};
use skep_model::limits;
use skep_model::node::{NodeRecord, NodeState};
use skep_model::refusal::Refusal;
use skep_model::requirements::Resources;
use skep_model::run::{RunRecord, RunState, TaskCounts};
use skep_model::task::{Priority, TaskRecord};
use skep_model::time::UnixMillis;
use skep_model::token::TokenRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Everything that is live, and the indexes that make each step cheap.
///
/// Relations that always hold are the predicates of [`State::check`].
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(crate) now: UnixMillis,
    /// Boxed: records are large, and tree nodes are moved on every insert.
    pub(crate) tasks: BTreeMap<TaskId, Box<TaskSlot>>,
    pub(crate) runs: BTreeMap<RunId, RunSlot>,
    pub(crate) nodes: BTreeMap<NodeId, NodeSlot>,
    /// Nodes that are parked, by the end of it.
    pub(crate) parked: BTreeSet<(UnixMillis, NodeId)>,
    pub(crate) agents: BTreeMap<AgentId, AgentSlot>,
    pub(crate) tokens: BTreeMap<TokenId, TokenRecord>,
    pub(crate) idempotency: IdempotencyTable,
    /// Attempts held per agent; also of agents that were removed meanwhile.
    pub(crate) loads: BTreeMap<AgentId, u32>,
    /// Names of nodes that have not left.
    pub(crate) node_names: BTreeMap<String, NodeId>,
    /// Names of agents, but for those that came with a node that has left.
    pub(crate) agent_names: BTreeMap<String, AgentId>,
    pub(crate) token_hashes: BTreeMap<[u8; 32], TokenId>,
    pub(crate) join_tokens: BTreeMap<JoinTokenId, JoinTokenRecord>,
    pub(crate) enrolments: BTreeMap<NodeId, EnrolmentRecord>,
    /// Keys of the machines that joined by tokens.
    pub(crate) node_keys: BTreeMap<[u8; 32], NodeId>,
    pub(crate) signatures: Signatures,
    pub(crate) waiting: Waiting,
    pub(crate) counts: TaskCounts,
    /// Ready nodes with a free slot.
    pub(crate) open_nodes: BTreeSet<NodeId>,
    pub(crate) experience: Experience,
    pub(crate) memory: Memory,
    pub(crate) schedules: Schedules,
    pub(crate) triggers: Triggers,
    pub(crate) changes: Changes,
}

/// A live task and what is derived from it and others.
#[derive(Debug, Clone)]
pub(crate) struct TaskSlot {
    pub(crate) record: TaskRecord,
    /// Its interned requirements.
    pub(crate) signature: SignatureId,
    /// Live tasks that wait for it.
    pub(crate) children: BTreeSet<TaskId>,
}

/// A live run and its live tasks.
#[derive(Debug, Clone)]
pub(crate) struct RunSlot {
    pub(crate) record: RunRecord,
    pub(crate) tasks: BTreeSet<TaskId>,
}

/// A node, what it holds and who lives on it.
#[derive(Debug, Clone)]
pub(crate) struct NodeSlot {
    pub(crate) record: NodeRecord,
    pub(crate) held: BTreeSet<TaskId>,
    pub(crate) agents: BTreeSet<AgentId>,
    pub(crate) used: NodeUse,
    /// What its use may not exceed: its capacity, or its use when the capacity last shrank.
    pub(crate) ceiling: NodeUse,
    /// Its own labels, and those that an operator gave it, which win.
    pub(crate) labels: BTreeMap<String, String>,
}

/// An agent.
#[derive(Debug, Clone)]
pub(crate) struct AgentSlot {
    pub(crate) record: AgentRecord,
    /// What its load may not exceed: its slots, or its load when the slots last shrank.
    pub(crate) ceiling: u32,
}

/// What the attempts on a node occupy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeUse {
    /// How many there are.
    pub attempts: u32,
    /// The sum of what they asked for.
    pub resources: Resources,
}

impl NodeUse {
    /// The larger of both, amount by amount.
    pub(crate) fn max(self, other: Self) -> Self {
        let (a, b) = (self.resources, other.resources);
        Self {
            attempts: self.attempts.max(other.attempts),
            resources: Resources {
                cpu_millis: a.cpu_millis.max(b.cpu_millis),
                memory_bytes: a.memory_bytes.max(b.memory_bytes),
                gpu_memory_bytes: a.gpu_memory_bytes.max(b.gpu_memory_bytes),
                disk_bytes: a.disk_bytes.max(b.disk_bytes),
            },
        }
    }
}

impl NodeSlot {
    pub(crate) fn new(record: NodeRecord) -> Self {
        let mut slot = Self {
            record,
            held: BTreeSet::new(),
            agents: BTreeSet::new(),
            used: NodeUse::default(),
            ceiling: NodeUse::default(),
            labels: BTreeMap::new(),
        };
        slot.reset_ceiling();
        slot.derive_labels();
        slot
    }

    /// To be called whenever labels of either kind change.
    pub(crate) fn derive_labels(&mut self) {
        self.labels.clone_from(&self.record.facts.labels);
        let assigned = self.record.assigned.labels.clone();
        self.labels.extend(assigned);
    }

    /// To be called whenever the capacity changes.
    pub(crate) fn reset_ceiling(&mut self) {
        let capacity = NodeUse {
            attempts: self.record.facts.slots,
            resources: self.record.facts.resources,
        };
        self.ceiling = self.used.max(capacity);
    }
}

/// Priority of a task in its queue, before ageing. Out-of-range bases count as the largest one.
pub(crate) fn queue_priority(priority: Priority, had_needs: bool) -> u8 {
    let bounded = Priority {
        base: priority.base.min(limits::PRIORITY_MAX),
        ..priority
    };
    bounded.effective(had_needs)
}

impl State {
    /// A state in which nothing happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest time seen.
    pub const fn now(&self) -> UnixMillis {
        self.now
    }

    /// A live task.
    pub fn task(&self, task: TaskId) -> Option<&TaskRecord> {
        self.tasks.get(&task).map(|slot| &slot.record)
    }

    /// All live tasks, by id.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskRecord> {
        self.tasks.values().map(|slot| &slot.record)
    }

    /// The live tasks with ids below this one, or all of them; the largest id first.
    pub fn tasks_below(&self, below: Option<TaskId>) -> impl Iterator<Item = &TaskRecord> {
        let end = below.map_or(Bound::Unbounded, Bound::Excluded);
        let tasks = self.tasks.range((Bound::Unbounded, end));
        tasks.rev().map(|(_, slot)| &slot.record)
    }

    /// The live tasks of a run, by id.
    pub fn tasks_of_run(&self, run: RunId) -> impl Iterator<Item = &TaskRecord> {
        let ids = self.runs.get(&run).into_iter().flat_map(|slot| &slot.tasks);
        ids.filter_map(|task| self.task(*task))
    }

    /// How many tasks are live.
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// Live tasks by state.
    pub const fn counts(&self) -> &TaskCounts {
        &self.counts
    }

    /// A live run.
    pub fn run(&self, run: RunId) -> Option<&RunRecord> {
        self.runs.get(&run).map(|slot| &slot.record)
    }

    /// All live runs, by id.
    pub fn runs(&self) -> impl Iterator<Item = &RunRecord> {
        self.runs.values().map(|slot| &slot.record)
    }

    /// A node.
    pub fn node(&self, node: NodeId) -> Option<&NodeRecord> {
        self.nodes.get(&node).map(|slot| &slot.record)
    }

    /// All nodes, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.values().map(|slot| &slot.record)
    }

    /// The labels of a node: its own, and those that an operator gave it, which win.
    pub fn node_labels(&self, node: NodeId) -> Option<&BTreeMap<String, String>> {
        self.nodes.get(&node).map(|slot| &slot.labels)
    }

    /// What the attempts on a node occupy.
    pub fn node_use(&self, node: NodeId) -> NodeUse {
        self.nodes
            .get(&node)
            .map(|slot| slot.used)
            .unwrap_or_default()
    }

    /// The tasks a node holds, by id.
    pub fn held_by_node(&self, node: NodeId) -> impl Iterator<Item = &TaskRecord> {
        let ids = self
            .nodes
            .get(&node)
            .into_iter()
            .flat_map(|slot| &slot.held);
        ids.filter_map(|task| self.task(*task))
    }

    /// An agent.
    pub fn agent(&self, agent: AgentId) -> Option<&AgentRecord> {
        self.agents.get(&agent).map(|slot| &slot.record)
    }

    /// All agents, by id.
    pub fn agents(&self) -> impl Iterator<Item = &AgentRecord> {
        self.agents.values().map(|slot| &slot.record)
    }

    /// The agent of this name.
    pub fn agent_named(&self, name: &str) -> Option<&AgentRecord> {
        self.agent(*self.agent_names.get(name)?)
    }

    /// All nodes that are machines, by id: not the seats of attached agents.
    pub fn machines(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes().filter(|node| node.session.is_none())
    }

    /// The agents that live on a node, by id.
    pub fn agents_of_node(&self, node: NodeId) -> impl Iterator<Item = &AgentRecord> {
        let ids = self
            .nodes
            .get(&node)
            .into_iter()
            .flat_map(|slot| &slot.agents);
        ids.filter_map(|agent| self.agent(*agent))
    }

    /// How many attempts an agent holds.
    pub fn agent_load(&self, agent: AgentId) -> u32 {
        self.loads.get(&agent).copied().unwrap_or(0)
    }

    /// What an agent does at the moment.
    pub fn agent_state(&self, agent: &AgentRecord) -> AgentState {
        let node_ready = self
            .node(agent.spec.node)
            .is_some_and(|node| node.state == NodeState::Ready);
        if agent.paused {
            AgentState::Paused
        } else if !node_ready {
            AgentState::Offline
        } else if self.agent_load(agent.id) >= agent.spec.slots {
            AgentState::Busy
        } else {
            AgentState::Idle
        }
    }

    /// A token.
    pub fn token(&self, token: TokenId) -> Option<&TokenRecord> {
        self.tokens.get(&token)
    }

    /// All tokens, by id.
    pub fn tokens(&self) -> impl Iterator<Item = &TokenRecord> {
        self.tokens.values()
    }

    /// The token whose secret has this BLAKE3 hash.
    pub fn token_by_hash(&self, hash: &[u8; 32]) -> Option<&TokenRecord> {
        self.token(*self.token_hashes.get(hash)?)
    }

    /// A join token.
    pub fn join_token(&self, token: JoinTokenId) -> Option<&JoinTokenRecord> {
        self.join_tokens.get(&token)
    }

    /// All join tokens, by id.
    pub fn join_tokens(&self) -> impl Iterator<Item = &JoinTokenRecord> {
        self.join_tokens.values()
    }

    /// A machine that joined by a token.
    pub fn enrolment(&self, node: NodeId) -> Option<&EnrolmentRecord> {
        self.enrolments.get(&node)
    }

    /// All machines that joined by tokens, by id.
    pub fn enrolments(&self) -> impl Iterator<Item = &EnrolmentRecord> {
        self.enrolments.values()
    }

    /// The machine that joined with this key.
    pub fn enrolment_by_key(&self, key: &[u8; 32]) -> Option<&EnrolmentRecord> {
        self.enrolment(*self.node_keys.get(key)?)
    }

    /// The tasks that wait for an agent, but for those of paused runs. Ordered by requirements,
    /// then priority, then run, whatever happened before.
    pub fn ready_queues(&self) -> impl Iterator<Item = ReadyQueue<'_>> {
        self.signatures
            .iter()
            .flat_map(|(requirements, signature)| {
                self.waiting.queues.of_signature(requirements, signature)
            })
            .filter(|queue| !queue.run.is_some_and(|run| self.is_run_paused(run)))
    }

    /// How many tasks wait for an agent, those of paused runs included.
    pub const fn ready_count(&self) -> usize {
        self.counts.ready as usize
    }

    /// Whether a request with this key, as the log keeps it, was done before.
    pub fn remembers(&self, key: &str) -> bool {
        self.idempotency.get(key, self.now()).is_some()
    }

    /// When the next retry, deadline, forgotten idempotency key or ending entry of shared memory is
    /// due; it may be in the past.
    pub fn next_timer(&self) -> Option<UnixMillis> {
        let task = self.waiting.timers.next();
        let key = self.idempotency.next_expiry();
        let parked = self.parked.first().map(|(until, _)| *until);
        let entry = self.memory.next_expiry();
        [task, key, parked, entry].into_iter().flatten().min()
    }

    pub(crate) fn is_run_paused(&self, run: RunId) -> bool {
        self.run(run)
            .is_some_and(|run| run.state == RunState::Paused)
    }

    pub(crate) fn live_task(&self, task: TaskId) -> Result<&TaskRecord, Refusal> {
        self.task(task).ok_or(Refusal::TaskNotLive(task))
    }

    pub(crate) fn live_run(&self, run: RunId) -> Result<&RunRecord, Refusal> {
        self.run(run).ok_or(Refusal::RunNotLive(run))
    }

    pub(crate) fn known_node(&self, node: NodeId) -> Result<&NodeRecord, Refusal> {
        self.node(node).ok_or(Refusal::NodeUnknown(node))
    }

    pub(crate) fn known_agent(&self, agent: AgentId) -> Result<&AgentRecord, Refusal> {
        self.agent(agent).ok_or(Refusal::AgentUnknown(agent))
    }
}

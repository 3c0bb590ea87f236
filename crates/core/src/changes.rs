//! Which rows changed since the store last asked.

use crate::state::State;
use skep_model::ids::{
    AgentId, JoinTokenId, NodeId, RunId, ScheduleId, TaskId, TokenId, TriggerId,
};
use skep_model::memory::{MemoryKey, Namespace};
use skep_model::row::{Row, RowChange, RowKey};
use std::collections::{BTreeMap, BTreeSet};

/// Keys of the rows that were written or removed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    /// Whether the task's row may be in the store already.
    tasks: BTreeMap<TaskId, bool>,
    runs: BTreeSet<RunId>,
    nodes: BTreeSet<NodeId>,
    agents: BTreeSet<AgentId>,
    tokens: BTreeSet<TokenId>,
    idempotency: BTreeSet<String>,
    join_tokens: BTreeSet<JoinTokenId>,
    enrolments: BTreeSet<NodeId>,
    clock: bool,
    namespaces: BTreeSet<Namespace>,
    memory: BTreeSet<(Namespace, MemoryKey)>,
    memory_floor: bool,
    schedules: BTreeSet<ScheduleId>,
    triggers: BTreeSet<TriggerId>,
}

impl Changes {
    pub(crate) fn new_task(&mut self, task: TaskId) {
        self.tasks.entry(task).or_insert(false);
    }

    pub(crate) fn task(&mut self, task: TaskId) {
        self.tasks.entry(task).or_insert(true);
    }

    /// A task that came and went between two looks leaves no trace.
    pub(crate) fn task_gone(&mut self, task: TaskId) {
        if !*self.tasks.entry(task).or_insert(true) {
            self.tasks.remove(&task);
        }
    }

    pub(crate) fn run(&mut self, run: RunId) {
        self.runs.insert(run);
    }

    pub(crate) fn node(&mut self, node: NodeId) {
        self.nodes.insert(node);
    }

    pub(crate) fn agent(&mut self, agent: AgentId) {
        self.agents.insert(agent);
    }

    pub(crate) fn token(&mut self, token: TokenId) {
        self.tokens.insert(token);
    }

    pub(crate) fn join_token(&mut self, token: JoinTokenId) {
        self.join_tokens.insert(token);
    }

    pub(crate) fn enrolment(&mut self, node: NodeId) {
        self.enrolments.insert(node);
    }

    pub(crate) fn idempotency(&mut self, key: &str) {
        if !self.idempotency.contains(key) {
            self.idempotency.insert(key.to_owned());
        }
    }

    pub(crate) fn namespace(&mut self, namespace: &Namespace) {
        if !self.namespaces.contains(namespace) {
            self.namespaces.insert(namespace.clone());
        }
    }

    pub(crate) fn memory(&mut self, namespace: &Namespace, key: &MemoryKey) {
        self.memory.insert((namespace.clone(), key.clone()));
    }

    pub(crate) fn schedule(&mut self, schedule: ScheduleId) {
        self.schedules.insert(schedule);
    }

    pub(crate) fn trigger(&mut self, trigger: TriggerId) {
        self.triggers.insert(trigger);
    }

    pub(crate) fn memory_floor(&mut self) {
        self.memory_floor = true;
    }

    pub(crate) fn clock(&mut self) {
        self.clock = true;
    }
}

fn change(key: RowKey, row: Option<Row>) -> RowChange {
    match row {
        Some(row) => RowChange::Put(key, row),
        None => RowChange::Delete(key),
    }
}

impl State {
    /// The rows that were written or removed since the last call. A row that is removed may never
    /// have been put.
    pub fn take_changes(&mut self) -> Vec<RowChange> {
        let changes = std::mem::take(&mut self.changes);
        let tasks = changes.tasks.into_keys().map(|id| {
            let row = self.task(id).cloned().map(Row::Task);
            change(RowKey::Task(id), row)
        });
        let runs = changes.runs.into_iter().map(|id| {
            let row = self.run(id).cloned().map(Row::Run);
            change(RowKey::Run(id), row)
        });
        let nodes = changes.nodes.into_iter().map(|id| {
            let row = self.node(id).cloned().map(Row::Node);
            change(RowKey::Node(id), row)
        });
        let agents = changes.agents.into_iter().map(|id| {
            let row = self.agent(id).cloned().map(Row::Agent);
            change(RowKey::Agent(id), row)
        });
        let tokens = changes.tokens.into_iter().map(|id| {
            let row = self.token(id).cloned().map(Row::Token);
            change(RowKey::Token(id), row)
        });
        let join_tokens = changes.join_tokens.into_iter().map(|id| {
            let row = self.join_token(id).cloned().map(Row::JoinToken);
            change(RowKey::JoinToken(id), row)
        });
        let enrolments = changes.enrolments.into_iter().map(|id| {
            let row = self.enrolment(id).cloned().map(Row::Enrolment);
            change(RowKey::Enrolment(id), row)
        });
        let keys = changes.idempotency.into_iter().map(|key| {
            let row = self.idempotency.records.get(key.as_str());
            let row = row.cloned().map(Row::Idempotency);
            change(RowKey::Idempotency(key), row)
        });
        let clock = changes
            .clock
            .then_some(RowChange::Put(RowKey::Clock, Row::Clock(self.now)));
        let namespaces = changes.namespaces.into_iter().map(|name| {
            let row = self.namespace(&name).map(|view| view.record.clone());
            change(RowKey::Namespace(name), row.map(Row::Namespace))
        });
        let memory = changes.memory.into_iter().map(|(namespace, key)| {
            let row = self.memory.get(&namespace, &key).cloned();
            let row = row.map(|entry| Row::Memory(Box::new(entry)));
            change(RowKey::Memory(namespace, key), row)
        });
        let floor = changes.memory_floor.then_some(RowChange::Put(
            RowKey::MemoryFloor,
            Row::MemoryFloor(self.memory.floor),
        ));
        let schedules = changes.schedules.into_iter().map(|id| {
            let row = self.schedule(id).cloned().map(Box::new);
            change(RowKey::Schedule(id), row.map(Row::Schedule))
        });
        let triggers = changes.triggers.into_iter().map(|id| {
            let row = self.trigger(id).cloned().map(Box::new);
            change(RowKey::Trigger(id), row.map(Row::Trigger))
        });
        let rows = tasks.chain(runs).chain(nodes).chain(agents).chain(tokens);
        rows.chain(join_tokens)
            .chain(enrolments)
            .chain(keys)
            .chain(namespaces)
            .chain(memory)
            .chain(floor)
            .chain(schedules)
            .chain(triggers)
            .chain(clock)
            .collect()
    }
}

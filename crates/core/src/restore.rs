//! Makes a state from stored rows: checks what they refer to and rebuilds all indexes.

use crate::state::{AgentSlot, NodeSlot, RunSlot, State, TaskSlot};
use skep_model::agent::AgentRecord;
use skep_model::ids::{AgentId, NodeId, RunId, ScheduleId, TaskId, TokenId, TriggerId};
use skep_model::join::EnrolmentRecord;
use skep_model::memory::MemoryEntry;
use skep_model::node::{NodeRecord, NodeState};
use skep_model::planted::{PlantedBug, planted};
use skep_model::row::Row;
use skep_model::run::RunRecord;
use skep_model::schedule::ScheduleRecord;
use skep_model::task::{TaskRecord, TaskState};
use skep_model::token::TokenRecord;
use skep_model::trigger::TriggerRecord;
use std::collections::BTreeSet;

/// Why rows do not make a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Two rows are about the same thing.
    #[error("`{0}` is stored twice: the store is damaged, restore a backup")]
    StoredTwice(String),
    /// A name or secret belongs to two records.
    #[error(
        "the name or secret of `{0}` belongs to two rows: the store is damaged, restore a backup"
    )]
    Shared(String),
    /// A final task is among the live ones.
    #[error("task `{task}` is {state} but stored as live: the store is damaged, restore a backup")]
    FinalTask {
        /// The task.
        task: TaskId,
        /// Its state.
        state: TaskState,
    },
    /// A final run is among the live ones.
    #[error("run `{0}` is final but stored as live: the store is damaged, restore a backup")]
    FinalRun(RunId),
    /// A task belongs to a run that is not stored.
    #[error("task `{task}` is of run `{run}`, which is not stored: restore a backup")]
    RunMissing {
        /// The task.
        task: TaskId,
        /// The run.
        run: RunId,
    },
    /// A task waits for one that is not stored.
    #[error("task `{task}` waits for `{needs}`, which is not stored: restore a backup")]
    NeedMissing {
        /// The task.
        task: TaskId,
        /// What it waits for.
        needs: TaskId,
    },
    /// A task is held by a node that is not stored.
    #[error("task `{task}` is held by node `{node}`, which is not stored: restore a backup")]
    HolderMissing {
        /// The task.
        task: TaskId,
        /// The node.
        node: NodeId,
    },
    /// A task has a lease and no holder's state, or the reverse.
    #[error("task `{task}` is {state}, which does not agree with its lease: restore a backup")]
    LeaseMismatch {
        /// The task.
        task: TaskId,
        /// Its state.
        state: TaskState,
    },
    /// An agent lives on a node that is not stored.
    #[error("agent `{agent}` is on node `{node}`, which is not stored: restore a backup")]
    HostMissing {
        /// The agent.
        agent: AgentId,
        /// The node.
        node: NodeId,
    },
    /// An entry of shared memory is in a namespace that is not stored.
    #[error("entry `{key}` is in namespace `{namespace}`, which is not stored: restore a backup")]
    NamespaceMissing {
        /// The namespace.
        namespace: String,
        /// The key of the entry.
        key: String,
    },
    /// A run of a schedule is said to be live and is not stored.
    #[error("run `{run}` of schedule `{schedule}` is not stored: restore a backup")]
    ScheduleRunMissing {
        /// The schedule.
        schedule: ScheduleId,
        /// The run.
        run: RunId,
    },
    /// A run of a trigger is said to be live and is not stored.
    #[error("run `{run}` of trigger `{trigger}` is not stored: restore a backup")]
    TriggerRunMissing {
        /// The trigger.
        trigger: TriggerId,
        /// The run.
        run: RunId,
    },
}

/// Rows by kind, so that what is referred to is put in first. Tasks are not among them: there may
/// be millions, so they are moved once only.
#[derive(Default)]
struct Sorted {
    runs: Vec<RunRecord>,
    nodes: Vec<NodeRecord>,
    agents: Vec<AgentRecord>,
    tokens: Vec<TokenRecord>,
    memory: Vec<MemoryEntry>,
    schedules: Vec<ScheduleRecord>,
    triggers: Vec<TriggerRecord>,
}

impl State {
    /// The state whose rows these are, in any order. All indexes are rebuilt; nothing counts as
    /// changed.
    pub fn restore(rows: Vec<Row>) -> Result<Self, RestoreError> {
        let mut state = Self::new();
        let mut sorted = Sorted::default();
        for row in rows {
            match row {
                Row::Task(record) => state.restore_task(record)?,
                Row::Run(record) => sorted.runs.push(record),
                Row::Node(record) => sorted.nodes.push(record),
                Row::Agent(record) => sorted.agents.push(record),
                Row::Token(record) => sorted.tokens.push(record),
                Row::JoinToken(record) => {
                    let id = record.id;
                    once(state.join_tokens.insert(id, record).is_some(), &id)?;
                }
                Row::Enrolment(record) => state.restore_enrolment(record)?,
                Row::Idempotency(record) => {
                    if state.idempotency.records.contains_key(record.key.as_str()) {
                        return Err(RestoreError::StoredTwice(record.key));
                    }
                    state.idempotency.insert(record);
                }
                Row::Namespace(record) => state.restore_namespace(record)?,
                Row::Memory(entry) => sorted.memory.push(*entry),
                Row::MemoryFloor(version) => state.memory.floor = version,
                Row::Schedule(record) => sorted.schedules.push(*record),
                Row::Trigger(record) => sorted.triggers.push(*record),
                Row::Clock(now) => state.now = state.now.max(now),
            }
        }
        sorted
            .nodes
            .into_iter()
            .try_for_each(|row| state.restore_node(row))?;
        sorted
            .agents
            .into_iter()
            .try_for_each(|row| state.restore_agent(row))?;
        sorted
            .tokens
            .into_iter()
            .try_for_each(|row| state.restore_token(row))?;
        sorted
            .runs
            .into_iter()
            .try_for_each(|row| state.restore_run(row))?;
        sorted
            .memory
            .into_iter()
            .try_for_each(|row| state.restore_memory(row))?;
        sorted
            .schedules
            .into_iter()
            .try_for_each(|row| state.restore_schedule(row))?;
        sorted
            .triggers
            .into_iter()
            .try_for_each(|row| state.restore_trigger(row))?;
        state.link_tasks()?;
        state.restore_children()?;
        state.restore_agent_ceilings();
        Ok(state)
    }

    fn restore_node(&mut self, record: NodeRecord) -> Result<(), RestoreError> {
        let id = record.id;
        if let Some(parked) = record.parked {
            self.parked.insert((parked.until, id));
        }
        if record.state != NodeState::Left {
            let name = record.facts.name.clone();
            if self.node_names.insert(name, id).is_some() {
                return Err(RestoreError::Shared(id.to_string()));
            }
        }
        once(self.nodes.insert(id, NodeSlot::new(record)).is_some(), &id)
    }

    fn restore_agent(&mut self, record: AgentRecord) -> Result<(), RestoreError> {
        let (agent, node) = (record.id, record.spec.node);
        let host = self.nodes.get_mut(&node);
        let host = host.ok_or(RestoreError::HostMissing { agent, node })?;
        host.agents.insert(agent);
        if !(record.comes_with_node && host.record.state == NodeState::Left) {
            let name = record.spec.name.clone();
            if self.agent_names.insert(name, agent).is_some() {
                return Err(RestoreError::Shared(agent.to_string()));
            }
        }
        let ceiling = record.spec.slots;
        self.experience.add(&record);
        once(
            self.agents
                .insert(agent, AgentSlot { record, ceiling })
                .is_some(),
            &agent,
        )
    }

    fn restore_token(&mut self, record: TokenRecord) -> Result<(), RestoreError> {
        let id: TokenId = record.id;
        if self.token_hashes.insert(record.hash, id).is_some() {
            return Err(RestoreError::Shared(id.to_string()));
        }
        once(self.tokens.insert(id, record).is_some(), &id)
    }

    fn restore_enrolment(&mut self, record: EnrolmentRecord) -> Result<(), RestoreError> {
        let id = record.node;
        if planted(PlantedBug::EnrolmentLostInRestart) {
            return Ok(());
        }
        if self.node_keys.insert(record.key, id).is_some() {
            return Err(RestoreError::Shared(id.to_string()));
        }
        once(self.enrolments.insert(id, record).is_some(), &id)
    }

    fn restore_run(&mut self, record: RunRecord) -> Result<(), RestoreError> {
        let id = record.id;
        if record.state.is_final() {
            return Err(RestoreError::FinalRun(id));
        }
        let slot = RunSlot {
            record,
            tasks: BTreeSet::new(),
        };
        once(self.runs.insert(id, slot).is_some(), &id)
    }

    /// Puts a task in without looking at what it refers to.
    fn restore_task(&mut self, record: TaskRecord) -> Result<(), RestoreError> {
        let (task, state) = (record.id, record.state);
        if state.is_final() {
            return Err(RestoreError::FinalTask { task, state });
        }
        if state.is_held() != record.lease.is_some() {
            return Err(RestoreError::LeaseMismatch { task, state });
        }
        let slot = Box::new(TaskSlot {
            signature: self.signatures.acquire(&record.spec.requirements),
            record,
            children: BTreeSet::new(),
        });
        if !planted(PlantedBug::TimersNotRestored) {
            self.waiting.add(&slot);
        }
        once(self.tasks.insert(task, slot).is_some(), &task)
    }

    /// Counts each task where it belongs, now that everything it refers to is in.
    fn link_tasks(&mut self) -> Result<(), RestoreError> {
        let tasks = std::mem::take(&mut self.tasks);
        for slot in tasks.values() {
            self.link_task(&slot.record)?;
        }
        self.tasks = tasks;
        Ok(())
    }

    fn link_task(&mut self, record: &TaskRecord) -> Result<(), RestoreError> {
        let task = record.id;
        if let Some(run) = record.run {
            let slot = self.runs.get_mut(&run);
            let slot = slot.ok_or(RestoreError::RunMissing { task, run })?;
            slot.tasks.insert(task);
        }
        if let Some(lease) = &record.lease {
            if !self.nodes.contains_key(&lease.node) {
                let node = lease.node;
                return Err(RestoreError::HolderMissing { task, node });
            }
            self.occupy(task, lease, &record.spec.requirements.resources);
        }
        *self.counts.of_mut(record.state) += 1;
        Ok(())
    }

    fn restore_children(&mut self) -> Result<(), RestoreError> {
        let waiting = self.tasks().filter(|task| !task.waits_for.is_empty());
        let links: Vec<(TaskId, Vec<TaskId>)> = waiting
            .map(|task| (task.id, task.waits_for.clone()))
            .collect();
        for (task, waits_for) in links {
            for needs in waits_for {
                let parent = self.tasks.get_mut(&needs);
                let parent = parent.ok_or(RestoreError::NeedMissing { task, needs })?;
                parent.children.insert(task);
            }
        }
        Ok(())
    }

    /// The leases are only known after the agents.
    fn restore_agent_ceilings(&mut self) {
        for (agent, slot) in &mut self.agents {
            let load = self.loads.get(agent).copied().unwrap_or(0);
            slot.ceiling = slot.ceiling.max(load);
        }
        for slot in self.nodes.values_mut() {
            slot.reset_ceiling();
        }
        let open = self.nodes.iter().filter(|(_, slot)| slot.is_open());
        self.open_nodes = open.map(|(node, _)| *node).collect();
    }
}

pub(crate) fn once(known: bool, id: &impl ToString) -> Result<(), RestoreError> {
    if known {
        return Err(RestoreError::StoredTwice(id.to_string()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! What must always hold, seen from outside: acknowledgements, events and executions.
//!
//! The oracle shares no code with the core. It reads the event stream as a subscriber that
//! resumes by cursor, and compares it with what clients were told and what nodes really ran.

use skep_coordinator::View;
use skep_model::attempt::{Fence, LogIndex};
use skep_model::event::{EntryEvents, Event, EventCursor};
use skep_model::ids::{RunId, TaskId};
use skep_model::node::NodeState;
use skep_model::refusal::Refusal;
use skep_model::task::{AttemptEnd, Condition, Delivery, NewTask, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::disk::Disk;
use crate::members::Members;
use crate::memory::MemoryFacts;
use crate::schedules::ScheduleFacts;
use crate::triggers::TriggerFacts;

mod execution;

pub(crate) use execution::Execution;

#[derive(Debug, Default)]
struct Facts {
    leases: u32,
    fence: Option<Fence>,
    ended: Option<TaskState>,
}

#[derive(Debug, Clone)]
struct Asked {
    condition: Condition,
    delivery: Delivery,
    needs: Vec<TaskId>,
}

/// Everything known from outside.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    read: LogIndex,
    asked: BTreeMap<TaskId, Asked>,
    tasks: BTreeMap<TaskId, Facts>,
    finished_runs: BTreeSet<RunId>,
    acked: BTreeMap<RunId, Vec<TaskId>>,
    keys: BTreeMap<String, RunId>,
    executing: BTreeMap<TaskId, BTreeSet<Execution>>,
    executions: BTreeMap<TaskId, u32>,
    started: BTreeSet<(TaskId, Fence)>,
    /// Who is in the swarm.
    pub(crate) members: Members,
    memory: MemoryFacts,
    pub(crate) schedules: ScheduleFacts,
    pub(crate) triggers: TriggerFacts,
    completed: BTreeSet<(TaskId, Fence)>,
    /// How often each rare thing was seen, so that a run that tests nothing shows.
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

type Verdict = Result<(), String>;

impl Oracle {
    /// A client is about to ask for these tasks.
    pub(crate) fn asked(&mut self, tasks: &[NewTask]) {
        for task in tasks {
            self.asked.insert(
                task.id,
                Asked {
                    condition: task.spec.condition,
                    delivery: task.spec.delivery,
                    needs: task.needs.clone(),
                },
            );
        }
    }

    /// A client was told that its submission is taken in.
    pub(crate) fn acked(&mut self, key: &str, run: RunId, tasks: Vec<TaskId>) -> Verdict {
        if let Some(first) = self.keys.insert(key.to_owned(), run)
            && first != run
        {
            return Err(format!("I13: key {key} made {first} and then {run}"));
        }
        let known = self.acked.entry(run).or_default();
        if known.is_empty() {
            *known = tasks;
        }
        Ok(())
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = RunId> + '_ {
        self.acked.keys().copied()
    }

    pub(crate) fn tasks_of(&self, run: RunId) -> &[TaskId] {
        self.acked.get(&run).map_or(&[], Vec::as_slice)
    }

    /// A node starts to execute. Nodes that were frozen or copied may overlap, because nobody can
    /// stop them.
    pub(crate) fn starts(
        &mut self,
        task: TaskId,
        execution: Execution,
        may_overlap: impl Fn(usize) -> bool,
    ) -> Verdict {
        let fence = execution.fence;
        if !self.started.insert((task, fence)) {
            return Err(format!("I17: attempt {fence} of {task} was started twice"));
        }
        let count = self.executions.entry(task).or_default();
        *count += 1;
        let once = self
            .asked
            .get(&task)
            .is_some_and(|asked| asked.delivery == Delivery::AtMostOnce);
        if once && *count > 1 {
            return Err(format!(
                "I8: at-most-once {task} was executed {count} times"
            ));
        }
        self.goes_on(task, execution, may_overlap)
    }

    /// A node executes from now on, or again after it stood still.
    pub(crate) fn goes_on(
        &mut self,
        task: TaskId,
        execution: Execution,
        may_overlap: impl Fn(usize) -> bool,
    ) -> Verdict {
        let running = self.executing.entry(task).or_default();
        running.insert(execution);
        let is_excused = running.iter().any(|running| may_overlap(running.node));
        if running.len() > 1 && !is_excused {
            return Err(format!(
                "I15: {task} is executed twice at the same time: {running:?}"
            ));
        }
        Ok(())
    }

    pub(crate) fn stops(&mut self, task: TaskId, execution: Execution) {
        if let Some(running) = self.executing.get_mut(&task) {
            running.remove(&execution);
        }
    }

    /// A node finished an execution with success.
    pub(crate) fn completes(&mut self, task: TaskId, fence: Fence) {
        self.completed.insert((task, fence));
    }

    /// A process crash ends all its executions.
    pub(crate) fn node_died(&mut self, node: usize) {
        for running in self.executing.values_mut() {
            running.retain(|execution| execution.node != node);
        }
    }

    /// Reads on in the event stream: first what the archive has, then what is recent.
    pub(crate) fn observe(&mut self, disk: &Disk, view: &View) -> Verdict {
        if view.state.now().0 == 0 {
            return Ok(());
        }
        loop {
            let next = self.read.next();
            let cursor = EventCursor {
                index: self.read,
                ordinal: u32::MAX,
            };
            let entries: Vec<Arc<EntryEvents>> = match view.recent.events_after(cursor) {
                Some(entries) => entries
                    .into_iter()
                    .filter(|entry| entry.index >= next)
                    .collect(),
                None => disk
                    .events
                    .range(next..)
                    .map(|(_, entry)| Arc::clone(entry))
                    .collect(),
            };
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                if entry.index != self.read.next() {
                    return Err(format!(
                        "I11: after entry {} came {}",
                        self.read, entry.index
                    ));
                }
                self.read = entry.index;
                self.triggers.entry(&entry)?;
                for event in &entry.events {
                    self.members.event(entry.at, event)?;
                    self.memory.event(entry.at, event)?;
                    self.schedules.event(entry.at, event)?;
                    self.event(event)?;
                }
            }
        }
    }

    fn event(&mut self, event: &Event) -> Verdict {
        match event {
            Event::TaskLeased { task, fence, .. } => self.leased(*task, *fence),
            Event::TaskFinished { task, state, .. } => self.finished(*task, *state),
            Event::RunChanged { run, state, .. } if state.is_final() => {
                if !self.finished_runs.insert(*run) {
                    return Err(format!("I2: {run} became final twice"));
                }
                Ok(())
            }
            Event::AttemptEnded {
                task,
                ended: AttemptEnd::NeverStarted(_),
                ..
            } => self.handed_back(*task),
            other => {
                self.count(other);
                Ok(())
            }
        }
    }

    /// I25: what was handed back never started, and is granted anew as if for the first time.
    fn handed_back(&mut self, task: TaskId) -> Verdict {
        *self.seen.entry("grant handed back").or_default() += 1;
        let facts = self.tasks.entry(task).or_default();
        let Some(fence) = facts.fence else {
            return Err(format!("I25: {task} was handed back and never granted"));
        };
        facts.leases -= 1;
        if self.started.contains(&(task, fence)) {
            return Err(format!(
                "I25: {task} was handed back, but a node started it under {fence}"
            ));
        }
        Ok(())
    }

    fn count(&mut self, event: &Event) {
        let name = match event {
            Event::ReportRefused { .. } => "late report refused",
            Event::GrantRefused { .. } => "grant refused",
            Event::AttemptEnded {
                ended: AttemptEnd::Moved,
                ..
            } => "attempt moved",
            Event::AttemptEnded { .. } => "attempt retried",
            Event::AttemptRevoked { .. } => "attempt revoked",
            Event::JoinTokenRevoked { .. } => "join token revoked",
            Event::NodeEnrolled { .. } => "machine joined",
            Event::NodeApproved { .. } => "machine approved",
            Event::NodeRemoved { .. } => "node removed",
            Event::NodeAway {
                reason: Some(_), ..
            } => "node away",
            Event::Refused { reason } => return self.count_refusal(reason),
            Event::AlreadyDone { .. } => "submission repeated",
            Event::MemoryExpired { .. } => "memory expired",
            Event::MemoryRefused { .. } => "write refused",
            Event::ScheduleFired(fired) if fired.due.is_some() => "due time submitted",
            Event::ScheduleWaits(_) => "due time waits",
            Event::ScheduleSkipped(_) => "due time skipped",
            Event::TriggerFired(_) => "event acted on",
            Event::TriggerSkipped(_) => "event not counted",
            Event::NodeChanged { state, .. } if *state == NodeState::Lost => "node lost",
            Event::NodeChanged { state, .. } if *state == NodeState::Suspect => "node suspect",
            _ => return,
        };
        *self.seen.entry(name).or_default() += 1;
    }

    fn count_refusal(&mut self, reason: &Refusal) {
        let name = match reason {
            Refusal::JoinTokenExpired(_) => "expired join token refused",
            Refusal::JoinTokenUsedUp(_) => "used-up join token refused",
            Refusal::JoinTokenUnknown(_) => "revoked join token refused",
            _ => return,
        };
        *self.seen.entry(name).or_default() += 1;
    }

    fn leased(&mut self, task: TaskId, fence: Fence) -> Verdict {
        let asked = self.asked.get(&task).cloned();
        if let Some(asked) = &asked {
            self.needs_allow(task, asked)?;
        }
        let facts = self.tasks.entry(task).or_default();
        if let Some(state) = facts.ended {
            return Err(format!("I2: {task} was granted after it was {state}"));
        }
        if facts.fence.is_some_and(|earlier| earlier >= fence) {
            return Err(format!("I3: the fence of {task} did not rise to {fence}"));
        }
        facts.fence = Some(fence);
        facts.leases += 1;
        if facts.leases > 1 && asked.is_some_and(|asked| asked.delivery == Delivery::AtMostOnce) {
            return Err(format!(
                "I8: at-most-once {task} was granted {} times",
                facts.leases
            ));
        }
        Ok(())
    }

    /// I7: a task is granted only when its needs ended as its condition wants.
    fn needs_allow(&self, task: TaskId, asked: &Asked) -> Verdict {
        for need in &asked.needs {
            let ended = self.tasks.get(need).and_then(|facts| facts.ended);
            let allowed = match asked.condition {
                Condition::Success => ended == Some(TaskState::Succeeded),
                Condition::Failure | Condition::Always => ended.is_some(),
            };
            if !allowed {
                return Err(format!(
                    "I7: {task} was granted while its need {need} is {ended:?}"
                ));
            }
        }
        Ok(())
    }

    fn finished(&mut self, task: TaskId, state: TaskState) -> Verdict {
        let name = match state {
            TaskState::Succeeded => "task succeeded",
            TaskState::Failed => "task failed",
            TaskState::Expired => "task expired",
            TaskState::Unknown => "task unknown",
            _ => "task cancelled",
        };
        *self.seen.entry(name).or_default() += 1;
        let facts = self.tasks.entry(task).or_default();
        if let Some(earlier) = facts.ended.replace(state) {
            return Err(format!("I2: {task} was {earlier} and then {state}"));
        }
        let fence = facts.fence;
        let proved = fence.is_some_and(|fence| self.completed.contains(&(task, fence)));
        if state == TaskState::Succeeded && !proved {
            return Err(format!(
                "I4: {task} succeeded, but no node completed it under {fence:?}"
            ));
        }
        Ok(())
    }

    /// I1: everything acknowledged is still there.
    pub(crate) fn nothing_lost(&self, disk: &Disk, view: &View) -> Verdict {
        for (run, tasks) in &self.acked {
            let there = view.state.run(*run).is_some()
                || view.recent.run(*run).is_some()
                || disk.runs.contains_key(run);
            if !there {
                return Err(format!("I1: accepted {run} is gone"));
            }
            for task in tasks {
                let there = view.state.task(*task).is_some()
                    || view.recent.task(*task).is_some()
                    || disk.tasks.contains_key(task);
                if !there {
                    return Err(format!("I1: accepted {task} is gone"));
                }
            }
        }
        Ok(())
    }

    /// Liveness: everything accepted is final.
    pub(crate) fn unfinished(&self, view: &View) -> Option<String> {
        let run = self
            .acked
            .keys()
            .find(|run| view.state.run(**run).is_some())?;
        let open: Vec<_> = view
            .state
            .tasks_of_run(*run)
            .map(|task| {
                format!(
                    "{} is {} (lease {:?})",
                    task.spec.name, task.state, task.lease
                )
            })
            .collect();
        Some(format!("{run} is not final: {}", open.join(", ")))
    }
}

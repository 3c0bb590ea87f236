//! How tasks enter, change, end, and what their end means for those who wait for them.

use crate::apply::{EndedNeed, Step};
use crate::state::{State, TaskSlot};
use skep_model::attempt::AttemptReport;
use skep_model::event::Event;
use skep_model::ids::{RunId, TaskId};
use skep_model::isolation::IsolationLevel;
use skep_model::planted::{PlantedBug, planted};
use skep_model::run::CompensationDue;
use skep_model::task::{
    Condition, FinalCause, FinishedTask, NewTask, TaskRecord, TaskSpec, TaskState,
};
use skep_model::work::Work;
use std::collections::BTreeSet;
use std::sync::Arc;

impl State {
    /// Takes in tasks whose ids are free and whose needs are live or among them.
    pub(crate) fn admit(
        &mut self,
        step: &mut Step,
        run: Option<RunId>,
        tasks: &[NewTask],
        compensates: impl Fn(usize) -> Option<TaskId>,
    ) {
        step.applied.events.reserve(tasks.len());
        for (position, task) in tasks.iter().enumerate() {
            let record = self.new_record(step, run, task, compensates(position));
            self.insert_task(record);
            announce(step, run, task);
        }
        for task in tasks {
            for need in &task.needs {
                let parent = self
                    .tasks
                    .get_mut(need)
                    .expect("needs were checked to be live");
                parent.children.insert(task.id);
            }
        }
    }

    fn new_record(
        &self,
        step: &mut Step,
        run: Option<RunId>,
        task: &NewTask,
        compensates: Option<TaskId>,
    ) -> TaskRecord {
        let mut waits_for = task.needs.clone();
        waits_for.sort_unstable();
        waits_for.dedup();
        let sequence = (step.index.0, step.admitted);
        step.admitted += 1;
        TaskRecord {
            id: task.id,
            run,
            spec: Arc::clone(&task.spec),
            state: if waits_for.is_empty() {
                TaskState::Ready
            } else {
                TaskState::Pending
            },
            submitted_at: self.now,
            sequence,
            state_since: self.now,
            ready_at: self.now,
            had_needs: !waits_for.is_empty(),
            waits_for,
            need_failed: false,
            need_cancelled: false,
            not_before: None,
            attempts: 0,
            attempts_extra: 0,
            lease: None,
            ended_attempts: Vec::new(),
            failed_on: Vec::new(),
            compensates,
        }
    }

    /// Puts a task that nobody holds into the tables, without linking it to its needs.
    fn insert_task(&mut self, record: TaskRecord) {
        let slot = Box::new(TaskSlot {
            signature: self.signatures.acquire(&record.spec.requirements),
            record,
            children: BTreeSet::new(),
        });
        let record = &slot.record;
        *self.counts.of_mut(record.state) += 1;
        if let Some(run) = record.run {
            let run_slot = self.runs.get_mut(&run).expect("tasks join live runs");
            *run_slot.record.counts.of_mut(record.state) += 1;
            run_slot.tasks.insert(record.id);
            self.changes.run(run);
        }
        self.waiting.add(&slot);
        self.changes.new_task(record.id);
        self.tasks.insert(record.id, slot);
    }

    /// Changes a live task; counts, queues and timers follow.
    pub(crate) fn edit_task<T>(
        &mut self,
        task: TaskId,
        edit: impl FnOnce(&mut TaskRecord) -> T,
    ) -> T {
        let slot = self.tasks.get_mut(&task).expect("callers name live tasks");
        self.waiting.remove(slot);
        let before = slot.record.state;
        let answer = edit(&mut slot.record);
        let record = &mut slot.record;
        if record.state != before {
            record.state_since = self.now;
            if record.state == TaskState::Ready {
                record.ready_at = self.now;
            }
            *self.counts.of_mut(before) -= 1;
            *self.counts.of_mut(record.state) += 1;
            if let Some(run) = record.run {
                let run_slot = self
                    .runs
                    .get_mut(&run)
                    .expect("runs of live tasks are live");
                *run_slot.record.counts.of_mut(before) -= 1;
                *run_slot.record.counts.of_mut(record.state) += 1;
                self.changes.run(run);
            }
        }
        self.waiting.add(slot);
        self.changes.task(task);
        answer
    }

    /// Changes the state of a live task that nobody holds, and says so.
    pub(crate) fn change_task(&mut self, step: &mut Step, task: TaskId, state: TaskState) {
        let run = self.edit_task(task, |record| {
            record.state = state;
            if state == TaskState::Ready {
                record.not_before = None;
            }
            record.run
        });
        step.emit(Event::TaskChanged { task, run, state });
    }

    /// Makes a live task final that nobody holds (any more). Its children learn it when the step
    /// is settled.
    pub(crate) fn finish(
        &mut self,
        step: &mut Step,
        task: TaskId,
        state: TaskState,
        cause: FinalCause,
        report: Option<Box<AttemptReport>>,
    ) {
        let slot = *self.tasks.remove(&task).expect("callers name live tasks");
        self.waiting.remove(&slot);
        self.signatures.release(slot.signature);
        let mut record = slot.record;
        for need in &record.waits_for {
            if let Some(parent) = self.tasks.get_mut(need) {
                parent.children.remove(&task);
            }
        }
        *self.counts.of_mut(record.state) -= 1;
        self.leave_run(step, &record, state);
        self.changes.task_gone(task);
        record.state = state;
        record.state_since = self.now;
        step.emit(Event::TaskFinished {
            task,
            run: record.run,
            state,
            cause: cause.clone(),
            attempts: record.attempts,
        });
        step.ended.push_back(EndedNeed {
            task,
            state,
            children: slot.children,
        });
        step.applied.finished.push(FinishedTask {
            record,
            cause,
            report,
            finished_at: self.now,
        });
    }

    fn leave_run(&mut self, step: &mut Step, record: &TaskRecord, state: TaskState) {
        let Some(run) = record.run else { return };
        let slot = self
            .runs
            .get_mut(&run)
            .expect("runs of live tasks are live");
        *slot.record.counts.of_mut(record.state) -= 1;
        *slot.record.counts.of_mut(state) += 1;
        slot.tasks.remove(&record.id);
        if slot.tasks.is_empty() {
            step.emptied_runs.insert(run);
        }
        if let (TaskState::Succeeded, Some(compensation)) = (state, &record.spec.compensate) {
            slot.record.compensations.push(CompensationDue {
                of: record.id,
                name: record.spec.name.clone(),
                compensation: compensation.clone(),
                spec: Arc::clone(&record.spec),
            });
        }
        self.changes.run(run);
    }

    /// Lets everything follow that follows from ended tasks: children, then runs. Iterative, so
    /// that a chain may be as long as it likes.
    pub(crate) fn settle(&mut self, step: &mut Step) {
        loop {
            while let Some(ended) = step.ended.pop_front() {
                for child in &ended.children {
                    self.need_ended(step, *child, &ended);
                }
            }
            let Some(run) = step.emptied_runs.pop_first() else {
                return;
            };
            self.settle_run(step, run);
        }
    }

    fn need_ended(&mut self, step: &mut Step, child: TaskId, need: &EndedNeed) {
        // A child may have become final in the same step.
        let Some(slot) = self.tasks.get_mut(&child) else {
            return;
        };
        let record = &mut slot.record;
        if let Ok(position) = record.waits_for.binary_search(&need.task) {
            record.waits_for.remove(position);
        }
        match need.state {
            TaskState::Failed | TaskState::Expired | TaskState::Unknown => {
                record.need_failed = true;
            }
            TaskState::Cancelled => record.need_cancelled = true,
            _ => {}
        }
        self.changes.task(child);
        if !record.waits_for.is_empty() && !planted(PlantedBug::OneDependencyIsEnough) {
            return;
        }
        if !condition_holds(record) {
            let cause = FinalCause::ConditionNotMet;
            self.finish(step, child, TaskState::Cancelled, cause, None);
        } else if record.state == TaskState::Pending {
            self.change_task(step, child, TaskState::Ready);
        }
    }
}

fn announce(step: &mut Step, run: Option<RunId>, task: &NewTask) {
    step.emit(Event::TaskSubmitted {
        task: task.id,
        run,
        name: task.spec.name.clone(),
        state: if task.needs.is_empty() {
            TaskState::Ready
        } else {
            TaskState::Pending
        },
    });
    if waives_isolation(&task.spec) {
        step.emit(Event::IsolationWaived { task: task.id, run });
    }
}

/// Whether a task whose needs are all final may run.
fn condition_holds(record: &TaskRecord) -> bool {
    match record.spec.condition {
        Condition::Success => !record.need_failed && !record.need_cancelled,
        Condition::Failure => record.need_failed,
        Condition::Always => true,
    }
}

fn waives_isolation(spec: &TaskSpec) -> bool {
    matches!(spec.work, Work::Command(_)) && spec.requirements.isolation == IsolationLevel::S0
}

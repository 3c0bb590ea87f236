//! `SubmitRun` and `SubmitTasks`: taken in whole or refused whole.

use crate::apply::Step;
use crate::bounds::within;
use crate::state::{RunSlot, State};
use skep_model::command::Idempotency;
use skep_model::event::Event;
use skep_model::ids::{RunId, TaskId};
use skep_model::limits::{NEEDS_PER_TASK_MAX, TASKS_LIVE_MAX, TASKS_PER_SUBMISSION_MAX};
use skep_model::refusal::{LimitName, Refusal, TaskAction};
use skep_model::run::{RunRecord, RunSpec, RunState, TaskCounts};
use skep_model::task::NewTask;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Tasks that enter together.
#[derive(Debug)]
pub(crate) struct Submission<'a> {
    run: Option<RunId>,
    /// Given when the run is new.
    new_run: Option<&'a Arc<RunSpec>>,
    tasks: &'a [NewTask],
    idempotency: Option<&'a Idempotency>,
}

impl<'a> Submission<'a> {
    pub(crate) const fn run(
        run: RunId,
        spec: &'a Arc<RunSpec>,
        tasks: &'a [NewTask],
        idempotency: Option<&'a Idempotency>,
    ) -> Self {
        Self {
            run: Some(run),
            new_run: Some(spec),
            tasks,
            idempotency,
        }
    }

    pub(crate) const fn tasks(
        run: Option<RunId>,
        tasks: &'a [NewTask],
        idempotency: Option<&'a Idempotency>,
    ) -> Self {
        Self {
            run,
            new_run: None,
            tasks,
            idempotency,
        }
    }
}

impl State {
    pub(crate) fn submit(
        &mut self,
        step: &mut Step,
        submission: &Submission<'_>,
    ) -> Result<(), Refusal> {
        if self.answer_repetition(step, submission)? {
            return Ok(());
        }
        self.check_submission(submission)?;
        if let (Some(run), Some(spec)) = (submission.run, submission.new_run) {
            self.insert_run(step, run, spec, submission.tasks.len());
        }
        self.admit(step, submission.run, submission.tasks, |_| None);
        if let Some(request) = submission.idempotency {
            let (run, tasks) = match submission.new_run {
                Some(_) => (submission.run, Vec::new()),
                None => (None, submission.tasks.iter().map(|task| task.id).collect()),
            };
            let now = self.now;
            self.idempotency
                .remember(request, run, tasks, now, &mut self.changes);
        }
        Ok(())
    }

    /// Whether the same request was taken in before; if so, its answer is given again.
    fn answer_repetition(
        &self,
        step: &mut Step,
        submission: &Submission<'_>,
    ) -> Result<bool, Refusal> {
        let Some(request) = submission.idempotency else {
            return Ok(false);
        };
        let Some(known) = self.idempotency.get(&request.key, self.now) else {
            return Ok(false);
        };
        if known.fingerprint != request.fingerprint {
            return Err(Refusal::IdempotencyMismatch(request.key.clone()));
        }
        step.emit(Event::AlreadyDone {
            run: known.run,
            tasks: known.tasks.clone(),
        });
        Ok(true)
    }

    fn check_submission(&self, submission: &Submission<'_>) -> Result<(), Refusal> {
        let tasks = submission.tasks;
        check_room(self.tasks.len(), tasks.len())?;
        for task in tasks {
            within(
                LimitName::NeedsPerTaskMax,
                NEEDS_PER_TASK_MAX,
                task.needs.len(),
            )?;
            // Requirements name the queue of a task: what they say must be what its work is.
            if task.spec.work.performer() != task.spec.requirements.performer {
                return Err(Refusal::PerformerMismatch(task.id));
            }
        }
        self.check_run(submission)?;
        let positions = self.check_ids(tasks)?;
        self.check_needs(submission.run, tasks, &positions)?;
        match cycle(tasks, &positions) {
            Some(task) => Err(Refusal::Cycle(task)),
            None => Ok(()),
        }
    }

    fn check_run(&self, submission: &Submission<'_>) -> Result<(), Refusal> {
        let Some(run) = submission.run else {
            return Ok(());
        };
        if submission.new_run.is_some() {
            return match self.run(run) {
                Some(_) => Err(Refusal::DuplicateRun(run)),
                None => Ok(()),
            };
        }
        match self.live_run(run)?.state {
            state @ RunState::RollingBack => Err(Refusal::RunState {
                run,
                state,
                wanted: TaskAction::Extended,
            }),
            _ => Ok(()),
        }
    }

    /// Refuses ids that are taken, those of compensations included. Answers where each task
    /// stands in the submission, ordered by id.
    fn check_ids(&self, tasks: &[NewTask]) -> Result<Vec<(TaskId, usize)>, Refusal> {
        let ids = tasks.iter().enumerate();
        let mut positions: Vec<_> = ids.map(|(position, task)| (task.id, position)).collect();
        positions.sort_unstable();
        let compensations = tasks
            .iter()
            .filter_map(|task| task.spec.compensate.as_ref());
        let mut reserved: Vec<_> = compensations.map(|undo| undo.task).collect();
        reserved.extend(tasks.iter().map(|task| task.id));
        reserved.sort_unstable();
        for pair in reserved.windows(2) {
            if pair[0] == pair[1] {
                return Err(Refusal::DuplicateTask(pair[0]));
            }
        }
        match reserved.into_iter().find(|id| self.tasks.contains_key(id)) {
            Some(taken) => Err(Refusal::DuplicateTask(taken)),
            None => Ok(positions),
        }
    }

    fn check_needs(
        &self,
        run: Option<RunId>,
        tasks: &[NewTask],
        positions: &[(TaskId, usize)],
    ) -> Result<(), Refusal> {
        for task in tasks {
            for need in &task.needs {
                let live = self.task(*need).is_some_and(|parent| parent.run == run);
                if !live && position_of(*need, positions).is_none() {
                    return Err(Refusal::DependencyNotLive {
                        task: task.id,
                        needs: *need,
                    });
                }
            }
        }
        Ok(())
    }

    fn insert_run(&mut self, step: &mut Step, run: RunId, spec: &Arc<RunSpec>, tasks: usize) {
        let record = RunRecord {
            id: run,
            spec: Arc::clone(spec),
            state: RunState::Running,
            counts: TaskCounts::default(),
            submitted_at: self.now,
            finished_at: None,
            cancel_requested: false,
            compensations: Vec::new(),
        };
        let slot = RunSlot {
            record,
            tasks: BTreeSet::new(),
        };
        self.runs.insert(run, slot);
        self.changes.run(run);
        step.emit(Event::RunSubmitted {
            run,
            name: spec.name.clone(),
            tasks: tasks as u32,
        });
        // A run without tasks ends when the step is settled.
        step.emptied_runs.insert(run);
    }
}

fn check_room(live: usize, new: usize) -> Result<(), Refusal> {
    let limit = LimitName::TasksPerSubmissionMax;
    within(limit, TASKS_PER_SUBMISSION_MAX, new)?;
    within(LimitName::TasksLiveMax, TASKS_LIVE_MAX, live + new)
}

fn position_of(task: TaskId, positions: &[(TaskId, usize)]) -> Option<usize> {
    let found = positions.binary_search_by_key(&task, |(id, _)| *id).ok()?;
    Some(positions[found].1)
}

/// A task that needs itself, directly or through others, if there is one. Kahn's algorithm: what
/// cannot be ordered is on a cycle or needs something that is.
fn cycle(tasks: &[NewTask], positions: &[(TaskId, usize)]) -> Option<TaskId> {
    if tasks.iter().all(|task| task.needs.is_empty()) {
        return None;
    }
    let needs: Vec<Vec<usize>> = tasks
        .iter()
        .map(|task| {
            let inner = task.needs.iter();
            inner
                .filter_map(|need| position_of(*need, positions))
                .collect()
        })
        .collect();
    let mut children = vec![Vec::new(); tasks.len()];
    for (child, needs) in needs.iter().enumerate() {
        for need in needs {
            children[*need].push(child);
        }
    }
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut free: Vec<usize> = (0..tasks.len()).filter(|task| open[*task] == 0).collect();
    while let Some(task) = free.pop() {
        for child in &children[task] {
            open[*child] -= 1;
            if open[*child] == 0 {
                free.push(*child);
            }
        }
    }
    // Whoever still waits has a need that still waits: following those ends on a cycle.
    let mut at = open.iter().position(|needs| *needs > 0)?;
    for _ in 0..tasks.len() {
        let waiting = needs[at].iter().find(|need| open[**need] > 0);
        at = *waiting.expect("a task that still waits has a need that still waits");
    }
    Some(tasks[at].id)
}

#[cfg(test)]
mod tests;

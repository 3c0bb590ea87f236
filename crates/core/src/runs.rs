//! What becomes of a run whose tasks are all final: it ends, or its compensations run first.

use crate::apply::Step;
use crate::state::State;
use skep_model::event::Event;
use skep_model::ids::{RunId, TaskId};
use skep_model::run::{CompensationDue, RunRecord, RunState};
use skep_model::task::{Condition, Delivery, NewTask, TaskSpec};
use std::collections::BTreeSet;
use std::sync::Arc;

impl State {
    pub(crate) fn change_run(&mut self, step: &mut Step, run: RunId, state: RunState) {
        let record = &mut self
            .runs
            .get_mut(&run)
            .expect("callers name live runs")
            .record;
        record.state = state;
        self.changes.run(run);
        step.emit(Event::RunChanged {
            run,
            state,
            counts: record.counts,
        });
    }

    /// To be called when a run has no live task.
    pub(crate) fn settle_run(&mut self, step: &mut Step, run: RunId) {
        let Some(slot) = self.runs.get_mut(&run) else {
            return;
        };
        if !slot.tasks.is_empty() {
            return;
        }
        let record = &mut slot.record;
        let rolled_back = record.state == RunState::RollingBack;
        let state = match (record.cancel_requested, rolled_back || has_failed(record)) {
            (true, _) => RunState::Cancelled,
            (false, true) => RunState::Failed,
            (false, false) => RunState::Succeeded,
        };
        if state == RunState::Succeeded || record.compensations.is_empty() {
            self.finish_run(step, run, state);
        } else {
            let due = std::mem::take(&mut record.compensations);
            self.roll_back(step, run, &due);
        }
    }

    /// Undoes what succeeded, last first, one after the other, each whether or not the one before
    /// went well.
    fn roll_back(&mut self, step: &mut Step, run: RunId, due: &[CompensationDue]) {
        self.change_run(step, run, RunState::RollingBack);
        let mut tasks: Vec<NewTask> = Vec::with_capacity(due.len());
        let mut planned = BTreeSet::new();
        for due in due.iter().rev() {
            let id = self.free_task_id(due.compensation.task, &planned);
            planned.insert(id);
            tasks.push(NewTask {
                id,
                spec: Arc::new(undoing(due)),
                needs: tasks.last().map(|before| before.id).into_iter().collect(),
            });
        }
        self.admit(step, Some(run), &tasks, |position| {
            Some(due[due.len() - 1 - position].of)
        });
    }

    /// The stamped id, or the next one that is free: an id that was taken after the submission
    /// must not lose a compensation.
    fn free_task_id(&self, stamped: TaskId, planned: &BTreeSet<TaskId>) -> TaskId {
        let mut id = stamped;
        while self.tasks.contains_key(&id) || planned.contains(&id) {
            id = TaskId::from_u128(id.as_u128().wrapping_add(1));
        }
        id
    }

    fn finish_run(&mut self, step: &mut Step, run: RunId, state: RunState) {
        self.change_run(step, run, state);
        let slot = self.runs.remove(&run).expect("callers name live runs");
        self.schedules.run_ended(run, state, &mut self.changes);
        let led = self.triggers.run_ended(run, state, &mut self.changes);
        step.ended_triggered.extend(led.map(|led| (run, led)));
        step.applied.finished_runs.push(RunRecord {
            finished_at: Some(self.now),
            ..slot.record
        });
    }
}

fn has_failed(record: &RunRecord) -> bool {
    let counts = &record.counts;
    counts.failed > 0 || counts.expired > 0 || counts.unknown > 0
}

/// The specification of the task that undoes another.
fn undoing(due: &CompensationDue) -> TaskSpec {
    TaskSpec {
        name: format!("undo {}", due.name),
        work: due.compensation.work.clone(),
        condition: Condition::Always,
        delivery: Delivery::AtLeastOnce,
        deadline: None,
        compensate: None,
        ..TaskSpec::clone(&due.spec)
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    const TWO_UNDOABLE: &str = "node 1; confirm 1; task 1 undo=8 attempts=2 backoff=0; \
         task 2 undo=9 isolation=s0 command; task 3 attempts=1; run 1; grant 1:1 2:1 3:1";

    #[test]
    fn a_failed_run_undoes_what_succeeded_last_first() {
        check(
            &format!(
                "{TWO_UNDOABLE}; report 1 ok; report 2 ok | report 3 exit; queues; grant 9:1; \
                 report 9 ok; grant 8:1; report 8 ok"
            ),
            &expect![[r#"
                > report 3 exit
                TaskFinished { task: task_3, run: Some(run_1), state: Failed, cause: AttemptsUsedUp, attempts: 1 }
                RunChanged { run: run_1, state: RollingBack, counts: TaskCounts { succeeded: 2, failed: 1 } }
                TaskSubmitted { task: task_9, run: Some(run_1), name: "undo t2", state: Ready }
                TaskSubmitted { task: task_8, run: Some(run_1), name: "undo t1", state: Pending }
                > queues
                Some(run_1) 5 [task_9]
                > grant 9:1
                TaskLeased { task: task_9, run: Some(run_1), attempt: 1, agent: agent_1, node: node_1, fence: 1.8 }
                > report 9 ok
                TaskFinished { task: task_9, run: Some(run_1), state: Succeeded, cause: Reported, attempts: 1 }
                TaskChanged { task: task_8, run: Some(run_1), state: Ready }
                > grant 8:1
                TaskLeased { task: task_8, run: Some(run_1), attempt: 1, agent: agent_1, node: node_1, fence: 1.10 }
                > report 8 ok
                TaskFinished { task: task_8, run: Some(run_1), state: Succeeded, cause: Reported, attempts: 1 }
                RunChanged { run: run_1, state: Failed, counts: TaskCounts { succeeded: 4, failed: 1 } }
            "#]],
        );
    }

    #[test]
    fn a_compensation_that_fails_does_not_stop_the_others() {
        check(
            &format!(
                "{TWO_UNDOABLE}; report 2 ok; report 1 ok; report 3 exit | grant 8:1; \
                 report 8 exit; grant 8:1; report 8 exit; cancel 9"
            ),
            &expect![[r#"
                > grant 8:1
                TaskLeased { task: task_8, run: Some(run_1), attempt: 1, agent: agent_1, node: node_1, fence: 1.8 }
                > report 8 exit
                AttemptEnded { task: task_8, run: Some(run_1), attempt: 1, node: node_1, ended: Reported(Exited { code: 1 }), retry_at: None }
                > grant 8:1
                TaskLeased { task: task_8, run: Some(run_1), attempt: 2, agent: agent_1, node: node_1, fence: 1.10 }
                > report 8 exit
                TaskFinished { task: task_8, run: Some(run_1), state: Failed, cause: AttemptsUsedUp, attempts: 2 }
                TaskChanged { task: task_9, run: Some(run_1), state: Ready }
                > cancel 9
                TaskFinished { task: task_9, run: Some(run_1), state: Cancelled, cause: CancelRequested, attempts: 0 }
                RunChanged { run: run_1, state: Failed, counts: TaskCounts { succeeded: 2, failed: 2, cancelled: 1 } }
            "#]],
        );
    }

    #[test]
    fn a_failed_run_with_nothing_to_undo_ends() {
        check(
            &format!("{TWO_UNDOABLE}; report 3 exit; cancel 1 | cancel 2"),
            &expect![[r#"
                > cancel 2
                AttemptRevoked { task: task_2, node: node_1, fence: 1.4 }
                TaskFinished { task: task_2, run: Some(run_1), state: Cancelled, cause: CancelRequested, attempts: 1 }
                RunChanged { run: run_1, state: Failed, counts: TaskCounts { failed: 1, cancelled: 2 } }
            "#]],
        );
    }

    #[test]
    fn a_run_that_succeeds_undoes_nothing() {
        check(
            "node 1; confirm 1; task 1 undo=8; run 1; grant 1:1 | report 1 ok",
            &expect![[r#"
                > report 1 ok
                TaskFinished { task: task_1, run: Some(run_1), state: Succeeded, cause: Reported, attempts: 1 }
                RunChanged { run: run_1, state: Succeeded, counts: TaskCounts { succeeded: 1 } }
            "#]],
        );
    }

    #[test]
    fn a_compensation_whose_id_was_taken_meanwhile_gets_the_next_one() {
        check(
            &format!("{TWO_UNDOABLE}; task 8; submit; report 1 ok; report 2 ok | report 3 exit"),
            &expect![[r#"
                > report 3 exit
                TaskFinished { task: task_3, run: Some(run_1), state: Failed, cause: AttemptsUsedUp, attempts: 1 }
                RunChanged { run: run_1, state: RollingBack, counts: TaskCounts { succeeded: 2, failed: 1 } }
                TaskSubmitted { task: task_9, run: Some(run_1), name: "undo t2", state: Ready }
                TaskSubmitted { task: task_a, run: Some(run_1), name: "undo t1", state: Pending }
            "#]],
        );
    }
}

//! `CancelTask` and `CancelRun`.

use crate::apply::Step;
use crate::state::State;
use skep_model::ids::{RunId, TaskId};
use skep_model::refusal::{Refusal, TaskAction};
use skep_model::run::RunState;
use skep_model::task::{FinalCause, TaskState};

impl State {
    pub(crate) fn cancel_task(&mut self, step: &mut Step, task: TaskId) -> Result<(), Refusal> {
        self.live_task(task)?;
        let cause = FinalCause::CancelRequested;
        self.revoke_and_finish(step, task, TaskState::Cancelled, cause);
        Ok(())
    }

    /// Cancels all tasks, whatever their condition. A run that is rolling back is left to finish:
    /// its compensations can be cancelled one by one.
    pub(crate) fn cancel_run(&mut self, step: &mut Step, run: RunId) -> Result<(), Refusal> {
        let state = self.live_run(run)?.state;
        if state == RunState::RollingBack {
            return Err(Refusal::RunState {
                run,
                state,
                wanted: TaskAction::Cancelled,
            });
        }
        let slot = self.runs.get_mut(&run).expect("checked above");
        slot.record.cancel_requested = true;
        self.changes.run(run);
        let tasks: Vec<TaskId> = slot.tasks.iter().copied().collect();
        for task in tasks {
            let cause = FinalCause::RunCancelled;
            self.revoke_and_finish(step, task, TaskState::Cancelled, cause);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn a_waiting_task_is_cancelled() {
        check(
            "task 1; submit | cancel 1; cancel 1",
            &expect![[r#"
            > cancel 1
            TaskFinished { task: task_1, state: Cancelled, cause: CancelRequested, attempts: 0 }
            > cancel 1
            Refused { reason: TaskNotLive(task_1) }
        "#]],
        );
    }

    #[test]
    fn a_held_task_is_revoked_and_its_late_report_refused() {
        check(
            "node 1; confirm 1; task 1; submit; grant 1:1; start 1 | cancel 1; \
             report 1 ok node=1 fence=4; agents",
            &expect![[r#"
                > cancel 1
                AttemptRevoked { task: task_1, node: node_1, fence: 1.4 }
                TaskFinished { task: task_1, state: Cancelled, cause: CancelRequested, attempts: 1 }
                > report 1 ok node=1 fence=4
                ReportRefused { task: task_1, fence: 1.4, reason: TaskNotLive(task_1) }
                > agents
                agent_1 is idle, load 0, 0 good in 0 ms, 0 bad
            "#]],
        );
    }

    #[test]
    fn children_of_a_cancelled_task_follow_their_conditions() {
        check(
            "task 1; task 2 needs=1; task 3 needs=1 when=failure; task 4 needs=1 when=always; \
             submit | cancel 1; queues",
            &expect![[r#"
                > cancel 1
                TaskFinished { task: task_1, state: Cancelled, cause: CancelRequested, attempts: 0 }
                TaskFinished { task: task_2, state: Cancelled, cause: ConditionNotMet, attempts: 0 }
                TaskFinished { task: task_3, state: Cancelled, cause: ConditionNotMet, attempts: 0 }
                TaskChanged { task: task_4, state: Ready }
                > queues
                None 6 [task_4]
            "#]],
        );
    }

    #[test]
    fn cancelling_a_run_ends_all_its_tasks() {
        check(
            "node 1; confirm 1; task 1; task 2 needs=1 when=always; task 3; run 1; grant 1:1 \
             | cancel-run 1; cancel-run 1",
            &expect![[r#"
                > cancel-run 1
                AttemptRevoked { task: task_1, node: node_1, fence: 1.4 }
                TaskFinished { task: task_1, run: Some(run_1), state: Cancelled, cause: RunCancelled, attempts: 1 }
                TaskFinished { task: task_2, run: Some(run_1), state: Cancelled, cause: RunCancelled, attempts: 0 }
                TaskFinished { task: task_3, run: Some(run_1), state: Cancelled, cause: RunCancelled, attempts: 0 }
                RunChanged { run: run_1, state: Cancelled, counts: TaskCounts { cancelled: 3 } }
                > cancel-run 1
                Refused { reason: RunNotLive(run_1) }
            "#]],
        );
    }

    #[test]
    fn a_run_whose_tasks_were_cancelled_one_by_one_is_not_failed() {
        check(
            "task 1; run 1 | cancel 1",
            &expect![[r#"
            > cancel 1
            TaskFinished { task: task_1, run: Some(run_1), state: Cancelled, cause: CancelRequested, attempts: 0 }
            RunChanged { run: run_1, state: Succeeded, counts: TaskCounts { cancelled: 1 } }
        "#]],
        );
    }

    #[test]
    fn a_cancelled_run_rolls_back_what_succeeded() {
        check(
            "node 1; confirm 1; task 1 undo=8; task 2 undo=9; task 3 needs=1,2; run 1; \
             grant 1:1 2:1; report 2 ok; report 1 ok | cancel-run 1; cancel-run 1; pause-run 1; \
             grant 8:1; report 8 ok; grant 9:1; report 9 ok",
            &expect![[r#"
                > cancel-run 1
                TaskFinished { task: task_3, run: Some(run_1), state: Cancelled, cause: RunCancelled, attempts: 0 }
                RunChanged { run: run_1, state: RollingBack, counts: TaskCounts { succeeded: 2, cancelled: 1 } }
                TaskSubmitted { task: task_8, run: Some(run_1), name: "undo t1", state: Ready }
                TaskSubmitted { task: task_9, run: Some(run_1), name: "undo t2", state: Pending }
                > cancel-run 1
                Refused { reason: RunState { run: run_1, state: RollingBack, wanted: Cancelled } }
                > pause-run 1
                Refused { reason: RunState { run: run_1, state: RollingBack, wanted: Paused } }
                > grant 8:1
                TaskLeased { task: task_8, run: Some(run_1), attempt: 1, agent: agent_1, node: node_1, fence: 1.10 }
                > report 8 ok
                TaskFinished { task: task_8, run: Some(run_1), state: Succeeded, cause: Reported, attempts: 1 }
                TaskChanged { task: task_9, run: Some(run_1), state: Ready }
                > grant 9:1
                TaskLeased { task: task_9, run: Some(run_1), attempt: 1, agent: agent_1, node: node_1, fence: 1.12 }
                > report 9 ok
                TaskFinished { task: task_9, run: Some(run_1), state: Succeeded, cause: Reported, attempts: 1 }
                RunChanged { run: run_1, state: Cancelled, counts: TaskCounts { succeeded: 4, cancelled: 1 } }
            "#]],
        );
    }
}

//! `PauseTask`, `ResumeTask`, `PauseRun` and `ResumeRun`.

use crate::apply::Step;
use crate::state::State;
use skep_model::ids::{RunId, TaskId};
use skep_model::refusal::{Refusal, TaskAction};
use skep_model::run::RunState;
use skep_model::task::TaskState;

impl State {
    pub(crate) fn pause_task(&mut self, step: &mut Step, task: TaskId) -> Result<(), Refusal> {
        match self.live_task(task)?.state {
            TaskState::Pending | TaskState::Ready => {
                self.change_task(step, task, TaskState::Paused);
                Ok(())
            }
            state => Err(Refusal::TaskState {
                task,
                state,
                wanted: TaskAction::Paused,
            }),
        }
    }

    /// A task goes back to what it was: still waiting, or ready.
    pub(crate) fn resume_task(&mut self, step: &mut Step, task: TaskId) -> Result<(), Refusal> {
        let record = self.live_task(task)?;
        if record.state != TaskState::Paused {
            return Err(Refusal::TaskState {
                task,
                state: record.state,
                wanted: TaskAction::Resumed,
            });
        }
        let delayed = record.not_before.is_some_and(|at| at > self.now);
        let state = if delayed || !record.waits_for.is_empty() {
            TaskState::Pending
        } else {
            TaskState::Ready
        };
        self.change_task(step, task, state);
        Ok(())
    }

    /// Attempts that run go on; nothing new is granted.
    pub(crate) fn pause_run(&mut self, step: &mut Step, run: RunId) -> Result<(), Refusal> {
        match self.live_run(run)?.state {
            RunState::Running => {
                self.change_run(step, run, RunState::Paused);
                Ok(())
            }
            state => Err(Refusal::RunState {
                run,
                state,
                wanted: TaskAction::Paused,
            }),
        }
    }

    pub(crate) fn resume_run(&mut self, step: &mut Step, run: RunId) -> Result<(), Refusal> {
        match self.live_run(run)?.state {
            RunState::Paused => {
                self.change_run(step, run, RunState::Running);
                Ok(())
            }
            state => Err(Refusal::RunState {
                run,
                state,
                wanted: TaskAction::Resumed,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn a_paused_task_is_not_ready() {
        check(
            "task 1; submit | pause 1; queues; pause 1; resume 1; queues; resume 1",
            &expect![[r#"
                > pause 1
                TaskChanged { task: task_1, state: Paused }
                > queues

                > pause 1
                Refused { reason: TaskState { task: task_1, state: Paused, wanted: Paused } }
                > resume 1
                TaskChanged { task: task_1, state: Ready }
                > queues
                None 5 [task_1]
                > resume 1
                Refused { reason: TaskState { task: task_1, state: Ready, wanted: Resumed } }
            "#]],
        );
    }

    #[test]
    fn a_held_task_cannot_be_paused() {
        check(
            "node 1; confirm 1; task 1; submit; grant 1:1 | pause 1; pause 9; resume 9",
            &expect![[r#"
                > pause 1
                Refused { reason: TaskState { task: task_1, state: Leased, wanted: Paused } }
                > pause 9
                Refused { reason: TaskNotLive(task_9) }
                > resume 9
                Refused { reason: TaskNotLive(task_9) }
            "#]],
        );
    }

    #[test]
    fn a_paused_task_still_learns_of_its_needs() {
        check(
            "node 1; confirm 1; task 1; task 2 needs=1; task 3 needs=1 when=failure; submit; \
             grant 1:1; pause 2; pause 3 | report 1 ok; show 2; resume 2",
            &expect![[r#"
                > report 1 ok
                TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 1 }
                TaskFinished { task: task_3, state: Cancelled, cause: ConditionNotMet, attempts: 0 }
                > show 2
                task_2 is paused, attempts 0, waits for [], not before None, failed on [], ended []
                > resume 2
                TaskChanged { task: task_2, state: Ready }
            "#]],
        );
    }

    #[test]
    fn a_task_that_still_waits_is_pending_again() {
        check(
            "node 1; confirm 1; task 1; task 2 needs=1; task 3; submit; grant 3:1; report 3 exit; \
             pause 2; pause 3 | timer; resume 2; resume 3; timer",
            &expect![[r#"
                > timer
                None
                > resume 2
                TaskChanged { task: task_2, state: Pending }
                > resume 3
                TaskChanged { task: task_3, state: Pending }
                > timer
                Some(UnixMillis(762))
            "#]],
        );
    }

    #[test]
    fn a_delay_that_passed_meanwhile_is_over() {
        check(
            "node 1; confirm 1; task 1; submit; grant 1:1; report 1 exit; pause 1 | at 5000; \
             fire; resume 1",
            &expect![[r#"
                > fire

                > resume 1
                TaskChanged { task: task_1, state: Ready }
            "#]],
        );
    }

    #[test]
    fn a_paused_run_hides_its_queues_and_its_attempts_go_on() {
        check(
            "node 1; confirm 1; task 1; task 2; run 1; grant 1:1 | pause-run 1; pause-run 1; \
             queues; report 1 ok; resume-run 1; queues; resume-run 1; pause-run 9; resume-run 9",
            &expect![[r#"
                > pause-run 1
                RunChanged { run: run_1, state: Paused, counts: TaskCounts { ready: 1, leased: 1 } }
                > pause-run 1
                Refused { reason: RunState { run: run_1, state: Paused, wanted: Paused } }
                > queues

                > report 1 ok
                TaskFinished { task: task_1, run: Some(run_1), state: Succeeded, cause: Reported, attempts: 1 }
                > resume-run 1
                RunChanged { run: run_1, state: Running, counts: TaskCounts { ready: 1, succeeded: 1 } }
                > queues
                Some(run_1) 5 [task_2]
                > resume-run 1
                Refused { reason: RunState { run: run_1, state: Running, wanted: Resumed } }
                > pause-run 9
                Refused { reason: RunNotLive(run_9) }
                > resume-run 9
                Refused { reason: RunNotLive(run_9) }
            "#]],
        );
    }

    #[test]
    fn a_paused_run_ends_when_its_tasks_do() {
        check(
            "node 1; confirm 1; task 1; run 1; grant 1:1; pause-run 1 | report 1 ok",
            &expect![[r#"
                > report 1 ok
                TaskFinished { task: task_1, run: Some(run_1), state: Succeeded, cause: Reported, attempts: 1 }
                RunChanged { run: run_1, state: Succeeded, counts: TaskCounts { succeeded: 1 } }
            "#]],
        );
    }
}

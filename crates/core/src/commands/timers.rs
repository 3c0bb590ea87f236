//! `FireTimers`: retries, deadlines, idempotency keys and entries of shared memory that
//! are due.

use crate::apply::Step;
use crate::state::State;
use crate::waiting::Timer;
use skep_model::refusal::Refusal;
use skep_model::task::{FinalCause, TaskState};

impl State {
    #[expect(clippy::unnecessary_wraps, reason = "all commands have one shape")]
    pub(crate) fn fire_timers(&mut self, step: &mut Step) -> Result<(), Refusal> {
        while let Some(timer) = self.waiting.timers.pop_due(self.now) {
            match timer {
                Timer::Retry(task) => self.change_task(step, task, TaskState::Ready),
                Timer::Deadline(task) => {
                    let cause = FinalCause::DeadlinePassed;
                    self.revoke_and_finish(step, task, TaskState::Expired, cause);
                }
            }
        }
        self.unpark_all_due(step);
        self.idempotency.expire(self.now, &mut self.changes);
        self.end_expired_entries(step);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn a_retry_becomes_ready_when_it_is_due() {
        check(
            "node 1; confirm 1; task 1; submit; grant 1:1; report 1 exit | timer; fire; at 1000; \
             fire; timer",
            &expect![[r#"
                > timer
                Some(UnixMillis(958))
                > fire

                > fire
                TaskChanged { task: task_1, state: Ready }
                > timer
                None
            "#]],
        );
    }

    #[test]
    fn a_task_that_is_not_final_by_its_deadline_expires() {
        check(
            "node 1; confirm 1; task 1 deadline=50; task 2 deadline=60; \
             task 3 needs=1 when=failure; run 1; grant 2:1 | timer; at 49; fire; at 55; fire; \
             at 60; fire; timer; run-counts 1",
            &expect![[r#"
                > timer
                Some(UnixMillis(50))
                > fire

                > fire
                TaskFinished { task: task_1, run: Some(run_1), state: Expired, cause: DeadlinePassed, attempts: 0 }
                TaskChanged { task: task_3, run: Some(run_1), state: Ready }
                > fire
                AttemptRevoked { task: task_2, node: node_1, fence: 1.4 }
                TaskFinished { task: task_2, run: Some(run_1), state: Expired, cause: DeadlinePassed, attempts: 1 }
                > timer
                None
                > run-counts 1
                run_1 is running: TaskCounts { ready: 1, expired: 2 }
            "#]],
        );
    }

    #[test]
    fn the_deadline_of_a_final_task_is_forgotten() {
        check(
            "node 1; confirm 1; task 1 deadline=50; submit; grant 1:1; report 1 ok | timer; \
             at 60; fire",
            &expect![[r#"
                > timer
                None
                > fire

            "#]],
        );
    }

    #[test]
    fn idempotency_keys_are_forgotten() {
        check(
            "task 1; submit key=a | timer; at 86400000; fire; timer",
            &expect![[r#"
                > timer
                Some(UnixMillis(86400000))
                > fire

                > timer
                None
            "#]],
        );
    }

    #[test]
    fn the_clock_never_goes_back() {
        check(
            "at 500; task 1 deadline=400; submit | at 10; task 2; submit; fire",
            &expect![[r#"
                > submit
                TaskSubmitted { task: task_2, name: "t2", state: Ready }
                > fire
                TaskFinished { task: task_1, state: Expired, cause: DeadlinePassed, attempts: 0 }
            "#]],
        );
    }
}

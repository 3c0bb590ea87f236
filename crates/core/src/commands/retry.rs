//! `RetryTask`: ends the delay before a retry. A final task is retried by submitting it anew.

use crate::apply::Step;
use crate::state::State;
use crate::waiting::retry_at;
use skep_model::ids::TaskId;
use skep_model::refusal::{Refusal, TaskAction};
use skep_model::task::TaskState;

impl State {
    pub(crate) fn retry_task(&mut self, step: &mut Step, task: TaskId) -> Result<(), Refusal> {
        let record = self.live_task(task)?;
        if retry_at(record).is_none() {
            return Err(Refusal::TaskState {
                task,
                state: record.state,
                wanted: TaskAction::Retried,
            });
        }
        self.change_task(step, task, TaskState::Ready);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn a_delay_is_cut_short() {
        check(
            "node 1; confirm 1; task 1; submit; grant 1:1; report 1 exit | retry 1; timer; \
             grant 1:1",
            &expect![[r#"
                > retry 1
                TaskChanged { task: task_1, state: Ready }
                > timer
                None
                > grant 1:1
                TaskLeased { task: task_1, attempt: 2, agent: agent_1, node: node_1, fence: 1.7 }
            "#]],
        );
    }

    #[test]
    fn only_a_task_that_waits_for_its_retry_can_be_retried() {
        check(
            "node 1; confirm 1; task 1; task 2 needs=1; submit | retry 1; retry 2; retry 9; \
             grant 1:1; retry 1",
            &expect![[r#"
                > retry 1
                Refused { reason: TaskState { task: task_1, state: Ready, wanted: Retried } }
                > retry 2
                Refused { reason: TaskState { task: task_2, state: Pending, wanted: Retried } }
                > retry 9
                Refused { reason: TaskNotLive(task_9) }
                > grant 1:1
                TaskLeased { task: task_1, attempt: 1, agent: agent_1, node: node_1, fence: 1.7 }
                > retry 1
                Refused { reason: TaskState { task: task_1, state: Leased, wanted: Retried } }
            "#]],
        );
    }
}

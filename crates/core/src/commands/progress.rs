//! `ReportProgress`: steps of attempts. Steps that are late or repeated are ignored.

use crate::apply::Step;
use crate::state::State;
use skep_model::command::{Phase, Progress};
use skep_model::event::Event;
use skep_model::ids::NodeId;
use skep_model::refusal::Refusal;
use skep_model::task::{TaskRecord, TaskState};

impl State {
    #[expect(clippy::unnecessary_wraps, reason = "all commands have one shape")]
    pub(crate) fn report_progress(
        &mut self,
        step: &mut Step,
        node: NodeId,
        items: &[Progress],
    ) -> Result<(), Refusal> {
        for item in items {
            let record = self.task(item.task);
            let Some(next) = record.and_then(|record| step_forward(record, node, item)) else {
                continue;
            };
            let now = self.now;
            let run = self.edit_task(item.task, |record| {
                record.state = next;
                if let Some(lease) = &mut record.lease {
                    lease.started_at.get_or_insert(now);
                }
                record.run
            });
            step.emit(Event::TaskProgressed {
                task: item.task,
                run,
                phase: item.phase,
            });
        }
        Ok(())
    }
}

/// The state the task steps into, if this is the current attempt and a step forward.
fn step_forward(record: &TaskRecord, node: NodeId, item: &Progress) -> Option<TaskState> {
    let lease = record.lease.as_ref()?;
    if lease.node != node || lease.fence != item.fence {
        return None;
    }
    match (record.state, item.phase) {
        (TaskState::Leased, Phase::Running) => Some(TaskState::Running),
        (TaskState::Leased | TaskState::Running, Phase::Verifying) => Some(TaskState::Verifying),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn an_attempt_steps_forward_only() {
        check(
            "node 1; confirm 1; task 1; submit; grant 1:1 | start 1; start 1; verify 1; start 1; \
             show 1",
            &expect![[r#"
                > start 1
                TaskProgressed { task: task_1, phase: Running }
                > start 1

                > verify 1
                TaskProgressed { task: task_1, phase: Verifying }
                > start 1

                > show 1
                task_1 is verifying, attempts 1, waits for [], not before None, failed on [], ended []
            "#]],
        );
    }

    #[test]
    fn gates_may_start_unannounced() {
        check(
            "node 1; confirm 1; task 1; submit; grant 1:1 | verify 1",
            &expect![[r#"
                > verify 1
                TaskProgressed { task: task_1, phase: Verifying }
            "#]],
        );
    }

    #[test]
    fn steps_of_other_grants_are_ignored() {
        check(
            "node 1; confirm 1; node 2; confirm 2; task 1; submit; grant 1:1 | start 1 fence=1; \
             start 1 node=2; start 9 node=1 fence=4; show 1",
            &expect![[r#"
                > start 1 fence=1

                > start 1 node=2

                > start 9 node=1 fence=4

                > show 1
                task_1 is leased, attempts 1, waits for [], not before None, failed on [], ended []
            "#]],
        );
    }
}

//! `UpdateTask`: new priority or labels.

use crate::apply::Step;
use crate::state::State;
use skep_model::event::Event;
use skep_model::ids::TaskId;
use skep_model::refusal::Refusal;
use skep_model::task::Priority;
use std::collections::BTreeMap;
use std::sync::Arc;

impl State {
    pub(crate) fn update_task(
        &mut self,
        step: &mut Step,
        task: TaskId,
        priority: Option<Priority>,
        labels: Option<&BTreeMap<String, String>>,
    ) -> Result<(), Refusal> {
        self.live_task(task)?;
        let run = self.edit_task(task, |record| {
            let spec = Arc::make_mut(&mut record.spec);
            if let Some(priority) = priority {
                spec.priority = priority;
            }
            if let Some(labels) = labels {
                spec.labels.clone_from(labels);
            }
            record.run
        });
        step.emit(Event::TaskUpdated { task, run });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn a_new_priority_moves_a_ready_task_to_another_queue() {
        check(
            "task 1; task 2; run 1 | update 1 priority=7 critical; queues; update 2 label=a:b",
            &expect![[r#"
                > update 1 priority=7 critical
                TaskUpdated { task: task_1, run: Some(run_1) }
                > queues
                Some(run_1) 5 [task_2]
                Some(run_1) 10 [task_1]
                > update 2 label=a:b
                TaskUpdated { task: task_2, run: Some(run_1) }
            "#]],
        );
    }

    #[test]
    fn a_held_task_can_be_updated() {
        check(
            "node 1; confirm 1; task 1; submit; grant 1:1 | update 1 priority=9; update 9",
            &expect![[r#"
                > update 1 priority=9
                TaskUpdated { task: task_1, run: None }
                > update 9
                Refused { reason: TaskNotLive(task_9) }
            "#]],
        );
    }

    #[test]
    fn a_task_whose_needs_are_met_is_raised_by_one() {
        check(
            "node 1; confirm 1; task 1; task 2 needs=1; submit; grant 1:1 | report 1 ok; queues; \
             update 2 priority=255; queues",
            &expect![[r#"
                > report 1 ok
                TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 1 }
                TaskChanged { task: task_2, state: Ready }
                > queues
                None 6 [task_2]
                > update 2 priority=255
                TaskUpdated { task: task_2, run: None }
                > queues
                None 10 [task_2]
            "#]],
        );
    }
}

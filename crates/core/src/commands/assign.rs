//! `AssignTask`: only this agent may run the task.

use crate::apply::Step;
use crate::state::State;
use skep_model::event::Event;
use skep_model::ids::{AgentId, TaskId};
use skep_model::refusal::{Refusal, TaskAction};
use std::sync::Arc;

impl State {
    pub(crate) fn assign_task(
        &mut self,
        step: &mut Step,
        task: TaskId,
        agent: AgentId,
    ) -> Result<(), Refusal> {
        let record = self.live_task(task)?;
        let (run, state) = (record.run, record.state);
        if state.is_held() {
            return Err(Refusal::TaskState {
                task,
                state,
                wanted: TaskAction::Changed,
            });
        }
        self.known_agent(agent)?;
        let slot = self.tasks.get_mut(&task).expect("checked above");
        self.waiting.remove(slot);
        self.signatures.release(slot.signature);
        let spec = Arc::make_mut(&mut slot.record.spec);
        spec.requirements.agent = Some(agent);
        slot.signature = self.signatures.acquire(&spec.requirements);
        self.waiting.add(slot);
        self.changes.task(task);
        step.emit(Event::TaskUpdated { task, run });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn an_assigned_task_waits_for_its_agent() {
        check(
            "node 1; confirm 1; agent 2 on=1; task 1; task 2; submit | assign 1 to=2; queues; \
             grant 1:1 1:2",
            &expect![[r#"
                > assign 1 to=2
                TaskUpdated { task: task_1, run: None }
                > queues
                None 5 [task_2]
                None 5 [task_1]
                > grant 1:1 1:2
                GrantRefused { task: task_1, reason: NoRoom { task: task_1, agent: agent_1 } }
                TaskLeased { task: task_1, attempt: 1, agent: agent_2, node: node_1, fence: 1.6 }
            "#]],
        );
    }

    #[test]
    fn a_held_task_or_an_unknown_agent_is_refused() {
        check(
            "node 1; confirm 1; task 1; task 2; submit; grant 1:1 | assign 1 to=1; assign 2 to=9; \
             assign 9 to=1",
            &expect![[r#"
                > assign 1 to=1
                Refused { reason: TaskState { task: task_1, state: Leased, wanted: Changed } }
                > assign 2 to=9
                Refused { reason: AgentUnknown(agent_9) }
                > assign 9 to=1
                Refused { reason: TaskNotLive(task_9) }
            "#]],
        );
    }
}

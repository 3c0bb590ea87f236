//! `HandBackGrants`: grants that a node refused before it started anything.

use crate::apply::Step;
use crate::state::State;
use skep_model::command::HandedBack;
use skep_model::ids::{NodeId, TaskId};
use skep_model::refusal::Refusal;

impl State {
    /// What is not current any more is passed over: somebody else took it back meanwhile.
    pub(crate) fn hand_back_grants(
        &mut self,
        step: &mut Step,
        node: NodeId,
        grants: &[HandedBack],
    ) -> Result<(), Refusal> {
        self.known_node(node)?;
        for grant in grants {
            let lease = self.task(grant.task).and_then(|task| task.lease.as_ref());
            let is_current =
                lease.is_some_and(|lease| lease.node == node && lease.fence == grant.fence);
            if is_current && self.never_started(grant.task) {
                self.take_back(step, grant.task, grant.reason);
            }
        }
        Ok(())
    }

    /// Whether a task is granted, and its node never said that it had started it.
    pub(crate) fn never_started(&self, task: TaskId) -> bool {
        let lease = self.task(task).and_then(|task| task.lease.as_ref());
        lease.is_some_and(|lease| lease.started_at.is_none())
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn a_grant_that_was_handed_back_costs_no_attempt_and_the_next_fence_is_higher() {
        check(
            "node 1; confirm 1; task 1 attempts=1; submit; grant 1:1 | hand-back 1; show 1; \
             grant 1:1; report 1 exit; agents",
            &expect![[r#"
                > hand-back 1
                AttemptEnded { task: task_1, attempt: 1, node: node_1, ended: NeverStarted(Stopping), retry_at: None }
                > show 1
                task_1 is ready, attempts 1, waits for [], not before None, failed on [node_1], ended [NeverStarted(Stopping)]
                > grant 1:1
                TaskLeased { task: task_1, attempt: 2, agent: agent_1, node: node_1, fence: 1.6 }
                > report 1 exit
                TaskFinished { task: task_1, state: Failed, cause: AttemptsUsedUp, attempts: 2 }
                > agents
                agent_1 is idle, load 0, 0 good in 0 ms, 1 bad
            "#]],
        );
    }

    #[test]
    fn an_at_most_once_task_that_never_started_is_granted_again() {
        check(
            "node 1; confirm 1; task 1 once; submit; grant 1:1 | hand-back 1; grant 1:1; \
             report 1 exit",
            &expect![[r#"
                > hand-back 1
                AttemptEnded { task: task_1, attempt: 1, node: node_1, ended: NeverStarted(Stopping), retry_at: None }
                > grant 1:1
                TaskLeased { task: task_1, attempt: 2, agent: agent_1, node: node_1, fence: 1.6 }
                > report 1 exit
                TaskFinished { task: task_1, state: Failed, cause: AttemptsUsedUp, attempts: 2 }
            "#]],
        );
    }

    #[test]
    fn only_the_current_grant_of_the_node_is_taken_back_and_only_before_it_started() {
        check(
            "node 1; confirm 1; node 2; confirm 2; task 1; submit; grant 1:1 | \
             hand-back 1 fence=3; hand-back 1 node=2; start 1; hand-back 1; hand-back 9 fence=3; \
             hand-back 1 node=9",
            &expect![[r#"
                > hand-back 1 fence=3

                > hand-back 1 node=2

                > start 1
                TaskProgressed { task: task_1, phase: Running }
                > hand-back 1

                > hand-back 9 fence=3
                Refused { reason: NodeUnknown(node_) }
                > hand-back 1 node=9
                Refused { reason: NodeUnknown(node_9) }
            "#]],
        );
    }

    #[test]
    fn a_task_that_comes_back_again_waits_longer_each_time() {
        check(
            "node 1; confirm 1; task 1; submit; grant 1:1; hand-back 1; grant 1:1 | hand-back 1; \
             timer",
            &expect![[r#"
                > hand-back 1
                AttemptEnded { task: task_1, attempt: 2, node: node_1, ended: NeverStarted(Stopping), retry_at: Some(UnixMillis(1749)) }
                > timer
                Some(UnixMillis(1749))
            "#]],
        );
    }

    /// Hands a task back until it is final; says how often.
    fn hand_backs_until_final(task: &str, most: usize) -> usize {
        use crate::script::World;
        let mut world = World::after(&format!("node 1; confirm 1; {task}; submit"));
        for round in 1..=most {
            for statement in ["retry 1", "grant 1:1", "hand-back 1"] {
                world.perform(statement);
            }
            if world.state.task_count() == 0 {
                return round;
            }
        }
        panic!("`{task}` is not final after {most} rounds");
    }

    #[test]
    fn a_task_that_no_node_takes_ends_after_a_bounded_number_of_grants() {
        use skep_model::limits::HAND_BACKS_FREE_MAX;
        let free = HAND_BACKS_FREE_MAX as usize;
        assert_eq!(hand_backs_until_final("task 1 attempts=2", 100), free + 2);
        assert_eq!(hand_backs_until_final("task 1 once", 100), free + 1);
    }
}

//! `MoveAttempts`: what stands still on a parked node is begun anew elsewhere.

use crate::apply::Step;
use crate::state::State;
use skep_model::command::{AttemptMove, Grant};
use skep_model::ids::TaskId;
use skep_model::node::NodeRecord;
use skep_model::planted::{PlantedBug, planted};
use skep_model::refusal::Refusal;
use skep_model::task::Lease;

impl State {
    /// Nodes that are parked, by when they are to wake up.
    pub fn parked_nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.parked.iter().filter_map(|(_, node)| self.node(*node))
    }

    /// The grant of a task whose attempt stands still on a parked node, as the node itself said,
    /// and may be begun anew elsewhere now.
    pub fn movable(&self, task: TaskId) -> Option<&Lease> {
        let record = self.task(task)?;
        let lease = record.lease.as_ref()?;
        let parked = self.node(lease.node)?.parked?;
        let stands_still = parked.stands_still || planted(PlantedBug::MovedWhileRunning);
        let waits_for_run = record.run.is_some_and(|run| self.is_run_paused(run));
        (stands_still && record.may_be_moved() && !waits_for_run).then_some(lease)
    }

    /// Taken back and granted in one entry, so that nothing loses its place for room that is gone
    /// meanwhile. What cannot be moved any more is passed over: it stays where it is.
    #[expect(clippy::unnecessary_wraps, reason = "all commands have one shape")]
    pub(crate) fn move_attempts(
        &mut self,
        step: &mut Step,
        moves: &[AttemptMove],
    ) -> Result<(), Refusal> {
        for &AttemptMove { task, fence, agent } in moves {
            let lease = self.movable(task);
            let is_current = lease.is_some_and(|lease| lease.fence == fence);
            let grant = Grant { task, agent };
            if is_current && let Ok(node) = self.room_for(grant) {
                self.take_away(step, task);
                self.grant(step, grant, node);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn what_stands_still_is_moved_in_one_entry_and_costs_no_attempt() {
        check(
            "node 1; confirm 1; node 2; confirm 2; task 1 attempts=1; submit; grant 1:1; start 1; \
             park 1 for=60000; agree 1 to=8 | move 1 to=2; show 1; agents; report 1 exit node=1; \
             report 1 exit",
            &expect![[r#"
                > move 1 to=2
                AttemptRevoked { task: task_1, node: node_1, fence: 1.6 }
                AttemptEnded { task: task_1, attempt: 1, node: node_1, ended: Moved, retry_at: None }
                TaskLeased { task: task_1, attempt: 2, agent: agent_2, node: node_2, fence: 1.10 }
                > show 1
                task_1 is leased, attempts 2, waits for [], not before None, failed on [], ended [Moved]
                > agents
                agent_1 is offline, load 0, 0 good in 0 ms, 0 bad
                agent_2 is idle, load 1, 0 good in 0 ms, 0 bad
                > report 1 exit node=1
                ReportRefused { task: task_1, fence: 1.10, reason: StaleFence { task: task_1, given: 1.10 } }
                > report 1 exit
                TaskFinished { task: task_1, state: Failed, cause: AttemptsUsedUp, attempts: 2 }
            "#]],
        );
    }

    #[test]
    fn only_what_is_known_to_stand_still_is_moved_and_only_where_there_is_room() {
        check(
            "node 1 slots=2; confirm 1; node 2 slots=1; confirm 2; task 1; task 2 once; \
             task 4; submit; grant 1:1 2:1 | move 1 to=2; \
             park 1 for=60000; move 1 to=2; agree 1 to=8; move 2 to=2; move 1 to=1; move 1 to=9; \
             move 1 fence=3 to=2; move 9 to=2; move 4 to=2; grant 4:2; move 1 to=2; report 4 ok; \
             unpark 1; move 1 to=2",
            &expect![[r#"
                > move 1 to=2

                > park 1 for=60000
                NodeParked { node: node_1, until: Some(UnixMillis(60000)) }
                NodeChanged { node: node_1, state: Draining }
                > move 1 to=2

                > agree 1 to=8
                NodeUpdated { node: node_1 }
                > move 2 to=2

                > move 1 to=1

                > move 1 to=9

                > move 1 fence=3 to=2

                > move 9 to=2

                > move 4 to=2

                > grant 4:2
                TaskLeased { task: task_4, attempt: 1, agent: agent_2, node: node_2, fence: 1.17 }
                > move 1 to=2

                > report 4 ok
                TaskFinished { task: task_4, state: Succeeded, cause: Reported, attempts: 1 }
                > unpark 1
                NodeParked { node: node_1, until: None }
                NodeChanged { node: node_1, state: Ready }
                > move 1 to=2

            "#]],
        );
    }

    #[test]
    fn what_belongs_to_a_paused_run_waits() {
        check(
            "node 1; confirm 1; node 2; confirm 2; task 1; run 1; grant 1:1; park 1 for=60000; \
             agree 1 to=7 | pause-run 1; move 1 to=2; resume-run 1; move 1 to=2",
            &expect![[r#"
                > pause-run 1
                RunChanged { run: run_1, state: Paused, counts: TaskCounts { leased: 1 } }
                > move 1 to=2

                > resume-run 1
                RunChanged { run: run_1, state: Running, counts: TaskCounts { leased: 1 } }
                > move 1 to=2
                AttemptRevoked { task: task_1, node: node_1, fence: 1.6 }
                AttemptEnded { task: task_1, run: Some(run_1), attempt: 1, node: node_1, ended: Moved, retry_at: None }
                TaskLeased { task: task_1, run: Some(run_1), attempt: 2, agent: agent_2, node: node_2, fence: 1.12 }
            "#]],
        );
    }

    #[test]
    fn a_task_is_not_moved_without_end() {
        use crate::script::World;
        use skep_model::limits::MOVES_MAX;
        let mut world = World::after(
            "node 1; confirm 1; node 2; confirm 2; task 1 attempts=1; submit; grant 1:1",
        );
        let mut moved = 0;
        for round in 0..2 * MOVES_MAX {
            let (here, there) = (1 + round % 2, 2 - round % 2);
            world.perform(&format!("park {here} for=60000"));
            let since = world
                .state
                .node(skep_model::ids::NodeId::from_u128(here.into()));
            let since = since.unwrap().hold.since.0;
            world.perform(&format!("agree {here} to={since}"));
            let happened = world.perform(&format!("move 1 to={there}"));
            world.perform(&format!("unpark {here}"));
            if happened.is_empty() {
                break;
            }
            moved += 1;
        }
        assert_eq!(moved, MOVES_MAX);
        assert!(world.perform("report 1 exit").contains("AttemptsUsedUp"));
    }
}

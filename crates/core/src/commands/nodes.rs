//! The life of a node after it joined: suspect, trusted, lost, left, draining, removed.

use crate::apply::Step;
use crate::state::State;
use skep_model::event::Event;
use skep_model::ids::{AgentId, InstanceId, NodeId, TaskId};
use skep_model::node::{NodeRecord, NodeState};
use skep_model::planted::{PlantedBug, planted};
use skep_model::refusal::Refusal;

impl State {
    /// Only a node that works can become suspect; others get nothing new anyway.
    pub(crate) fn suspect_node(&mut self, step: &mut Step, node: NodeId) -> Result<(), Refusal> {
        let state = self.known_node(node)?.state;
        if matches!(state, NodeState::Ready | NodeState::Draining) {
            self.change_node(step, node, NodeState::Suspect);
        }
        Ok(())
    }

    pub(crate) fn trust_node(&mut self, step: &mut Step, node: NodeId) -> Result<(), Refusal> {
        let state = self.known_node(node)?.state;
        // A seat that was given up has nothing to compare: it is heard, so it is back.
        let is_back = state == NodeState::Lost && self.is_seat(node);
        if state == NodeState::Suspect || is_back {
            self.change_node_to_working(step, node);
        }
        Ok(())
    }

    pub(crate) fn lose_node(&mut self, step: &mut Step, node: NodeId) -> Result<(), Refusal> {
        let state = self.known_node(node)?.state;
        if !matches!(state, NodeState::Lost | NodeState::Left) {
            self.change_node(step, node, NodeState::Lost);
            self.end_parking(step, node);
            self.lose_all_attempts(step, node);
            self.forget_if_ephemeral(step, node);
        }
        Ok(())
    }

    /// Its name is free for others from now on.
    pub(crate) fn node_left(
        &mut self,
        step: &mut Step,
        node: NodeId,
        instance: InstanceId,
    ) -> Result<(), Refusal> {
        let record = self.known_node(node)?;
        if record.instance != instance {
            return Err(Refusal::InstanceReplaced(node));
        }
        if record.state != NodeState::Left {
            self.release_names(node);
            self.change_node(step, node, NodeState::Left);
            self.end_parking(step, node);
            self.lose_all_attempts(step, node);
            self.forget_if_ephemeral(step, node);
            if self.is_seat(node) {
                self.forget_node(step, node);
            }
        }
        Ok(())
    }

    pub(crate) fn drain_node(&mut self, step: &mut Step, node: NodeId) -> Result<(), Refusal> {
        let state = self.known_node(node)?.state;
        self.request_drain(node, true);
        if state == NodeState::Ready {
            self.change_node(step, node, NodeState::Draining);
        }
        Ok(())
    }

    pub(crate) fn resume_node(&mut self, step: &mut Step, node: NodeId) -> Result<(), Refusal> {
        let state = self.known_node(node)?.state;
        self.request_drain(node, false);
        if state == NodeState::Draining {
            self.change_node_to_working(step, node);
        }
        Ok(())
    }

    /// Its agents and its key go with it. A machine that joined and never connected has only a
    /// key. Attempts that would wait for it for ever are given up: whoever removes it says that it
    /// does not come back.
    pub(crate) fn remove_node(&mut self, step: &mut Step, node: NodeId) -> Result<(), Refusal> {
        if !self.nodes.contains_key(&node) && self.drop_enrolment(node) {
            step.emit(Event::NodeRemoved { node });
            return Ok(());
        }
        self.known_node(node)?;
        let attempts = self.node_use(node).attempts;
        if attempts > 0 {
            if !self.known_node(node)?.is_waited_for_in_vain() {
                return Err(Refusal::NodeBusy { node, attempts });
            }
            self.lose_all_attempts(step, node);
        }
        self.forget_node(step, node);
        Ok(())
    }

    fn forget_if_ephemeral(&mut self, step: &mut Step, node: NodeId) {
        if self.is_ephemeral(node) && self.node_use(node).attempts == 0 {
            self.forget_node(step, node);
        }
    }

    fn forget_node(&mut self, step: &mut Step, node: NodeId) {
        self.drop_enrolment(node);
        self.release_names(node);
        let agents: Vec<AgentId> = self.agents_of_node(node).map(|agent| agent.id).collect();
        for agent in agents {
            self.drop_agent(step, agent);
        }
        if let Some(slot) = self.nodes.remove(&node) {
            let record = slot.record;
            if let Some(parked) = record.parked {
                self.parked.remove(&(parked.until, node));
            }
            let known = (record.facts.name, record.session.is_some());
            step.gone.nodes.insert(node, known);
        }
        self.derive_open(node);
        self.changes.node(node);
        step.emit(Event::NodeRemoved { node });
    }

    /// Lets a node take work, or finish what it has if it was asked to drain, is away or parked.
    pub(crate) fn change_node_to_working(&mut self, step: &mut Step, node: NodeId) {
        let is_away =
            |node: &NodeRecord| node.away.is_some() && !planted(PlantedBug::AwayNodeGetsWork);
        let finishes =
            |node: &NodeRecord| node.drain_requested || node.parked.is_some() || is_away(node);
        let state = if self.node(node).is_some_and(finishes) {
            NodeState::Draining
        } else {
            NodeState::Ready
        };
        self.change_node(step, node, state);
    }

    fn change_node(&mut self, step: &mut Step, node: NodeId, state: NodeState) {
        let slot = self.nodes.get_mut(&node).expect("callers name known nodes");
        if slot.record.state == state {
            return;
        }
        slot.record.state = state;
        slot.record.state_since = self.now;
        self.derive_open(node);
        self.changes.node(node);
        step.emit(Event::NodeChanged { node, state });
    }

    fn request_drain(&mut self, node: NodeId, drain: bool) {
        let slot = self.nodes.get_mut(&node).expect("callers name known nodes");
        slot.record.drain_requested = drain;
        self.changes.node(node);
    }

    fn lose_all_attempts(&mut self, step: &mut Step, node: NodeId) {
        if planted(PlantedBug::LostNodeKeepsLeases) {
            return;
        }
        let held: Vec<TaskId> = self.held_by_node(node).map(|task| task.id).collect();
        for task in held {
            self.lose_attempt(step, task, node, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn a_silent_node_is_suspect_then_lost() {
        check(
            "node 1; confirm 1; task 1; submit; grant 1:1 | suspect 1; suspect 1; trust 1; \
             trust 1; suspect 1; lose 1; lose 1; show 1",
            &expect![[r#"
                > suspect 1
                NodeChanged { node: node_1, state: Suspect }
                > suspect 1

                > trust 1
                NodeChanged { node: node_1, state: Ready }
                > trust 1

                > suspect 1
                NodeChanged { node: node_1, state: Suspect }
                > lose 1
                NodeChanged { node: node_1, state: Lost }
                AttemptEnded { task: task_1, attempt: 1, node: node_1, ended: Lost, retry_at: None }
                > lose 1

                > show 1
                task_1 is ready, attempts 1, waits for [], not before None, failed on [node_1], ended [Lost]
            "#]],
        );
    }

    #[test]
    fn a_lost_attempt_counts_and_is_retried_at_once() {
        check(
            "node 1; confirm 1; node 2; confirm 2; task 1 attempts=2; submit; grant 1:1 | lose 1; \
             grant 1:2; lose 2; agents",
            &expect![[r#"
                > lose 1
                NodeChanged { node: node_1, state: Lost }
                AttemptEnded { task: task_1, attempt: 1, node: node_1, ended: Lost, retry_at: None }
                > grant 1:2
                TaskLeased { task: task_1, attempt: 2, agent: agent_2, node: node_2, fence: 1.8 }
                > lose 2
                NodeChanged { node: node_2, state: Lost }
                TaskFinished { task: task_1, state: Failed, cause: AttemptsUsedUp, attempts: 2 }
                > agents
                agent_1 is offline, load 0, 0 good in 0 ms, 1 bad
                agent_2 is offline, load 0, 0 good in 0 ms, 1 bad
            "#]],
        );
    }

    #[test]
    fn an_at_most_once_task_that_is_lost_is_unknown() {
        check(
            "node 1; confirm 1; task 1 once; task 2 needs=1 when=failure; run 1; grant 1:1 \
             | lose 1; run-counts 1",
            &expect![[r#"
                > lose 1
                NodeChanged { node: node_1, state: Lost }
                TaskFinished { task: task_1, run: Some(run_1), state: Unknown, cause: OutcomeNotLearned, attempts: 1 }
                TaskChanged { task: task_2, run: Some(run_1), state: Ready }
                > run-counts 1
                run_1 is running: TaskCounts { ready: 1, unknown: 1 }
            "#]],
        );
    }

    #[test]
    fn a_lost_attempt_is_final_if_the_policy_says_so() {
        check(
            "node 1; confirm 1; task 1 retry=gate; submit; grant 1:1 | lose 1",
            &expect![[r#"
                > lose 1
                NodeChanged { node: node_1, state: Lost }
                TaskFinished { task: task_1, state: Failed, cause: NotRetried(Lost), attempts: 1 }
            "#]],
        );
    }

    #[test]
    fn a_node_that_leaves_gives_up_its_attempts() {
        check(
            "node 1; confirm 1; task 1; submit; grant 1:1 | left 1 instance=7; left 1; left 1; \
             agents",
            &expect![[r#"
                > left 1 instance=7
                Refused { reason: InstanceReplaced(node_1) }
                > left 1
                NodeChanged { node: node_1, state: Left }
                AttemptEnded { task: task_1, attempt: 1, node: node_1, ended: Lost, retry_at: None }
                > left 1

                > agents
                agent_1 is offline, load 0, 0 good in 0 ms, 1 bad
            "#]],
        );
    }

    #[test]
    fn a_drained_node_finishes_what_it_has() {
        check(
            "node 1; confirm 1; task 1; task 2; submit; grant 1:1 | drain 1; drain 1; grant 2:1; \
             report 1 ok; undrain 1; undrain 1; grant 2:1",
            &expect![[r#"
                > drain 1
                NodeChanged { node: node_1, state: Draining }
                > drain 1

                > grant 2:1
                GrantRefused { task: task_2, reason: NoRoom { task: task_2, agent: agent_1 } }
                > report 1 ok
                TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 1 }
                > undrain 1
                NodeChanged { node: node_1, state: Ready }
                > undrain 1

                > grant 2:1
                TaskLeased { task: task_2, attempt: 1, agent: agent_1, node: node_1, fence: 1.11 }
            "#]],
        );
    }

    #[test]
    fn draining_outlasts_a_reconnection() {
        check(
            "node 1; drain 1 | confirm 1; suspect 1; trust 1; node 1; undrain 1; confirm 1",
            &expect![[r#"
                > confirm 1
                NodeChanged { node: node_1, state: Draining }
                > suspect 1
                NodeChanged { node: node_1, state: Suspect }
                > trust 1
                NodeChanged { node: node_1, state: Draining }
                > node 1
                NodeRegistered { node: node_1, instance: inst_1, name: "n1" }
                > undrain 1

                > confirm 1
                NodeChanged { node: node_1, state: Ready }
            "#]],
        );
    }

    #[test]
    fn a_node_that_holds_nothing_is_removed_with_its_agents() {
        check(
            "node 1; confirm 1; agent 2 on=1; task 1; submit; grant 1:2 | remove 1; report 1 ok; \
             remove 1; remove 1",
            &expect![[r#"
                > remove 1
                Refused { reason: NodeBusy { node: node_1, attempts: 1 } }
                > report 1 ok
                TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 1 }
                > remove 1
                AgentRemoved { agent: agent_1 }
                AgentRemoved { agent: agent_2 }
                NodeRemoved { node: node_1 }
                > remove 1
                Refused { reason: NodeUnknown(node_1) }
            "#]],
        );
    }

    #[test]
    fn attempts_of_a_silent_node_that_are_kept_for_it_are_given_up_when_it_is_removed() {
        check(
            "node 1; confirm 1; set 1 disconnect=keep; task 1; task 2 once; submit; \
             grant 1:1 2:1 | remove 1; suspect 1; remove 1; show 1",
            &expect![[r#"
                > remove 1
                Refused { reason: NodeBusy { node: node_1, attempts: 2 } }
                > suspect 1
                NodeChanged { node: node_1, state: Suspect }
                > remove 1
                AttemptEnded { task: task_1, attempt: 1, node: node_1, ended: Lost, retry_at: None }
                TaskFinished { task: task_2, state: Unknown, cause: OutcomeNotLearned, attempts: 1 }
                AgentRemoved { agent: agent_1 }
                NodeRemoved { node: node_1 }
                > show 1
                task_1 is ready, attempts 1, waits for [], not before None, failed on [node_1], ended [Lost]
            "#]],
        );
    }

    #[test]
    fn unknown_nodes_are_refused() {
        check(
            "suspect 9; trust 9; lose 9; left 9; drain 9; undrain 9",
            &expect![[r#"
                > suspect 9
                Refused { reason: NodeUnknown(node_9) }
                > trust 9
                Refused { reason: NodeUnknown(node_9) }
                > lose 9
                Refused { reason: NodeUnknown(node_9) }
                > left 9
                Refused { reason: NodeUnknown(node_9) }
                > drain 9
                Refused { reason: NodeUnknown(node_9) }
                > undrain 9
                Refused { reason: NodeUnknown(node_9) }
            "#]],
        );
    }
}

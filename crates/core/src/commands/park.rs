//! `ParkNode` and `UnparkNode`: a machine is about to sleep, and its attempts wait for it.

use crate::apply::Step;
use crate::state::State;
use skep_model::event::Event;
use skep_model::hold::Parked;
use skep_model::ids::NodeId;
use skep_model::limits::{PARK_MS_MAX, PARK_MS_MIN};
use skep_model::node::NodeState;
use skep_model::refusal::Refusal;

impl State {
    /// Parking anew counts from now. The node gets nothing new meanwhile.
    pub(crate) fn park_node(
        &mut self,
        step: &mut Step,
        node: NodeId,
        for_ms: u64,
    ) -> Result<(), Refusal> {
        let record = self.known_node(node)?;
        if matches!(record.state, NodeState::Lost | NodeState::Left) {
            return Err(Refusal::NodeGone(node));
        }
        if !(PARK_MS_MIN..=PARK_MS_MAX).contains(&for_ms) {
            return Err(Refusal::ParkTime(for_ms));
        }
        let parked = Parked {
            until: self.now.plus(for_ms),
            for_ms,
            stands_still: record.parked.is_some_and(|parked| parked.stands_still),
        };
        self.change_parking(step, node, Some(parked));
        Ok(())
    }

    pub(crate) fn unpark_node(&mut self, step: &mut Step, node: NodeId) -> Result<(), Refusal> {
        self.known_node(node)?;
        self.change_parking(step, node, None);
        Ok(())
    }

    /// The announced time is over: whoever is awake goes on. For one that is not, its work goes on
    /// waiting as its policy says.
    pub(crate) fn unpark_all_due(&mut self, step: &mut Step) {
        while let Some((until, node)) = self.parked.first().copied() {
            if until > self.now {
                return;
            }
            self.change_parking(step, node, None);
        }
    }

    fn change_parking(&mut self, step: &mut Step, node: NodeId, parked: Option<Parked>) {
        let slot = self.nodes.get_mut(&node).expect("callers name known nodes");
        let before = slot.record.parked;
        if before == parked {
            return;
        }
        let patience = slot.record.patience();
        slot.record.parked = parked;
        slot.record.renew_hold(patience, step.index);
        let state = slot.record.state;
        if let Some(before) = before {
            self.parked.remove(&(before.until, node));
        }
        let until = parked.map(|parked| parked.until);
        if let Some(until) = until {
            self.parked.insert((until, node));
        }
        self.changes.node(node);
        step.emit(Event::NodeParked { node, until });
        if matches!(state, NodeState::Ready | NodeState::Draining) {
            self.change_node_to_working(step, node);
        }
    }

    /// Whatever waited for the node does not any more.
    pub(crate) fn end_parking(&mut self, step: &mut Step, node: NodeId) {
        if self
            .node(node)
            .is_some_and(|record| record.parked.is_some())
        {
            self.change_parking(step, node, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn a_parked_node_gets_nothing_and_goes_on_when_it_is_unparked_or_its_time_is_over() {
        check(
            "node 1; confirm 1; task 1; task 2; submit; grant 1:1 | park 1 for=60000; hold 1; \
             grant 2:1; agree 1 to=5; unpark 1; hold 1; unpark 1; agree 1 to=8; hold 1; \
             park 1 for=60000; timer; at 60100; fire; timer; grant 2:1",
            &expect![[r#"
                > park 1 for=60000
                NodeParked { node: node_1, until: Some(UnixMillis(60000)) }
                NodeChanged { node: node_1, state: Draining }
                > hold 1
                node_1 should replace, may replace, since entry 5, may be parked for 60000 ms, stands still: Some(false)
                > grant 2:1
                GrantRefused { task: task_2, reason: NoRoom { task: task_2, agent: agent_1 } }
                > agree 1 to=5
                NodeUpdated { node: node_1 }
                > unpark 1
                NodeParked { node: node_1, until: None }
                NodeChanged { node: node_1, state: Ready }
                > hold 1
                node_1 should replace, may replace, since entry 8, may be parked for 60000 ms, stands still: None
                > unpark 1

                > agree 1 to=8
                NodeUpdated { node: node_1 }
                > hold 1
                node_1 should replace, may replace, since entry 8
                > park 1 for=60000
                NodeParked { node: node_1, until: Some(UnixMillis(60000)) }
                NodeChanged { node: node_1, state: Draining }
                > timer
                Some(UnixMillis(60000))
                > fire
                NodeParked { node: node_1, until: None }
                NodeChanged { node: node_1, state: Ready }
                > timer
                None
                > grant 2:1
                TaskLeased { task: task_2, attempt: 1, agent: agent_1, node: node_1, fence: 1.13 }
            "#]],
        );
    }

    #[test]
    fn a_node_that_is_gone_and_a_time_out_of_bounds_are_refused() {
        check(
            "node 1; confirm 1; node 2; left 2 | park 2 for=5000; park 3 for=5000; \
             park 1 for=999; park 1 for=86400001; park 1 for=86400000; unpark 3",
            &expect![[r#"
                > park 2 for=5000
                Refused { reason: NodeGone(node_2) }
                > park 3 for=5000
                Refused { reason: NodeUnknown(node_3) }
                > park 1 for=999
                Refused { reason: ParkTime(999) }
                > park 1 for=86400001
                Refused { reason: ParkTime(86400001) }
                > park 1 for=86400000
                NodeParked { node: node_1, until: Some(UnixMillis(86400000)) }
                NodeChanged { node: node_1, state: Draining }
                > unpark 3
                Refused { reason: NodeUnknown(node_3) }
            "#]],
        );
    }

    #[test]
    fn a_node_that_is_lost_starts_anew_or_leaves_is_not_parked_any_more() {
        check(
            "node 1; confirm 1; task 1 once; submit; grant 1:1; park 1 for=60000 \
             | node 1; lose 1; timer; node 1; confirm 1; park 1 for=60000; node 1 instance=2; \
             confirm 1 instance=2; park 1 for=60000; left 1 instance=2; timer",
            &expect![[r#"
                > node 1
                NodeRegistered { node: node_1, instance: inst_1, name: "n1" }
                > lose 1
                NodeChanged { node: node_1, state: Lost }
                NodeParked { node: node_1, until: None }
                TaskFinished { task: task_1, state: Unknown, cause: OutcomeNotLearned, attempts: 1 }
                > timer
                None
                > node 1
                NodeRegistered { node: node_1, instance: inst_1, name: "n1" }
                > confirm 1
                NodeChanged { node: node_1, state: Ready }
                > park 1 for=60000
                NodeParked { node: node_1, until: Some(UnixMillis(60000)) }
                NodeChanged { node: node_1, state: Draining }
                > node 1 instance=2
                NodeRegistered { node: node_1, instance: inst_2, name: "n1" }
                NodeParked { node: node_1, until: None }
                > confirm 1 instance=2
                NodeChanged { node: node_1, state: Ready }
                > park 1 for=60000
                NodeParked { node: node_1, until: Some(UnixMillis(60000)) }
                NodeChanged { node: node_1, state: Draining }
                > left 1 instance=2
                NodeChanged { node: node_1, state: Left }
                NodeParked { node: node_1, until: None }
                > timer
                None
            "#]],
        );
    }
}

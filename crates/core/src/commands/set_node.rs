//! `SetNode` and `SetAvailability`: what an operator says about a node, and when it takes work.

use crate::apply::Step;
use crate::state::State;
use skep_model::event::Event;
use skep_model::ids::{InstanceId, NodeId};
use skep_model::node::NodeState;
use skep_model::refusal::Refusal;
use std::collections::BTreeMap;

impl State {
    pub(crate) fn set_node(
        &mut self,
        step: &mut Step,
        node: NodeId,
        labels: Option<&BTreeMap<String, String>>,
        region: Option<&str>,
    ) -> Result<(), Refusal> {
        self.known_node(node)?;
        let slot = self.nodes.get_mut(&node).expect("the node is known");
        let assigned = &mut slot.record.assigned;
        let before = assigned.clone();
        if let Some(labels) = labels {
            assigned.labels.clone_from(labels);
        }
        if let Some(region) = region {
            assigned.region = (!region.is_empty()).then(|| region.to_owned());
        }
        if before != *assigned {
            slot.derive_labels();
            self.changes.node(node);
            step.emit(Event::NodeUpdated { node });
        }
        Ok(())
    }

    /// A node that is away finishes what it has, like one that a person drains.
    pub(crate) fn set_availability(
        &mut self,
        step: &mut Step,
        node: NodeId,
        instance: InstanceId,
        away: Option<&str>,
    ) -> Result<(), Refusal> {
        let record = self.known_node(node)?;
        if record.instance != instance {
            return Err(Refusal::InstanceReplaced(node));
        }
        if record.away.as_deref() == away {
            return Ok(());
        }
        let state = record.state;
        let slot = self.nodes.get_mut(&node).expect("the node is known");
        slot.record.away = away.map(str::to_owned);
        self.changes.node(node);
        step.emit(Event::NodeAway {
            node,
            reason: away.map(str::to_owned),
        });
        if matches!(state, NodeState::Ready | NodeState::Draining) {
            self.change_node_to_working(step, node);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn a_node_that_is_away_gets_nothing_new_until_it_is_back() {
        check(
            "node 1; confirm 1; away 1 because=battery | away 1 because=battery; back 1",
            &expect![[r#"
                > away 1 because=battery

                > back 1
                NodeAway { node: node_1, reason: None }
                NodeChanged { node: node_1, state: Ready }
            "#]],
        );
    }

    #[test]
    fn a_drained_node_stays_drained_when_it_comes_back() {
        check(
            "node 1; confirm 1; drain 1; away 1 because=night | back 1; undrain 1",
            &expect![[r#"
                > back 1
                NodeAway { node: node_1, reason: None }
                > undrain 1
                NodeChanged { node: node_1, state: Ready }
            "#]],
        );
    }

    #[test]
    fn labels_that_an_operator_gave_win_over_the_nodes_own() {
        check(
            "node 1 label=zone:a; confirm 1; task 1 near=zone:a; task 2 near=zone:b; submit; \
             set 1 label=zone:b | set 1 label=zone:b; set 2 label=zone:b; grant 1:1 2:1",
            &expect![[r#"
                > set 1 label=zone:b

                > set 2 label=zone:b
                Refused { reason: NodeUnknown(node_2) }
                > grant 1:1 2:1
                GrantRefused { task: task_1, reason: NoRoom { task: task_1, agent: agent_1 } }
                TaskLeased { task: task_2, attempt: 1, agent: agent_1, node: node_1, fence: 1.7 }
            "#]],
        );
    }
}

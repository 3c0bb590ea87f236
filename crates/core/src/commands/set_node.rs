//! `SetNode`, `ConfirmHold` and `SetAvailability`: what an operator says about a node, what the
//! node knows of it, and when it takes work.

use crate::apply::Step;
use crate::state::State;
use skep_model::attempt::LogIndex;
use skep_model::event::Event;
use skep_model::hold::DisconnectSetting;
use skep_model::ids::{InstanceId, NodeId};
use skep_model::node::NodeState;
use skep_model::refusal::Refusal;
use std::collections::BTreeMap;

/// What an operator says about a node; what is left out stays as it is.
pub(crate) struct Said<'a> {
    pub(crate) labels: Option<&'a BTreeMap<String, String>>,
    pub(crate) region: Option<&'a str>,
    pub(crate) on_disconnect: Option<DisconnectSetting>,
}

impl State {
    pub(crate) fn set_node(
        &mut self,
        step: &mut Step,
        node: NodeId,
        said: &Said<'_>,
    ) -> Result<(), Refusal> {
        self.known_node(node)?;
        let slot = self.nodes.get_mut(&node).expect("the node is known");
        let patience = slot.record.patience();
        let assigned = &mut slot.record.assigned;
        let before = assigned.clone();
        if let Some(labels) = said.labels {
            assigned.labels.clone_from(labels);
        }
        if let Some(region) = said.region {
            assigned.region = (!region.is_empty()).then(|| region.to_owned());
        }
        match said.on_disconnect {
            Some(DisconnectSetting::Own) => assigned.on_disconnect = None,
            Some(DisconnectSetting::Fixed(policy)) => assigned.on_disconnect = Some(policy),
            None => {}
        }
        if before != *assigned {
            slot.derive_labels();
            slot.record.renew_hold(patience, step.index);
            self.changes.node(node);
            step.emit(Event::NodeUpdated { node });
        }
        Ok(())
    }

    /// The node stops its work by these terms from now on. If they are still the newest, nothing
    /// else binds.
    pub(crate) fn confirm_hold(
        &mut self,
        step: &mut Step,
        node: NodeId,
        instance: InstanceId,
        since: LogIndex,
    ) -> Result<(), Refusal> {
        let record = self.known_node(node)?;
        if record.instance != instance {
            return Err(Refusal::InstanceReplaced(node));
        }
        if record.hold.since != since || record.acts_as_wanted() {
            return Ok(());
        }
        let slot = self.nodes.get_mut(&node).expect("the node is known");
        let record = &mut slot.record;
        record.hold.bound = record.patience();
        if let Some(parked) = &mut record.parked {
            parked.stands_still = true;
        }
        self.changes.node(node);
        step.emit(Event::NodeUpdated { node });
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
    fn a_less_patient_policy_binds_when_the_node_knows_it_and_a_more_patient_one_at_once() {
        check(
            "node 1 consumer; confirm 1 | hold 1; set 1 disconnect=keep; hold 1; \
             set 1 disconnect=replace; hold 1; agree 1 to=3; hold 1; agree 1 to=4 instance=7; \
             agree 1 to=4; hold 1; agree 1 to=4; set 1 disconnect=own; hold 1",
            &expect![[r#"
                > hold 1
                node_1 should wait, may wait, since entry 1
                > set 1 disconnect=keep
                NodeUpdated { node: node_1 }
                > hold 1
                node_1 should keep, may keep, since entry 3
                > set 1 disconnect=replace
                NodeUpdated { node: node_1 }
                > hold 1
                node_1 should replace, may keep, since entry 4
                > agree 1 to=3

                > hold 1
                node_1 should replace, may keep, since entry 4
                > agree 1 to=4 instance=7
                Refused { reason: InstanceReplaced(node_1) }
                > agree 1 to=4
                NodeUpdated { node: node_1 }
                > hold 1
                node_1 should replace, may replace, since entry 4
                > agree 1 to=4

                > set 1 disconnect=own
                NodeUpdated { node: node_1 }
                > hold 1
                node_1 should wait, may wait, since entry 9
            "#]],
        );
    }

    #[test]
    fn a_restart_with_another_policy_binds_like_a_word_of_the_operator() {
        check(
            "node 1 disconnect=keep; confirm 1 | hold 1; \
             node 1 instance=2 disconnect=wait; hold 1; agree 1 to=3 instance=2; hold 1; \
             node 1 instance=3 disconnect=wait; hold 1; set 1 disconnect=replace; \
             node 1 instance=4 disconnect=keep; hold 1",
            &expect![[r#"
                > hold 1
                node_1 should keep, may keep, since entry 1
                > node 1 instance=2 disconnect=wait
                NodeRegistered { node: node_1, instance: inst_2, name: "n1" }
                > hold 1
                node_1 should wait, may keep, since entry 3
                > agree 1 to=3 instance=2
                NodeUpdated { node: node_1 }
                > hold 1
                node_1 should wait, may wait, since entry 3
                > node 1 instance=3 disconnect=wait
                NodeRegistered { node: node_1, instance: inst_3, name: "n1" }
                > hold 1
                node_1 should wait, may wait, since entry 3
                > set 1 disconnect=replace
                NodeUpdated { node: node_1 }
                > node 1 instance=4 disconnect=keep
                NodeRegistered { node: node_1, instance: inst_4, name: "n1" }
                > hold 1
                node_1 should replace, may wait, since entry 6
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

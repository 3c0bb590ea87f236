//! `GrantLeases`: each grant is checked again and refused alone if it no longer fits.

use crate::apply::Step;
use crate::state::{NodeSlot, State};
use skep_model::agent::AgentRecord;
use skep_model::attempt::Fence;
use skep_model::command::Grant;
use skep_model::event::Event;
use skep_model::ids::NodeId;
use skep_model::node::NodeState;
use skep_model::refusal::{Refusal, TaskAction};
use skep_model::requirements::{AffinityRule, AffinitySense, AffinityStrength, Requirements};
use skep_model::task::{Delivery, Lease, TaskState};
use std::collections::BTreeMap;

/// Epoch of all fences while one coordinator orders the log.
const EPOCH_SOLO: u32 = 1;

impl State {
    #[expect(clippy::unnecessary_wraps, reason = "all commands have one shape")]
    pub(crate) fn grant_leases(
        &mut self,
        step: &mut Step,
        grants: &[Grant],
    ) -> Result<(), Refusal> {
        step.applied.events.reserve(grants.len());
        for grant in grants {
            match self.check_grant(*grant) {
                Ok(node) => self.grant(step, *grant, node),
                Err(reason) => step.emit(Event::GrantRefused {
                    task: grant.task,
                    reason,
                }),
            }
        }
        Ok(())
    }

    /// The node on which the attempt may start.
    fn check_grant(&self, grant: Grant) -> Result<NodeId, Refusal> {
        let task = self.live_task(grant.task)?;
        let used_up = task.spec.delivery == Delivery::AtMostOnce && task.attempts_counted() > 0;
        if task.state != TaskState::Ready || used_up {
            return Err(Refusal::TaskState {
                task: task.id,
                state: task.state,
                wanted: TaskAction::Granted,
            });
        }
        if let Some(run) = task.run
            && self.is_run_paused(run)
        {
            return Err(Refusal::RunState {
                run,
                state: self.live_run(run)?.state,
                wanted: TaskAction::Granted,
            });
        }
        self.room_for(grant)
    }

    /// The node on which the agent has room for the task, which it is fit for.
    pub(crate) fn room_for(&self, grant: Grant) -> Result<NodeId, Refusal> {
        let task = self.live_task(grant.task)?;
        let agent = self.known_agent(grant.agent)?;
        let node = self.nodes.get(&agent.spec.node);
        let wanted = &task.spec.requirements;
        let has_slot = !agent.paused && self.agent_load(agent.id) < agent.spec.slots;
        match node {
            Some(node) if has_slot && suits(agent, wanted) && has_room(node, wanted) => {
                Ok(node.record.id)
            }
            _ => Err(Refusal::NoRoom {
                task: task.id,
                agent: agent.id,
            }),
        }
    }

    /// Gives a live task that nobody holds to an agent on this node, which has room for it.
    pub(crate) fn grant(&mut self, step: &mut Step, grant: Grant, node: NodeId) {
        let lease = Lease {
            agent: grant.agent,
            node,
            instance: self.nodes[&node].record.instance,
            fence: Fence {
                epoch: EPOCH_SOLO,
                index: step.index,
            },
            granted_at: self.now,
            started_at: None,
            gates: Vec::new(),
        };
        let fence = lease.fence;
        let (run, attempt, resources) = self.edit_task(grant.task, |record| {
            record.state = TaskState::Leased;
            record.attempts += 1;
            record.lease = Some(lease.clone());
            let resources = record.spec.requirements.resources;
            (record.run, record.attempts, resources)
        });
        self.occupy(grant.task, &lease, &resources);
        step.emit(Event::TaskLeased {
            task: grant.task,
            run,
            attempt,
            agent: grant.agent,
            node,
            fence,
        });
    }
}

fn suits(agent: &AgentRecord, wanted: &Requirements) -> bool {
    let pinned_here = wanted.agent.is_none_or(|pinned| pinned == agent.id);
    let capable = wanted.capabilities.iter().all(|(name, least)| {
        let has = agent.spec.capabilities.get(name);
        has.is_some_and(|proficiency| proficiency >= least)
    });
    pinned_here && capable
}

fn has_room(node: &NodeSlot, wanted: &Requirements) -> bool {
    let facts = &node.record.facts;
    let free = facts.resources.minus(&node.used.resources);
    node.record.state == NodeState::Ready
        && node.record.performer() == wanted.performer
        && node.used.attempts < facts.slots
        && free.covers(&wanted.resources)
        && facts.isolation >= wanted.isolation
        && wanted
            .affinity
            .iter()
            .all(|rule| allows(rule, &node.labels))
}

/// Whether a rule that binds allows nodes with these labels.
fn allows(rule: &AffinityRule, labels: &BTreeMap<String, String>) -> bool {
    let found = labels.get(&rule.label);
    let matches = found.is_some_and(|found| rule.value.as_ref().is_none_or(|value| value == found));
    match (rule.strength, rule.sense) {
        (AffinityStrength::Weight(_), _) => true,
        (AffinityStrength::Required, AffinitySense::Attract) => matches,
        (AffinityStrength::Required, AffinitySense::Repel) => !matches,
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn a_grant_leases_a_ready_task_under_the_fence_of_its_entry() {
        check(
            "node 1; confirm 1; task 1; submit | grant 1:1; agents",
            &expect![[r#"
                > grant 1:1
                TaskLeased { task: task_1, attempt: 1, agent: agent_1, node: node_1, fence: 1.4 }
                > agents
                agent_1 is idle, load 1, 0 good in 0 ms, 0 bad
            "#]],
        );
    }

    #[test]
    fn second_grant_is_refused_while_the_task_is_held() {
        check(
            "node 1; confirm 1; task 1; submit | grant 1:1 1:1; grant 1:1",
            &expect![[r#"
                > grant 1:1 1:1
                TaskLeased { task: task_1, attempt: 1, agent: agent_1, node: node_1, fence: 1.4 }
                GrantRefused { task: task_1, reason: TaskState { task: task_1, state: Leased, wanted: Granted } }
                > grant 1:1
                GrantRefused { task: task_1, reason: TaskState { task: task_1, state: Leased, wanted: Granted } }
            "#]],
        );
    }

    #[test]
    fn tasks_that_are_not_ready_are_not_granted() {
        check(
            "node 1; confirm 1; task 1; task 2 needs=1; submit; task 3; run 1; pause-run 1 \
             | grant 2:1 3:1 9:1; pause 1; grant 1:1",
            &expect![[r#"
                > grant 2:1 3:1 9:1
                GrantRefused { task: task_2, reason: TaskState { task: task_2, state: Pending, wanted: Granted } }
                GrantRefused { task: task_3, reason: RunState { run: run_1, state: Paused, wanted: Granted } }
                GrantRefused { task: task_9, reason: TaskNotLive(task_9) }
                > pause 1
                TaskChanged { task: task_1, state: Paused }
                > grant 1:1
                GrantRefused { task: task_1, reason: TaskState { task: task_1, state: Paused, wanted: Granted } }
            "#]],
        );
    }

    #[test]
    fn an_unknown_or_paused_agent_gets_nothing() {
        check(
            "node 1; confirm 1; task 1; submit; update-agent 1 paused=yes | grant 1:9; grant 1:1; \
             agents",
            &expect![[r#"
                > grant 1:9
                GrantRefused { task: task_1, reason: AgentUnknown(agent_9) }
                > grant 1:1
                GrantRefused { task: task_1, reason: NoRoom { task: task_1, agent: agent_1 } }
                > agents
                agent_1 is paused, load 0, 0 good in 0 ms, 0 bad
            "#]],
        );
    }

    #[test]
    fn slots_of_agent_and_node_bound_the_grants() {
        check(
            "node 1 slots=2; confirm 1; agent 2 on=1 slots=1; agent 3 on=1 slots=9; task 1; \
             task 2; task 3; submit | grant 1:2 2:2 2:3 3:1; agents",
            &expect![[r#"
                > grant 1:2 2:2 2:3 3:1
                TaskLeased { task: task_1, attempt: 1, agent: agent_2, node: node_1, fence: 1.6 }
                GrantRefused { task: task_2, reason: NoRoom { task: task_2, agent: agent_2 } }
                TaskLeased { task: task_2, attempt: 1, agent: agent_3, node: node_1, fence: 1.6 }
                GrantRefused { task: task_3, reason: NoRoom { task: task_3, agent: agent_1 } }
                > agents
                agent_1 is idle, load 0, 0 good in 0 ms, 0 bad
                agent_2 is busy, load 1, 0 good in 0 ms, 0 bad
                agent_3 is idle, load 1, 0 good in 0 ms, 0 bad
            "#]],
        );
    }

    #[test]
    fn resources_of_the_node_bound_the_grants() {
        check(
            "node 1 cpu=1000; confirm 1; task 1 cpu=600; task 2 cpu=600; task 3 cpu=400; submit \
             | grant 1:1 2:1 3:1",
            &expect![[r#"
                > grant 1:1 2:1 3:1
                TaskLeased { task: task_1, attempt: 1, agent: agent_1, node: node_1, fence: 1.4 }
                GrantRefused { task: task_2, reason: NoRoom { task: task_2, agent: agent_1 } }
                TaskLeased { task: task_3, attempt: 1, agent: agent_1, node: node_1, fence: 1.4 }
            "#]],
        );
    }

    #[test]
    fn capabilities_must_be_there_and_good_enough() {
        check(
            "node 1 cap=rust:basic; confirm 1; agent 2 on=1 cap=rust:expert; \
             task 1 cap=rust:expert; task 2 cap=go:basic; submit | grant 1:1 2:1 2:2 1:2",
            &expect![[r#"
                > grant 1:1 2:1 2:2 1:2
                GrantRefused { task: task_1, reason: NoRoom { task: task_1, agent: agent_1 } }
                GrantRefused { task: task_2, reason: NoRoom { task: task_2, agent: agent_1 } }
                GrantRefused { task: task_2, reason: NoRoom { task: task_2, agent: agent_2 } }
                TaskLeased { task: task_1, attempt: 1, agent: agent_2, node: node_1, fence: 1.5 }
            "#]],
        );
    }

    #[test]
    fn rules_that_bind_keep_tasks_away_from_nodes() {
        check(
            "node 1 label=zone:a; confirm 1; task 1 near=zone:b; task 2 far=zone; \
             task 3 near=disk; task 4 near=zone far=zone:b; submit | grant 1:1 2:1 3:1 4:1",
            &expect![[r#"
                > grant 1:1 2:1 3:1 4:1
                GrantRefused { task: task_1, reason: NoRoom { task: task_1, agent: agent_1 } }
                GrantRefused { task: task_2, reason: NoRoom { task: task_2, agent: agent_1 } }
                GrantRefused { task: task_3, reason: NoRoom { task: task_3, agent: agent_1 } }
                TaskLeased { task: task_4, attempt: 1, agent: agent_1, node: node_1, fence: 1.4 }
            "#]],
        );
    }

    #[test]
    fn a_task_wants_at_least_its_isolation() {
        check(
            "node 1 isolation=s0; confirm 1; node 2 isolation=s2; confirm 2; task 1; submit \
             | grant 1:1; grant 1:2",
            &expect![[r#"
                > grant 1:1
                GrantRefused { task: task_1, reason: NoRoom { task: task_1, agent: agent_1 } }
                > grant 1:2
                TaskLeased { task: task_1, attempt: 1, agent: agent_2, node: node_2, fence: 1.7 }
            "#]],
        );
    }

    #[test]
    fn a_pinned_task_goes_to_its_agent_only() {
        check(
            "node 1; confirm 1; agent 2 on=1; task 1 pin=2; submit | grant 1:1; grant 1:2",
            &expect![[r#"
                > grant 1:1
                GrantRefused { task: task_1, reason: NoRoom { task: task_1, agent: agent_1 } }
                > grant 1:2
                TaskLeased { task: task_1, attempt: 1, agent: agent_2, node: node_1, fence: 1.6 }
            "#]],
        );
    }

    #[test]
    fn a_node_that_takes_no_work_gets_none() {
        check(
            "node 1; task 1; submit | grant 1:1; confirm 1; suspect 1; grant 1:1; trust 1; \
             drain 1; grant 1:1; undrain 1; grant 1:1",
            &expect![[r#"
                > grant 1:1
                GrantRefused { task: task_1, reason: NoRoom { task: task_1, agent: agent_1 } }
                > confirm 1
                NodeChanged { node: node_1, state: Ready }
                > suspect 1
                NodeChanged { node: node_1, state: Suspect }
                > grant 1:1
                GrantRefused { task: task_1, reason: NoRoom { task: task_1, agent: agent_1 } }
                > trust 1
                NodeChanged { node: node_1, state: Ready }
                > drain 1
                NodeChanged { node: node_1, state: Draining }
                > grant 1:1
                GrantRefused { task: task_1, reason: NoRoom { task: task_1, agent: agent_1 } }
                > undrain 1
                NodeChanged { node: node_1, state: Ready }
                > grant 1:1
                TaskLeased { task: task_1, attempt: 1, agent: agent_1, node: node_1, fence: 1.11 }
            "#]],
        );
    }
}

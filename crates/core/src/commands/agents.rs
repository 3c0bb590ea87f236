//! `CreateAgent`, `UpdateAgent` and `RemoveAgent`.

use crate::apply::Step;
use crate::bounds::within;
use crate::state::State;
use skep_model::agent::AgentSpec;
use skep_model::event::Event;
use skep_model::ids::AgentId;
use skep_model::limits::AGENTS_MAX;
use skep_model::refusal::{LimitName, Refusal};
use skep_model::requirements::Proficiency;
use std::collections::BTreeMap;

/// What is to change of an agent; none stays as it is.
#[derive(Debug, Default)]
pub(crate) struct AgentChange<'a> {
    pub(crate) role: Option<&'a String>,
    pub(crate) capabilities: Option<&'a BTreeMap<String, Proficiency>>,
    pub(crate) slots: Option<u32>,
    pub(crate) paused: Option<bool>,
}

impl State {
    /// An agent whose id is known already is refused by its name.
    pub(crate) fn create_agent(
        &mut self,
        step: &mut Step,
        agent: AgentId,
        spec: &AgentSpec,
    ) -> Result<(), Refusal> {
        self.known_node(spec.node)?;
        if self.is_seat(spec.node) {
            return Err(Refusal::NodeUnknown(spec.node));
        }
        if self.agents.contains_key(&agent) || self.agent_names.contains_key(&spec.name) {
            return Err(Refusal::NameTaken(spec.name.clone()));
        }
        within(LimitName::AgentsMax, AGENTS_MAX, self.agents.len() + 1)?;
        self.insert_agent(step, agent, spec.clone(), false);
        Ok(())
    }

    pub(crate) fn update_agent(
        &mut self,
        step: &mut Step,
        agent: AgentId,
        change: &AgentChange<'_>,
    ) -> Result<(), Refusal> {
        self.known_agent(agent)?;
        let load = self.agent_load(agent);
        let slot = self.agents.get_mut(&agent).expect("checked above");
        let record = &mut slot.record;
        if let Some(role) = change.role {
            record.spec.role.clone_from(role);
        }
        if let Some(capabilities) = change.capabilities {
            record.spec.capabilities.clone_from(capabilities);
        }
        if let Some(slots) = change.slots {
            record.spec.slots = slots;
            slot.ceiling = load.max(slots);
        }
        if let Some(paused) = change.paused {
            record.paused = paused;
        }
        self.changes.agent(agent);
        step.emit(Event::AgentUpdated { agent });
        Ok(())
    }

    /// Its attempts go on.
    pub(crate) fn remove_agent(&mut self, step: &mut Step, agent: AgentId) -> Result<(), Refusal> {
        if self.known_agent(agent)?.comes_with_node {
            return Err(Refusal::AgentComesWithNode(agent));
        }
        self.drop_agent(step, agent);
        Ok(())
    }

    pub(crate) fn drop_agent(&mut self, step: &mut Step, agent: AgentId) {
        let slot = self
            .agents
            .remove(&agent)
            .expect("callers name known agents");
        let spec = &slot.record.spec;
        if self.agent_names.get(&spec.name) == Some(&agent) {
            self.agent_names.remove(&spec.name);
        }
        if let Some(node) = self.nodes.get_mut(&spec.node) {
            node.agents.remove(&agent);
        }
        self.experience.remove(&slot.record);
        self.changes.agent(agent);
        let name = slot.record.spec.name.clone();
        step.gone.agents.insert(agent, name);
        step.emit(Event::AgentRemoved { agent });
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn a_hosted_agent_is_made_changed_and_removed() {
        check(
            "node 1; confirm 1 | agent 2 on=1 slots=2; agents; \
             update-agent 2 slots=0 role=tester; agents; update-agent 2 paused=yes; agents; \
             remove-agent 2; agents",
            &expect![[r#"
                > agent 2 on=1 slots=2
                AgentCreated { agent: agent_2, name: "a2", node: node_1 }
                > agents
                agent_1 is idle, load 0, 0 good in 0 ms, 0 bad
                agent_2 is idle, load 0, 0 good in 0 ms, 0 bad
                > update-agent 2 slots=0 role=tester
                AgentUpdated { agent: agent_2 }
                > agents
                agent_1 is idle, load 0, 0 good in 0 ms, 0 bad
                agent_2 is busy, load 0, 0 good in 0 ms, 0 bad
                > update-agent 2 paused=yes
                AgentUpdated { agent: agent_2 }
                > agents
                agent_1 is idle, load 0, 0 good in 0 ms, 0 bad
                agent_2 is paused, load 0, 0 good in 0 ms, 0 bad
                > remove-agent 2
                AgentRemoved { agent: agent_2 }
                > agents
                agent_1 is idle, load 0, 0 good in 0 ms, 0 bad
            "#]],
        );
    }

    #[test]
    fn names_and_ids_are_taken_once_and_nodes_must_be_known() {
        check(
            "node 1; confirm 1; agent 2 on=1 | agent 2 on=1 name=x; agent 3 on=1 name=a2; \
             agent 3 on=1 name=n1; agent 3 on=9",
            &expect![[r#"
                > agent 2 on=1 name=x
                Refused { reason: NameTaken("x") }
                > agent 3 on=1 name=a2
                Refused { reason: NameTaken("a2") }
                > agent 3 on=1 name=n1
                Refused { reason: NameTaken("n1") }
                > agent 3 on=9
                Refused { reason: NodeUnknown(node_9) }
            "#]],
        );
    }

    #[test]
    fn an_agent_that_came_with_its_node_stays() {
        check(
            "node 1; confirm 1 | remove-agent 1; remove-agent 9; update-agent 9",
            &expect![[r#"
                > remove-agent 1
                Refused { reason: AgentComesWithNode(agent_1) }
                > remove-agent 9
                Refused { reason: AgentUnknown(agent_9) }
                > update-agent 9
                Refused { reason: AgentUnknown(agent_9) }
            "#]],
        );
    }

    #[test]
    fn attempts_of_a_removed_agent_go_on() {
        check(
            "node 1; confirm 1; agent 2 on=1; task 1; submit; grant 1:2 | remove-agent 2; \
             report 1 ok",
            &expect![[r#"
                > remove-agent 2
                AgentRemoved { agent: agent_2 }
                > report 1 ok
                TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 1 }
            "#]],
        );
    }

    #[test]
    fn fewer_slots_take_nothing_away_and_admit_nothing_new() {
        check(
            "node 1; confirm 1; task 1; task 2; submit; grant 1:1 | update-agent 1 slots=1; \
             agents; grant 2:1",
            &expect![[r#"
                > update-agent 1 slots=1
                AgentUpdated { agent: agent_1 }
                > agents
                agent_1 is busy, load 1, 0 good in 0 ms, 0 bad
                > grant 2:1
                GrantRefused { task: task_2, reason: NoRoom { task: task_2, agent: agent_1 } }
            "#]],
        );
    }
}

//! `ReportGate`: a gate answered while its attempt goes on.

use crate::apply::Step;
use crate::state::State;
use skep_model::attempt::{Fence, GateReport};
use skep_model::event::Event;
use skep_model::ids::{NodeId, TaskId};
use skep_model::refusal::Refusal;
use skep_model::task::TaskSpec;
use skep_model::work::Work;

impl State {
    /// The answer is kept with the grant, so it ends with it. A gate that the task does not
    /// declare is passed over, and so is an answer that is known.
    pub(crate) fn report_gate(
        &mut self,
        step: &mut Step,
        node: NodeId,
        (task, fence): (TaskId, Fence),
        gate: &GateReport,
    ) -> Result<(), Refusal> {
        let stale = Refusal::StaleFence { task, given: fence };
        let record = self.task(task).ok_or_else(|| stale.clone())?;
        let lease = record.lease.as_ref();
        let lease = lease
            .filter(|lease| lease.node == node && lease.fence == fence)
            .ok_or(stale)?;
        if !declares(&record.spec, &gate.name) || lease.gates.contains(gate) {
            return Ok(());
        }
        let run = self.edit_task(task, |record| {
            if let Some(lease) = &mut record.lease {
                lease.gates.retain(|known| known.name != gate.name);
                lease.gates.push(gate.clone());
            }
            record.run
        });
        step.emit(Event::GateAnswered {
            task,
            run,
            gate: gate.name.clone(),
            passed: gate.passed,
        });
        Ok(())
    }
}

fn declares(spec: &TaskSpec, name: &str) -> bool {
    match &spec.work {
        Work::Command(work) => work.gates.iter().any(|gate| gate.name == name),
        Work::Noop | Work::Described(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::script::{World, check};
    use expect_test::expect;
    use skep_model::ids::TaskId;

    #[test]
    fn an_answer_is_taken_from_the_holder_for_a_declared_gate_and_once() {
        check(
            "node 1; confirm 1; node 2; confirm 2; task 1 gate=lint; submit; grant 1:1 \
             | gate 1 lint:passed fence=1; gate 1 lint:passed node=2; gate 9 lint:passed; \
             gate 1 none:passed; gate 1 lint:passed; gate 1 lint:passed; gate 1 lint:failed; \
             report 1 ok gate=lint:passed; gate 1 lint:passed node=1 fence=6",
            &expect![[r#"
                > gate 1 lint:passed fence=1
                Refused { reason: StaleFence { task: task_1, given: 1.1 } }
                > gate 1 lint:passed node=2
                Refused { reason: StaleFence { task: task_1, given: 1.6 } }
                > gate 9 lint:passed
                Refused { reason: StaleFence { task: task_9, given: 1.0 } }
                > gate 1 none:passed

                > gate 1 lint:passed
                GateAnswered { task: task_1, gate: "lint", passed: true }
                > gate 1 lint:passed

                > gate 1 lint:failed
                GateAnswered { task: task_1, gate: "lint", passed: false }
                > report 1 ok gate=lint:passed
                TaskFinished { task: task_1, state: Succeeded, cause: Reported, attempts: 1 }
                > gate 1 lint:passed node=1 fence=6
                Refused { reason: StaleFence { task: task_1, given: 1.6 } }
            "#]],
        );
    }

    #[test]
    fn answers_outlast_a_restart_and_end_with_their_grant() {
        let mut world = World::after(
            "node 1; confirm 1; task 1 gate=lint; submit; grant 1:1; gate 1 lint:passed",
        );
        world.restart();
        let gates = |world: &World| {
            let lease = world.state.task(TaskId::from_u128(1))?.lease.as_ref()?;
            let named = lease.gates.iter().map(|gate| gate.name.clone());
            Some(named.collect::<Vec<_>>())
        };
        assert_eq!(gates(&world), Some(vec!["lint".to_owned()]));
        world.perform("hand-back 1");
        world.perform("grant 1:1");
        assert_eq!(gates(&world), Some(Vec::new()));
    }
}

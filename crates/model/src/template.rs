//! What schedules and triggers submit: a run whose ids are stand-ins for fresh ones.

use crate::ids::TaskId;
use crate::run::RunSpec;
use crate::task::{Compensation, NewTask, TaskSpec};
use crate::time::UnixMillis;
use crate::work::Work;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is submitted each time. Tasks and compensations have the ids 0, 1, 2 and so on, which stand for
/// fresh ones, and deadlines count from 0, which stands for the submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// The run, apart from its tasks.
    pub run: RunSpec,
    /// Its tasks, at least one and at most `SCHEDULE_TASKS_MAX` or `TRIGGER_TASKS_MAX`.
    pub tasks: Vec<NewTask>,
    /// How many ids its tasks and compensations have.
    pub ids: u32,
}

impl Template {
    /// What is submitted at `at`, with these ids in the place of its own.
    pub fn made_with(&self, ids: &[TaskId], at: UnixMillis) -> (RunSpec, Vec<NewTask>) {
        let tasks = self.tasks.iter().map(|task| NewTask {
            id: fresh(ids, task.id),
            spec: Arc::new(with_ids(&task.spec, ids, at)),
            needs: task.needs.iter().map(|need| fresh(ids, *need)).collect(),
        });
        (self.run.clone(), tasks.collect())
    }

    /// As [`Self::made_with`], with labels of the run and variables of its commands beyond their
    /// own, over which they win.
    pub fn made_telling(
        &self,
        ids: &[TaskId],
        at: UnixMillis,
        (labels, variables): (&BTreeMap<String, String>, &BTreeMap<String, String>),
    ) -> (RunSpec, Vec<NewTask>) {
        let (mut run, mut tasks) = self.made_with(ids, at);
        run.labels.extend(labels.clone());
        for task in &mut tasks {
            let spec = Arc::make_mut(&mut task.spec);
            tell(&mut spec.work, variables);
            if let Some(undo) = &mut spec.compensate {
                tell(&mut undo.work, variables);
            }
        }
        (run, tasks)
    }
}

fn tell(work: &mut Work, variables: &BTreeMap<String, String>) {
    if let Work::Command(command) = work {
        command.env.extend(variables.clone());
    }
}

/// An id that stands for none stays what it is: the submission is refused for it.
fn fresh(ids: &[TaskId], stand_in: TaskId) -> TaskId {
    let position = usize::try_from(stand_in.as_u128()).ok();
    let id = position.and_then(|position| ids.get(position));
    id.copied().unwrap_or(stand_in)
}

fn with_ids(spec: &TaskSpec, ids: &[TaskId], at: UnixMillis) -> TaskSpec {
    let mut spec = spec.clone();
    spec.deadline = spec.deadline.map(|after| at.plus(after.0));
    spec.compensate = spec.compensate.map(|undo| {
        Box::new(Compensation {
            task: fresh(ids, undo.task),
            ..*undo
        })
    });
    let inputs = match &mut spec.work {
        Work::Noop => return spec,
        Work::Command(command) => &mut command.inputs,
        Work::Described(described) => &mut described.inputs,
    };
    for input in inputs {
        input.from = fresh(ids, input.from);
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{CommandWork, Invocation, Workspace};

    fn command() -> CommandWork {
        CommandWork {
            invocation: Invocation::Shell("true".to_owned()),
            env: BTreeMap::from([("OWN".to_owned(), "1".to_owned())]),
            workspace: Workspace::None,
            reads: Vec::new(),
            inputs: Vec::new(),
            artifacts: Vec::new(),
            gates: Vec::new(),
            timeout_ms: 1,
            kill_grace_ms: 1,
        }
    }

    #[test]
    fn a_template_is_made_with_fresh_ids_and_deadlines_from_the_submission() {
        let id = |value: u128| TaskId::from_u128(value);
        let first = TaskSpec {
            deadline: Some(UnixMillis(60)),
            compensate: Some(Box::new(Compensation {
                task: id(2),
                work: Work::Command(Box::new(command())),
            })),
            ..TaskSpec::noop("first")
        };
        let new = |number, spec, needs| NewTask {
            id: id(number),
            spec: Arc::new(spec),
            needs,
        };
        let template = Template {
            run: RunSpec {
                name: "nightly".to_owned(),
                labels: BTreeMap::new(),
                weight: 10,
                trace_parent: None,
                strategy: None,
            },
            tasks: vec![
                new(0, first, vec![]),
                new(1, TaskSpec::noop("second"), vec![id(0), id(9)]),
            ],
            ids: 3,
        };
        let (run, tasks) = template.made_with(&[id(70), id(71), id(72)], UnixMillis(1_000));
        assert_eq!(run, template.run);
        assert_eq!((tasks[0].id, tasks[1].id), (id(70), id(71)));
        assert_eq!(tasks[0].spec.deadline, Some(UnixMillis(1_060)));
        assert_eq!(tasks[0].spec.compensate.as_ref().unwrap().task, id(72));
        assert_eq!(tasks[1].needs, [id(70), id(9)]);
    }

    #[test]
    fn commands_and_what_undoes_them_are_told_in_their_environment() {
        let id = |value: u128| TaskId::from_u128(value);
        let mut spec = TaskSpec::noop("first");
        spec.work = Work::Command(Box::new(command()));
        spec.compensate = Some(Box::new(Compensation {
            task: id(1),
            work: Work::Command(Box::new(command())),
        }));
        let template = Template {
            run: RunSpec {
                name: "r".to_owned(),
                labels: BTreeMap::new(),
                weight: 10,
                trace_parent: None,
                strategy: None,
            },
            tasks: vec![NewTask {
                id: id(0),
                spec: Arc::new(spec),
                needs: Vec::new(),
            }],
            ids: 2,
        };
        let said = BTreeMap::from([("SAID".to_owned(), "$(x)".to_owned())]);
        let ids = [id(70), id(71)];
        let (run, tasks) = template.made_telling(&ids, UnixMillis(1), (&said, &said));
        assert_eq!(run.labels, said);
        let undo = &tasks[0].spec.compensate.as_ref().unwrap().work;
        for work in [&tasks[0].spec.work, undo] {
            let Work::Command(told) = work else {
                unreachable!("both are commands")
            };
            assert_eq!(told.env["SAID"], "$(x)");
            assert_eq!(told.env["OWN"], "1");
            assert_eq!(told.invocation, command().invocation);
        }
    }
}

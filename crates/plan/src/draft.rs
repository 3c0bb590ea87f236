//! The tasks of a plan with everything resolved but ids and time.

use skep_model::ids::TaskId;
use skep_model::run::RunSpec;
use skep_model::task::{Compensation, NewTask, TaskSpec};
use skep_model::time::UnixMillis;
use skep_model::work::{Input, Work};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A run that could be submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Name of the run; of the task when there is only that.
    pub name: String,
    /// Free words for filters.
    pub labels: BTreeMap<String, String>,
    /// Share of the swarm relative to other runs.
    pub weight: u8,
    /// How its tasks are placed; that of the swarm when it is none.
    pub strategy: Option<String>,
    /// Its tasks, in the order of the file.
    pub tasks: Vec<DraftTask>,
}

/// One task of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftTask {
    /// Unique in its run.
    pub name: String,
    /// What was asked for; inputs, deadline, compensation and trace come with the stamp.
    pub spec: TaskSpec,
    /// Positions of the tasks it needs in this draft, rising and each once.
    pub needs: Vec<usize>,
    /// Tasks outside this draft that it needs.
    pub needs_existing: Vec<TaskId>,
    /// Artifacts of needed tasks that it reads.
    pub inputs: Vec<DraftInput>,
    /// What undoes it.
    pub compensate: Option<Work>,
    /// Time from submission after which it expires, milliseconds.
    pub deadline_after_ms: Option<u64>,
}

/// Artifacts of another task that a task of a draft reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftInput {
    /// Whose artifacts.
    pub from: TaskSource,
    /// The directory below `into`: the name of that task, or what its part is called.
    pub name: String,
    /// Which of them.
    pub glob: String,
    /// Where to, in the workspace.
    pub into: String,
}

/// A task of this draft, or one that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskSource {
    /// Position in the draft.
    Draft(usize),
    /// Outside of it.
    Existing(TaskId),
}

impl Draft {
    /// Gives ids to tasks and compensations, and turns spans from submission into points in time.
    pub fn stamp(
        self,
        now: UnixMillis,
        trace_parent: Option<String>,
        next_id: &mut dyn FnMut() -> u128,
    ) -> (RunSpec, Vec<NewTask>) {
        let ids: Vec<TaskId> = self
            .tasks
            .iter()
            .map(|_| TaskId::from_u128(next_id()))
            .collect();
        let mut tasks = Vec::with_capacity(ids.len());
        for (task, id) in self.tasks.into_iter().zip(&ids) {
            let compensation = task.compensate.map(|work| {
                Box::new(Compensation {
                    task: TaskId::from_u128(next_id()),
                    work,
                })
            });
            let mut spec = task.spec;
            spec.deadline = task.deadline_after_ms.map(|ms| now.plus(ms));
            spec.compensate = compensation;
            spec.trace_parent.clone_from(&trace_parent);
            let inputs = task.inputs.into_iter().map(|input| input.stamp(&ids));
            match &mut spec.work {
                Work::Noop => {}
                Work::Command(command) => command.inputs = inputs.collect(),
                Work::Described(described) => described.inputs = inputs.collect(),
            }
            let needs = task.needs.iter().map(|position| ids[*position]);
            tasks.push(NewTask {
                id: *id,
                spec: Arc::new(spec),
                needs: needs.chain(task.needs_existing).collect(),
            });
        }
        let run = RunSpec {
            name: self.name,
            labels: self.labels,
            weight: self.weight,
            trace_parent,
            strategy: self.strategy,
        };
        (run, tasks)
    }
}

impl DraftInput {
    fn stamp(self, ids: &[TaskId]) -> Input {
        Input {
            from: match self.from {
                TaskSource::Draft(position) => ids[position],
                TaskSource::Existing(id) => id,
            },
            name: self.name,
            glob: self.glob,
            into: self.into,
        }
    }
}

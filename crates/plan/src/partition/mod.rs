//! The parts of a task: the instances of its matrix or the pieces of its partition, and what merges
//! their results.
//!
//! A partition is a matrix whose axes Skep fills: `shard`, `branch`, or `item` and `stage`. So names,
//! references and variables of parts are those of instances.

mod file;
mod merging;
#[cfg(test)]
mod script_tests;
mod shards;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wrong_partitions;

use crate::error::{ErrorCode, Problem, Problems};
use crate::file::TaskFile;
use crate::matrix::{self, Combination};
use crate::position::At;
use crate::schema::Named;
use crate::substitute::Scope;
pub(crate) use file::MergeWord;
pub use file::{MergeFile, PartFile, PartitionFile, StageFile};
pub(crate) use shards::{SHARDS_WANTED, shard_count};
use skep_model::limits;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

/// Parts that one task may have beside each other: a task that merges them needs them all.
pub const PARTS_MAX: usize = limits::NEEDS_PER_TASK_MAX;
/// Stages of one pipeline.
pub const STAGES_MAX: usize = 100;

/// One task of the draft, before the names of the tasks it needs are resolved.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) name: String,
    pub(crate) body: Body<'a>,
    pub(crate) axes: Combination,
    /// Set for its command, beside those of parameters and axes.
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) entry: Entry,
}

/// What a part runs, and with which settings.
#[derive(Debug, Clone)]
pub(crate) enum Body<'a> {
    /// The task as written.
    Written(&'a TaskFile),
    /// Made from it, alike for several parts.
    Made(Rc<TaskFile>),
}

impl Deref for Body<'_> {
    type Target = TaskFile;

    fn deref(&self) -> &TaskFile {
        match self {
            Self::Written(task) => task,
            Self::Made(task) => task,
        }
    }
}

/// What a part needs.
#[derive(Debug)]
pub(crate) enum Entry {
    /// What the task needs.
    OfTask,
    /// Other parts of the same task.
    After(Vec<Handover>),
}

/// Artifacts that go from one part of a task to another.
#[derive(Debug)]
pub(crate) struct Handover {
    /// The part, counted from the first one of the task.
    pub(crate) from: usize,
    /// Its directory below `into`.
    pub(crate) directory: String,
    pub(crate) glob: String,
    pub(crate) into: &'static str,
}

/// All parts of a task.
#[derive(Debug, Default)]
pub(crate) struct Parts<'a> {
    pub(crate) all: Vec<Part<'a>>,
    /// Those whose artifacts are the result of the task, counted from the first one.
    pub(crate) results: Vec<usize>,
}

/// A task and what the values in its partition are resolved against.
pub(crate) struct Splitting<'a, 'b> {
    pub(crate) name: &'b At<String>,
    pub(crate) task: &'a TaskFile,
    pub(crate) params: &'b BTreeMap<String, String>,
}

impl<'a> Splitting<'a, '_> {
    /// None when something is wrong with the matrix or the partition.
    pub(crate) fn parts(&self, problems: &mut Problems) -> Parts<'a> {
        let mut parts = match self.task.partition.as_ref().map(|at| &at.value) {
            None => self.instances(problems),
            Some(PartitionFile::DataParallel { shards, items }) => {
                self.shards(shards.as_ref(), items.as_ref(), problems)
            }
            Some(PartitionFile::TaskParallel { branches }) => self.branches(branches),
            Some(PartitionFile::Pipeline { items, stages }) => {
                self.pipeline(items, stages, problems)
            }
        };
        if let Some(merge) = self.task.merge.as_ref().filter(|_| !parts.all.is_empty()) {
            self.merge(merge, &mut parts, problems);
        }
        parts
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            params: self.params,
            matrix: &[],
        }
    }

    fn instances(&self, problems: &mut Problems) -> Parts<'a> {
        let combinations = matrix::combinations(self.task.matrix.as_ref(), self.params, problems);
        let variables = combinations.iter().map(|_| Vec::new()).collect();
        self.alike(combinations, variables)
    }

    /// Parts that all run what is written, beside each other.
    fn alike(
        &self,
        combinations: Vec<Combination>,
        variables: Vec<Vec<(&'static str, String)>>,
    ) -> Parts<'a> {
        let names = matrix::names(&self.name.value, &combinations);
        let all = names.into_iter().zip(combinations).zip(variables);
        let all: Vec<Part<'a>> = all
            .map(|((name, axes), variables)| Part {
                name,
                body: Body::Written(self.task),
                axes,
                variables,
                entry: Entry::OfTask,
            })
            .collect();
        let results = (0..all.len()).collect();
        Parts { all, results }
    }

    fn branches(&self, branches: &Named<PartFile>) -> Parts<'a> {
        let frame = self.frame();
        let axes = branches.names().map(|name| vec![pair("branch", name)]);
        let axes: Vec<Combination> = axes.collect();
        let names = matrix::names(&self.name.value, &axes);
        let all = branches.0.iter().zip(names).zip(axes);
        let all: Vec<Part<'a>> = all
            .map(|(((_, branch), name), axes)| Part {
                name,
                body: Body::Made(Rc::new(filled(&frame, branch))),
                axes,
                variables: Vec::new(),
                entry: Entry::OfTask,
            })
            .collect();
        let results = (0..all.len()).collect();
        Parts { all, results }
    }

    fn pipeline(
        &self,
        items: &crate::file::MatrixAxis,
        stages: &[StageFile],
        problems: &mut Problems,
    ) -> Parts<'a> {
        let position = self.task.partition.as_ref().and_then(|at| at.position);
        let before = problems.count();
        let items = matrix::values("`items`", position, items, self.scope(), problems);
        if problems.count() > before || !self.check_parts(items.len(), problems) {
            return Parts::default();
        }
        let count = items.len() * stages.len();
        if count > limits::TASKS_PER_SUBMISSION_MAX {
            let max = limits::TASKS_PER_SUBMISSION_MAX;
            let message =
                format!("the pipeline gives {count} tasks; TASKS_PER_SUBMISSION_MAX is {max}");
            let fix = "let one part do several items";
            let problem = Problem::new(ErrorCode::TooManyTasks, message, fix);
            problems.add(position, problem);
            return Parts::default();
        }
        let frame = self.frame();
        let bodies: Vec<Rc<TaskFile>> = stages
            .iter()
            .enumerate()
            .map(|(stage, file)| {
                let mut body = filled(&frame, &file.part);
                if stage > 0 {
                    body.condition = None;
                }
                Rc::new(body)
            })
            .collect();
        let way = |item: &String| {
            let stage =
                |file: &StageFile| vec![pair("item", item), pair("stage", &file.name.value)];
            stages.iter().map(stage).collect::<Vec<Combination>>()
        };
        let axes: Vec<Combination> = items.iter().flat_map(way).collect();
        let names = matrix::names(&self.name.value, &axes);
        let part = |(position, (name, axes)): (usize, (String, Combination))| {
            let stage = position % stages.len();
            Part {
                name,
                body: Body::Made(Rc::clone(&bodies[stage])),
                axes,
                variables: Vec::new(),
                entry: match stage.checked_sub(1) {
                    None => Entry::OfTask,
                    Some(stage_before) => Entry::After(vec![Handover {
                        from: position - 1,
                        directory: stages[stage_before].name.value.clone(),
                        glob: "**".to_owned(),
                        into: "inputs",
                    }]),
                },
            }
        };
        let all: Vec<Part<'a>> = names.into_iter().zip(axes).enumerate().map(part).collect();
        let results = (1..=items.len())
            .map(|item| item * stages.len() - 1)
            .collect();
        Parts { all, results }
    }

    /// The task without what makes it many, from which branches, stages and merges are made.
    fn frame(&self) -> TaskFile {
        let mut frame = TaskFile {
            position: self.task.position,
            condition: self.task.condition.clone(),
            artifacts: self.task.artifacts.clone(),
            gates: self.task.gates.clone(),
            deadline: self.task.deadline.clone(),
            compensate: self.task.compensate.clone(),
            settings: self.task.settings.clone(),
            ..TaskFile::default()
        };
        frame.inputs.clone_from(&self.task.inputs);
        frame
    }

    /// Whether there are not more parts than one task can merge.
    fn check_parts(&self, count: usize, problems: &mut Problems) -> bool {
        if count <= PARTS_MAX {
            return true;
        }
        let name = &self.name.value;
        let message = format!("`{name}` has {count} parts; PARTS_MAX is {PARTS_MAX}");
        let fix = "let one part do several items";
        let position = self.task.partition.as_ref().and_then(|at| at.position);
        problems.add(
            position.or(self.name.position),
            Problem::new(ErrorCode::TooManyTasks, message, fix),
        );
        false
    }
}

fn pair(axis: &str, value: &str) -> (String, String) {
    (axis.to_owned(), value.to_owned())
}

/// The frame with what a branch, a stage or a merge says itself.
fn filled(frame: &TaskFile, part: &PartFile) -> TaskFile {
    let mut body = frame.clone();
    body.command = part.command.clone();
    if let Some(artifacts) = &part.artifacts {
        body.artifacts.clone_from(artifacts);
    }
    if let Some(gates) = &part.gates {
        body.gates.clone_from(gates);
    }
    if part.timeout.is_some() {
        body.settings.timeout.clone_from(&part.timeout);
    }
    body
}

//! Who needs whom: names under `needs` and `inputs` become positions, and cycles are found.

use crate::draft::TaskSource;
use crate::error::{ErrorCode, Problem, Problems};
use crate::expand::{Instances, Source, Values};
use crate::file::{ConditionFile, InputFile, TaskFile};
use crate::graph;
use crate::position::At;
use crate::suggest;
use skep_model::ids::TaskId;
use skep_model::limits;
use std::collections::BTreeSet;
use std::ops::Range;

impl Source<'_> {
    /// What a name under `needs` or `inputs` stands for: a task, one of its instances, or a task
    /// outside the draft. A task stands for what holds its results.
    fn find(
        &self,
        wanted: &At<String>,
        instances: &Instances<'_>,
        problems: &mut Problems,
    ) -> Vec<(TaskSource, String)> {
        let named = |position: usize| {
            (
                TaskSource::Draft(position),
                instances.parts[position].name.clone(),
            )
        };
        if let Some(position) = instances.by_name.get(wanted.value.as_str()) {
            let results = instances.results.get(*position).into_iter().flatten();
            return results.copied().map(named).collect();
        }
        if let Some(position) = instances.by_instance_name.get(&wanted.value) {
            return vec![named(*position)];
        }
        if let Some(id) = (self.existing)(&wanted.value) {
            return vec![(TaskSource::Existing(id), wanted.value.clone())];
        }
        // What is wrong with a matrix, a partition or the values in it is said there.
        let without_axes = wanted.value.split('[').next().unwrap_or_default();
        if let Some(position) = instances.by_name.get(without_axes) {
            let range = instances.of_tasks.get(*position);
            if self.values == Values::StandIns || range.is_none_or(Range::is_empty) {
                return Vec::new();
            }
        }
        let message = format!("there is no task `{}`", wanted.value);
        let fix = suggest::hint(&wanted.value, self.tasks.names());
        problems.add(
            wanted.position,
            Problem::new(ErrorCode::UnknownTask, message, fix),
        );
        Vec::new()
    }

    pub(crate) fn wiring<'b>(
        &self,
        name: &At<String>,
        task: &'b TaskFile,
        instances: &Instances<'_>,
        problems: &mut Problems,
    ) -> Wiring<'b> {
        let mut all = BTreeSet::new();
        // Success of the results is success of all. Any other condition looks at every part: one
        // that failed makes those after it cancelled, not failed.
        let is_plain = matches!(
            task.condition.as_ref().map(|at| at.value),
            None | Some(ConditionFile::Success)
        );
        let names = task
            .needs
            .iter()
            .chain(task.inputs.iter().map(|input| &input.from));
        for position in names.filter_map(|name| instances.by_name.get(name.value.as_str())) {
            if let Some(range) = instances.of_tasks.get(*position).filter(|_| !is_plain) {
                all.extend(range.clone().map(TaskSource::Draft));
            }
        }
        for need in &task.needs {
            let found = self.find(need, instances, problems);
            all.extend(found.into_iter().map(|(source, _)| source));
        }
        let mut inputs = Vec::new();
        for input in &task.inputs {
            let sources = self.find(&input.from, instances, problems);
            all.extend(sources.iter().map(|(source, _)| *source));
            inputs.push((sources, input));
        }
        if all.len() > limits::NEEDS_PER_TASK_MAX {
            let (given, max) = (all.len(), limits::NEEDS_PER_TASK_MAX);
            let message = format!(
                "`{}` needs {given} tasks; NEEDS_PER_TASK_MAX is {max}",
                name.value
            );
            let fix = "put tasks between that join some of them";
            problems.add(
                name.position,
                Problem::new(ErrorCode::TooLong, message, fix),
            );
        }
        let mut wiring = Wiring {
            needs: Vec::new(),
            needs_existing: Vec::new(),
            inputs,
        };
        for source in all {
            match source {
                TaskSource::Draft(position) => wiring.needs.push(position),
                TaskSource::Existing(id) => wiring.needs_existing.push(id),
            }
        }
        wiring
    }

    pub(crate) fn check_cycles(&self, instances: &Instances<'_>, problems: &mut Problems) {
        let position_of = |wanted: &At<String>| {
            let by_instance = || {
                let instance = instances.by_instance_name.get(&wanted.value)?;
                instances
                    .of_tasks
                    .iter()
                    .position(|range| range.contains(instance))
            };
            instances
                .by_name
                .get(wanted.value.as_str())
                .copied()
                .or_else(by_instance)
        };
        let needs_of = |(_, task): &(At<String>, TaskFile)| {
            let inputs = task.inputs.iter().map(|input| &input.from);
            task.needs
                .iter()
                .chain(inputs)
                .filter_map(position_of)
                .collect()
        };
        let needs: Vec<Vec<usize>> = self.tasks.0.iter().map(needs_of).collect();
        let Some(cycle) = graph::cycle(&needs) else {
            return;
        };
        let name = |position: usize| self.tasks.0[position].0.value.as_str();
        let mut names: Vec<&str> = cycle.iter().map(|position| name(*position)).collect();
        names.push(names[0]);
        let message = format!("tasks need each other in a circle: {}", names.join(" -> "));
        let fix = "remove one of these needs";
        let position = self.tasks.0[cycle[0]].0.position;
        problems.add(position, Problem::new(ErrorCode::Cycle, message, fix));
    }
}

/// What a task needs, alike for all its instances.
pub(crate) struct Wiring<'a> {
    pub(crate) needs: Vec<usize>,
    pub(crate) needs_existing: Vec<TaskId>,
    pub(crate) inputs: Vec<(Vec<(TaskSource, String)>, &'a InputFile)>,
}

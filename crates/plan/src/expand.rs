//! From the plan file to a draft: parameters, matrices, names, and the graph.

use crate::draft::{Draft, DraftInput, DraftTask};
use crate::error::{ErrorCode, PlanErrors, Problem, Problems};
use crate::file::{ConditionFile, PlanFile, SettingsFile, TaskFile};
use crate::matrix::{self, Combination};
use crate::parameters;
use crate::position::At;
use crate::schema::Named;
use crate::settings::Settings;
use crate::substitute::Scope;
use crate::wiring::Wiring;
use crate::work::Instance;
use skep_model::ids::TaskId;
use skep_model::limits;
use skep_model::task::{Condition, TaskSpec};
use std::collections::BTreeMap;
use std::ops::Range;

/// Finds a task outside the draft by name.
pub type ExistingTasks<'a> = dyn Fn(&str) -> Option<TaskId> + 'a;

/// Weight of a run that does not say: that of every usual run.
const WEIGHT_DEFAULT: u8 = 10;
/// Directory for inputs unless the plan says otherwise.
const INPUTS_DIR: &str = "inputs";

/// Resolves a plan with these parameters. Relative paths in it are seen from `base_dir`.
pub fn expand(
    plan: &PlanFile,
    params: &BTreeMap<String, String>,
    base_dir: &str,
) -> Result<Draft, PlanErrors> {
    let mut problems = Problems::new(&plan.origin);
    let params = parameters::values(&plan.params, params, base_dir, &mut problems);
    // References to parameters without a value would only repeat what is already said.
    if !problems.is_empty() {
        return problems
            .finish(None)
            .map(|never| never.expect("a problem was added"));
    }
    let scope = Scope {
        params: &params,
        matrix: &[],
    };
    let name = scope.fill(&plan.name, &mut problems);
    if name.chars().count() > limits::NAME_LENGTH_MAX {
        let max = limits::NAME_LENGTH_MAX;
        let message = format!("with its values the name is longer than {max} (NAME_LENGTH_MAX)");
        let problem = Problem::new(ErrorCode::BadName, message, "shorten the value");
        problems.add(plan.name.position, problem.found(&name));
    }
    let labels = plan.labels.0.iter();
    let labels =
        labels.map(|(label, value)| (label.value.clone(), scope.fill(value, &mut problems)));
    let mut draft = Draft {
        name,
        labels: labels.collect(),
        weight: plan.weight.as_ref().map_or(WEIGHT_DEFAULT, |at| at.value),
        tasks: Vec::new(),
    };
    let source = Source {
        tasks: &plan.tasks,
        defaults: &plan.defaults,
        params: &params,
        base_dir,
        existing: &|_| None,
    };
    draft.tasks = source.expand(&mut problems);
    problems.finish(draft)
}

/// Resolves one task that is submitted alone. `existing` finds the tasks it needs.
pub fn expand_task(
    name: &At<String>,
    task: &TaskFile,
    existing: &ExistingTasks<'_>,
    base_dir: &str,
) -> Result<Draft, PlanErrors> {
    let tasks = Named(vec![(name.clone(), task.clone())]);
    let mut draft = expand_additional(&tasks, existing, base_dir)?;
    draft.name.clone_from(&name.value);
    Ok(draft)
}

/// Resolves tasks that join a run. `existing` finds the tasks of that run by their full names.
pub fn expand_additional(
    tasks: &Named<TaskFile>,
    existing: &ExistingTasks<'_>,
    base_dir: &str,
) -> Result<Draft, PlanErrors> {
    let mut problems = Problems::new("request");
    let source = Source {
        tasks,
        defaults: &SettingsFile::default(),
        params: &BTreeMap::new(),
        base_dir,
        existing,
    };
    let tasks = source.expand(&mut problems);
    problems.finish(Draft {
        name: String::new(),
        labels: BTreeMap::new(),
        weight: WEIGHT_DEFAULT,
        tasks,
    })
}

/// Tasks and what they are resolved against.
pub(crate) struct Source<'a> {
    pub(crate) tasks: &'a Named<TaskFile>,
    pub(crate) defaults: &'a SettingsFile,
    pub(crate) params: &'a BTreeMap<String, String>,
    pub(crate) base_dir: &'a str,
    pub(crate) existing: &'a ExistingTasks<'a>,
}

/// The instances of all tasks, by position in the draft.
pub(crate) struct Instances<'a> {
    pub(crate) of_tasks: Vec<Range<usize>>,
    pub(crate) names: Vec<String>,
    pub(crate) combinations: Vec<Combination>,
    pub(crate) by_name: BTreeMap<&'a str, usize>,
    pub(crate) by_instance_name: BTreeMap<String, usize>,
}

impl<'a> Source<'a> {
    fn expand(&self, problems: &mut Problems) -> Vec<DraftTask> {
        let instances = self.instances(problems);
        self.check_cycles(&instances, problems);
        if !problems.is_empty() {
            // Bodies are still looked at, so that all errors are reported at once.
            self.build(&instances, problems);
            return Vec::new();
        }
        self.build(&instances, problems)
    }

    fn instances(&self, problems: &mut Problems) -> Instances<'a> {
        let mut instances = Instances {
            of_tasks: Vec::new(),
            names: Vec::new(),
            combinations: Vec::new(),
            by_name: BTreeMap::new(),
            by_instance_name: BTreeMap::new(),
        };
        for (position, (name, task)) in self.tasks.0.iter().enumerate() {
            let matrix = task.matrix.as_ref();
            let combinations = matrix::combinations(matrix, self.params, problems);
            let first = instances.names.len();
            for instance in matrix::names(&name.value, &combinations) {
                self.check_instance_name(name, &instance, problems);
                instances
                    .by_instance_name
                    .insert(instance.clone(), instances.names.len());
                instances.names.push(instance);
            }
            instances.combinations.extend(combinations);
            instances.of_tasks.push(first..instances.names.len());
            instances.by_name.insert(&name.value, position);
            if instances.names.len() > limits::TASKS_PER_SUBMISSION_MAX {
                let max = limits::TASKS_PER_SUBMISSION_MAX;
                let message = format!(
                    "the tasks up to this one are more than {max} (TASKS_PER_SUBMISSION_MAX)"
                );
                let fix = "shorten matrices or split the plan";
                problems.add(
                    name.position,
                    Problem::new(ErrorCode::TooManyTasks, message, fix),
                );
                break;
            }
        }
        instances
    }

    fn check_instance_name(&self, task: &At<String>, name: &str, problems: &mut Problems) {
        let length = name.chars().count();
        if length > limits::NAME_LENGTH_MAX {
            let max = limits::NAME_LENGTH_MAX;
            let message =
                format!("an instance has a name of {length} characters; NAME_LENGTH_MAX is {max}");
            let problem = Problem::new(
                ErrorCode::BadName,
                message,
                "shorten the values of the matrix",
            );
            problems.add(task.position, problem.found(name));
        }
        if (self.existing)(name).is_some() {
            let message = format!("the run already has a task `{name}`");
            problems.add(
                task.position,
                Problem::new(ErrorCode::BadName, message, "rename it"),
            );
        }
    }

    fn build(&self, instances: &Instances<'a>, problems: &mut Problems) -> Vec<DraftTask> {
        let mut tasks = Vec::with_capacity(instances.names.len());
        for ((name, task), range) in self.tasks.0.iter().zip(&instances.of_tasks) {
            let wiring = self.wiring(name, task, instances, problems);
            for position in range.clone() {
                tasks.push(self.draft_task(task, position, instances, &wiring, problems));
            }
        }
        tasks
    }

    fn draft_task(
        &self,
        task: &TaskFile,
        position: usize,
        instances: &Instances<'_>,
        wiring: &Wiring<'_>,
        problems: &mut Problems,
    ) -> DraftTask {
        let name = &instances.names[position];
        let scope = Scope {
            params: self.params,
            matrix: &instances.combinations[position],
        };
        let settings = Settings {
            own: &task.settings,
            defaults: self.defaults,
        };
        let instance = Instance {
            task,
            settings,
            scope,
            base_dir: self.base_dir,
        };
        let mut inputs = Vec::new();
        for (source, input) in &wiring.inputs {
            inputs.extend(source.iter().map(|(from, from_name)| DraftInput {
                from: *from,
                name: from_name.clone(),
                glob: fill_or(input.glob.as_ref(), "**", scope, problems),
                into: fill_or(input.into.as_ref(), INPUTS_DIR, scope, problems),
            }));
        }
        let condition = match task.condition.as_ref().map(|at| at.value) {
            None | Some(ConditionFile::Success) => Condition::Success,
            Some(ConditionFile::Failure) => Condition::Failure,
            Some(ConditionFile::Always) => Condition::Always,
        };
        DraftTask {
            spec: TaskSpec {
                work: instance.work(problems),
                requirements: settings.requirements(scope, problems),
                priority: settings.priority(),
                condition,
                retry: settings.retry(),
                delivery: settings.delivery(),
                labels: settings.labels(scope, problems),
                ..TaskSpec::noop(name.clone())
            },
            name: name.clone(),
            needs: wiring.needs.clone(),
            needs_existing: wiring.needs_existing.clone(),
            inputs,
            compensate: instance.compensation(problems),
            deadline_after_ms: task.deadline.as_ref().map(|at| at.value.ms),
        }
    }
}

fn fill_or(
    text: Option<&At<String>>,
    usual: &str,
    scope: Scope<'_>,
    problems: &mut Problems,
) -> String {
    text.map_or_else(|| usual.to_owned(), |text| scope.fill(text, problems))
}

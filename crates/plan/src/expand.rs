//! From the plan file to a draft: parameters, matrices, partitions, names, and the graph.

use crate::draft::{Draft, DraftInput, DraftTask, TaskSource};
use crate::error::{ErrorCode, PlanErrors, Problem, Problems};
use crate::file::{ConditionFile, PlanFile, SettingsFile, TaskFile};
use crate::parameters;
use crate::partition::{Entry, Handover, Part, Splitting};
use crate::position::{At, Position};
use crate::schema::Named;
use crate::settings::Settings;
use crate::substitute::Scope;
use crate::wiring::Wiring;
use crate::work::Instance;
use skep_model::ids::TaskId;
use skep_model::limits;
use skep_model::requirements::Performer;
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
    let draft = resolve_plan(plan, params, base_dir, Values::Given, &mut problems);
    problems.finish(draft)
}

/// What [`expand`] does. When something is wrong, the draft is good for nothing but the search for
/// more that is wrong.
pub(crate) fn resolve_plan(
    plan: &PlanFile,
    params: &BTreeMap<String, String>,
    base_dir: &str,
    values: Values,
    problems: &mut Problems,
) -> Draft {
    let before = problems.count();
    let params = parameters::values(&plan.params, params, base_dir, problems);
    let values = if problems.count() > before {
        Values::StandIns
    } else {
        values
    };
    let scope = Scope {
        params: &params,
        matrix: &[],
    };
    let name = scope.fill(&plan.name, problems);
    check_length(&name, "name", plan.name.position, problems);
    let labels = plan.labels.0.iter();
    let labels = labels.map(|(label, value)| (label.value.clone(), scope.fill(value, problems)));
    let labels = labels.collect();
    let strategy = plan.strategy.as_ref().map(|at| {
        let strategy = scope.fill(at, problems);
        check_length(&strategy, "strategy", at.position, problems);
        strategy
    });
    let source = Source {
        tasks: &plan.tasks,
        defaults: &plan.defaults,
        params: &params,
        base_dir,
        values,
        existing: &|_| None,
    };
    Draft {
        name,
        labels,
        weight: plan.weight.as_ref().map_or(WEIGHT_DEFAULT, |at| at.value),
        strategy,
        tasks: source.expand(problems),
    }
}

fn check_length(text: &str, what: &str, position: Option<Position>, problems: &mut Problems) {
    if text.chars().count() > limits::NAME_LENGTH_MAX {
        let max = limits::NAME_LENGTH_MAX;
        let message = format!("with its values the {what} is longer than {max} (NAME_LENGTH_MAX)");
        let problem = Problem::new(ErrorCode::BadName, message, "shorten the value");
        problems.add(position, problem.found(text));
    }
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
        values: Values::Given,
        existing,
    };
    let tasks = source.expand(&mut problems);
    problems.finish(Draft {
        name: String::new(),
        labels: BTreeMap::new(),
        weight: WEIGHT_DEFAULT,
        strategy: None,
        tasks,
    })
}

/// Where the values of parameters come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    /// They were given, or are defaults.
    Given,
    /// Some are stand-ins: what instances are called is not known.
    StandIns,
}

/// Tasks and what they are resolved against.
pub(crate) struct Source<'a> {
    pub(crate) tasks: &'a Named<TaskFile>,
    pub(crate) defaults: &'a SettingsFile,
    pub(crate) params: &'a BTreeMap<String, String>,
    pub(crate) base_dir: &'a str,
    pub(crate) values: Values,
    pub(crate) existing: &'a ExistingTasks<'a>,
}

/// The parts of all tasks, by position in the draft.
pub(crate) struct Instances<'a> {
    pub(crate) of_tasks: Vec<Range<usize>>,
    /// The parts that hold the results of each task.
    pub(crate) results: Vec<Vec<usize>>,
    pub(crate) parts: Vec<Part<'a>>,
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
        let names = self.tasks.names().enumerate();
        let mut instances = Instances {
            of_tasks: Vec::new(),
            results: Vec::new(),
            parts: Vec::new(),
            by_name: names.map(|(position, name)| (name, position)).collect(),
            by_instance_name: BTreeMap::new(),
        };
        for (name, task) in &self.tasks.0 {
            let splitting = Splitting {
                name,
                task,
                params: self.params,
            };
            let parts = splitting.parts(problems);
            let first = instances.parts.len();
            for (position, part) in parts.all.iter().enumerate() {
                self.check_instance_name(name, &part.name, problems);
                let name = part.name.clone();
                instances.by_instance_name.insert(name, first + position);
            }
            let results = parts.results.iter().map(|position| first + position);
            instances.results.push(results.collect());
            instances.parts.extend(parts.all);
            instances.of_tasks.push(first..instances.parts.len());
            if instances.parts.len() > limits::TASKS_PER_SUBMISSION_MAX {
                let max = limits::TASKS_PER_SUBMISSION_MAX;
                let message = format!(
                    "the tasks up to this one are more than {max} (TASKS_PER_SUBMISSION_MAX)"
                );
                let fix = "shorten matrices and partitions, or split the plan";
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
        let mut tasks = Vec::with_capacity(instances.parts.len());
        for ((name, task), range) in self.tasks.0.iter().zip(&instances.of_tasks) {
            let wiring = self.wiring(name, task, instances, problems);
            for part in &instances.parts[range.clone()] {
                let drafted = self.draft_task(part, problems);
                tasks.push(match &part.entry {
                    Entry::OfTask => self.wired(drafted, part, &wiring, problems),
                    Entry::After(handovers) => handed_over(drafted, handovers, range.start),
                });
            }
        }
        tasks
    }

    /// The task without what it needs.
    fn draft_task(&self, part: &Part<'_>, problems: &mut Problems) -> DraftTask {
        let scope = self.scope(part);
        let task = &*part.body;
        let settings = Settings {
            own: &task.settings,
            defaults: self.defaults,
        };
        let instance = Instance {
            task,
            settings,
            scope,
            variables: &part.variables,
            base_dir: self.base_dir,
        };
        let condition = match task.condition.as_ref().map(|at| at.value) {
            None | Some(ConditionFile::Success) => Condition::Success,
            Some(ConditionFile::Failure) => Condition::Failure,
            Some(ConditionFile::Always) => Condition::Always,
        };
        let work = instance.work(problems);
        let requirements = match work.performer() {
            Performer::Node => settings.requirements(scope, problems),
            Performer::AttachedAgent => settings.requirements_of_words(),
        };
        DraftTask {
            spec: TaskSpec {
                work,
                requirements,
                priority: settings.priority(),
                condition,
                retry: settings.retry(),
                delivery: settings.delivery(),
                labels: settings.labels(scope, problems),
                ..TaskSpec::noop(part.name.clone())
            },
            name: part.name.clone(),
            needs: Vec::new(),
            needs_existing: Vec::new(),
            inputs: Vec::new(),
            compensate: instance.compensation(problems),
            deadline_after_ms: task.deadline.as_ref().map(|at| at.value.ms),
        }
    }

    fn scope<'b>(&'b self, part: &'b Part<'_>) -> Scope<'b> {
        Scope {
            params: self.params,
            matrix: &part.axes,
        }
    }

    /// With what the task as written needs.
    fn wired(
        &self,
        mut drafted: DraftTask,
        part: &Part<'_>,
        wiring: &Wiring<'_>,
        problems: &mut Problems,
    ) -> DraftTask {
        let scope = self.scope(part);
        for (sources, input) in &wiring.inputs {
            let inputs = sources.iter().map(|(from, from_name)| DraftInput {
                from: *from,
                name: from_name.clone(),
                glob: fill_or(input.glob.as_ref(), "**", scope, problems),
                into: fill_or(input.into.as_ref(), INPUTS_DIR, scope, problems),
            });
            drafted.inputs.extend(inputs);
        }
        drafted.needs.clone_from(&wiring.needs);
        drafted.needs_existing.clone_from(&wiring.needs_existing);
        drafted
    }
}

/// With other parts of the same task, of which the first one stands at `first`.
fn handed_over(mut drafted: DraftTask, handovers: &[Handover], first: usize) -> DraftTask {
    for handover in handovers {
        let from = first + handover.from;
        drafted.needs.push(from);
        drafted.inputs.push(DraftInput {
            from: TaskSource::Draft(from),
            name: handover.directory.clone(),
            glob: handover.glob.clone(),
            into: handover.into.to_owned(),
        });
    }
    drafted
}

fn fill_or(
    text: Option<&At<String>>,
    usual: &str,
    scope: Scope<'_>,
    problems: &mut Problems,
) -> String {
    text.map_or_else(|| usual.to_owned(), |text| scope.fill(text, problems))
}

//! From the tree of values to the plan file, with every error on the way.

mod described;
mod fields;
mod partition;
mod settings;
mod task;

use crate::draft::Draft;
use crate::error::{ErrorCode, PlanErrors, Problem, Problems};
use crate::expand::{Values, resolve_plan};
use crate::file::{ParameterFile, ParameterType, PlanFile, SingleTaskFile, TaskFile};
use crate::position::At;
use crate::schema::Named;
use crate::tree::{self, Bare, Node, Value};
pub(crate) use fields::variable_part;
use fields::{Fields, Reader, check_name, check_variable_part};
use serde::de::{Deserialize, Deserializer, Error};
use skep_model::limits;
use std::collections::BTreeMap;

/// What stands for the origin when a plan arrives as a value instead of a text.
const REQUEST: &str = "request";

/// Reads a plan. `origin` is shown in errors: its path, or a word for where it came from.
pub fn parse(source: &str, origin: &str) -> Result<PlanFile, PlanErrors> {
    read_plan(origin, |problems| tree::parse(source, problems))
}

/// Reads a plan and resolves it with these parameters, as [`parse`] and [`expand`](crate::expand)
/// do one after the other. All that is wrong with the text and with the parameters is reported
/// together.
pub fn compile(
    source: &str,
    origin: &str,
    params: &BTreeMap<String, String>,
    base_dir: &str,
) -> Result<(PlanFile, Draft), PlanErrors> {
    let mut problems = Problems::new(origin);
    let tree = tree::parse(source, &mut problems);
    let plan = tree.and_then(|tree| plan(&mut Reader::new(&mut problems, origin), tree));
    let Some(plan) = plan else {
        return Err(problems.into_errors());
    };
    if problems.is_empty() {
        let draft = resolve_plan(&plan, params, base_dir, Values::Given, &mut problems);
        return problems.finish((plan, draft));
    }
    let given = [ErrorCode::UnknownParameter, ErrorCode::MissingParameter];
    add_wrong_names(&plan, params, &given, &mut problems);
    Err(problems.into_errors())
}

/// Looks for wrong names in a plan with other faults, so that all are reported at once. Anything
/// else that is found may just follow from those faults.
fn add_wrong_names(
    plan: &PlanFile,
    params: &BTreeMap<String, String>,
    besides: &[ErrorCode],
    problems: &mut Problems,
) {
    const NAMES: [ErrorCode; 3] = [
        ErrorCode::UnknownTask,
        ErrorCode::UnknownReference,
        ErrorCode::Cycle,
    ];
    let mut found = Problems::new(&plan.origin);
    resolve_plan(plan, params, "", Values::StandIns, &mut found);
    problems.join(found, |error| {
        NAMES.contains(&error.code) || besides.contains(&error.code)
    });
}

fn read_plan(
    origin: &str,
    tree: impl FnOnce(&mut Problems) -> Option<Node>,
) -> Result<PlanFile, PlanErrors> {
    let mut problems = Problems::new(origin);
    let tree = tree(&mut problems);
    let plan = tree.and_then(|tree| plan(&mut Reader::new(&mut problems, origin), tree));
    let Some(plan) = plan else {
        return Err(problems.into_errors());
    };
    if !problems.is_empty() {
        add_wrong_names(&plan, &BTreeMap::new(), &[], &mut problems);
    }
    problems.finish(plan)
}

/// Reads one task: the keys of `tasks.<id>` and `name`.
pub fn parse_task(source: &str, origin: &str) -> Result<SingleTaskFile, PlanErrors> {
    read(
        origin,
        |problems| tree::parse(source, problems),
        task::named,
    )
}

/// Reads tasks that join a run: what stands under `tasks` in a plan.
pub fn parse_tasks(source: &str, origin: &str) -> Result<Named<TaskFile>, PlanErrors> {
    let tasks = |reader: &mut Reader<'_>, node| Some(tasks(reader, node));
    read(origin, |problems| tree::parse(source, problems), tasks)
}

fn read<T>(
    origin: &str,
    tree: impl FnOnce(&mut Problems) -> Option<Node>,
    meaning: impl FnOnce(&mut Reader<'_>, Node) -> Option<T>,
) -> Result<T, PlanErrors> {
    let mut problems = Problems::new(origin);
    let tree = tree(&mut problems);
    let value = tree.and_then(|tree| meaning(&mut Reader::new(&mut problems, origin), tree));
    match value {
        Some(value) => problems.finish(value),
        None => Err(problems.into_errors()),
    }
}

impl<'de> Deserialize<'de> for PlanFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Bare(node) = Bare::deserialize(deserializer)?;
        read_plan(REQUEST, |_| Some(node)).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for SingleTaskFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Bare(node) = Bare::deserialize(deserializer)?;
        read(REQUEST, |_| Some(node), task::named).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Named<TaskFile> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Bare(node) = Bare::deserialize(deserializer)?;
        let tasks = |reader: &mut Reader<'_>, node| Some(tasks(reader, node));
        read(REQUEST, |_| Some(node), tasks).map_err(D::Error::custom)
    }
}

/// A plan as far as it can be read; what is wrong with it went to the reader.
fn plan(reader: &mut Reader<'_>, node: Node) -> Option<PlanFile> {
    let whole = node.position;
    if node.value == Value::Null {
        let fix = "write at least `name:` and one task under `tasks:`";
        reader.add(
            whole,
            Problem::new(ErrorCode::Empty, "the plan is empty", fix),
        );
        return None;
    }
    let mut fields = Fields::of(reader, node, "a plan")?;
    let name = fields
        .required(reader, "name")
        .and_then(|node| reader.text(node, "name"));
    if let Some(name) = &name {
        reader.check_length(name, "the name of a plan", limits::NAME_LENGTH_MAX);
    }
    let labels = fields.take("labels").map(|node| reader.labels(node));
    let weight = fields
        .take("weight")
        .and_then(|node| reader.number(node, "weight", 1..=100));
    let strategy = fields
        .take("strategy")
        .and_then(|node| reader.text(node, "strategy"));
    if let Some(strategy) = &strategy {
        reader.check_length(strategy, "the name of a strategy", limits::NAME_LENGTH_MAX);
    }
    let params = fields.take("params").map(|node| {
        reader.named(node, "params", |reader, name, node| {
            Some(parameter(reader, name, node))
        })
    });
    let defaults = fields
        .take("defaults")
        .and_then(|node| settings::defaults(reader, node));
    let tasks = fields
        .required(reader, "tasks")
        .map(|node| tasks(reader, node));
    fields.finish(reader);
    let params = params.unwrap_or_default();
    check_variable_part(reader, &params, "params", "PARAM");
    Some(PlanFile {
        name: name.unwrap_or_else(|| At::new(String::new(), None)),
        labels: labels.unwrap_or_default(),
        weight: weight.map(|at| At::new(at.value as u8, at.position)),
        strategy,
        params,
        defaults: defaults.unwrap_or_default(),
        tasks: tasks.unwrap_or_default(),
        origin: reader.origin.to_owned(),
    })
}

fn tasks(reader: &mut Reader<'_>, node: Node) -> Named<TaskFile> {
    let position = node.position;
    let is_mapping = matches!(node.value, Value::Map(_));
    let tasks = reader.named(node, "tasks", |reader, name, node| {
        check_name(reader, name, "a task");
        // What is no task still has a name that others need.
        let unread = TaskFile {
            position: node.position,
            ..TaskFile::default()
        };
        let task = task::unnamed(reader, node, &format!("task `{}`", name.value));
        Some(task.unwrap_or(unread))
    });
    if is_mapping && tasks.is_empty() && reader.is_clean() {
        let fix = "add one: `tasks: {hello: {run: echo hello}}`";
        reader.add(
            position,
            Problem::new(ErrorCode::Empty, "the plan has no tasks", fix),
        );
    }
    tasks
}

const TYPES: [(&str, ParameterType); 3] = [
    ("string", ParameterType::String),
    ("path", ParameterType::Path),
    ("paths", ParameterType::Paths),
];

fn parameter(reader: &mut Reader<'_>, name: &At<String>, node: Node) -> ParameterFile {
    if node.value.scalar().is_some() || node.value == Value::Null {
        let is_value = node.value != Value::Null;
        return ParameterFile {
            default: is_value.then(|| reader.text(node, "default")).flatten(),
            description: None,
            kind: ParameterType::default(),
        };
    }
    // What is wrong with a default is said; the parameter is not missing besides.
    let unread = || At::new(String::new(), None);
    let Some(mut fields) = Fields::of(reader, node, &format!("parameter `{}`", name.value)) else {
        return ParameterFile {
            default: Some(unread()),
            description: None,
            kind: ParameterType::default(),
        };
    };
    let default = fields
        .take("default")
        .map(|node| reader.text(node, "default").unwrap_or_else(unread));
    let description = fields
        .take("description")
        .and_then(|node| reader.text(node, "description"));
    let kind = fields
        .take("type")
        .and_then(|node| reader.word(node, "type", &TYPES));
    fields.finish(reader);
    ParameterFile {
        default,
        description,
        kind: kind.map_or(ParameterType::default(), |at| at.value),
    }
}

//! From the tree of values to the plan file, with every error on the way.

mod fields;
mod settings;
mod task;

use crate::error::{ErrorCode, PlanErrors, Problem, Problems};
use crate::file::{ParameterFile, ParameterType, PlanFile, SingleTaskFile, TaskFile};
use crate::position::At;
use crate::schema::Named;
use crate::tree::{self, Bare, Node, Value};
pub(crate) use fields::variable_part;
use fields::{Fields, Reader, check_name, check_variable_part};
use serde::de::{Deserialize, Deserializer, Error};
use skep_model::limits;

/// What stands for the origin when a plan arrives as a value instead of a text.
const REQUEST: &str = "request";

/// Reads a plan. `origin` is shown in errors: its path, or a word for where it came from.
pub fn parse(source: &str, origin: &str) -> Result<PlanFile, PlanErrors> {
    read(origin, |problems| tree::parse(source, problems), plan)
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
    let Some(tree) = tree(&mut problems) else {
        return problems
            .finish(None)
            .map(|never: Option<T>| never.expect("a problem was added"));
    };
    let mut reader = Reader::new(&mut problems, origin);
    match meaning(&mut reader, tree) {
        Some(value) => problems.finish(value),
        None => problems
            .finish(None)
            .map(|never| never.expect("a problem was added")),
    }
}

impl<'de> Deserialize<'de> for PlanFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Bare(node) = Bare::deserialize(deserializer)?;
        read(REQUEST, |_| Some(node), plan).map_err(D::Error::custom)
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
    let params = fields
        .take("params")
        .map(|node| reader.named(node, "params", parameter));
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
        name: name?,
        labels: labels.unwrap_or_default(),
        weight: weight.map(|at| At::new(at.value as u8, at.position)),
        params,
        defaults: defaults.unwrap_or_default(),
        tasks: tasks?,
        origin: reader.origin.to_owned(),
    })
}

fn tasks(reader: &mut Reader<'_>, node: Node) -> Named<TaskFile> {
    let position = node.position;
    let is_mapping = matches!(node.value, Value::Map(_));
    let tasks = reader.named(node, "tasks", |reader, name, node| {
        check_name(reader, name, "a task");
        task::unnamed(reader, node, &format!("task `{}`", name.value))
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

fn parameter(reader: &mut Reader<'_>, name: &At<String>, node: Node) -> Option<ParameterFile> {
    if node.value.scalar().is_some() || node.value == Value::Null {
        let is_value = node.value != Value::Null;
        return Some(ParameterFile {
            default: is_value.then(|| reader.text(node, "default")).flatten(),
            description: None,
            kind: ParameterType::default(),
        });
    }
    let mut fields = Fields::of(reader, node, &format!("parameter `{}`", name.value))?;
    let default = fields
        .take("default")
        .and_then(|node| reader.text(node, "default"));
    let description = fields
        .take("description")
        .and_then(|node| reader.text(node, "description"));
    let kind = fields
        .take("type")
        .and_then(|node| reader.word(node, "type", &TYPES));
    fields.finish(reader);
    Some(ParameterFile {
        default,
        description,
        kind: kind.map_or(ParameterType::default(), |at| at.value),
    })
}

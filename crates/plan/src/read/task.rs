//! Reading one task.

use super::described::{Words, check_described};
use super::fields::{Fields, Reader, check_name, check_variable_part};
use super::partition::{Shape, check_shape, merge, partition};
use super::settings::settings;
use crate::error::{ErrorCode, Problem};
use crate::file::{
    ArtifactFile, CommandFile, CompensateFile, ConditionFile, GateFile, InputFile, Kind,
    MatrixAxis, MatrixFile, SingleTaskFile, TaskFile,
};
use crate::position::{At, Position};
use crate::schema::Named;
use crate::tree::{Node, Value};
use skep_model::limits;

const KINDS: [(&str, Kind); 2] = [("command", Kind::Command), ("noop", Kind::Noop)];
const CONDITIONS: [(&str, ConditionFile); 3] = [
    ("success()", ConditionFile::Success),
    ("failure()", ConditionFile::Failure),
    ("always()", ConditionFile::Always),
];

/// A task whose name is one of its keys.
pub(super) fn named(reader: &mut Reader<'_>, node: Node) -> Option<SingleTaskFile> {
    let mut fields = Fields::of(reader, node, "a task")?;
    let name = fields
        .required(reader, "name")
        .and_then(|node| reader.text(node, "name"));
    if let Some(name) = &name {
        check_name(reader, name, "a task");
    }
    let task = task(reader, fields, "the task");
    Some(SingleTaskFile { name: name?, task })
}

/// A task whose name stands elsewhere.
pub(super) fn unnamed(reader: &mut Reader<'_>, node: Node, what: &str) -> Option<TaskFile> {
    let fields = Fields::of(reader, node, what)?;
    Some(task(reader, fields, what))
}

fn task(reader: &mut Reader<'_>, mut fields: Fields, what: &str) -> TaskFile {
    let position = fields.position();
    let kind = fields
        .take("kind")
        .and_then(|node| reader.word(node, "kind", &KINDS));
    let command = command(reader, &mut fields);
    let words = Words::take(reader, &mut fields);
    let needs = fields
        .take("needs")
        .map(|node| reader.items(node, |reader, node| reader.text(node, "needs")));
    let condition = fields
        .take("if")
        .and_then(|node| reader.word(node, "if", &CONDITIONS));
    let matrix = fields.take("matrix").map(|node| matrix(reader, node));
    let partition = fields
        .take("partition")
        .map(|node| partition(reader, node, what));
    let merge_node = fields.take("merge");
    let shape = Shape {
        position,
        kind: kind.as_ref().map(|at| at.value),
        command: &command,
        matrix: matrix.as_ref(),
        partition: partition.as_ref(),
        merge: merge_node.as_ref(),
    };
    if words.instructions.is_none() {
        check_shape(reader, what, &shape);
    }
    let merge = merge_node.and_then(|node| merge(reader, node, what));
    let inputs = fields.take("inputs").map(|node| reader.items(node, input));
    let artifacts = fields
        .take("artifacts")
        .map(|node| reader.items(node, artifact));
    let gates = fields.take("gates").map(|node| gates(reader, node, what));
    let deadline = fields
        .take("deadline")
        .and_then(|node| reader.bounded_duration(node, "deadline", DEADLINE_MAX_MS));
    let compensate = fields
        .take("compensate")
        .and_then(|node| compensate(reader, node, what));
    let settings = settings(reader, &mut fields);
    fields.finish(reader);
    let task = TaskFile {
        position,
        kind,
        command,
        instructions: words.instructions,
        expected: words.expected,
        needs: needs.unwrap_or_default(),
        condition,
        matrix,
        partition,
        merge,
        inputs: inputs.unwrap_or_default(),
        artifacts: artifacts.unwrap_or_default(),
        gates: gates.unwrap_or_default(),
        deadline,
        compensate,
        settings,
    };
    check_described(reader, what, &task);
    task
}

/// Longest deadline: a year.
const DEADLINE_MAX_MS: u64 = 366 * 24 * 3_600_000;

/// What is not a command stands for an empty one: it is already said that it is wrong.
fn command(reader: &mut Reader<'_>, fields: &mut Fields) -> CommandFile {
    let run = fields.take("run").map(|node| script(reader, node));
    let argv = fields.take("argv").map(|node| {
        let position = node.position;
        if !matches!(node.value, Value::List(_)) {
            reader.wrong_type(position, "`argv`", "a list of texts", &node.value);
            return At::new(Vec::new(), position);
        }
        let words = reader.items(node, |reader, node| reader.text(node, "argv"));
        if words.is_empty() {
            let fix = "write the program first: `argv: [cargo, test]`";
            reader.add(
                position,
                Problem::new(ErrorCode::NoCommand, "`argv` is empty", fix),
            );
        }
        At::new(words, position)
    });
    CommandFile { run, argv }
}

pub(super) fn script(reader: &mut Reader<'_>, node: Node) -> At<String> {
    let position = node.position;
    match reader.text(node, "run") {
        Some(run) => {
            check_script(reader, &run);
            run
        }
        None => At::new(String::new(), position),
    }
}

fn check_script(reader: &mut Reader<'_>, run: &At<String>) {
    if run.value.len() > limits::SCRIPT_BYTES_MAX {
        let (bytes, max) = (run.value.len(), limits::SCRIPT_BYTES_MAX);
        let message = format!("the script has {bytes} bytes; SCRIPT_BYTES_MAX is {max}");
        let fix = "keep it in a file of the workspace and run that";
        reader.add(run.position, Problem::new(ErrorCode::TooLong, message, fix));
    }
    if run.value.trim().is_empty() {
        let problem = Problem::new(ErrorCode::NoCommand, "`run` is empty", "write a command");
        reader.add(run.position, problem);
    }
}

pub(super) fn check_command(
    reader: &mut Reader<'_>,
    position: Option<Position>,
    what: &str,
    command: &CommandFile,
    kind: Option<Kind>,
) {
    let second = command.argv.as_ref().map(|argv| argv.position);
    let first = command.run.as_ref().map(|run| run.position);
    match (kind, first, second) {
        (Some(Kind::Noop), Some(at), _) | (Some(Kind::Noop), None, Some(at)) => {
            let message = format!("{what} is of the kind `noop` and has a command");
            let fix = "remove `kind` or the command";
            reader.add(at, Problem::new(ErrorCode::TwoCommands, message, fix));
        }
        (_, Some(_), Some(at)) => {
            let message = format!("{what} has both `run` and `argv`");
            reader.add(
                at,
                Problem::new(ErrorCode::TwoCommands, message, "keep one of them"),
            );
        }
        (None | Some(Kind::Command), None, None) => {
            let message = format!("{what} has neither `run` nor `argv`");
            let fix = "add a script as `run:` or a program as `argv: [program, argument]`";
            reader.add(position, Problem::new(ErrorCode::NoCommand, message, fix));
        }
        _ => {}
    }
}

/// A matrix. One that is wrong stands for one without axes: it is already said why.
fn matrix(reader: &mut Reader<'_>, node: Node) -> MatrixFile {
    let position = node.position;
    let mut matrix = MatrixFile {
        position,
        axes: Named::default(),
        exclude: Vec::new(),
    };
    let Some(mut fields) = Fields::of(reader, node, "`matrix`") else {
        return matrix;
    };
    let exclude = fields
        .take("exclude")
        .map(|node| reader.items(node, |reader, node| Some(reader.texts(node, "exclude"))));
    let mut axes = Vec::new();
    let mut are_right = true;
    for (key, node) in fields.rest() {
        let name = At::new(key.name, key.position);
        match axis(reader, node, &format!("matrix.{}", name.value)) {
            Some(values) => axes.push((name, values)),
            None => are_right = false,
        }
    }
    let axes = Named(axes);
    if axes.is_empty() && are_right {
        let fix = "write it like `lang: [rs, py]`";
        let problem = Problem::new(ErrorCode::BadMatrix, "`matrix` has no axis", fix);
        reader.add(position, problem);
    }
    check_variable_part(reader, &axes, "matrix", "MATRIX");
    if are_right {
        matrix.axes = axes;
        matrix.exclude = exclude.unwrap_or_default();
    }
    matrix
}

/// The values of an axis: a list, or a text that is split.
pub(super) fn axis(reader: &mut Reader<'_>, node: Node, what: &str) -> Option<MatrixAxis> {
    if matches!(node.value, Value::List(_)) {
        let values = reader.items(node, |reader, node| reader.text(node, what));
        return Some(MatrixAxis::Values(values));
    }
    reader.text(node, what).map(MatrixAxis::Split)
}

fn input(reader: &mut Reader<'_>, node: Node) -> Option<InputFile> {
    if node.value.scalar().is_some() {
        let from = reader.text(node, "inputs")?;
        return Some(InputFile {
            from,
            glob: None,
            into: None,
        });
    }
    let mut fields = Fields::of(reader, node, "an input")?;
    let from = fields
        .required(reader, "from")
        .and_then(|node| reader.text(node, "from"));
    let glob = fields
        .take("glob")
        .and_then(|node| reader.text(node, "glob"));
    let into = fields
        .take("into")
        .and_then(|node| reader.text(node, "into"));
    fields.finish(reader);
    if let Some(into) = &into {
        check_inside(reader, into, "into");
    }
    Some(InputFile {
        from: from?,
        glob,
        into,
    })
}

pub(super) fn artifact(reader: &mut Reader<'_>, node: Node) -> Option<ArtifactFile> {
    if node.value.scalar().is_some() {
        let glob = reader.text(node, "artifacts")?;
        check_inside(reader, &glob, "artifacts");
        return Some(ArtifactFile {
            glob,
            name: None,
            required: None,
        });
    }
    let mut fields = Fields::of(reader, node, "an artifact")?;
    let glob = fields
        .required(reader, "glob")
        .and_then(|node| reader.text(node, "glob"));
    let name = fields
        .take("name")
        .and_then(|node| reader.text(node, "name"));
    let required = fields
        .take("required")
        .and_then(|node| reader.boolean(node, "required"));
    fields.finish(reader);
    let glob = glob?;
    check_inside(reader, &glob, "glob");
    Some(ArtifactFile {
        glob,
        name,
        required,
    })
}

/// Paths that would leave the workspace.
pub(super) fn check_inside(reader: &mut Reader<'_>, path: &At<String>, what: &str) {
    let leaves = path.value.starts_with('/') || path.value.split('/').any(|part| part == "..");
    if leaves || path.value.is_empty() {
        let message = format!("`{what}` must be a path inside the workspace");
        let fix = "write it relative to the workspace and without `..`";
        let problem = Problem::new(ErrorCode::BadName, message, fix);
        reader.add(path.position, problem.found(&path.value));
    }
}

pub(super) fn gates(reader: &mut Reader<'_>, node: Node, what: &str) -> Vec<GateFile> {
    let position = node.position;
    let gates = reader.items(node, |reader, node| gate(reader, node, what));
    if gates.len() > limits::GATES_PER_TASK_MAX {
        let (given, max) = (gates.len(), limits::GATES_PER_TASK_MAX);
        let message = format!("{what} has {given} gates; GATES_PER_TASK_MAX is {max}");
        reader.add(
            position,
            Problem::new(ErrorCode::TooLong, message, "join some of them"),
        );
    }
    gates
}

fn gate(reader: &mut Reader<'_>, node: Node, what: &str) -> Option<GateFile> {
    let position = node.position;
    if node.value.scalar().is_some() {
        let run = reader.text(node, "gates")?;
        check_script(reader, &run);
        let command = CommandFile {
            run: Some(run),
            argv: None,
        };
        return Some(GateFile {
            position,
            name: None,
            command,
            timeout: None,
        });
    }
    let what = format!("a gate of {what}");
    let mut fields = Fields::of(reader, node, &what)?;
    let name = fields
        .take("name")
        .and_then(|node| reader.text(node, "name"));
    if let Some(name) = &name {
        reader.check_length(name, "the name of a gate", limits::NAME_LENGTH_MAX);
    }
    let (command, timeout) = command_with_timeout(reader, &mut fields, &what, position);
    fields.finish(reader);
    Some(GateFile {
        position,
        name,
        command,
        timeout,
    })
}

fn compensate(reader: &mut Reader<'_>, node: Node, what: &str) -> Option<CompensateFile> {
    let position = node.position;
    let what = format!("`compensate` of {what}");
    let mut fields = Fields::of(reader, node, &what)?;
    let (command, timeout) = command_with_timeout(reader, &mut fields, &what, position);
    fields.finish(reader);
    Some(CompensateFile {
        position,
        command,
        timeout,
    })
}

pub(super) fn command_with_timeout(
    reader: &mut Reader<'_>,
    fields: &mut Fields,
    what: &str,
    position: Option<Position>,
) -> (CommandFile, Option<At<crate::quantity::Duration>>) {
    let command = command(reader, fields);
    check_command(reader, position, what, &command, None);
    let timeout = fields
        .take("timeout")
        .and_then(|node| reader.bounded_duration(node, "timeout", limits::TIMEOUT_MAX_MS));
    (command, timeout)
}

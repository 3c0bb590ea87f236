//! Reading what is described in words, and refusing beside it what only a command can have.

use super::fields::{Fields, Reader};
use crate::error::{ErrorCode, Problem};
use crate::file::TaskFile;
use crate::position::{At, Position};
use skep_model::limits;

/// The texts of a task that is described.
pub(super) struct Words {
    pub(super) instructions: Option<At<String>>,
    pub(super) expected: Option<At<String>>,
}

impl Words {
    pub(super) fn take(reader: &mut Reader<'_>, fields: &mut Fields) -> Self {
        let mut text = |name| {
            let node = fields.take(name)?;
            let position = node.position;
            // What is no text stands for an empty one: it is already said that it is wrong.
            let text = reader.text(node, name);
            Some(text.unwrap_or_else(|| At::new(String::new(), position)))
        };
        Self {
            instructions: text("instructions"),
            expected: text("expected"),
        }
    }
}

/// A task that is described runs nothing on a node, so nothing of it can be checked or collected
/// there. What would silently not happen is refused.
pub(super) fn check_described(reader: &mut Reader<'_>, what: &str, task: &TaskFile) {
    let Some(instructions) = &task.instructions else {
        if let Some(expected) = &task.expected {
            let message = format!("{what} has `expected` and no `instructions`");
            let fix = "add `instructions`, or say it in a gate";
            let problem = Problem::new(ErrorCode::MissingKey, message, fix);
            reader.add(expected.position, problem);
        }
        return;
    };
    check_text(reader, instructions, "instructions");
    if instructions.value.trim().is_empty() {
        let message = "`instructions` is empty";
        let problem = Problem::new(ErrorCode::NoCommand, message, "write what is to be done");
        reader.add(instructions.position, problem);
    }
    if let Some(expected) = &task.expected {
        check_text(reader, expected, "expected");
    }
    if let Some((key, position)) = command_key(task) {
        let message = format!("{what} has both `instructions` and `{key}`");
        let fix = "keep one of them: an attached agent does what is described, a node what is a \
                   command";
        let problem = Problem::new(ErrorCode::TwoCommands, message, fix);
        reader.add(position.or(instructions.position), problem);
    }
    for key in keys_of_commands(task) {
        let message =
            format!("{what} is described in words and has `{key}`, which needs a command");
        let fix = match key {
            "gates" => "check its result in a task of its own that needs it",
            "artifacts" => "remove it: the agent names the files that it hands in",
            _ => "remove it",
        };
        let problem = Problem::new(ErrorCode::NeedsCommand, message, fix);
        reader.add(instructions.position, problem);
    }
}

fn check_text(reader: &mut Reader<'_>, text: &At<String>, what: &str) {
    if text.value.len() > limits::INSTRUCTIONS_BYTES_MAX {
        let (bytes, max) = (text.value.len(), limits::INSTRUCTIONS_BYTES_MAX);
        let message = format!("`{what}` has {bytes} bytes; INSTRUCTIONS_BYTES_MAX is {max}");
        let fix = "hand it over as an artifact of another task and name that under `inputs`";
        reader.add(
            text.position,
            Problem::new(ErrorCode::TooLong, message, fix),
        );
    }
}

/// The first key that says to run something.
fn command_key(task: &TaskFile) -> Option<(&'static str, Option<Position>)> {
    let run = task.command.run.as_ref().map(|at| ("run", at.position));
    let argv = task.command.argv.as_ref().map(|at| ("argv", at.position));
    let kind = task.kind.as_ref().map(|at| ("kind", at.position));
    run.or(argv).or(kind)
}

/// The other keys that mean nothing without a command.
fn keys_of_commands(task: &TaskFile) -> Vec<&'static str> {
    let own = &task.settings;
    let keys = [
        ("gates", !task.gates.is_empty()),
        ("artifacts", !task.artifacts.is_empty()),
        ("partition", task.partition.is_some()),
        ("merge", task.merge.is_some()),
        ("compensate", task.compensate.is_some()),
        ("workspace", own.workspace.is_some()),
        ("reads", !own.reads.is_empty()),
        ("env", !own.env.is_empty()),
        ("resources", own.resources.is_some()),
        ("affinity", own.affinity.is_some()),
        ("isolation", own.isolation.is_some()),
    ];
    let given = keys.into_iter().filter(|(_, is_given)| *is_given);
    given.map(|(key, _)| key).collect()
}

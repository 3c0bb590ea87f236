//! Reading `partition` and `merge`.

use super::fields::{Fields, Reader, check_name};
use super::task::{
    artifact, axis, check_command, check_inside, command_with_timeout, gates, script,
};
use crate::error::{ErrorCode, Problem};
use crate::file::{CommandFile, Kind, MatrixFile};
use crate::merge::{AGGREGATE_FIELDS_MAX, Operation};
use crate::partition::{
    MergeFile, PARTS_MAX, PartFile, PartitionFile, SHARDS_WANTED, STAGES_MAX, StageFile,
    shard_count,
};
use crate::position::{At, Position};
use crate::schema::Named;
use crate::tree::{Node, Value};
use std::collections::BTreeSet;

#[derive(Clone, Copy)]
enum PartitionKind {
    DataParallel,
    TaskParallel,
    Pipeline,
}

const PARTITION_KINDS: [(&str, PartitionKind); 3] = [
    ("data-parallel", PartitionKind::DataParallel),
    ("task-parallel", PartitionKind::TaskParallel),
    ("pipeline", PartitionKind::Pipeline),
];

#[derive(Clone, Copy)]
enum MergeKind {
    Concatenate,
    Aggregate,
    Command,
}

const MERGE_KINDS: [(&str, MergeKind); 3] = [
    ("concatenate", MergeKind::Concatenate),
    ("aggregate", MergeKind::Aggregate),
    ("command", MergeKind::Command),
];

/// A partition. One that is wrong stands for one without parts: it is already said why.
pub(super) fn partition(reader: &mut Reader<'_>, node: Node, what: &str) -> At<PartitionFile> {
    let position = node.position;
    let partition = readable(reader, node, what).unwrap_or_else(|| PartitionFile::TaskParallel {
        branches: Named::default(),
    });
    At::new(partition, position)
}

fn readable(reader: &mut Reader<'_>, node: Node, what: &str) -> Option<PartitionFile> {
    let mut fields = Fields::of(reader, node, &format!("`partition` of {what}"))?;
    let kind = fields
        .required(reader, "kind")
        .and_then(|node| reader.word(node, "kind", &PARTITION_KINDS))?;
    let partition = match kind.value {
        PartitionKind::DataParallel => data_parallel(reader, &mut fields),
        PartitionKind::TaskParallel => task_parallel(reader, &mut fields, what),
        PartitionKind::Pipeline => pipeline(reader, &mut fields, what),
    };
    fields.finish(reader);
    partition
}

fn data_parallel(reader: &mut Reader<'_>, fields: &mut Fields) -> Option<PartitionFile> {
    let shards = fields.take("shards").map(|node| shards(reader, node));
    let items = fields.take("items").map(|node| axis(reader, node, "items"));
    if shards.is_none() && items.is_none() {
        let message = "a data-parallel partition has neither `shards` nor `items`";
        let fix = "add `shards: 4`, or `items: [a, b]`, or both";
        let problem = Problem::new(ErrorCode::MissingKey, message, fix);
        reader.add(fields.position(), problem);
        return None;
    }
    // What is there and wrong makes the whole unusable.
    Some(PartitionFile::DataParallel {
        shards: shards.map_or(Some(None), |read| read.map(Some))?,
        items: items.map_or(Some(None), |read| read.map(Some))?,
    })
}

fn shards(reader: &mut Reader<'_>, node: Node) -> Option<At<String>> {
    let shards = reader.text(node, "shards")?;
    if shards.value.contains("${{") || shard_count(&shards.value).is_some() {
        return Some(shards);
    }
    let message = format!("`shards` must be {SHARDS_WANTED}");
    let problem = Problem::new(ErrorCode::OutOfRange, message, "choose 1 to 1000");
    reader.add(shards.position, problem.found(&shards.value));
    None
}

fn task_parallel(
    reader: &mut Reader<'_>,
    fields: &mut Fields,
    what: &str,
) -> Option<PartitionFile> {
    let node = fields.required(reader, "branches")?;
    let position = node.position;
    let count = entries(&node);
    let branches = reader.named(node, "branches", |reader, name, node| {
        check_name(reader, name, "a branch");
        branch(reader, node, &format!("branch `{}` of {what}", name.value))
    });
    check_count(reader, position, "branches", count, PARTS_MAX);
    Some(PartitionFile::TaskParallel { branches })
}

fn branch(reader: &mut Reader<'_>, node: Node, what: &str) -> Option<PartFile> {
    let position = node.position;
    if node.value.scalar().is_some() {
        let run = script(reader, node);
        return Some(PartFile {
            position,
            command: CommandFile {
                run: Some(run),
                argv: None,
            },
            artifacts: None,
            gates: None,
            timeout: None,
        });
    }
    let mut fields = Fields::of(reader, node, what)?;
    let part = part(reader, &mut fields, what);
    fields.finish(reader);
    Some(part)
}

fn part(reader: &mut Reader<'_>, fields: &mut Fields, what: &str) -> PartFile {
    let position = fields.position();
    let (command, timeout) = command_with_timeout(reader, fields, what, position);
    let artifacts = fields
        .take("artifacts")
        .map(|node| reader.items(node, artifact));
    let gates = fields.take("gates").map(|node| gates(reader, node, what));
    PartFile {
        position,
        command,
        artifacts,
        gates,
        timeout,
    }
}

fn pipeline(reader: &mut Reader<'_>, fields: &mut Fields, what: &str) -> Option<PartitionFile> {
    let items = fields
        .required(reader, "items")
        .and_then(|node| axis(reader, node, "items"));
    let node = fields.required(reader, "stages")?;
    let position = node.position;
    if !matches!(node.value, Value::List(_)) {
        reader.wrong_type(position, "`stages`", "a list", &node.value);
        return None;
    }
    let count = entries(&node);
    let stages = reader.items(node, |reader, node| stage(reader, node, what));
    check_count(reader, position, "stages", count, STAGES_MAX);
    let mut seen = BTreeSet::new();
    for stage in &stages {
        if !seen.insert(stage.name.value.as_str()) {
            let message = format!("two stages have the name `{}`", stage.name.value);
            let problem = Problem::new(ErrorCode::DuplicateKey, message, "rename one of them");
            reader.add(stage.name.position, problem);
        }
    }
    let items = items.filter(|_| !stages.is_empty())?;
    Some(PartitionFile::Pipeline { items, stages })
}

fn stage(reader: &mut Reader<'_>, node: Node, what: &str) -> Option<StageFile> {
    let what = format!("a stage of {what}");
    let mut fields = Fields::of(reader, node, &what)?;
    let name = fields
        .required(reader, "name")
        .and_then(|node| reader.text(node, "name"));
    if let Some(name) = &name {
        check_name(reader, name, "a stage");
    }
    let part = part(reader, &mut fields, &what);
    fields.finish(reader);
    Some(StageFile { name: name?, part })
}

/// Entries as written; what is neither list nor mapping is refused elsewhere and counts as one.
const fn entries(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        _ => 1,
    }
}

fn check_count(
    reader: &mut Reader<'_>,
    position: Option<Position>,
    what: &str,
    count: usize,
    max: usize,
) {
    let problem = if count == 0 {
        let message = format!("`{what}` is empty");
        Problem::new(ErrorCode::BadMatrix, message, "write at least one")
    } else if count > max {
        let message = format!("`{what}` has {count} entries, which is more than {max}");
        Problem::new(ErrorCode::TooManyTasks, message, "join some of them")
    } else {
        return;
    };
    reader.add(position, problem);
}

pub(super) fn merge(reader: &mut Reader<'_>, node: Node, what: &str) -> Option<At<MergeFile>> {
    let position = node.position;
    let at = |merge| Some(At::new(merge, position));
    if node.value.scalar().is_some() {
        let kind = reader.word(node, "merge", &MERGE_KINDS)?;
        if matches!(kind.value, MergeKind::Concatenate) {
            return at(MergeFile::Concatenate {});
        }
        let message = "only `concatenate` may be written alone";
        let fix =
            "write `{kind: aggregate, file: ..., fields: ...}` or `{kind: command, run: ...}`";
        reader.add(position, Problem::new(ErrorCode::MissingKey, message, fix));
        return None;
    }
    let what = format!("`merge` of {what}");
    let mut fields = Fields::of(reader, node, &what)?;
    let kind = fields
        .required(reader, "kind")
        .and_then(|node| reader.word(node, "kind", &MERGE_KINDS))?;
    let merge = match kind.value {
        MergeKind::Concatenate => Some(MergeFile::Concatenate {}),
        MergeKind::Aggregate => aggregate(reader, &mut fields),
        MergeKind::Command => {
            let part = part(reader, &mut fields, &what);
            Some(MergeFile::Command(Box::new(part)))
        }
    };
    fields.finish(reader);
    at(merge?)
}

fn aggregate(reader: &mut Reader<'_>, fields: &mut Fields) -> Option<MergeFile> {
    let file = fields
        .required(reader, "file")
        .and_then(|node| reader.text(node, "file"));
    if let Some(file) = &file {
        check_inside(reader, file, "file");
    }
    let node = fields.required(reader, "fields")?;
    let position = node.position;
    let count = entries(&node);
    let words = Operation::ALL.map(|operation| (operation.as_str(), operation));
    let rules = reader.named(node, "fields", |reader, name, node| {
        reader.word(node, &format!("fields.{}", name.value), &words)
    });
    check_count(reader, position, "fields", count, AGGREGATE_FIELDS_MAX);
    Some(MergeFile::Aggregate {
        file: file?,
        fields: rules,
    })
}

/// The keys of a task that say together what it runs.
pub(super) struct Shape<'a> {
    pub(super) position: Option<Position>,
    pub(super) kind: Option<Kind>,
    pub(super) command: &'a CommandFile,
    pub(super) matrix: Option<&'a MatrixFile>,
    pub(super) partition: Option<&'a At<PartitionFile>>,
    pub(super) merge: Option<&'a Node>,
}

/// Keys of a task that do not go together.
pub(super) fn check_shape(reader: &mut Reader<'_>, what: &str, shape: &Shape<'_>) {
    let is_noop = shape.kind == Some(Kind::Noop);
    if let (Some(partition), Some(_)) = (shape.partition, shape.matrix) {
        let message = format!("{what} has both `partition` and `matrix`");
        let problem = Problem::new(ErrorCode::BadMatrix, message, "keep one of them");
        reader.add(partition.position, problem);
    }
    if let Some(merge) = shape.merge
        && shape.partition.is_none()
        && shape.matrix.is_none()
    {
        let message = format!("{what} has `merge` and is not split");
        let fix = "add `partition` or `matrix`, or remove `merge`";
        let problem = Problem::new(ErrorCode::MissingKey, message, fix);
        reader.add(merge.position, problem);
    }
    let merge = shape.merge.map(|node| node.position);
    let split = shape.partition.map(|at| at.position).or(merge);
    if let Some(position) = split.filter(|_| is_noop) {
        let message = format!("{what} is of the kind `noop` and has nothing to split or merge");
        let fix = "remove `kind`, or `partition` and `merge`";
        reader.add(position, Problem::new(ErrorCode::TwoCommands, message, fix));
        return;
    }
    let Some(partition) = shape.partition.filter(|at| at.value.brings_commands()) else {
        return check_command(reader, shape.position, what, shape.command, shape.kind);
    };
    let run = shape.command.run.as_ref().map(|run| run.position);
    let argv = shape.command.argv.as_ref().map(|argv| argv.position);
    // A partition that could not be read is empty, and may well be meant for this command.
    let is_read = !matches!(&partition.value, PartitionFile::TaskParallel { branches } if branches.is_empty());
    if let Some(position) = run.or(argv).filter(|_| is_read) {
        let message = format!("{what} has a command, and so have the parts of its partition");
        let fix = "remove that of the task, or choose `kind: data-parallel`";
        reader.add(position, Problem::new(ErrorCode::TwoCommands, message, fix));
    }
}

//! Reading what tasks and `defaults` share.

use super::fields::{Fields, Reader, check_name};
use crate::error::{ErrorCode, Problem};
use crate::file::{
    AffinityFile, GitFile, GitResultFile, ResourcesFile, RetryFile, SettingsFile, WorkspaceFile,
};
use crate::position::At;
use crate::schema::Named;
use crate::tree::{Node, Value};
use skep_model::attempt::FailureClass;
use skep_model::isolation::IsolationLevel;
use skep_model::limits;
use skep_model::requirements::{AffinitySense, Proficiency};
use skep_model::task::{Delivery, Priority};

const PROFICIENCIES: [(&str, Proficiency); 4] = [
    ("basic", Proficiency::Basic),
    ("intermediate", Proficiency::Intermediate),
    ("expert", Proficiency::Expert),
    ("specialist", Proficiency::Specialist),
];
const ISOLATION_LEVELS: [(&str, IsolationLevel); 3] = [
    ("s0", IsolationLevel::S0),
    ("s1", IsolationLevel::S1),
    ("s2", IsolationLevel::S2),
];
const DELIVERIES: [(&str, Delivery); 2] = [
    ("at_least_once", Delivery::AtLeastOnce),
    ("at_most_once", Delivery::AtMostOnce),
];
const SENSES: [(&str, AffinitySense); 2] = [
    ("attract", AffinitySense::Attract),
    ("repel", AffinitySense::Repel),
];
const FAILURE_CLASSES: [(&str, FailureClass); 5] = [
    ("exit", FailureClass::Exit),
    ("gate", FailureClass::Gate),
    ("timeout", FailureClass::Timeout),
    ("lost", FailureClass::Lost),
    ("error", FailureClass::Error),
];
/// Longest delay before a retry: as long as a task may run.
const BACKOFF_LONGEST_MS: u64 = limits::TIMEOUT_MAX_MS;

pub(super) fn defaults(reader: &mut Reader<'_>, node: Node) -> Option<SettingsFile> {
    let mut fields = Fields::of(reader, node, "`defaults`")?;
    let settings = settings(reader, &mut fields);
    fields.finish(reader);
    Some(settings)
}

/// Takes the shared keys out of a task or of `defaults`.
pub(super) fn settings(reader: &mut Reader<'_>, fields: &mut Fields) -> SettingsFile {
    let mut take = |name| fields.take(name);
    SettingsFile {
        workspace: take("workspace").and_then(|node| workspace(reader, node)),
        reads: take("reads")
            .map(|node| reader.items(node, |reader, node| reader.text(node, "reads")))
            .unwrap_or_default(),
        env: take("env")
            .map(|node| environment(reader, node))
            .unwrap_or_default(),
        requires: take("requires").map(|node| requires(reader, node)),
        resources: take("resources").and_then(|node| resources(reader, node)),
        affinity: take("affinity").map(|node| reader.items(node, affinity)),
        isolation: take("isolation")
            .and_then(|node| reader.word(node, "isolation", &ISOLATION_LEVELS)),
        priority: take("priority").and_then(|node| priority(reader, node)),
        timeout: take("timeout")
            .and_then(|node| reader.bounded_duration(node, "timeout", limits::TIMEOUT_MAX_MS)),
        retries: take("retries").and_then(|node| retries(reader, node)),
        delivery: take("delivery").and_then(|node| reader.word(node, "delivery", &DELIVERIES)),
        labels: take("labels")
            .map(|node| reader.labels(node))
            .unwrap_or_default(),
    }
}

fn workspace(reader: &mut Reader<'_>, node: Node) -> Option<At<WorkspaceFile>> {
    let position = node.position;
    if node.value.scalar().is_some() {
        return reader.word(node, "workspace", &[("none", ())]).map(|word| {
            let () = word.value;
            At::new(WorkspaceFile::None, word.position)
        });
    }
    let mut fields = Fields::of(reader, node, "`workspace`")?;
    let directory = fields.take("dir").and_then(|node| reader.text(node, "dir"));
    let repository = fields.take("git").and_then(|node| reader.text(node, "git"));
    let file = match (directory, repository) {
        (Some(dir), None) => {
            let writable = fields.take("writable");
            let writable = writable.and_then(|node| reader.boolean(node, "writable"));
            let writable = writable.is_some_and(|at| at.value);
            Some(WorkspaceFile::Dir { dir, writable })
        }
        (None, Some(git)) => Some(WorkspaceFile::Git(GitFile {
            git,
            reference: fields.take("ref").and_then(|node| reader.text(node, "ref")),
            result: fields
                .take("result")
                .and_then(|node| git_result(reader, node)),
        })),
        (both, _) => {
            let found = if both.is_some() { "both" } else { "neither" };
            let message = format!("`workspace` needs `dir` or `git`, and has {found}");
            let fix = "write `none`, `{dir: path}` or `{git: path}`";
            reader.add(position, Problem::new(ErrorCode::WrongType, message, fix));
            return None;
        }
    };
    fields.finish(reader);
    file.map(|file| At::new(file, position))
}

fn git_result(reader: &mut Reader<'_>, node: Node) -> Option<GitResultFile> {
    if node.value.scalar().is_some() {
        let words = [
            ("discard", GitResultFile::Discard),
            ("patch", GitResultFile::Patch),
        ];
        return reader.word(node, "result", &words).map(|word| word.value);
    }
    let mut fields = Fields::of(reader, node, "`result`")?;
    let branch = fields
        .required(reader, "branch")
        .and_then(|node| reader.text(node, "branch"));
    fields.finish(reader);
    branch.map(GitResultFile::Branch)
}

fn environment(reader: &mut Reader<'_>, node: Node) -> Named<At<String>> {
    let variables = reader.texts(node, "env");
    for (name, value) in &variables.0 {
        let starts = name
            .value
            .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !starts || !name.value.chars().all(is_name) {
            let message = "the name of a variable must be letters, digits and `_`";
            let problem = Problem::new(ErrorCode::BadVariable, message, "rename it");
            reader.add(name.position, problem.found(&name.value));
        } else if name.value.starts_with("SKEP_") {
            let message = format!("`{}` is set by Skep", name.value);
            let problem = Problem::new(ErrorCode::BadVariable, message, "choose another prefix");
            reader.add(name.position, problem);
        }
        if value.value.contains('\0') {
            let message = format!("the variable `{}` contains a zero byte", name.value);
            reader.add(
                value.position,
                Problem::new(ErrorCode::BadVariable, message, "remove it"),
            );
        }
    }
    variables
}

fn requires(reader: &mut Reader<'_>, node: Node) -> Named<At<Proficiency>> {
    let named = if matches!(node.value, Value::Map(_)) {
        reader.named(node, "requires", |reader, name, node| {
            reader.word(node, &format!("requires.{}", name.value), &PROFICIENCIES)
        })
    } else {
        Named(reader.items(node, |reader, node| {
            let name = reader.text(node, "requires")?;
            let position = name.position;
            Some((name, At::new(Proficiency::Basic, position)))
        }))
    };
    for (name, _) in &named.0 {
        check_name(reader, name, "a capability");
    }
    named
}

fn resources(reader: &mut Reader<'_>, node: Node) -> Option<ResourcesFile> {
    let mut fields = Fields::of(reader, node, "`resources`")?;
    let resources = ResourcesFile {
        cpu: fields.take("cpu").and_then(|node| reader.cpu(node, "cpu")),
        memory: fields
            .take("memory")
            .and_then(|node| reader.size(node, "memory")),
        gpu_memory: fields
            .take("gpu_memory")
            .and_then(|node| reader.size(node, "gpu_memory")),
        disk: fields
            .take("disk")
            .and_then(|node| reader.size(node, "disk")),
    };
    fields.finish(reader);
    Some(resources)
}

fn affinity(reader: &mut Reader<'_>, node: Node) -> Option<AffinityFile> {
    let mut fields = Fields::of(reader, node, "an affinity rule")?;
    let label = fields
        .required(reader, "label")
        .and_then(|node| reader.text(node, "label"));
    let value = fields
        .take("value")
        .and_then(|node| reader.text(node, "value"));
    let sense = fields
        .take("sense")
        .and_then(|node| reader.word(node, "sense", &SENSES));
    let weight = fields
        .take("weight")
        .and_then(|node| reader.number(node, "weight", 1..=100));
    fields.finish(reader);
    Some(AffinityFile {
        label: label?,
        value,
        sense,
        weight: weight.map(|at| At::new(at.value as u8, at.position)),
    })
}

fn priority(reader: &mut Reader<'_>, node: Node) -> Option<At<Priority>> {
    let bounds = u64::from(limits::PRIORITY_MIN)..=u64::from(limits::PRIORITY_MAX);
    let position = node.position;
    let usual = Priority::default();
    if !matches!(node.value, Value::Map(_)) {
        let base = reader.number(node, "priority", bounds)?.value as u8;
        return Some(At::new(Priority { base, ..usual }, position));
    }
    let mut fields = Fields::of(reader, node, "`priority`")?;
    let base = fields
        .take("base")
        .and_then(|node| reader.number(node, "base", bounds));
    let mut flag = |reader: &mut Reader<'_>, name| {
        let flag = fields
            .take(name)
            .and_then(|node| reader.boolean(node, name));
        flag.is_some_and(|at| at.value)
    };
    let priority = Priority {
        base: base.map_or(usual.base, |at| at.value as u8),
        critical: flag(reader, "critical"),
        infinite_scale: flag(reader, "infinite_scale"),
        high_roi: flag(reader, "high_roi"),
    };
    fields.finish(reader);
    Some(At::new(priority, position))
}

fn retries(reader: &mut Reader<'_>, node: Node) -> Option<RetryFile> {
    let bounds = 0..=u64::from(limits::ATTEMPTS_MAX - 1);
    if !matches!(node.value, Value::Map(_)) {
        return Some(RetryFile {
            count: Some(reader.number(node, "retries", bounds)?.value as u32),
            backoff: None,
            backoff_max: None,
            on: None,
        });
    }
    let mut fields = Fields::of(reader, node, "`retries`")?;
    let count = fields
        .take("count")
        .and_then(|node| reader.number(node, "count", bounds));
    let mut delay = |reader: &mut Reader<'_>, name| {
        let delay = fields.take(name);
        delay.and_then(|node| reader.bounded_duration(node, name, BACKOFF_LONGEST_MS))
    };
    let (backoff, backoff_max) = (delay(reader, "backoff"), delay(reader, "backoff_max"));
    let class = |reader: &mut Reader<'_>, node| {
        reader.word(node, "on", &FAILURE_CLASSES).map(|at| at.value)
    };
    let on = fields.take("on").map(|node| reader.items(node, class));
    fields.finish(reader);
    Some(RetryFile {
        count: count.map(|at| at.value as u32),
        backoff: backoff.map(|at| at.value),
        backoff_max: backoff_max.map(|at| at.value),
        on,
    })
}

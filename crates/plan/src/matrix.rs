//! The instances of a task with a matrix.

use crate::error::{ErrorCode, Problem, Problems};
use crate::file::{MatrixAxis, MatrixFile};
use crate::position::Position;
use crate::substitute::{Scope, split};
use crate::suggest;
use skep_model::limits;
use std::collections::{BTreeMap, BTreeSet};

/// One combination: each axis with its value.
pub(crate) type Combination = Vec<(String, String)>;

/// All combinations in the order written: the last axis changes fastest. One without axes when
/// there is no matrix, none when something is wrong with it.
pub(crate) fn combinations(
    matrix: Option<&MatrixFile>,
    params: &BTreeMap<String, String>,
    problems: &mut Problems,
) -> Vec<Combination> {
    let Some(matrix) = matrix else {
        return vec![Combination::new()];
    };
    // The reader said already that an axis is missing, or what is wrong with it.
    if matrix.axes.is_empty() {
        return Vec::new();
    }
    let scope = Scope {
        params,
        matrix: &[],
    };
    let axes: Vec<(&str, Vec<String>)> = matrix
        .axes
        .0
        .iter()
        .map(|(name, axis)| {
            let what = format!("the axis `{}`", name.value);
            (
                name.value.as_str(),
                values(&what, name.position, axis, scope, problems),
            )
        })
        .collect();
    let count = axes.iter().fold(1_usize, |count, (_, values)| {
        count.saturating_mul(values.len())
    });
    if count > limits::TASKS_PER_SUBMISSION_MAX {
        let max = limits::TASKS_PER_SUBMISSION_MAX;
        let message = format!("the matrix gives {count} tasks; TASKS_PER_SUBMISSION_MAX is {max}");
        let fix = "shorten an axis or let one task do several values";
        problems.add(
            matrix.position,
            Problem::new(ErrorCode::TooManyTasks, message, fix),
        );
        return Vec::new();
    }
    let excluded = excluded(matrix, scope, problems);
    let mut all = vec![Combination::new()];
    for (name, values) in axes {
        let longer = |combination: &Combination| {
            let mut longer = Vec::with_capacity(values.len());
            for value in &values {
                let mut next = combination.clone();
                next.push((name.to_owned(), value.clone()));
                longer.push(next);
            }
            longer
        };
        all = all.iter().flat_map(longer).collect();
    }
    let was_empty = all.is_empty();
    all.retain(|combination| !excluded.iter().any(|rule| is_excluded(combination, rule)));
    if all.is_empty() && !was_empty {
        let message = "`exclude` leaves no combination";
        problems.add(
            matrix.position,
            Problem::new(ErrorCode::BadMatrix, message, "exclude less"),
        );
    }
    all
}

/// The values of an axis. `what` it is, for errors.
pub(crate) fn values(
    what: &str,
    position: Option<Position>,
    axis: &MatrixAxis,
    scope: Scope<'_>,
    problems: &mut Problems,
) -> Vec<String> {
    let values: Vec<String> = match axis {
        MatrixAxis::Values(values) => values
            .iter()
            .map(|value| scope.fill(value, problems))
            .collect(),
        MatrixAxis::Split(text) => split(&scope.fill(text, problems)),
    };
    if values.is_empty() {
        let message = format!("{what} has no values");
        let fix = "write at least one, or give the parameter a value";
        problems.add(position, Problem::new(ErrorCode::BadMatrix, message, fix));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = values.iter().find(|value| !seen.insert(*value)) {
        let message = format!("{what} has a value twice");
        let problem = Problem::new(ErrorCode::BadMatrix, message, "remove one of them");
        problems.add(position, problem.found(twice));
    }
    values
}

fn excluded(
    matrix: &MatrixFile,
    scope: Scope<'_>,
    problems: &mut Problems,
) -> Vec<BTreeMap<String, String>> {
    let mut rules = Vec::new();
    for rule in &matrix.exclude {
        let mut filled = BTreeMap::new();
        for (name, value) in &rule.0 {
            if matrix.axes.get(&name.value).is_none() {
                let message = format!("`exclude` names `{}`, which is no axis", name.value);
                let fix = suggest::hint(&name.value, matrix.axes.names());
                problems.add(
                    name.position,
                    Problem::new(ErrorCode::BadMatrix, message, fix),
                );
            }
            filled.insert(name.value.clone(), scope.fill(value, problems));
        }
        // An empty rule would leave nothing, which nobody means.
        if !filled.is_empty() {
            rules.push(filled);
        }
    }
    rules
}

fn is_excluded(combination: &Combination, rule: &BTreeMap<String, String>) -> bool {
    let agrees = |(name, value): (&String, &String)| {
        combination
            .iter()
            .any(|(axis, chosen)| axis == name && chosen == value)
    };
    rule.iter().all(agrees)
}

/// The name of an instance: `count[lang=rs]`. Characters that would be awkward in a path become
/// `_`; instances that would then be called alike are told apart by `~2`, `~3` and so on.
pub(crate) fn names(task: &str, combinations: &[Combination]) -> Vec<String> {
    let mut used: BTreeMap<String, u32> = BTreeMap::new();
    let name = |combination: &Combination| {
        if combination.is_empty() {
            return task.to_owned();
        }
        let pairs: Vec<String> = combination
            .iter()
            .map(|(axis, value)| format!("{axis}={}", plain(value)))
            .collect();
        let name = format!("{task}[{}]", pairs.join(","));
        let count = used.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count == 1 {
            name
        } else {
            format!("{name}~{count}")
        }
    };
    combinations.iter().map(name).collect()
}

fn plain(value: &str) -> String {
    let keep = |c: char| {
        if c.is_alphanumeric() || "_-.+".contains(c) {
            c
        } else {
            '_'
        }
    };
    value.chars().map(keep).collect()
}

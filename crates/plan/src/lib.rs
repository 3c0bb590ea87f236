//! The plan file: YAML or JSON in, the tasks of a run out.
//!
//! [`parse`] reads the text and reports everything that is wrong with it at once, each with line,
//! column, the wrong value and what to write instead. [`expand`] fills in parameters, multiplies
//! matrices, resolves names, and gives a [`Draft`]; [`Draft::stamp`] turns that into the tasks
//! that enter the log. [`expand_task`] and [`expand_additional`] do the same for one task and for
//! tasks that a running task adds to its own run.
//!
//! Relative paths are resolved against a base directory that the caller gives: the directory in
//! which the person stands.
//!
//! **Quoting.** `${{ params.x }}` and `${{ matrix.x }}` are replaced as text before a shell sees a
//! `run` script: a value with a quote or a semicolon in it becomes part of the script. Scripts
//! should read the variables `SKEP_PARAM_X` and `SKEP_MATRIX_X` instead, quoted as
//! `"$SKEP_PARAM_X"`; every command has them.
//!
//! This crate may not: do I/O, read a clock, draw randomness, or know who submits.

mod draft;
mod error;
mod expand;
mod file;
mod graph;
mod matrix;
mod parameters;
mod position;
mod quantity;
mod read;
mod schema;
mod settings;
mod substitute;
mod suggest;
mod tree;
mod wiring;
mod work;

pub use draft::{Draft, DraftInput, DraftTask, TaskSource};
pub use error::{ErrorCode, PlanError, PlanErrors};
pub use expand::{ExistingTasks, expand, expand_additional, expand_task};
pub use file::{
    AffinityFile, ArtifactFile, CommandFile, CompensateFile, ConditionFile, GateFile, GitFile,
    GitResultFile, InputFile, Kind, MatrixAxis, MatrixFile, ParameterFile, ParameterType, PlanFile,
    ResourcesFile, RetryFile, SettingsFile, SingleTaskFile, TaskFile, WorkspaceFile,
};
pub use position::{At, Position};
pub use quantity::{Cpu, Duration, Size};
pub use read::{parse, parse_task, parse_tasks};
pub use schema::{Named, json_schema};

#[cfg(test)]
mod examples;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wrong_plans;

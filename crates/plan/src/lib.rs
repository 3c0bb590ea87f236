//! The plan file: YAML or JSON in, the tasks of a run out.
//!
//! [`parse`] reads the text and reports everything that is wrong with it at once, each with line,
//! column, the wrong value and what to write instead. [`expand`] fills in parameters, multiplies
//! matrices, splits partitions, resolves names, and gives a [`Draft`]; [`Draft::stamp`] turns that
//! into the tasks that enter the log. [`compile`] does both and reports all errors of both
//! together. [`PlanFile::check_strategy`] is left to the caller, who knows the strategies. [`merge`]
//! joins the results of parts. [`expand_task`] and [`expand_additional`] do the same for one task
//! and for tasks that a running task adds to its own run.
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
pub mod merge;
mod parameters;
mod partition;
mod position;
mod quantity;
mod read;
mod retry_file;
mod schema;
mod settings;
mod strategy;
mod substitute;
mod suggest;
mod tree;
mod wiring;
mod work;

pub use draft::{Draft, DraftInput, DraftTask, TaskSource};
pub use error::{ERRORS_MAX, ErrorCode, PlanError, PlanErrors};
pub use expand::{ExistingTasks, expand, expand_additional, expand_task};
pub use file::{
    AffinityFile, ArtifactFile, CommandFile, CompensateFile, ConditionFile, GateFile, GitFile,
    GitResultFile, InputFile, Kind, MatrixAxis, MatrixFile, ParameterFile, ParameterType, PlanFile,
    ResourcesFile, RetryFile, SettingsFile, SingleTaskFile, TaskFile, WorkspaceFile,
};
pub use partition::{MergeFile, PARTS_MAX, PartFile, PartitionFile, STAGES_MAX, StageFile};
pub use position::{At, Position};
pub use quantity::{Cpu, Duration, Size};
pub use read::{compile, parse, parse_task, parse_tasks};
pub use schema::{Named, json_schema};

#[cfg(test)]
mod described_tests;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wrong_plans;

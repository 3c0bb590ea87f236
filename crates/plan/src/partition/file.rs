//! `partition` and `merge` as written.

use crate::file::{ArtifactFile, CommandFile, GateFile, MatrixAxis};
use crate::merge::Operation;
use crate::position::{At, Position};
use crate::quantity::Duration;
use crate::schema::{Either, Named, OneOrMore};
use schemars::JsonSchema;
use serde::Serialize;

/// How a task is split into parts that are tasks of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub enum PartitionFile {
    /// The same command for each shard of some items, or just for each number of a shard.
    DataParallel {
        /// How many parts; one for each item unless said, and never more than there are items.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<ShardsSchema>")]
        shards: Option<At<String>>,
        /// What is dealt out to the shards, in order: a list, or a text that is split like an axis
        /// of a matrix.
        #[serde(skip_serializing_if = "Option::is_none")]
        items: Option<MatrixAxis>,
    },
    /// Different commands on the same inputs.
    TaskParallel {
        /// The commands by name.
        #[schemars(with = "Named<Either<String, PartFile>>")]
        branches: Named<PartFile>,
    },
    /// Each item goes through all stages, without waiting for other items.
    Pipeline {
        /// A list, or a text that is split like an axis of a matrix.
        items: MatrixAxis,
        /// What is done with each item, in order. A stage finds the artifacts of the one before in
        /// `inputs/<stage before>`.
        stages: Vec<StageFile>,
    },
}

/// In the schema: a number, or a text with a reference.
type ShardsSchema = Either<u32, String>;

/// What one branch or stage runs, or a merge. What is said here wins over the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PartFile {
    /// Where it stands.
    #[serde(skip)]
    pub position: Option<Position>,
    /// What is run.
    #[serde(flatten)]
    pub command: CommandFile,
    /// Files to hand in; those of the task unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMore<Either<String, ArtifactFile>>>")]
    pub artifacts: Option<Vec<ArtifactFile>>,
    /// Checks; those of the task unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMore<Either<String, GateFile>>>")]
    pub gates: Option<Vec<GateFile>>,
    /// That of the task unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<At<Duration>>,
}

/// One stage of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct StageFile {
    /// Unique among the stages.
    pub name: At<String>,
    /// What it runs.
    #[serde(flatten)]
    pub part: PartFile,
}

/// How the results of all parts become those of the task. `concatenate` may be written alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub enum MergeFile {
    /// Artifacts with the same path are joined in the order of the parts.
    Concatenate {},
    /// One JSON artifact of each part is joined by a rule for each field.
    Aggregate {
        /// Its path, and that of the result.
        file: At<String>,
        /// The rules.
        #[schemars(with = "Named<Operation>")]
        fields: Named<At<Operation>>,
    },
    /// A command finds the artifacts of each part in a directory of its own below `parts`.
    Command(Box<PartFile>),
}

/// In the schema: a merge written short.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MergeWord {
    /// Artifacts with the same path are joined in the order of the parts.
    #[expect(
        dead_code,
        reason = "stands in the schema; the reader takes the word itself"
    )]
    Concatenate,
}

impl PartitionFile {
    /// Whether its parts have commands of their own, so that the task has none.
    pub(crate) const fn brings_commands(&self) -> bool {
        !matches!(self, Self::DataParallel { .. })
    }
}

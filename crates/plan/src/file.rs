//! The plan file as written, after reading and before expansion.

use crate::partition::{MergeFile, MergeWord, PartitionFile};
use crate::position::{At, Position};
use crate::quantity::{Cpu, Duration, Size};
pub use crate::retry_file::RetryFile;
use crate::schema::{Either, Named, OneOrMore};
use schemars::JsonSchema;
use serde::Serialize;
use skep_model::isolation::IsolationLevel;
use skep_model::requirements::{AffinitySense, Proficiency};
use skep_model::task::{Delivery, Priority};

/// A plan: a name, parameters, and tasks that depend on each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PlanFile {
    /// Name of the run.
    pub name: At<String>,
    /// Free words for filters, on the run.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub labels: Named<At<String>>,
    /// Share of the swarm relative to other runs, 1 to 100; 10 unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<At<u8>>,
    /// How its tasks are placed: the name of a strategy; that of the swarm unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<At<String>>,
    /// What the submitter may or must say, used as `${{ params.name }}` and `$SKEP_PARAM_NAME`.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    #[schemars(with = "Named<Either<Option<String>, ParameterFile>>")]
    pub params: Named<ParameterFile>,
    /// Settings of every task that does not say otherwise.
    #[serde(default)]
    pub defaults: SettingsFile,
    /// The tasks by name.
    pub tasks: Named<TaskFile>,
    /// Where the text came from; shown in errors.
    #[serde(skip)]
    pub origin: String,
}

/// One parameter; written short, its default alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ParameterFile {
    /// Value when none is given; without it one must be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<At<String>>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<At<String>>,
    /// What the value is; paths are made absolute.
    #[serde(default, rename = "type")]
    pub kind: ParameterType,
}

/// What the value of a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// A text, taken as it is.
    #[default]
    String,
    /// A path, made absolute against the directory the plan is run in.
    Path,
    /// Paths, one a line, or on one line between blanks; each made absolute.
    Paths,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TaskFile {
    /// Where it stands.
    #[serde(skip)]
    pub position: Option<Position>,
    /// `noop` goes the whole way of a task without a child process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<At<Kind>>,
    /// What is run.
    #[serde(flatten)]
    pub command: CommandFile,
    /// What is to be done, in words, instead of a command. Only attached agents take such a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<At<String>>,
    /// What is to be there in the end. Beside `instructions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<At<String>>,
    /// Tasks that must be final first. A task with a matrix stands for all its instances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMore<String>")]
    pub needs: Vec<At<String>>,
    /// How the needed tasks must have ended; `success()` unless said.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<At<ConditionFile>>,
    /// Runs the task once for each combination of values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix: Option<MatrixFile>,
    /// Splits the task into parts that run beside each other. The name of the task stands for what
    /// merges them, else for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<At<PartitionFile>>,
    /// Joins the results of all parts, or of all instances of the matrix.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Either<MergeWord, MergeFile>>")]
    pub merge: Option<At<MergeFile>>,
    /// Artifacts of other tasks, placed into the workspace. Their tasks are needed too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMore<Either<String, InputFile>>")]
    pub inputs: Vec<InputFile>,
    /// Files to hand in after the command succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMore<Either<String, ArtifactFile>>")]
    pub artifacts: Vec<ArtifactFile>,
    /// Commands run after the task in a clean copy of its workspace; it succeeds only when they
    /// pass, and their output is kept as evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMore<Either<String, GateFile>>")]
    pub gates: Vec<GateFile>,
    /// Time from submission after which the task expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<At<Duration>>,
    /// What undoes the task when its run fails after it succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compensate: Option<CompensateFile>,
    /// What `defaults` may hold too.
    #[serde(flatten)]
    pub settings: SettingsFile,
}

/// A task that is submitted alone: its name beside its other keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SingleTaskFile {
    /// Its name.
    pub name: At<String>,
    /// Everything else.
    #[serde(flatten)]
    pub task: TaskFile,
}

/// What kind of work a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A child process.
    #[default]
    Command,
    /// Nothing; for measuring.
    Noop,
}

/// What is run: one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct CommandFile {
    /// A script for `sh -eu`. Values are replaced as text: prefer `"$SKEP_PARAM_X"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<At<String>>,
    /// Program and arguments, without a shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<At<Vec<At<String>>>>,
}

/// How the needed tasks must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum ConditionFile {
    /// All of them succeeded.
    #[serde(rename = "success()")]
    Success,
    /// At least one of them failed.
    #[serde(rename = "failure()")]
    Failure,
    /// All of them are final.
    #[serde(rename = "always()")]
    Always,
}

/// Axes by name, and the combinations to leave out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MatrixFile {
    /// Where it stands.
    #[serde(skip)]
    pub position: Option<Position>,
    /// The values of each axis, in the order in which they are written.
    #[serde(flatten)]
    pub axes: Named<MatrixAxis>,
    /// Combinations that are left out: all whose named axes have these values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Named<At<String>>>,
}

/// The values of one axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum MatrixAxis {
    /// Written out.
    Values(Vec<At<String>>),
    /// One text, usually of a parameter: its lines, or its words when it is one line.
    Split(At<String>),
}

/// Artifacts of another task; written short, its name alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct InputFile {
    /// The task.
    pub from: At<String>,
    /// Which of its artifacts; `**` unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glob: Option<At<String>>,
    /// Directory in the workspace; `inputs` unless said. Files land in `into/<task>/<path>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into: Option<At<String>>,
}

/// Files to hand in; written short, the glob alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ArtifactFile {
    /// Glob relative to the workspace.
    pub glob: At<String>,
    /// Name in listings; the glob unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<At<String>>,
    /// Whether the attempt fails when nothing matches; true unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<At<bool>>,
}

/// A check; written short, a script alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct GateFile {
    /// Where it stands.
    #[serde(skip)]
    pub position: Option<Position>,
    /// Shown in results; `gate-1` and so on unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<At<String>>,
    /// What is run; exit code 0 passes.
    #[serde(flatten)]
    pub command: CommandFile,
    /// That of the task unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<At<Duration>>,
}

/// What undoes a task. Runs with the settings of the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CompensateFile {
    /// Where it stands.
    #[serde(skip)]
    pub position: Option<Position>,
    /// What is run.
    #[serde(flatten)]
    pub command: CommandFile,
    /// That of the task unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<At<Duration>>,
}

/// Settings that a task has, or `defaults` for all tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SettingsFile {
    /// Where the command runs; `none`, a fresh empty directory, unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<At<WorkspaceFile>>,
    /// Paths outside the workspace that the command may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<At<String>>,
    /// Variables of the command. Those of the task are added to the defaults.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub env: Named<At<String>>,
    /// Capabilities an agent must have, with the least proficiency; a list means basic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Either<Named<Proficiency>, Vec<String>>>")]
    pub requires: Option<Named<At<Proficiency>>>,
    /// What the task occupies on its node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesFile>,
    /// Wishes about the labels of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Vec<AffinityFile>>,
    /// The least isolation the task accepts; `s1` unless said. `s0` waives it in so many words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<At<IsolationLevel>>,
    /// 1 to 10, 5 unless said; or the base with reasons to raise it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Either<u8, Priority>>")]
    pub priority: Option<At<Priority>>,
    /// Time after which an attempt is stopped; one hour unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<At<Duration>>,
    /// How often a failed attempt is followed by another; 2 unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Either<u32, RetryFile>>")]
    pub retries: Option<RetryFile>,
    /// Whether an attempt whose outcome is not known is made again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<At<Delivery>>,
    /// Free words for filters. Those of the task are added to the defaults.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub labels: Named<At<String>>,
}

/// Where a command runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(deny_unknown_fields)]
pub enum WorkspaceFile {
    /// A fresh, empty directory.
    None,
    /// An existing directory, used as it is.
    #[serde(untagged)]
    Dir {
        /// Its path.
        dir: At<String>,
        /// Whether the command may write there; false unless said.
        #[serde(default)]
        writable: bool,
    },
    /// A worktree of a git repository.
    #[serde(untagged)]
    Git(GitFile),
}

/// A worktree of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct GitFile {
    /// Path of the repository.
    pub git: At<String>,
    /// Branch, tag or commit; `HEAD` unless said.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<At<String>>,
    /// What becomes of changes: `discard` (unless said), `patch`, or `{branch: name}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<GitResultFile>,
}

/// What becomes of changes in a worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GitResultFile {
    /// They are thrown away.
    Discard,
    /// They are handed in as the artifact `changes.patch`.
    Patch,
    /// They are committed to this branch.
    Branch(At<String>),
}

/// What a task occupies on its node while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ResourcesFile {
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Main memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// GPU memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_memory: Option<Size>,
    /// Disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Size>,
}

/// A wish about the labels of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AffinityFile {
    /// The label.
    pub label: At<String>,
    /// Its value; any unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<At<String>>,
    /// Toward or away from nodes with it; `attract` unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sense: Option<At<AffinitySense>>,
    /// How much it counts, 1 to 100; without it the rule binds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<At<u8>>,
}

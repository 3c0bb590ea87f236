//! One grant of a task: fence, report, evidence.

use crate::ids::TaskId;
use crate::isolation::IsolationLevel;
use crate::task::HandBack;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Position in the log, counted from 1.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct LogIndex(pub u64);

impl LogIndex {
    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Proof of a grant: the epoch and log index of the entry that made it. Rises with every grant
/// of a task; whatever carries a lower one is refused.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub struct Fence {
    /// Term of the coordinator that granted (solo: always 1).
    pub epoch: u32,
    /// Log index of the grant.
    pub index: LogIndex,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.index)
    }
}

impl std::str::FromStr for Fence {
    type Err = ParseFenceError;

    fn from_str(text: &str) -> Result<Self, ParseFenceError> {
        let error = || ParseFenceError {
            text: text.to_owned(),
        };
        let (epoch, index) = text.split_once('.').ok_or_else(error)?;
        Ok(Self {
            epoch: epoch.parse().map_err(|_| error())?,
            index: LogIndex(index.parse().map_err(|_| error())?),
        })
    }
}

/// A text that is not `EPOCH.INDEX`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a fence: it should be two numbers, `EPOCH.INDEX`")]
pub struct ParseFenceError {
    text: String,
}

/// How an attempt ended, as the node saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The command ended with code 0 and its artifacts were taken in.
    Completed,
    /// The command ended with another code or by a signal.
    Exited {
        /// Exit code; 128 + signal when a signal ended it.
        code: i32,
    },
    /// A gate did not pass.
    GateFailed {
        /// The first gate that failed.
        gate: String,
    },
    /// The attempt was stopped at its timeout.
    TimedOut,
    /// The attempt was stopped because the coordinator said so.
    Killed,
    /// The node stopped it: its lease ran out, or the node shut down.
    Interrupted,
    /// The attempt could not be started or its results not be taken in.
    Error {
        /// Stable word, e.g. `workspace_failed`, `artifact_missing`, `isolation_unavailable`.
        code: String,
        /// For people.
        message: String,
    },
    /// The node accepted it and did not start its command. It costs the task nothing.
    NotStarted {
        /// Why.
        reason: HandBack,
    },
}

/// Classes of failure that a retry policy can name.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Non-zero exit code.
    Exit,
    /// A gate failed.
    Gate,
    /// The timeout passed.
    Timeout,
    /// The node was lost or gave the work back.
    Lost,
    /// Workspace, artifact or sandbox trouble.
    Error,
}

/// What a gate answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GateReport {
    /// Name of the gate.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// Exit code, none if it was stopped.
    pub exit_code: Option<i32>,
    /// How long it ran, milliseconds.
    pub duration_ms: u64,
    /// End of its output, at most `GATE_EVIDENCE_BYTES_MAX` bytes.
    pub output: String,
}

/// What an attempt used, as the system counted it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct ResourceUse {
    /// Processor time in user mode, milliseconds.
    pub user_ms: u64,
    /// Processor time in the kernel, milliseconds.
    pub system_ms: u64,
    /// Largest resident size of a process of the attempt, bytes.
    pub memory_peak_bytes: u64,
}

/// BLAKE3 hash of an artifact's bytes, shown as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactHash(pub [u8; 32]);

impl ArtifactHash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for ArtifactHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ArtifactHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an artifact hash: it should be 64 hexadecimal digits")]
pub struct ParseArtifactHashError {
    text: String,
}

impl std::str::FromStr for ArtifactHash {
    type Err = ParseArtifactHashError;

    fn from_str(text: &str) -> Result<Self, ParseArtifactHashError> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| ParseArtifactHashError {
                text: text.to_owned(),
            })
    }
}

impl Serialize for ArtifactHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ArtifactHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

impl schemars::JsonSchema for ArtifactHash {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ArtifactHash".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

/// One file that an attempt handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ArtifactRecord {
    /// Name of the pattern that took it.
    pub name: String,
    /// Path relative to the workspace, `/` between parts.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Hash of the content.
    pub blake3: ArtifactHash,
    /// Whether the owner may execute it.
    pub executable: bool,
}

/// What a node reports about one finished attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttemptReport {
    /// The task.
    pub task: TaskId,
    /// The grant this attempt ran under.
    pub fence: Fence,
    /// How it ended.
    pub outcome: Outcome,
    /// Exit code of the command, if it ran to an end.
    pub exit_code: Option<i32>,
    /// From the start of the command to its end, gates included, milliseconds.
    pub duration_ms: u64,
    /// What it used.
    pub usage: ResourceUse,
    /// Isolation it ran under; none for work without a process.
    pub isolation: Option<IsolationLevel>,
    /// Files handed in; their bytes are at the coordinator already.
    pub artifacts: Vec<ArtifactRecord>,
    /// What the gates said.
    pub gates: Vec<GateReport>,
    /// What the agent says about it. Nodes say nothing.
    #[serde(default)]
    pub account: Option<Box<Account>>,
}

/// What an attached agent says about what it did. Nobody checked it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Account {
    /// What came of it: a text, or JSON as text; at most `ACCOUNT_BYTES_MAX` bytes.
    pub result: Option<String>,
    /// Whether `result` is JSON.
    pub is_json: bool,
    /// The commit that holds it.
    pub commit: Option<String>,
}

impl AttemptReport {
    /// The report of an attempt of which no process ran.
    pub fn without_process(task: TaskId, fence: Fence, outcome: Outcome) -> Self {
        Self {
            task,
            fence,
            outcome,
            exit_code: None,
            duration_ms: 0,
            usage: ResourceUse::default(),
            isolation: None,
            artifacts: Vec::new(),
            gates: Vec::new(),
            account: None,
        }
    }
}

//! `distribution`: how work is cut into parts, placed, and put together again.

use super::{Number, Value};
use serde::{Deserialize, Serialize};

/// How work is cut into parts, placed, and put together again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DistributionInfo {
    /// The part this message is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_partition: Option<TaskPartition>,
    /// Who gets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancing: Option<LoadBalancing>,
    /// What it should be near to, or far from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub affinity_rules: Vec<AffinityRule>,
}

/// How work is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionKind {
    /// The same work on parts of the data.
    DataParallel,
    /// Different work at the same time.
    TaskParallel,
    /// One step after the other.
    Pipeline,
    /// In a way of its own.
    Custom,
    /// In a way that this version does not know.
    #[serde(other)]
    Other,
}

/// How part results are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergeKind {
    /// One after the other, in the order of the parts.
    Concatenate,
    /// Into one value.
    Aggregate,
    /// In a way of its own.
    Custom,
    /// In a way that this version does not know.
    #[serde(other)]
    Other,
}

/// One part of divided work.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskPartition {
    /// The divided work.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// How it is cut.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<PartitionKind>,
    /// The part's place, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<u32>,
    /// Parts in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
    /// How the results are put together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<MergeKind>,
}

/// Who gets the work.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancing {
    /// Name of the strategy, e.g. `round-robin`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its parameters; the form is left open by the contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AffinityKind {
    /// To be near an agent.
    AgentAffinity,
    /// To be far from an agent.
    AntiAffinity,
    /// To be near the data.
    DataLocality,
    /// To be cheap.
    Cost,
    /// Something that this version does not know.
    #[serde(other)]
    Other,
}

/// What work should be near to, or far from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AffinityRule {
    /// What it is about.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<AffinityKind>,
    /// Whom or what it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// How much it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Number>,
    /// Whether it must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
}

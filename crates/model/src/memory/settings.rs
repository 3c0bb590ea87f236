//! What operators say about a namespace.

use crate::limits;
use crate::memory::{MemoryVersion, Namespace};
use serde::{Deserialize, Serialize};

/// How a value is made of two that were written apart. The proposer computes it, for the core
/// keeps no values.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MergeFunction {
    /// Both are lists; each element once.
    SetUnion,
    /// Both are objects of one number per replica; the larger of each.
    Counter,
    /// The later one is a JSON merge patch (RFC 7396) on the earlier one.
    JsonMergePatch,
    /// Both are lists; the later one's elements behind those of the earlier one.
    Append,
}

/// What happens to a write from elsewhere that did not see the present value.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ConflictStrategy {
    /// The later hybrid logical clock wins, whatever was seen; the other write is refused.
    #[default]
    LastWriterWins,
    /// A write that saw the present value replaces it, one that is older is refused. Of two that
    /// did not see each other the later hybrid logical clock wins; the other one is kept in the
    /// history and named by an event.
    VectorClock,
    /// As `VectorClock`, but a write that did not see the present value is refused until its
    /// proposer has merged both.
    Merge(MergeFunction),
    /// As `VectorClock`, but the present value stays, and the other one is kept as a conflict until
    /// somebody settles it.
    Manual,
}

/// A strategy for the keys that begin so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StrategyRule {
    /// The beginning of keys; empty for all.
    pub prefix: String,
    /// Their strategy.
    pub strategy: ConflictStrategy,
}

/// What operators say about a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NamespaceSettings {
    /// Entries it may hold.
    pub entries_max: u64,
    /// Bytes it may hold: keys, values, tags and metadata, and the artifacts that values refer to.
    pub bytes_max: u64,
    /// Strategies by prefix; the longest prefix counts, and without one the default strategy. A
    /// deleted key under one of them is remembered for
    /// [`TOMBSTONE_KEPT_MS`](limits::TOMBSTONE_KEPT_MS), so that an older write from elsewhere does
    /// not bring it back.
    pub strategies: Vec<StrategyRule>,
    /// Whether its values are sealed before they enter the log. Keys, tags and metadata are not.
    /// Can be changed only while nothing is in the namespace.
    pub secret: bool,
    /// Whether only holders of the scope `admin` read and write it.
    pub restricted: bool,
}

impl Default for NamespaceSettings {
    fn default() -> Self {
        Self {
            entries_max: limits::NAMESPACE_ENTRIES_DEFAULT,
            bytes_max: limits::NAMESPACE_QUOTA_BYTES_DEFAULT,
            strategies: Vec::new(),
            secret: false,
            restricted: false,
        }
    }
}

impl NamespaceSettings {
    /// The rule for a key, if there is one.
    pub fn rule(&self, key: &str) -> Option<ConflictStrategy> {
        let rules = self.strategies.iter();
        rules
            .filter(|rule| key.starts_with(&rule.prefix))
            .max_by_key(|rule| rule.prefix.len())
            .map(|rule| rule.strategy)
    }
}

/// A namespace as the state keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceRecord {
    /// Its name.
    pub namespace: Namespace,
    /// What operators said.
    pub settings: NamespaceSettings,
    /// The newest version it gave.
    pub last_version: MemoryVersion,
}

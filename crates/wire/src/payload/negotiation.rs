//! `mcpx.negotiate`: which parts of the protocol both ends use.

use crate::bounds::PROTOCOL_VERSION;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A part of the protocol that an end may or may not offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Binary frames in MessagePack.
    MessagePack,
    /// Binary frames above `COMPRESS_ABOVE_BYTES` compressed with zstd.
    Zstd,
    /// Credits for assignments and results.
    Credits,
    /// The coordinator answers `mcpx.coordinate.dependency.resolve`.
    DependencyResolve,
    /// The coordinator answers `mcpx.coordinate.quality.gate`.
    QualityGate,
    /// The coordinator answers `mcpx.distribute.task.split`.
    TaskSplit,
    /// The node answers `mcpx.distribute.load.balance`, and announces its own overload by it.
    LoadBalance,
    /// The coordinator answers `mcpx.distribute.result.merge`.
    ResultMerge,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::MessagePack,
        Self::Zstd,
        Self::Credits,
        Self::DependencyResolve,
        Self::QualityGate,
        Self::TaskSplit,
        Self::LoadBalance,
        Self::ResultMerge,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MessagePack => "frames.messagepack",
            Self::Zstd => "frames.zstd",
            Self::Credits => "flow.credits",
            Self::DependencyResolve => "dependency.resolve",
            Self::QualityGate => "quality.gate",
            Self::TaskSplit => "task.split",
            Self::LoadBalance => "load.balance",
            Self::ResultMerge => "result.merge",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(u16);

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);

    /// These.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | capability.bit())
    }

    /// Without this one.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !capability.bit())
    }

    /// Those that are in one of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it is in the set.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those whose names are known here.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: BTreeSet<&str> = names.into_iter().collect();
        Capability::ALL
            .into_iter()
            .filter(|capability| names.contains(capability.as_str()))
            .fold(Self::NONE, Self::with)
    }

    /// Their names.
    pub fn names(self) -> Vec<String> {
        Capability::ALL
            .into_iter()
            .filter(|capability| self.has(*capability))
            .map(|capability| capability.as_str().to_owned())
            .collect()
    }
}

/// Which of the three groups an end reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Extensions {
    /// `orchestration`.
    pub orchestration: bool,
    /// `coordination`.
    pub coordination: bool,
    /// `distribution`.
    pub distribution: bool,
}

impl Extensions {
    /// All three.
    pub const ALL: Self = Self {
        orchestration: true,
        coordination: true,
        distribution: true,
    };

    /// Those that both read.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            orchestration: self.orchestration && other.orchestration,
            coordination: self.coordination && other.coordination,
            distribution: self.distribution && other.distribution,
        }
    }
}

/// How much may be under way: items and the bytes of the frames that carry them, before
/// compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Credit {
    /// Assignments, or results.
    pub items: u64,
    /// Bytes.
    pub bytes: u64,
}

/// `mcpx.negotiate`, and its answer: version, capabilities and groups. The answer holds what both
/// have. Each side says what it grants to the other at the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Negotiation {
    /// Version of the protocol.
    pub version: String,
    /// Names of capabilities; unknown ones are passed over.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Groups that are read.
    #[serde(default)]
    pub extensions: Extensions,
    /// What the other may send before more is granted; only with `flow.credits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit: Option<Credit>,
}

impl Negotiation {
    /// What an end with these capabilities says.
    pub fn offering(capabilities: Capabilities, window: Credit) -> Self {
        let credit = capabilities.has(Capability::Credits).then_some(window);
        Self {
            version: PROTOCOL_VERSION.to_owned(),
            capabilities: capabilities.names(),
            extensions: Extensions::ALL,
            credit,
        }
    }

    /// The capabilities it names that are known here. Compression needs binary frames, and
    /// credits need a first grant.
    pub fn known(&self) -> Capabilities {
        let mut known = Capabilities::of_names(self.capabilities.iter().map(String::as_str));
        if !known.has(Capability::MessagePack) {
            known = known.without(Capability::Zstd);
        }
        if self.credit.is_none() {
            known = known.without(Capability::Credits);
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_as_the_set_they_were_written_from() {
        for bits in 0..(1 << Capability::ALL.len()) {
            let set = Capabilities(bits);
            let names = set.names();
            assert_eq!(
                Capabilities::of_names(names.iter().map(String::as_str)),
                set
            );
        }
    }

    #[test]
    fn what_depends_on_something_absent_is_not_agreed() {
        let all = Capability::ALL
            .into_iter()
            .fold(Capabilities::NONE, Capabilities::with);
        let window = Credit { items: 1, bytes: 1 };
        let mut said = Negotiation::offering(all, window);
        assert_eq!(said.known(), all);
        said.credit = None;
        said.capabilities
            .retain(|name| name != "frames.messagepack");
        said.capabilities.push("moon.phase".to_owned());
        let expected = all
            .without(Capability::MessagePack)
            .without(Capability::Zstd)
            .without(Capability::Credits);
        assert_eq!(said.known(), expected);
    }
}

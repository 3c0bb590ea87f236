//! The scenarios: what happens to the network, to which hosts, and for how long.

use std::time::Duration;

/// A node's lease, and how long after it the coordinator gives its work to others: promises that
/// the product makes in its documentation.
const LEASE: Duration = Duration::from_secs(30);
const REGRANT_AFTER: Duration = Duration::from_secs(5);
/// Longest time from the heal until every node finishes work again.
pub(crate) const RECOVERY_MAX: Duration = Duration::from_secs(40);
/// Longer than it takes until a node that is cut off is given up.
const UNTIL_GIVEN_UP: Duration =
    Duration::from_secs(LEASE.as_secs() + REGRANT_AFTER.as_secs() + 10);
/// Shorter than a lease.
const BRIEF: Duration = Duration::from_secs(12);
const ROUGH: Duration = Duration::from_secs(24);

/// What is played once, on hosts of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Nothing goes from or to one node.
    Partition,
    /// What one node sends does not arrive.
    NodeUnheard,
    /// What is sent to one node does not arrive.
    NodeDeaf,
    /// Nobody reaches anybody.
    Outage,
    /// The coordinator is killed, and comes back, while a node is cut off.
    KillInPartition,
    /// Every third packet is lost, everywhere.
    Loss,
    /// The cable of one node is pulled and put back every two seconds.
    Flapping,
    /// One node is far away.
    Delay,
    /// The path to one node stalls, resets, half-closes, and cuts bytes apart.
    RoughPath,
}

impl Scenario {
    /// The longest first, so that those that are played at a time end together.
    pub(crate) const ALL: [Self; 9] = [
        Self::Partition,
        Self::NodeUnheard,
        Self::NodeDeaf,
        Self::Outage,
        Self::Loss,
        Self::Flapping,
        Self::Delay,
        Self::RoughPath,
        Self::KillInPartition,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::NodeUnheard => "node-unheard",
            Self::NodeDeaf => "node-deaf",
            Self::Outage => "outage",
            Self::KillInPartition => "kill-in-partition",
            Self::Loss => "loss",
            Self::Flapping => "flapping",
            Self::Delay => "delay",
            Self::RoughPath => "rough-path",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// How long the fault lasts.
    pub(crate) const fn length(self) -> Duration {
        match self {
            Self::Partition | Self::NodeUnheard | Self::NodeDeaf | Self::Outage => UNTIL_GIVEN_UP,
            Self::KillInPartition => BRIEF,
            Self::Loss | Self::Flapping | Self::Delay | Self::RoughPath => ROUGH,
        }
    }

    /// Whether a node is given up before the heal.
    pub(crate) const fn is_given_up(self) -> bool {
        matches!(
            self,
            Self::Partition | Self::NodeUnheard | Self::NodeDeaf | Self::Outage
        )
    }

    /// Whether a node reaches the coordinator through the proxy.
    pub(crate) const fn is_proxied(self) -> bool {
        matches!(self, Self::Delay | Self::RoughPath)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_found_by_its_name() {
        for scenario in Scenario::ALL {
            assert_eq!(Scenario::named(scenario.name()), Some(scenario));
        }
        assert_eq!(Scenario::named(""), None);
    }

    #[test]
    fn a_node_is_given_up_where_the_fault_outlasts_its_lease() {
        for scenario in Scenario::ALL {
            let is_longer = scenario.length() > LEASE + REGRANT_AFTER;
            assert_eq!(is_longer, scenario.is_given_up(), "{scenario:?}");
        }
    }
}

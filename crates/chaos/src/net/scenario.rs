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
    /// Large packets to one node vanish, small ones arrive: a path whose packets may be smaller
    /// than both ends believe, and that does not say so.
    MtuBlackhole,
    /// Nodes know the coordinator by a name. Nobody resolves it any more, and a link breaks.
    NameGone,
    /// What one node sends comes from another address from now on, and nobody says so.
    NatRebinding,
    /// The coordinator is behind a slow link, for all.
    SlowLeader,
    /// Every byte between one node and the coordinator arrives by itself.
    ByteByByte,
    /// One byte in a second arrives, each way.
    Trickle,
}

/// How a node whose network is broken stands just before the heal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing is promised.
    Anyhow,
    /// It takes work: the fault does not keep it away.
    Ready,
    /// It was noticed that it is silent.
    Silent,
    /// It was given up, and its work given to others.
    Lost,
}

impl Standing {
    /// Whether a state, as the coordinator shows it, is this.
    pub(crate) fn is_shown_as(self, state: &str) -> bool {
        match self {
            Self::Anyhow => true,
            Self::Ready => state == "ready",
            Self::Silent => matches!(state, "suspect" | "lost"),
            Self::Lost => state == "lost",
        }
    }
}

impl Scenario {
    /// The longest first, so that those that are played at a time end together.
    pub(crate) const ALL: [Self; 15] = [
        Self::Partition,
        Self::NodeUnheard,
        Self::NodeDeaf,
        Self::Outage,
        Self::MtuBlackhole,
        Self::Trickle,
        Self::NameGone,
        Self::NatRebinding,
        Self::SlowLeader,
        Self::ByteByByte,
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
            Self::MtuBlackhole => "mtu-blackhole",
            Self::NameGone => "name-gone",
            Self::NatRebinding => "nat-rebinding",
            Self::SlowLeader => "slow-leader",
            Self::ByteByByte => "byte-by-byte",
            Self::Trickle => "trickle",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// How long the fault lasts.
    pub(crate) const fn length(self) -> Duration {
        match self {
            Self::Partition
            | Self::NodeUnheard
            | Self::NodeDeaf
            | Self::Outage
            | Self::MtuBlackhole
            | Self::NatRebinding => UNTIL_GIVEN_UP,
            Self::KillInPartition => BRIEF,
            Self::Loss
            | Self::Flapping
            | Self::Delay
            | Self::RoughPath
            | Self::NameGone
            | Self::SlowLeader
            | Self::ByteByByte
            | Self::Trickle => ROUGH,
        }
    }

    /// How the nodes that are hit stand before the heal.
    pub(crate) const fn standing(self) -> Standing {
        match self {
            Self::Partition
            | Self::NodeUnheard
            | Self::NodeDeaf
            | Self::Outage
            | Self::MtuBlackhole => Standing::Lost,
            Self::Trickle => Standing::Silent,
            Self::NameGone | Self::NatRebinding | Self::SlowLeader | Self::ByteByByte => {
                Standing::Ready
            }
            Self::KillInPartition | Self::Loss | Self::Flapping | Self::Delay | Self::RoughPath => {
                Standing::Anyhow
            }
        }
    }

    /// Whether all nodes are hit, and not one.
    pub(crate) const fn hits_all(self) -> bool {
        matches!(self, Self::Outage | Self::Loss | Self::SlowLeader)
    }

    /// Whether the nodes that are hit reach the coordinator through the proxy.
    pub(crate) const fn is_proxied(self) -> bool {
        matches!(
            self,
            Self::Delay
                | Self::RoughPath
                | Self::NameGone
                | Self::SlowLeader
                | Self::ByteByByte
                | Self::Trickle
        )
    }

    /// Whether nodes know the coordinator by a name instead of an address.
    pub(crate) const fn is_by_name(self) -> bool {
        matches!(self, Self::NameGone)
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
    fn a_node_can_be_given_up_only_where_the_fault_outlasts_its_lease() {
        for scenario in Scenario::ALL {
            let is_longer = scenario.length() > LEASE + REGRANT_AFTER;
            let is_expected = match scenario.standing() {
                Standing::Lost => is_longer,
                // Those that come back while the fault lasts.
                Standing::Ready => true,
                Standing::Anyhow | Standing::Silent => !is_longer,
            };
            assert!(is_expected, "{scenario:?}");
        }
    }

    #[test]
    fn a_state_is_what_a_scenario_wants_or_not() {
        for (standing, wanted) in [
            (Standing::Anyhow, &["ready", "suspect", "lost"][..]),
            (Standing::Ready, &["ready"]),
            (Standing::Silent, &["suspect", "lost"]),
            (Standing::Lost, &["lost"]),
        ] {
            for state in ["ready", "suspect", "lost"] {
                let is_wanted = wanted.contains(&state);
                assert_eq!(
                    standing.is_shown_as(state),
                    is_wanted,
                    "{standing:?} {state}"
                );
            }
        }
    }
}

//! Who was heard when. Heartbeats stay here, in memory; only transitions enter the log.

use crate::attendance::SessionTimers;
use crate::leases::Leases;
use skep_core::State;
use skep_model::command::Command;
use skep_model::hold::{OnDisconnect, Patience};
use skep_model::ids::NodeId;
use skep_model::limits::HOLD_MS_MAX;
use skep_model::node::{NodeClass, NodeRecord, NodeState};
use skep_model::planted::{PlantedBug, planted};
use std::collections::BTreeMap;

/// Timers of the lease protocol for each class of nodes.
#[derive(Debug, Clone, Copy)]
pub struct LeaseTimers {
    /// For machines that are always on.
    pub server: ClassTimers,
    /// For laptops and workstations.
    pub consumer: ClassTimers,
    /// How long the attempts of a node with the policy `wait` wait for it, milliseconds.
    pub disconnect_wait_ms: u64,
    /// For attached agents, which hold no connection.
    pub sessions: SessionTimers,
}

/// Timers of the lease protocol, in milliseconds of [`crate::ports::Clock::elapsed_ms`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassTimers {
    /// How often a node sends a heartbeat.
    pub heartbeat_ms: u64,
    /// Silence after which a node gets no new work.
    pub suspect_after_ms: u64,
    /// How long a node may hold its work without an answer, unless it is waited for.
    pub lease_ms: u64,
    /// Added to the hold before its work is given to others.
    pub grace_ms: u64,
}

impl Default for LeaseTimers {
    fn default() -> Self {
        use skep_model::limits;
        Self {
            server: ClassTimers {
                heartbeat_ms: limits::HEARTBEAT_MS,
                suspect_after_ms: limits::SUSPECT_AFTER_MS,
                lease_ms: limits::LEASE_MS,
                grace_ms: limits::LEASE_GRACE_MS,
            },
            consumer: ClassTimers {
                heartbeat_ms: limits::CONSUMER_HEARTBEAT_MS,
                suspect_after_ms: limits::CONSUMER_SUSPECT_AFTER_MS,
                lease_ms: limits::CONSUMER_LEASE_MS,
                grace_ms: limits::CONSUMER_LEASE_GRACE_MS,
            },
            disconnect_wait_ms: limits::DISCONNECT_WAIT_MS,
            sessions: SessionTimers::default(),
        }
    }
}

impl LeaseTimers {
    /// Those of a class.
    pub const fn of(&self, class: NodeClass) -> &ClassTimers {
        match class {
            NodeClass::Server => &self.server,
            NodeClass::Consumer => &self.consumer,
        }
    }

    /// How long a node of this class holds its work without an answer if so much patience is had
    /// with it, milliseconds.
    pub fn hold_ms(&self, class: NodeClass, patience: Patience) -> u64 {
        let lease_ms = self.of(class).lease_ms;
        let hold_ms = match patience.policy {
            OnDisconnect::Replace => lease_ms,
            OnDisconnect::Wait => self.disconnect_wait_ms.max(lease_ms),
            OnDisconnect::Keep => HOLD_MS_MAX,
        };
        hold_ms.saturating_add(patience.park_ms).min(HOLD_MS_MAX)
    }

    /// How long the node may still act as if its work was its own. One that is not known yet holds
    /// nothing.
    fn hold_of(&self, state: &State, node: NodeId) -> u64 {
        let record = state.node(node);
        record.map_or(0, |record| {
            self.hold_ms(record.facts.class, record.hold.bound)
        })
    }

    /// Those of a node, by what it said about itself; a node that is not known yet counts as a
    /// server.
    pub(crate) fn of_node(&self, state: &State, node: NodeId) -> &ClassTimers {
        let class = state.node(node).map(|record| record.facts.class);
        self.of(class.unwrap_or_default())
    }
}

/// Commits that take longer count as a stall of the coordinator, milliseconds.
pub(crate) const STALL_EXCUSED_MS: u64 = 1_000;

#[derive(Debug, Clone, Copy)]
struct Heard {
    at: u64,
    /// A transition was proposed and is not applied yet.
    transition_pending: bool,
}

/// Silence per node, and what follows from it.
#[derive(Debug)]
pub(crate) struct Liveness {
    timers: LeaseTimers,
    heard: BTreeMap<NodeId, Heard>,
    leases: Leases,
    /// When the log last took nothing because the disk was full. No lease is counted from before:
    /// an expiry could not be written, and a node may have been kept from coming back.
    full_at: u64,
    /// No transition is due before this. Scanning all nodes is left until then.
    check_at: Option<u64>,
}

impl Liveness {
    /// At start every node that could hold work counts as heard just now: its work is its own for
    /// one whole hold more, because nobody knows how long the coordinator was away.
    pub(crate) fn start(timers: LeaseTimers, state: &State, now: u64) -> Self {
        let leases = Leases::default();
        let mut heard = BTreeMap::new();
        let is_watched = |node: &&NodeRecord| can_be_lost(node.state) && node.session.is_none();
        for node in state.nodes().filter(is_watched) {
            let class = timers.of(node.facts.class);
            let hold_ms = timers.hold_ms(node.facts.class, node.hold.bound);
            let at = if planted(PlantedBug::LeasesNotExtended) {
                now.saturating_sub(hold_ms + class.grace_ms)
            } else {
                now
            };
            leases.set(node.id, at + hold_ms);
            heard.insert(
                node.id,
                Heard {
                    at,
                    transition_pending: false,
                },
            );
        }
        let check_at = (!heard.is_empty()).then_some(now);
        Self {
            timers,
            heard,
            leases,
            full_at: 0,
            check_at,
        }
    }

    /// For those who look at leases.
    pub(crate) fn leases(&self) -> Leases {
        self.leases.clone()
    }

    pub(crate) fn heard(&mut self, node: NodeId, state: &State, now: u64) {
        let entry = self.heard.entry(node).or_insert(Heard {
            at: now,
            transition_pending: false,
        });
        entry.at = entry.at.max(now);
        let timers = self.timers.of_node(state, node);
        self.leases
            .set(node, entry.at + self.timers.hold_of(state, node));
        let suspect = state
            .node(node)
            .is_some_and(|record| record.state == NodeState::Suspect);
        let check = if suspect {
            now
        } else {
            now + timers.suspect_after_ms
        };
        self.check_by(check);
    }

    /// The coordinator itself did nothing for so long: what nodes said meanwhile was not heard yet,
    /// so their silence does not count. Heartbeats were answered all the while.
    pub(crate) fn excuse(&mut self, stalled_ms: u64) {
        if stalled_ms >= STALL_EXCUSED_MS {
            for entry in self.heard.values_mut() {
                entry.at += stalled_ms;
            }
            self.leases.extend_all_by(stalled_ms);
        }
    }

    /// The disk is full. Once it is not any more, every node has a whole lease to come back.
    pub(crate) fn log_was_full(&mut self, now: u64) {
        self.full_at = now;
    }

    /// How long nodes hold their work changed.
    pub(crate) fn look_again(&mut self, now: u64) {
        self.check_by(now);
    }

    pub(crate) fn forget(&mut self, node: NodeId) {
        self.heard.remove(&node);
        self.leases.forget(node);
    }

    /// A proposed transition was applied, refused, or not stored.
    pub(crate) fn settled(&mut self, node: NodeId) {
        if let Some(entry) = self.heard.get_mut(&node) {
            entry.transition_pending = false;
            // Servers are the least patient: at worst it is looked at in vain.
            let at = entry.at + self.timers.server.suspect_after_ms;
            self.check_by(at);
        }
    }

    /// Transitions that are due, each proposed once.
    pub(crate) fn due(&mut self, state: &State, now: u64) -> Vec<(NodeId, Command)> {
        if self.check_at.is_none_or(|check_at| now < check_at) {
            return Vec::new();
        }
        let all_timers = self.timers;
        let mut due = Vec::new();
        let mut check_at = None;
        for (&node, entry) in &mut self.heard {
            let Some(record) = state.node(node) else {
                continue;
            };
            if entry.transition_pending {
                continue;
            }
            let hold_from = entry.at.max(self.full_at);
            let bounds = Bounds::with(&all_timers, record);
            let silence = Silence {
                heard_ms: now.saturating_sub(entry.at),
                hold_ms: now.saturating_sub(hold_from),
            };
            if let Some(command) = transition(node, record.state, silence, bounds) {
                entry.transition_pending = true;
                due.push((node, command));
            } else if let Some(at) = next_look(record.state, entry.at, hold_from, bounds) {
                check_at = Some(check_at.map_or(at, |earlier: u64| earlier.min(at)));
            }
        }
        self.check_at = check_at;
        due
    }

    /// When [`Self::due`] may next have something to say.
    pub(crate) const fn next_wake(&self) -> Option<u64> {
        self.check_at
    }

    fn check_by(&mut self, at: u64) {
        self.check_at = Some(self.check_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// How long a node was silent.
#[derive(Debug, Clone, Copy)]
struct Silence {
    /// Since it was heard.
    heard_ms: u64,
    /// As far as it counts against its hold.
    hold_ms: u64,
}

/// How much silence of a node is borne, milliseconds.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    suspect_after: u64,
    given_up_after: u64,
}

impl Bounds {
    fn with(timers: &LeaseTimers, record: &NodeRecord) -> Self {
        let class = timers.of(record.facts.class);
        let hold_ms = timers.hold_ms(record.facts.class, record.hold.bound);
        Self {
            suspect_after: class.suspect_after_ms,
            given_up_after: if planted(PlantedBug::LeaseGivenUpEarly) {
                class.suspect_after_ms
            } else {
                hold_ms + class.grace_ms
            },
        }
    }
}

/// When a node in this state is next looked at.
fn next_look(state: NodeState, heard_at: u64, hold_from: u64, bounds: Bounds) -> Option<u64> {
    match state {
        NodeState::Ready | NodeState::Draining => Some(heard_at + bounds.suspect_after),
        NodeState::Joining | NodeState::Suspect => Some(hold_from + bounds.given_up_after),
        NodeState::Lost | NodeState::Left => None,
    }
}

/// Whether the node can hold work that silence takes from it.
pub(crate) const fn can_be_lost(state: NodeState) -> bool {
    !matches!(state, NodeState::Lost | NodeState::Left)
}

fn transition(node: NodeId, state: NodeState, silence: Silence, bounds: Bounds) -> Option<Command> {
    if can_be_lost(state) && silence.hold_ms >= bounds.given_up_after {
        return Some(Command::LoseNode(node));
    }
    let is_silent = silence.heard_ms >= bounds.suspect_after;
    match state {
        NodeState::Ready | NodeState::Draining if is_silent => Some(Command::SuspectNode(node)),
        NodeState::Suspect if !is_silent => Some(Command::TrustNode(node)),
        _ => None,
    }
}

// Millions of heartbeats: only optimized, as `cargo xtask test --only crowd` has it.
#[cfg(all(test, feature = "crowd"))]
mod crowd_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_of_the_coordinator_is_not_counted_as_silence_of_its_nodes() {
        let timers = LeaseTimers::default();
        let given_up = timers.server.lease_ms + timers.server.grace_ms;
        let node = NodeId::from_u128(1);
        let heard = |liveness: &Liveness| liveness.heard[&node].at;
        let state = State::new();
        let mut liveness = Liveness::start(timers, &state, 0);
        liveness.heard(node, &state, 100);
        liveness.excuse(STALL_EXCUSED_MS - 1);
        assert_eq!(heard(&liveness), 100, "an ordinary commit");
        liveness.excuse(given_up);
        assert_eq!(heard(&liveness), 100 + given_up);
    }
}

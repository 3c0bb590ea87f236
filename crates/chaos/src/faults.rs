//! The faults: which come in which cycle, and how each is done and undone.

use crate::random::Random;
use crate::swarm::Swarm;
use anyhow::Result;
use std::thread;
use std::time::{Duration, Instant};

/// Longest sleep of a node; its leases end long before.
const SLEEP_MAX: Duration = Duration::from_secs(100);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    KillCoordinator,
    /// The second time while it recovers from the first.
    KillCoordinatorTwice,
    KillNode,
    /// For less than a lease.
    PauseNode,
    KillCoordinatorAndNode,
    KillAll,
    /// Politely, while followers and nodes are connected.
    RestartCoordinator,
    /// Politely: it says goodbye.
    RestartNode,
    /// It gets no work for a while.
    DrainNode,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::KillCoordinator,
        Self::KillCoordinatorTwice,
        Self::KillNode,
        Self::PauseNode,
        Self::KillCoordinatorAndNode,
        Self::KillAll,
        Self::RestartCoordinator,
        Self::RestartNode,
        Self::DrainNode,
    ];

    /// The faults of so many cycles: all kinds before one comes again.
    pub(crate) fn plan(cycles: usize, random: &mut Random) -> Vec<Self> {
        let mut plan = Vec::new();
        while plan.len() < cycles {
            let mut round = Self::ALL;
            random.shuffle(&mut round);
            plan.extend(round);
        }
        plan.truncate(cycles);
        plan
    }

    /// Does it and undoes it.
    pub(crate) fn play(
        self,
        swarm: &mut Swarm,
        awake: &[usize],
        random: &mut Random,
    ) -> Result<()> {
        let node = awake[random.below(awake.len() as u64) as usize];
        match self {
            Self::KillCoordinator => {
                swarm.kill_coordinator()?;
                pause(random, 0, 1_500);
                swarm.start_coordinator().map(drop)
            }
            Self::KillCoordinatorTwice => {
                swarm.kill_coordinator()?;
                swarm.begin_coordinator()?;
                pause(random, 0, 150);
                swarm.kill_coordinator()?;
                swarm.start_coordinator().map(drop)
            }
            Self::KillNode => {
                swarm.kill_node(node)?;
                pause(random, 0, 1_500);
                swarm.start_node(node)
            }
            Self::PauseNode => {
                swarm.pause_node(node)?;
                pause(random, 1_000, 4_000);
                swarm.resume_node(node)
            }
            Self::KillCoordinatorAndNode => {
                swarm.kill_coordinator()?;
                swarm.kill_node(node)?;
                swarm.start_node(node)?;
                pause(random, 0, 1_000);
                swarm.start_coordinator().map(drop)
            }
            Self::KillAll => {
                swarm.kill_coordinator()?;
                for node in awake {
                    swarm.kill_node(*node)?;
                }
                swarm.start_coordinator()?;
                awake.iter().try_for_each(|node| swarm.start_node(*node))
            }
            Self::RestartCoordinator => {
                swarm.stop_coordinator()?;
                pause(random, 0, 1_000);
                swarm.start_coordinator().map(drop)
            }
            Self::RestartNode => {
                swarm.stop_node(node)?;
                pause(random, 0, 1_500);
                swarm.start_node(node)
            }
            Self::DrainNode => {
                swarm.drain_node(node)?;
                pause(random, 500, 1_500);
                swarm.undrain_node(node)
            }
        }
    }
}

/// Waits between so many milliseconds: the moment of a fault is drawn, too.
pub(crate) fn pause(random: &mut Random, low: u64, high: u64) {
    thread::sleep(Duration::from_millis(random.between(low, high)));
}

/// A node that is stopped until the coordinator has given its work to others, and then goes on as
/// if nothing had happened.
#[derive(Debug)]
pub(crate) struct Sleeper {
    node: usize,
    since: Instant,
}

impl Sleeper {
    pub(crate) fn put_to_sleep(swarm: &Swarm, node: usize) -> Result<Self> {
        swarm.pause_node(node)?;
        Ok(Self {
            node,
            since: Instant::now(),
        })
    }

    pub(crate) const fn node(&self) -> usize {
        self.node
    }

    /// Wakes the node when it is given up by the coordinator; whether it did.
    pub(crate) fn wake_if_lost(&self, swarm: &Swarm) -> Result<bool> {
        let is_lost = swarm.node_state(self.node)? == "lost";
        if is_lost {
            swarm.resume_node(self.node)?;
        }
        Ok(is_lost)
    }

    /// Waits until it can be woken; how long it slept, or nothing when it was never given up.
    pub(crate) fn wake_when_lost(&self, swarm: &Swarm) -> Result<Option<Duration>> {
        while self.since.elapsed() < SLEEP_MAX {
            if self.wake_if_lost(swarm)? {
                return Ok(Some(self.since.elapsed()));
            }
            thread::sleep(LOOK_AGAIN_AFTER);
        }
        swarm.resume_node(self.node)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_once_before_one_comes_again() {
        let plan = Fault::plan(20, &mut Random::new(3, 0));
        assert_eq!(plan.len(), 20);
        for round in plan.chunks_exact(Fault::ALL.len()) {
            let mut round = round.to_vec();
            round.sort();
            assert_eq!(round, Fault::ALL);
        }
    }
}

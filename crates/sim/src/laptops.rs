//! Laptops: they sleep, and their clocks go on. And slow ends of connections.

use crate::happening::What;
use crate::network::Direction;
use crate::world::{FAULTY_MS, World};
use skep_model::limits::LEASE_MS;

/// How long a machine is awake before it must have stopped what its lease does not cover any
/// more, milliseconds.
const AWAKE_MS: u64 = 1_000;
/// Longest sleep, milliseconds.
const SLEEP_MS_MAX: u64 = 900_000;
/// Longest time between two frames that a slow end reads, milliseconds.
const READ_EVERY_MS_MAX: u64 = 2_000;

impl World {
    /// A machine will sleep: now, or at the worst moment, between a heartbeat and its answer.
    pub(crate) fn close_lid(&mut self, node: usize) {
        let next = self.nodes[node].tick_at.filter(|_| self.random.chance(500));
        let at = next.map_or(self.now, |tick| tick + self.random.between(0, 5));
        self.schedule(at, What::FallsAsleep { node });
    }

    /// The lid is closed: the process does not run, the clock that counts sleep does.
    pub(crate) fn sleep(&mut self, index: usize) {
        let wakes_at = self.now + self.random.between(5_000, SLEEP_MS_MAX);
        let wakes_at = wakes_at.min(FAULTY_MS + LEASE_MS);
        let sleeps_already = self.now < self.nodes[index].paused_until;
        if self.healing || sleeps_already || self.nodes[index].end.is_none() {
            return;
        }
        self.note("machine slept");
        let slept_at = self.now;
        let node = &mut self.nodes[index];
        node.pause(slept_at, wakes_at);
        let generation = node.generation;
        self.schedule(
            wakes_at + AWAKE_MS,
            What::Awake {
                node: index,
                generation,
                slept_at,
            },
        );
    }

    /// I23: a machine that slept for longer than its work was its own has stopped what it did
    /// before.
    pub(crate) fn is_awake_and_knows(
        &mut self,
        index: usize,
        generation: u64,
        slept_at: u64,
    ) -> Result<(), String> {
        let node = &self.nodes[index];
        let slept_ms = self.now.saturating_sub(slept_at + AWAKE_MS);
        let woke_as_planned = self.now == node.paused_until + AWAKE_MS;
        let is_it = node.generation == generation && woke_as_planned;
        if !is_it || slept_ms < node.hold_ms_max() {
            return Ok(());
        }
        let goes_on = node
            .running
            .iter()
            .find(|(_, running)| running.since <= slept_at && !running.is_told_to_stop);
        match goes_on {
            Some((attempt, _)) => Err(format!(
                "I23: n{index} slept for {slept_ms} ms and goes on with {attempt}"
            )),
            None => Ok(()),
        }
    }

    /// One end of a machine's connection reads slowly for a while.
    pub(crate) fn read_slowly(&mut self, node: usize, until: u64) {
        self.note("slow reader");
        let direction = *self
            .random
            .pick(&[Direction::ToNode, Direction::ToCoordinator]);
        let every_ms = self.random.between(10, READ_EVERY_MS_MAX);
        self.network.slow(node, direction, until, every_ms);
        self.nodes[node].disturb(until);
    }
}

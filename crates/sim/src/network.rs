//! Connections between nodes and the coordinator: delay, loss, duplication, reordering, cuts.

use crate::faults::Faults;
use crate::members::Process;
use crate::random::Random;
use std::collections::BTreeMap;

/// One connection, for as long as either end believes in it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) node: usize,
    pub(crate) process: Process,
    /// A frame was lost on it, as on no real connection that stays open.
    pub(crate) is_torn: bool,
    /// Latest delivery planned per direction; without reordering nothing arrives before it.
    to_coordinator_at: u64,
    pub(crate) to_node_at: u64,
    pub(crate) node_end_open: bool,
    pub(crate) coordinator_end_open: bool,
}

impl Connection {
    const fn latest(&self, direction: Direction) -> u64 {
        match direction {
            Direction::ToCoordinator => self.to_coordinator_at,
            Direction::ToNode => self.to_node_at,
        }
    }
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    ToCoordinator,
    ToNode,
}

/// All connections, and who is cut off.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) connections: BTreeMap<u64, Connection>,
    /// Until when frames from or to a node vanish, per direction.
    cut_until: BTreeMap<(usize, Direction), u64>,
    /// Until when an end reads slowly, and the time from frame to frame.
    slow_until: BTreeMap<(usize, Direction), (u64, u64)>,
    next: u64,
}

impl Network {
    pub(crate) fn open(&mut self, process: Process, now: u64) -> u64 {
        self.next += 1;
        let connection = Connection {
            node: process.node,
            process,
            is_torn: false,
            to_coordinator_at: now,
            to_node_at: now,
            node_end_open: true,
            coordinator_end_open: true,
        };
        self.connections.insert(self.next, connection);
        self.next
    }

    pub(crate) fn cut(&mut self, node: usize, direction: Direction, until: u64) {
        let entry = self.cut_until.entry((node, direction)).or_default();
        *entry = (*entry).max(until);
    }

    /// The end at which frames of this direction arrive reads slowly.
    pub(crate) fn slow(&mut self, node: usize, direction: Direction, until: u64, every_ms: u64) {
        self.slow_until.insert((node, direction), (until, every_ms));
    }

    /// The time from frame to frame at an end that reads slowly.
    pub(crate) fn reads_every_ms(&self, node: usize, direction: Direction, now: u64) -> u64 {
        let slow = self.slow_until.get(&(node, direction));
        slow.filter(|(until, _)| now < *until)
            .map_or(0, |(_, every_ms)| *every_ms)
    }

    pub(crate) fn heal(&mut self) {
        self.cut_until.clear();
        self.slow_until.clear();
    }

    pub(crate) fn is_cut(&self, node: usize, direction: Direction, now: u64) -> bool {
        self.cut_until
            .get(&(node, direction))
            .is_some_and(|until| now < *until)
    }

    /// When copies of a frame arrive; none when it is lost.
    pub(crate) fn deliveries(
        &mut self,
        connection: u64,
        direction: Direction,
        now: u64,
        faults: &Faults,
        random: &mut Random,
    ) -> Vec<u64> {
        let Some(open) = self.connections.get(&connection) else {
            return Vec::new();
        };
        let node = open.node;
        if self.is_cut(node, direction, now) || random.chance(faults.loss_permille) {
            if let Some(open) = self.connections.get_mut(&connection) {
                open.is_torn = true;
            }
            return Vec::new();
        }
        let every_ms = self.reads_every_ms(node, direction, now);
        let copies = 1 + usize::from(random.chance(faults.duplicate_permille));
        let mut at = Vec::new();
        for _ in 0..copies {
            let arrival = now + random.between(faults.delay_ms.0, faults.delay_ms.1);
            let arrival = self.after_others(connection, direction, arrival, every_ms);
            at.push(self.in_order(connection, direction, arrival, faults, random));
        }
        at
    }

    /// A slow end reads a frame this long after the one before.
    fn after_others(&self, connection: u64, to: Direction, arrival: u64, every_ms: u64) -> u64 {
        match self.connections.get(&connection) {
            Some(open) if every_ms > 0 => arrival.max(every_ms + open.latest(to)),
            _ => arrival,
        }
    }

    fn in_order(
        &mut self,
        connection: u64,
        direction: Direction,
        arrival: u64,
        faults: &Faults,
        random: &mut Random,
    ) -> u64 {
        let overtakes = random.chance(faults.reorder_permille);
        let Some(connection) = self.connections.get_mut(&connection) else {
            return arrival;
        };
        let latest = match direction {
            Direction::ToCoordinator => &mut connection.to_coordinator_at,
            Direction::ToNode => &mut connection.to_node_at,
        };
        if overtakes {
            return arrival;
        }
        *latest = arrival.max(*latest);
        *latest
    }
}

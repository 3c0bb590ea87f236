//! Breaks things while faults are on, and mends them all afterwards.

use crate::faults::{Faults, Trouble};
use crate::happening::What;
use crate::network::Direction;
use crate::world::World;
use skep_wire::NodeInput;

/// Of a thousand crashes of this kind, so many machines never come back.
const VANISH_PERMILLE: u64 = 100;
/// Largest jump of the wall clock, milliseconds: ten hours.
const CLOCK_JUMP_MS_MAX: u64 = 36_000_000;

/// Of a thousand full disks, so many stay full for minutes.
const DISK_FULL_LONG_PERMILLE: u64 = 400;
/// Longest time for which a disk stays full, milliseconds.
const DISK_FULL_MS_MAX: u64 = 360_000;

impl World {
    pub(crate) fn plan_fault(&mut self) {
        if self.faults.every_ms > 0 && !self.healing {
            let at = self.now + self.random.between(1, 2 * self.faults.every_ms);
            self.schedule(at, What::Fault);
        }
    }

    /// Something breaks.
    pub(crate) fn fault(&mut self) -> Result<(), String> {
        if self.healing {
            return Ok(());
        }
        let node = self.random.next() as usize % self.nodes.len();
        let for_ms = *self.random.pick(&[200, 5_000, 25_000, 90_000]);
        let until = self.now + self.random.between(1, for_ms);
        match self.random.between(0, 23) {
            0 | 1 => self.crash_coordinator()?,
            2 | 3 => self.crash_node(node),
            4 | 5 => {
                self.note("partition");
                self.cut(node, Direction::ToNode, until);
                self.cut(node, Direction::ToCoordinator, until);
            }
            6 => {
                self.note("one-way partition");
                let direction = *self
                    .random
                    .pick(&[Direction::ToNode, Direction::ToCoordinator]);
                self.cut(node, direction, until);
            }
            7 => self.break_connection(node),
            18 => self.stop_node(node)?,
            21 => self.park(node)?,
            20 | 22 | 23 => self.set_policy(node)?,
            17 | 19 => self.go_away_or_come_back(node)?,
            10 if self.random.chance(VANISH_PERMILLE) => self.vanish(node),
            8 if self.faults.bring(Trouble::Pauses) => {
                self.note("node paused");
                self.nodes[node].pause(self.now, until);
            }
            8 if self.faults.bring(Trouble::ClockJumps) => {
                self.note("clock jumped");
                let jump = self.random.between(0, 2 * CLOCK_JUMP_MS_MAX);
                self.wall_offset = jump.cast_signed() - CLOCK_JUMP_MS_MAX.cast_signed();
            }
            9 if self.faults.bring(Trouble::DiskFails)
                && self.random.chance(DISK_FULL_LONG_PERMILLE) =>
            {
                self.note("disk full for minutes");
                self.disk_full_until = self.now + self.random.between(60_000, DISK_FULL_MS_MAX);
                // As if a proxy between them was started anew meanwhile.
                self.break_connection(node);
            }
            9 if self.faults.bring(Trouble::DiskFails) => {
                self.note("disk full");
                self.disk_full_until = until;
            }
            11 => self.storm(),
            12 => {
                self.note("link flaps");
                self.flap(node, self.now + for_ms);
            }
            13 if self.faults.bring(Trouble::Sleeps) => self.close_lid(node),
            14 => self.read_slowly(node, until),
            15 if self.faults.bring(Trouble::Copies) => self.copy_machine(node)?,
            16 => self.operator_acts()?,
            _ => {}
        }
        Ok(())
    }

    /// Its owner wants the machine back, or lends it again.
    fn go_away_or_come_back(&mut self, node: usize) -> Result<(), String> {
        // A process that is stopped hears nothing of it.
        if self.now < self.nodes[node].paused_until {
            return Ok(());
        }
        let reason = self.random.chance(500).then(|| "its owner".to_owned());
        self.note(if reason.is_some() {
            "node away"
        } else {
            "node back"
        });
        self.node_input(node, NodeInput::Away(reason))
    }

    pub(crate) fn cut(&mut self, node: usize, direction: Direction, until: u64) {
        self.network.cut(node, direction, until);
        self.nodes[node].disturb(until);
    }

    pub(crate) fn break_connection(&mut self, node: usize) {
        let Some(connection) = self.nodes[node].connection else {
            return;
        };
        self.note("connection broken");
        self.schedule(
            self.now,
            What::EndLost {
                connection,
                direction: Direction::ToNode,
            },
        );
        let direction = Direction::ToCoordinator;
        self.schedule(
            self.now,
            What::EndLost {
                connection,
                direction,
            },
        );
    }

    /// What was lost on a connection stays lost: a real one would have broken.
    fn break_torn_connections(&mut self) {
        for node in 0..self.nodes.len() {
            let connection = self.nodes[node].connection;
            let open = connection.and_then(|open| self.network.connections.get(&open));
            if open.is_some_and(|open| open.is_torn) {
                self.break_connection(node);
            }
        }
    }

    /// Faults stop; everyone comes back.
    pub(crate) fn heal(&mut self) -> Result<(), String> {
        self.healing = true;
        self.faults = Faults::none();
        self.network.heal();
        self.break_torn_connections();
        self.disk_full_until = 0;
        for node in 0..self.nodes.len() {
            self.nodes[node].paused_until = 0;
            self.start_node(node)?;
            self.node_input(node, NodeInput::Away(None))?;
            self.node_input(node, NodeInput::Park(None))?;
        }
        if self.coordinator.is_none() {
            self.start_coordinator()?;
        }
        Ok(())
    }
}

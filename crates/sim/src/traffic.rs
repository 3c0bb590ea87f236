//! Frames on their way, and the news that a connection is gone.

use crate::network::Direction;
use crate::world::{What, World};
use skep_wire::Frame;

impl World {
    pub(crate) fn frame(
        &mut self,
        connection: u64,
        direction: Direction,
        frame: Frame,
    ) -> Result<(), String> {
        let Some(open) = self.network.connections.get(&connection) else {
            return Ok(());
        };
        match direction {
            Direction::ToCoordinator if open.coordinator_end_open => {
                self.frame_to_coordinator(connection, frame.as_ref())
            }
            Direction::ToNode if open.node_end_open => self.node_input(open.node, frame.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn transmit(&mut self, connection: u64, direction: Direction, frame: &Frame) {
        let arrivals = self.network.deliveries(
            connection,
            direction,
            self.now,
            &self.faults,
            &mut self.random,
        );
        for at in arrivals {
            let frame = frame.clone();
            self.schedule(
                at,
                What::Frame {
                    connection,
                    direction,
                    frame,
                },
            );
        }
    }

    /// The node closed its side; the coordinator hears of it, unless it is cut off.
    pub(crate) fn close_node_end(&mut self, connection: u64) {
        if let Some(open) = self.network.connections.get_mut(&connection) {
            open.node_end_open = false;
        }
        self.tell_other_end(connection, Direction::ToCoordinator, 0);
    }

    /// The coordinator's process is gone: what it said last may be lost.
    pub(crate) fn break_coordinator_end(&mut self, connection: u64) {
        if let Some(open) = self.network.connections.get_mut(&connection) {
            open.coordinator_end_open = false;
        }
        self.tell_other_end(connection, Direction::ToNode, 0);
    }

    /// The coordinator closes its side: the node hears of it after what was said before.
    pub(crate) fn close_coordinator_end(&mut self, connection: u64) {
        let mut said_until = 0;
        if let Some(open) = self.network.connections.get_mut(&connection) {
            open.coordinator_end_open = false;
            said_until = open.to_node_at;
        }
        self.tell_other_end(connection, Direction::ToNode, said_until);
    }

    fn tell_other_end(&mut self, connection: u64, direction: Direction, not_before: u64) {
        let Some(open) = self.network.connections.get(&connection) else {
            return;
        };
        if !self.network.is_cut(open.node, direction, self.now) {
            let delay = self
                .random
                .between(self.faults.delay_ms.0, self.faults.delay_ms.1);
            let at = (self.now + delay).max(not_before);
            self.schedule(
                at,
                What::EndLost {
                    connection,
                    direction,
                },
            );
        }
    }
}

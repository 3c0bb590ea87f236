//! Frames on their way, and the news that a connection is gone.

use crate::network::Direction;
use crate::world::{What, World};
use skep_wire::NodeInput;

impl World {
    pub(crate) fn frame(
        &mut self,
        connection: u64,
        direction: Direction,
        text: String,
    ) -> Result<(), String> {
        let Some(open) = self.network.connections.get(&connection) else {
            return Ok(());
        };
        match direction {
            Direction::ToCoordinator if open.coordinator_end_open => {
                self.frame_to_coordinator(connection, &text)
            }
            Direction::ToNode if open.node_end_open => {
                self.node_input(open.node, NodeInput::Text(text))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn transmit(&mut self, connection: u64, direction: Direction, text: &str) {
        let arrivals = self.network.deliveries(
            connection,
            direction,
            self.now,
            &self.faults,
            &mut self.random,
        );
        for at in arrivals {
            let text = text.to_owned();
            self.schedule(
                at,
                What::Frame {
                    connection,
                    direction,
                    text,
                },
            );
        }
    }

    /// The node closed its side; the coordinator hears of it, unless it is cut off.
    pub(crate) fn close_node_end(&mut self, connection: u64) {
        if let Some(open) = self.network.connections.get_mut(&connection) {
            open.node_end_open = false;
        }
        self.tell_other_end(connection, Direction::ToCoordinator);
    }

    pub(crate) fn close_coordinator_end(&mut self, connection: u64) {
        if let Some(open) = self.network.connections.get_mut(&connection) {
            open.coordinator_end_open = false;
        }
        self.tell_other_end(connection, Direction::ToNode);
    }

    fn tell_other_end(&mut self, connection: u64, direction: Direction) {
        let Some(open) = self.network.connections.get(&connection) else {
            return;
        };
        if !self.network.is_cut(open.node, direction, self.now) {
            let at = self.now
                + self
                    .random
                    .between(self.faults.delay_ms.0, self.faults.delay_ms.1);
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

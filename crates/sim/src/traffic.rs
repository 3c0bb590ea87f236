//! Frames on their way, and the news that a connection is gone.

use crate::happening::What;
use crate::network::Direction;
use crate::world::World;
use skep_wire::{FaultCode, Frame};

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
        self.watch_credit(connection, frame);
        let arrivals = self.network.deliveries(
            connection,
            direction,
            self.now,
            &self.faults,
            &mut self.random,
        );
        if let (Some(node), Some(last)) = (self.slow_end(connection, direction), arrivals.last()) {
            self.nodes[node].disturb(*last);
        }
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

    /// Whose connection it is, if its frames are read slowly.
    fn slow_end(&self, connection: u64, direction: Direction) -> Option<usize> {
        let node = self.network.connections.get(&connection)?.node;
        (self.network.reads_every_ms(node, direction, self.now) > 0).then_some(node)
    }

    /// I24: on a connection that loses and doubles nothing no end says that it was sent more than
    /// it granted.
    fn watch_credit(&mut self, connection: u64, frame: &Frame) {
        let open = self.network.connections.get(&connection);
        let is_whole = self.every_frame_arrives && open.is_some_and(|open| !open.is_torn);
        if let Frame::Text(text) = frame
            && is_whole
            && text.contains(FaultCode::CreditExceeded.as_str())
        {
            self.violation = Some(format!("I24: more was sent than was granted: {text}"));
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

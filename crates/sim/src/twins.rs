//! State directories that are started twice: copies, and old ones that come back.

use crate::network::Direction;
use crate::node::Standing;
use crate::world::World;

/// Copies in one seed.
const COPIES_MAX: usize = 3;

impl World {
    /// Somebody copies the state directory of a machine, now or long ago, and starts the copy.
    pub(crate) fn copy_machine(&mut self, index: usize) -> Result<(), String> {
        let copies = (0..self.nodes.len()).filter(|other| self.nodes[*other].machine != *other);
        let node = &self.nodes[index];
        let is_usual = node.machine == index && node.standing != Standing::Outside;
        if !is_usual || node.gone || node.starts == 0 || copies.count() >= COPIES_MAX {
            return Ok(());
        }
        // The count of the present start, so that the copy claims the same, or an older one.
        let counted = node.starts - 1;
        let is_old = self.random.chance(400);
        let starts = if is_old {
            self.random.between(0, counted.saturating_sub(1))
        } else {
            counted
        };
        self.note(if is_old {
            "old state directory started"
        } else {
            "state directory started twice"
        });
        let copy = self.nodes[index].copy(starts);
        self.nodes[index].may_overlap = true;
        self.nodes.push(copy);
        self.start_node(self.nodes.len() - 1)
    }

    /// The coordinator welcomes the process at the other end of this connection.
    pub(crate) fn welcomes(&mut self, connection: u64) -> Result<(), String> {
        let Some(open) = self.network.connections.get(&connection) else {
            return Ok(());
        };
        let (node, process) = (open.node, open.process);
        let id = self.nodes[node].id;
        let earlier = self.oracle.members.welcomed(id, process)?;
        if let Some(earlier) = earlier.filter(|earlier| earlier.node != node) {
            // It made way for a copy, or a copy for it.
            let until = self.now + 2 * self.nodes[earlier.node].lease_ms();
            self.nodes[earlier.node].disturb(until);
            self.note("copy and original took turns");
        }
        Ok(())
    }

    /// All connections break at once.
    pub(crate) fn storm(&mut self) {
        self.note("reconnect storm");
        for node in 0..self.nodes.len() {
            self.break_connection(node);
        }
    }

    /// The link of a machine goes down for a moment, and will again.
    pub(crate) fn flap(&mut self, node: usize, until: u64) {
        if self.healing || self.now >= until {
            return;
        }
        let down_until = self.now + self.random.between(200, 4_000);
        self.cut(node, Direction::ToNode, down_until);
        self.cut(node, Direction::ToCoordinator, down_until);
        self.break_connection(node);
        let again = down_until + self.random.between(500, 8_000);
        let flap = crate::happening::What::Flap { node, until };
        self.schedule(again, flap);
    }
}

//! Machines that connect: login, caller, what is offered, the end of a connection.

use crate::network::Direction;
use crate::node::Standing;
use crate::world::World;
use skep_coordinator::{Caller, Unwelcome, may_connect};
use skep_wire::{LinkOptions, NodeInput};

impl World {
    pub(crate) fn node_connects(&mut self, index: usize) -> Result<(), String> {
        let cut = [Direction::ToCoordinator, Direction::ToNode]
            .into_iter()
            .any(|direction| self.network.is_cut(index, direction, self.now));
        if cut || self.coordinator.is_none() {
            return self.node_input(index, NodeInput::Disconnected);
        }
        let caller = match self.lets_connect(index) {
            Ok(caller) => caller,
            // It asks again until somebody approves it.
            Err(Unwelcome::NotApproved(_)) => {
                self.note("waited for approval");
                return self.node_input(index, NodeInput::Disconnected);
            }
            Err(_) => {
                self.note("login refused");
                return self.node_input(index, NodeInput::ConnectRefused { status: 403 });
            }
        };
        let process = self.nodes[index].process(index);
        let connection = self.network.open(process, self.now);
        self.nodes[index].connection = Some(connection);
        self.may_be_removed(index);
        self.accept(connection, caller)?;
        self.node_input(index, NodeInput::Connected)
    }

    /// What the login decides about a machine.
    fn lets_connect(&self, index: usize) -> Result<Caller, Unwelcome> {
        let (node, coordinator) = (&self.nodes[index], self.coordinator.as_ref());
        let view = coordinator.map(|coordinator| coordinator.engine.view());
        match view {
            Some(view) if node.standing == Standing::Joined => {
                may_connect(&view.read().state, node.id)?;
                Ok(Caller::Joined(node.id))
            }
            _ => Ok(Caller::Holder),
        }
    }

    /// Credits with small windows, in seeds that have any.
    pub(crate) fn link_options(&self) -> LinkOptions {
        self.flow.map_or(LinkOptions::PLAIN, |flow| LinkOptions {
            assign_window: flow.assign_window,
            ..LinkOptions::NEAR
        })
    }

    /// The node learned that the coordinator's side is gone.
    pub(crate) fn node_end_lost(&mut self, connection: u64) -> Result<(), String> {
        let Some(open) = self.network.connections.get_mut(&connection) else {
            return Ok(());
        };
        let index = open.node;
        if !std::mem::replace(&mut open.node_end_open, false)
            || self.nodes[index].connection != Some(connection)
        {
            return Ok(());
        }
        self.nodes[index].connection = None;
        self.node_input(index, NodeInput::Disconnected)
    }
}

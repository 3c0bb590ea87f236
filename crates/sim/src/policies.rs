//! What becomes of the work of a machine that is not heard: the machines say it, and an operator
//! changes it, best of all while nobody can tell the machine.

use crate::happening::What;
use crate::network::Direction;
use crate::node::Node;
use crate::random::Random;
use crate::world::World;
use skep_model::command::Command;
use skep_model::hold::{DisconnectSetting, OnDisconnect};
use skep_model::ids::NodeId;
use skep_model::limits::{DISCONNECT_WAIT_MS, HOLD_MS_MAX};
use skep_wire::NodeInput;

const POLICIES: [OnDisconnect; 3] = [
    OnDisconnect::Replace,
    OnDisconnect::Wait,
    OnDisconnect::Keep,
];
/// Machines that say a policy, of a thousand.
const SAYS_PERMILLE: u64 = 300;
/// Shortest and longest time for which a machine is cut off while its policy changes, milliseconds.
const CUT_MS: (u64, u64) = (30_000, 400_000);
/// Shortest and longest time for which a machine is parked, milliseconds.
const PARK_MS: (u64, u64) = (10_000, 600_000);
/// By then a machine that can be told knows its new policy, milliseconds.
const TOLD_AFTER_MS: u64 = 40_000;

/// What a machine says, if anything.
pub(crate) fn draw(random: &mut Random) -> Option<OnDisconnect> {
    let policy = *random.pick(&POLICIES);
    random.chance(SAYS_PERMILLE).then_some(policy)
}

impl Node {
    /// The machine says that this is to become of its work while it is not heard.
    pub(crate) fn says(&mut self, policy: Option<OnDisconnect>) {
        self.on_disconnect = policy;
        self.patience_max = self.patience_max.max(policy.unwrap_or(self.patience_max));
    }

    /// The longest time for which it may hold its work without an answer, milliseconds.
    pub(crate) const fn hold_ms_max(&self) -> u64 {
        let hold_ms = match self.patience_max {
            OnDisconnect::Replace => self.lease_ms(),
            OnDisconnect::Wait => DISCONNECT_WAIT_MS,
            OnDisconnect::Keep => HOLD_MS_MAX,
        };
        hold_ms + self.park_ms_max
    }
}

impl World {
    /// The operator changes the policy of a machine, which is cut off just then, or soon after.
    pub(crate) fn set_policy(&mut self, index: usize) -> Result<(), String> {
        let policy = *self.random.pick(&POLICIES);
        let is_own = self.random.chance(200);
        match self.random.between(0, 2) {
            0 => self.cut_off(index),
            1 => self.schedule(self.now + TOLD_AFTER_MS, What::CutOff { node: index }),
            _ => {}
        }
        let id = self.nodes[index].id;
        if !is_own {
            for node in self.nodes.iter_mut().filter(|node| node.id == id) {
                node.patience_max = node.patience_max.max(policy);
            }
        }
        self.note("disconnect policy set");
        let ticket = self.ticket();
        let on_disconnect = Some(if is_own {
            DisconnectSetting::Own
        } else {
            DisconnectSetting::Fixed(policy)
        });
        self.propose(
            ticket,
            Command::SetNode {
                node: id,
                labels: None,
                region: None,
                on_disconnect,
            },
        )
    }

    /// A machine is parked, and often sleeps soon after; or it is unparked.
    pub(crate) fn park(&mut self, index: usize) -> Result<(), String> {
        let node = self.nodes[index].id;
        let ticket = self.ticket();
        // A process that is stopped hears nothing of what its owner wants.
        let by_owner = self.random.chance(400) && self.now >= self.nodes[index].paused_until;
        if self.random.chance(300) {
            if by_owner {
                return self.node_input(index, NodeInput::Park(None));
            }
            return self.propose(ticket, Command::UnparkNode(node));
        }
        self.note("node parked");
        let for_ms = self.random.between(PARK_MS.0, PARK_MS.1);
        if self.random.chance(500) {
            let falls_asleep = self.now + self.random.between(0, 2_000);
            self.schedule(falls_asleep, What::FallsAsleep { node: index });
        }
        for one in self.nodes.iter_mut().filter(|one| one.id == node) {
            one.park_ms_max = one.park_ms_max.max(for_ms);
        }
        if by_owner {
            self.note("node parked by its owner");
            return self.node_input(index, NodeInput::Park(Some(for_ms)));
        }
        self.propose(ticket, Command::ParkNode { node, for_ms })
    }

    /// A machine cannot be heard for a while, nor told anything.
    pub(crate) fn cut_off(&mut self, index: usize) {
        if self.healing {
            return;
        }
        let until = self.now + self.random.between(CUT_MS.0, CUT_MS.1);
        self.cut(index, Direction::ToNode, until);
        self.cut(index, Direction::ToCoordinator, until);
    }

    /// Machines whose work would wait for ever: they never come back.
    pub(crate) fn never_to_come_back(&self) -> Vec<NodeId> {
        let Some(coordinator) = &self.coordinator else {
            return Vec::new();
        };
        let view = coordinator.engine.view();
        let view = view.read();
        let waited_for = view
            .state
            .nodes()
            .filter(|node| node.is_waited_for_in_vain());
        let is_there = |id: NodeId| {
            let mut machines = self.nodes.iter();
            machines.any(|node| node.id == id && !node.gone)
        };
        let ids = waited_for.map(|node| node.id);
        ids.filter(|id| !is_there(*id)).collect()
    }
}

//! What becomes of the work of a machine that is not heard: the machines say it, and an operator
//! changes it, best of all while nobody can tell the machine.

use crate::happening::What;
use crate::network::Direction;
use crate::random::Random;
use crate::world::World;
use skep_model::command::Command;
use skep_model::hold::{DisconnectSetting, OnDisconnect};
use skep_model::ids::NodeId;

const POLICIES: [OnDisconnect; 3] = [
    OnDisconnect::Replace,
    OnDisconnect::Wait,
    OnDisconnect::Keep,
];
/// Machines that say a policy, of a thousand.
const SAYS_PERMILLE: u64 = 300;
/// Shortest and longest time for which a machine is cut off while its policy changes, milliseconds.
const CUT_MS: (u64, u64) = (30_000, 400_000);
/// By then a machine that can be told knows its new policy, milliseconds.
const TOLD_AFTER_MS: u64 = 40_000;

/// What a machine says, if anything.
pub(crate) fn draw(random: &mut Random) -> Option<OnDisconnect> {
    let policy = *random.pick(&POLICIES);
    random.chance(SAYS_PERMILLE).then_some(policy)
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

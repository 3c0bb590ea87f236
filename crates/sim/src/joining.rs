//! Machines that join by tokens, and the operator who makes, ends and approves.

use crate::happening::What;
use crate::members::Promise;
use crate::node::{Node, Standing};
use crate::world::World;
use skep_coordinator::{ProposeError, Ticket};
use skep_model::command::Command;
use skep_model::event::{EntryEvents, Event};
use skep_model::hold::OnDisconnect;
use skep_model::ids::{JoinTokenId, NodeId};
use skep_model::join::{JoinKind, JoinTokenRecord, NodePreset};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Answers to a join that are lost on the way, of a thousand.
const ANSWER_LOST_PERMILLE: u64 = 250;
/// Joins with any token that was ever made, of a thousand: others use the newest.
const OLD_TOKEN_PERMILLE: u64 = 400;
/// Machines that are removed while they say hello, of a thousand.
const REMOVED_AT_HELLO_PERMILLE: u64 = 30;
/// Tokens that let machines in only after somebody approved them, of a thousand.
const APPROVAL_PERMILLE: u64 = 250;
/// Tokens whose machines are forgotten as soon as they are lost, of a thousand.
const EPHEMERAL_PERMILLE: u64 = 150;

/// The operator's notes, and who waits for which answer.
#[derive(Debug, Default)]
pub(crate) struct Joining {
    tokens: Vec<JoinTokenId>,
    waiting: BTreeMap<Ticket, usize>,
}

impl Joining {
    /// The coordinator is gone: nobody gets an answer.
    pub(crate) fn lost_coordinator(&mut self) {
        self.waiting.clear();
    }
}

impl World {
    /// A machine asks to be let in, and asks again until it has an answer.
    pub(crate) fn machine_joins(&mut self, index: usize, generation: u64) -> Result<(), String> {
        let node = &self.nodes[index];
        let is_due = node.standing == Standing::Outside && node.generation == generation;
        let joining = self.joining.as_ref().filter(|_| is_due && !node.gone);
        let Some(tokens) = joining.map(|joining| joining.tokens.clone()) else {
            return Ok(());
        };
        let again = self.now + self.random.between(2_000, 20_000);
        self.schedule(
            again,
            What::MachineJoins {
                node: index,
                generation,
            },
        );
        let (Some(newest), true) = (tokens.last(), self.coordinator.is_some()) else {
            return self.make_join_token();
        };
        let token = if self.random.chance(OLD_TOKEN_PERMILLE) && !self.healing {
            *self.random.pick(&tokens)
        } else {
            *newest
        };
        let command = Command::EnrolNode {
            node: NodeId::from_u128(self.fresh_id()),
            key: [u8::try_from(index).unwrap_or(u8::MAX); 32],
            token,
            name: format!("n{index}"),
        };
        let ticket = self.ticket();
        if let Some(joining) = &mut self.joining {
            joining.waiting.insert(ticket, index);
        }
        self.propose(ticket, command)
    }

    /// True if the answer was for a machine that joins.
    pub(crate) fn join_answered(
        &mut self,
        ticket: Ticket,
        answer: &Result<Arc<EntryEvents>, ProposeError>,
    ) -> Result<bool, String> {
        let asked = self.joining.as_mut();
        let Some(index) = asked.and_then(|joining| joining.waiting.remove(&ticket)) else {
            return Ok(false);
        };
        if self.random.chance(ANSWER_LOST_PERMILLE) {
            self.note("answer to a join lost");
            return Ok(true);
        }
        let Ok(entry) = answer else {
            return Ok(true);
        };
        for event in &entry.events {
            match event {
                Event::NodeEnrolled { node, .. }
                    if self.nodes[index].standing == Standing::Outside =>
                {
                    self.nodes[index].id = *node;
                    self.nodes[index].standing = Standing::Joined;
                    self.start_node(index)?;
                }
                // The operator is asked for another one.
                Event::Refused { .. } if self.random.chance(500) => self.make_join_token()?,
                _ => {}
            }
        }
        Ok(true)
    }

    fn make_join_token(&mut self) -> Result<(), String> {
        if self.coordinator.is_none() {
            return Ok(());
        }
        // The log may run ahead of it: only the length of the token's life counts there.
        let now = self.wall();
        let token = JoinTokenId::from_u128(self.fresh_id());
        let lasts_ms = *self.random.pick(&[20_000, 120_000, 3_600_000]);
        let (uses_max, lasts_ms) = if self.healing {
            (100, 36_000_000)
        } else {
            (self.random.between(1, 3) as u32, lasts_ms)
        };
        let mut chance = |permille| self.random.chance(permille);
        let preset = NodePreset {
            needs_approval: chance(APPROVAL_PERMILLE),
            ephemeral: chance(EPHEMERAL_PERMILLE),
            ..NodePreset::default()
        };
        let record = JoinTokenRecord {
            id: token,
            kind: JoinKind::Node,
            hash: [0; 32],
            created_at: now,
            expires_at: now.plus(lasts_ms),
            uses_max,
            uses: 0,
            preset,
        };
        let promise = Promise { uses_max, lasts_ms };
        self.oracle.members.promised(token, promise);
        if let Some(joining) = &mut self.joining {
            joining.tokens.push(token);
        }
        let ticket = self.ticket();
        self.propose(ticket, Command::CreateJoinToken(Box::new(record)))
    }

    /// The operator does something about who is in the swarm.
    pub(crate) fn operator_acts(&mut self) -> Result<(), String> {
        let Some(joining) = &self.joining else {
            return Ok(());
        };
        let node = self.nodes[self.random.next() as usize % self.nodes.len()].id;
        let command = match (self.random.between(0, 5), joining.tokens.as_slice()) {
            (0, []) | (1, _) => return self.make_join_token(),
            (0, tokens) => Command::RevokeJoinToken(*self.random.pick(tokens)),
            (2 | 3, _) => return self.approve_all(),
            _ => return self.operator_removes(node),
        };
        let ticket = self.ticket();
        self.propose(ticket, command)
    }

    /// Sometimes the operator removes a machine while it says hello.
    pub(crate) fn may_be_removed(&mut self, index: usize) {
        let is_possible = self.joining.is_some() && !self.healing;
        if is_possible && self.random.chance(REMOVED_AT_HELLO_PERMILLE) {
            let node = self.nodes[index].id;
            let at = self.now + self.random.between(0, 2 * self.faults.delay_ms.1 + 5);
            self.schedule(at, What::OperatorRemoves { node });
        }
    }

    pub(crate) fn operator_removes(&mut self, node: NodeId) -> Result<(), String> {
        // Whoever removes a machine for which work waits says that it does not come back.
        let may_be_waited_for =
            |one: &&mut Node| one.id == node && one.patience_max == OnDisconnect::Keep;
        for one in self.nodes.iter_mut().filter(may_be_waited_for) {
            one.may_overlap = true;
        }
        let ticket = self.ticket();
        self.propose(ticket, Command::RemoveNode(node))
    }

    /// The operator lets in whoever waits.
    pub(crate) fn approve_all(&mut self) -> Result<(), String> {
        let Some(coordinator) = &self.coordinator else {
            return Ok(());
        };
        let view = coordinator.engine.view();
        let waiting: Vec<NodeId> = {
            let view = view.read();
            let waiting = view.state.enrolments().filter(|one| !one.approved);
            waiting.map(|one| one.node).collect()
        };
        for node in waiting {
            let ticket = self.ticket();
            self.propose(ticket, Command::ApproveNode(node))?;
        }
        Ok(())
    }

    /// For the time without faults: whoever has to join can.
    pub(crate) fn open_the_door(&mut self) -> Result<(), String> {
        if self.joining.is_none() {
            return Ok(());
        }
        self.make_join_token()?;
        self.approve_all()
    }

    fn fresh_id(&mut self) -> u128 {
        u128::from(self.random.next()) << 64 | u128::from(self.random.next())
    }
}

//! Who may be in the swarm, seen from outside: join tokens, machines, processes, absence.

use crate::sessions::is_seat;
use skep_model::event::Event;
use skep_model::ids::{JoinTokenId, NodeId};
use skep_model::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// One start of a node's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) node: usize,
    pub(crate) generation: u64,
    pub(crate) starts: u64,
}

/// What an operator asked for when making a join token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise {
    pub(crate) uses_max: u32,
    /// From the log entry that made it, milliseconds.
    pub(crate) lasts_ms: u64,
}

/// Everything known about machines.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Nobody comes in without a join token.
    pub(crate) join_by_tokens: bool,
    promises: BTreeMap<JoinTokenId, Promise>,
    /// When the log made them.
    made: BTreeMap<JoinTokenId, UnixMillis>,
    revoked: BTreeSet<JoinTokenId>,
    came_by: BTreeMap<JoinTokenId, BTreeSet<NodeId>>,
    /// By the machine's name, which stands for its key.
    inside: BTreeMap<String, NodeId>,
    approved: BTreeSet<NodeId>,
    removed: BTreeSet<NodeId>,
    away: BTreeSet<NodeId>,
    welcomed: BTreeMap<NodeId, Process>,
}

type Verdict = Result<(), String>;

impl Members {
    /// An operator asks for a join token.
    pub(crate) fn promised(&mut self, token: JoinTokenId, promise: Promise) {
        self.promises.insert(token, promise);
    }

    pub(crate) fn event(&mut self, at: UnixMillis, event: &Event) -> Verdict {
        match event {
            Event::JoinTokenCreated { token, .. } => {
                self.made.insert(*token, at);
            }
            Event::JoinTokenRevoked { token } => {
                self.revoked.insert(*token);
            }
            Event::NodeEnrolled {
                node,
                name,
                token,
                approved,
            } => {
                if *approved {
                    self.approved.insert(*node);
                }
                return self.came_in(at, *node, name, *token);
            }
            Event::NodeApproved { node } => {
                self.approved.insert(*node);
            }
            Event::NodeRemoved { node } => {
                self.approved.remove(node);
                self.removed.insert(*node);
                self.welcomed.remove(node);
                self.inside.retain(|_, inside| inside != node);
            }
            Event::NodeAway { node, reason } => {
                if reason.is_some() {
                    self.away.insert(*node);
                } else {
                    self.away.remove(node);
                }
            }
            // A node that connects anew says so again.
            Event::NodeRegistered { node, .. } => {
                self.away.remove(node);
            }
            Event::TaskLeased { node, .. } => return self.gets_work(*node),
            _ => {}
        }
        Ok(())
    }

    /// I18, I19: a join token lets in as many machines as was asked for, while it lasts, and one
    /// key is one node.
    fn came_in(&mut self, at: UnixMillis, node: NodeId, name: &str, token: JoinTokenId) -> Verdict {
        match self.inside.insert(name.to_owned(), node) {
            Some(known) if known == node => return Ok(()),
            Some(known) => {
                return Err(format!("I19: the key of {name} is {known} and {node}"));
            }
            None => {}
        }
        let known = self.promises.get(&token).zip(self.made.get(&token));
        let Some((promise, made)) = known else {
            return Err(format!("I18: {node} came in by {token}, which nobody made"));
        };
        if self.revoked.contains(&token) {
            return Err(format!("I18: {node} came in by revoked {token}"));
        }
        if made.plus(promise.lasts_ms) <= at {
            return Err(format!("I18: {node} came in by {token} after its end"));
        }
        let came = self.came_by.entry(token).or_default();
        came.insert(node);
        if came.len() > promise.uses_max as usize {
            return Err(format!(
                "I18: {token} let in {} machines instead of {}",
                came.len(),
                promise.uses_max
            ));
        }
        Ok(())
    }

    /// I20: work goes to machines that are in the swarm, approved, and not away.
    fn gets_work(&self, node: NodeId) -> Verdict {
        if self.join_by_tokens && !self.approved.contains(&node) && !is_seat(node) {
            return Err(format!(
                "I20: {node} got work, though it was removed or nobody approved it"
            ));
        }
        if self.away.contains(&node) {
            return Err(format!("I20: {node} got work while it was away"));
        }
        Ok(())
    }

    /// I21: the processes of a node are let in by their count: no older one, no second one with
    /// the same count. Says which process had to make way.
    pub(crate) fn welcomed(
        &mut self,
        node: NodeId,
        process: Process,
    ) -> Result<Option<Process>, String> {
        let known = self.welcomed.insert(node, process);
        match known {
            Some(known) if known == process => Ok(None),
            Some(known) if known.starts >= process.starts => Err(format!(
                "I21: start {} of {node} was let in after another start {}",
                process.starts, known.starts
            )),
            known => Ok(known),
        }
    }

    /// I22: the process that was let in last is not sent away for good, unless its node was
    /// removed.
    pub(crate) fn sent_away(&self, node: NodeId, process: Process) -> Verdict {
        if self.welcomed.get(&node) == Some(&process) && !self.removed.contains(&node) {
            return Err(format!(
                "I22: start {} of {node} was sent away, though it was let in last",
                process.starts
            ));
        }
        Ok(())
    }
}

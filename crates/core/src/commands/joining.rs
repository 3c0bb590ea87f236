//! Join tokens and the machines that come in by them.

use crate::apply::Step;
use crate::bounds::within;
use crate::state::State;
use skep_model::event::Event;
use skep_model::ids::{JoinTokenId, NodeId};
use skep_model::join::{EnrolmentRecord, JoinTokenRecord};
use skep_model::limits::{JOIN_TOKENS_MAX, NODES_MAX};
use skep_model::planted::{PlantedBug, planted};
use skep_model::refusal::{LimitName, Refusal};

impl State {
    /// Its lifetime counts from this entry, whatever clock the proposer looked at. Tokens that are
    /// over give way to a new one when there are too many.
    pub(crate) fn create_join_token(
        &mut self,
        step: &mut Step,
        token: &JoinTokenRecord,
    ) -> Result<(), Refusal> {
        if self.join_tokens.contains_key(&token.id) {
            return Err(Refusal::NameTaken(token.id.to_string()));
        }
        if self.join_tokens.len() >= JOIN_TOKENS_MAX {
            self.drop_join_tokens_that_are_over(step);
        }
        within(
            LimitName::JoinTokensMax,
            JOIN_TOKENS_MAX,
            self.join_tokens.len() + 1,
        )?;
        let ttl_ms = token.expires_at.since(token.created_at);
        let token = JoinTokenRecord {
            created_at: self.now,
            expires_at: self.now.plus(ttl_ms),
            ..token.clone()
        };
        let (id, kind) = (token.id, token.kind);
        self.join_tokens.insert(id, token);
        self.changes.join_token(id);
        step.emit(Event::JoinTokenCreated { token: id, kind });
        Ok(())
    }

    fn drop_join_tokens_that_are_over(&mut self, step: &mut Step) {
        let now = self.now;
        let over = self.join_tokens.values().filter(|token| token.is_over(now));
        let over: Vec<JoinTokenId> = over.map(|token| token.id).collect();
        for token in over {
            self.drop_join_token(step, token);
        }
    }

    fn drop_join_token(&mut self, step: &mut Step, token: JoinTokenId) -> bool {
        let known = if planted(PlantedBug::RevokedTokenLetsIn) {
            self.join_tokens.contains_key(&token)
        } else {
            self.join_tokens.remove(&token).is_some()
        };
        if known {
            self.changes.join_token(token);
            step.emit(Event::JoinTokenRevoked { token });
        }
        known
    }

    pub(crate) fn revoke_join_token(
        &mut self,
        step: &mut Step,
        token: JoinTokenId,
    ) -> Result<(), Refusal> {
        if self.drop_join_token(step, token) {
            Ok(())
        } else {
            Err(Refusal::JoinTokenUnknown(token))
        }
    }

    /// A key that is known keeps its node and costs no use: the answer to its first join may have
    /// been lost on the way.
    pub(crate) fn enrol_node(
        &mut self,
        step: &mut Step,
        node: NodeId,
        key: [u8; 32],
        token: JoinTokenId,
        name: &str,
    ) -> Result<(), Refusal> {
        let shown = self.join_tokens.get(&token);
        let shown = shown.ok_or(Refusal::JoinTokenUnknown(token))?;
        if shown.expires_at <= self.now && !planted(PlantedBug::ExpiredTokenLetsIn) {
            return Err(Refusal::JoinTokenExpired(token));
        }
        if let Some(known) = self.node_keys.get(&key)
            && !planted(PlantedBug::KeyGetsSecondNode)
        {
            let known = &self.enrolments[known];
            step.emit(enrolled(known));
            return Ok(());
        }
        if shown.uses >= shown.uses_max && !planted(PlantedBug::JoinUsesNotCounted) {
            return Err(Refusal::JoinTokenUsedUp(token));
        }
        if self.enrolments.contains_key(&node) || self.nodes.contains_key(&node) {
            return Err(Refusal::NameTaken(node.to_string()));
        }
        // A second node of one key has the name of the first.
        if !planted(PlantedBug::KeyGetsSecondNode) {
            self.check_free_name(name, node)?;
        }
        within(LimitName::NodesMax, NODES_MAX, self.enrolments.len() + 1)?;
        let record = EnrolmentRecord {
            node,
            name: name.to_owned(),
            kind: shown.kind,
            key,
            token,
            joined_at: self.now,
            preset: shown.preset.clone(),
            approved: !shown.preset.needs_approval,
        };
        step.emit(enrolled(&record));
        self.node_keys.insert(key, node);
        self.enrolments.insert(node, record);
        self.changes.enrolment(node);
        if let Some(used) = self.join_tokens.get_mut(&token) {
            used.uses += 1;
            self.changes.join_token(token);
        }
        Ok(())
    }

    /// Two machines of one name could not both connect.
    fn check_free_name(&self, name: &str, node: NodeId) -> Result<(), Refusal> {
        let mut others = self.enrolments.values();
        if others.any(|other| other.name == name) {
            return Err(Refusal::NameTaken(name.to_owned()));
        }
        self.check_node_name(name, node, None)
    }

    pub(crate) fn approve_node(&mut self, step: &mut Step, node: NodeId) -> Result<(), Refusal> {
        let enrolment = self.enrolments.get_mut(&node);
        let enrolment = enrolment.ok_or(Refusal::EnrolmentUnknown(node))?;
        if !enrolment.approved {
            enrolment.approved = true;
            self.changes.enrolment(node);
            step.emit(Event::NodeApproved { node });
        }
        Ok(())
    }

    /// Forgets a machine's key: it can come back only by a new token.
    pub(crate) fn drop_enrolment(&mut self, node: NodeId) -> bool {
        let Some(enrolment) = self.enrolments.remove(&node) else {
            return false;
        };
        self.node_keys.remove(&enrolment.key);
        self.changes.enrolment(node);
        true
    }

    /// Whether a node is forgotten as soon as it is gone.
    pub(crate) fn is_ephemeral(&self, node: NodeId) -> bool {
        self.enrolments
            .get(&node)
            .is_some_and(|enrolment| enrolment.preset.ephemeral)
    }
}

fn enrolled(record: &EnrolmentRecord) -> Event {
    Event::NodeEnrolled {
        node: record.node,
        name: record.name.clone(),
        token: record.token,
        approved: record.approved,
    }
}

#[cfg(test)]
mod tests;

//! Work to and from the node: assignments within its credit, revocations, requests to give back.

use super::answers::failed;
use super::{CoordinatorEnd, CoordinatorOutput, FromNode, event};
use crate::batch_frame::Fit;
use crate::bounds::{
    ASSIGN_REQUESTS_UNANSWERED_MAX, ASSIGNMENTS_WAITING_MAX, BALANCE_REQUESTS_IN_FLIGHT_MAX,
};
use crate::codec::{RequestId, method};
use crate::payload::{
    AssignRefusal, AttemptKey, BalanceRequest, Capability, EndCode, Offer, SyncVerdicts, Verdict,
    VerdictItem,
};
use skep_model::limits::ITEMS_PER_FRAME_MAX;
use std::collections::BTreeSet;

impl CoordinatorEnd {
    /// Sends assignments, in as many frames as they need; those beyond the node's credit wait for
    /// the next grant. What cannot be sent comes back at once as [`FromNode::Assigned`] with a
    /// refusal.
    pub fn assign(&mut self, offers: &[Offer]) -> Vec<CoordinatorOutput> {
        if !self.is_live() {
            let message = "the session is not live";
            return not_sent(offers, AssignRefusal::NotLive, message);
        }
        let mut outputs = Vec::new();
        let taken = if self.waiting.is_empty() {
            self.send_offers(offers, &mut outputs)
        } else {
            0
        };
        let rest = &offers[taken..];
        let space = ASSIGNMENTS_WAITING_MAX.saturating_sub(self.waiting.len());
        let (kept, refused) = rest.split_at(space.min(rest.len()));
        self.waiting.extend(kept.iter().cloned());
        if !refused.is_empty() {
            let message = "ASSIGNMENTS_WAITING_MAX assignments wait for the node's credit";
            outputs.extend(not_sent(refused, AssignRefusal::NoSlot, message));
        }
        if self.assigns.len() > ASSIGN_REQUESTS_UNANSWERED_MAX {
            outputs.extend(self.end(
                EndCode::Protocol,
                "more than ASSIGN_REQUESTS_UNANSWERED_MAX assign requests are unanswered",
            ));
        }
        outputs
    }

    /// Sends what waited for credit, as far as it reaches now.
    pub(super) fn send_waiting(&mut self) -> Vec<CoordinatorOutput> {
        let mut outputs = Vec::new();
        if self.waiting.is_empty() || !self.is_live() {
            return outputs;
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        let taken = self.send_offers(waiting.make_contiguous(), &mut outputs);
        waiting.drain(..taken);
        self.waiting = waiting;
        outputs
    }

    /// Sends from the front as far as the credit reaches; says how many were dealt with.
    fn send_offers(&mut self, offers: &[Offer], outputs: &mut Vec<CoordinatorOutput>) -> usize {
        let mut too_large = Vec::new();
        let mut dealt_with = 0;
        while dealt_with < offers.len() {
            let room = self.spending.room(self.assigns.is_empty());
            let mut frame = self
                .framing
                .batch(self.next_id, method::TASK_ASSIGN, "items")
                .within(room);
            let mut sent = Vec::new();
            for offer in &offers[dealt_with..] {
                match frame.push(offer) {
                    Fit::Added => sent.push(offer.key()),
                    Fit::Full => break,
                    Fit::TooLarge => too_large.push(offer.clone()),
                }
                dealt_with += 1;
            }
            let Some((frame, cost)) = frame.finish() else {
                break;
            };
            self.spending.spend(sent.len() as u64, cost);
            self.assigns.insert(self.next_id, sent);
            self.next_id += 1;
            outputs.push(CoordinatorOutput::Send(frame));
        }
        if !too_large.is_empty() {
            let message = "the assignment does not fit into FRAME_BYTES_MAX";
            outputs.extend(not_sent(&too_large, AssignRefusal::TooLarge, message));
        }
        dealt_with
    }

    /// Tells the node to stop attempts that are no longer its own; those that were not sent yet
    /// are dropped without a word. Before the session is live nothing is sent: the
    /// synchronisation will say it.
    pub fn revoke(&mut self, attempts: &[AttemptKey]) -> Vec<CoordinatorOutput> {
        if !self.is_live() {
            return Vec::new();
        }
        if !self.waiting.is_empty() {
            let revoked: BTreeSet<AttemptKey> = attempts.iter().copied().collect();
            self.waiting.retain(|offer| !revoked.contains(&offer.key()));
        }
        attempts
            .chunks(ITEMS_PER_FRAME_MAX)
            .map(|chunk| {
                let items = chunk
                    .iter()
                    .map(|attempt| VerdictItem::new(*attempt, Verdict::Kill))
                    .collect();
                let verdicts = SyncVerdicts { items };
                let frame = self.framing.call(None, method::STATE_SYNC, &verdicts);
                CoordinatorOutput::Send(frame)
            })
            .collect()
    }

    /// Takes back attempts that were not started: those that still wait here for the node's
    /// credit, then, if more are wanted, those that the node itself has not started. Each part is
    /// told by one [`FromNode::GaveBack`], unless the connection ends first; what it names is no
    /// longer the node's own. None when nothing waits here and the node cannot be asked: it does
    /// not know this request, too many such requests wait, or the session is not live.
    pub fn ask_back(&mut self, request: &BalanceRequest) -> Option<Vec<CoordinatorOutput>> {
        if !self.is_live() || request.attempts.len() > ITEMS_PER_FRAME_MAX {
            return None;
        }
        let given_back = self.withdraw(request);
        let left = request.at_most.saturating_sub(given_back.len() as u32);
        let mut outputs = Vec::new();
        if !given_back.is_empty() {
            outputs.push(event(FromNode::GaveBack { given_back }));
        }
        if left > 0
            && self.has_agreed(Capability::LoadBalance)
            && self.balances.len() < BALANCE_REQUESTS_IN_FLIGHT_MAX
        {
            let request = BalanceRequest {
                attempts: request.attempts.clone(),
                at_most: left,
            };
            let id = self.next_id;
            self.next_id += 1;
            self.balances.insert(id);
            let id = RequestId::Number(id);
            let frame = self.framing.call(Some(&id), method::LOAD_BALANCE, &request);
            outputs.push(CoordinatorOutput::Send(frame));
        }
        (!outputs.is_empty()).then_some(outputs)
    }

    /// Takes back what waits for credit, the youngest first.
    fn withdraw(&mut self, request: &BalanceRequest) -> Vec<AttemptKey> {
        let wanted: BTreeSet<AttemptKey> = request.attempts.iter().copied().collect();
        let withdrawn: BTreeSet<AttemptKey> = self
            .waiting
            .iter()
            .rev()
            .map(Offer::key)
            .filter(|key| wanted.is_empty() || wanted.contains(key))
            .take(request.at_most as usize)
            .collect();
        self.waiting
            .retain(|offer| !withdrawn.contains(&offer.key()));
        withdrawn.into_iter().collect()
    }
}

fn not_sent(offers: &[Offer], code: AssignRefusal, message: &str) -> Vec<CoordinatorOutput> {
    let keys: Vec<AttemptKey> = offers.iter().map(Offer::key).collect();
    vec![event(FromNode::Assigned(failed(&keys, code, message)))]
}

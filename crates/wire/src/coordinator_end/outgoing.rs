//! What the coordinator says: answers, assignments, revocations, the end.

use super::output::{CloseCode, CoordinatorOutput, FromNode, ReplyId};
use super::{CoordinatorEnd, Stage, answer_fault, event, failed};
use crate::batch_frame::{BatchFrame, Fit};
use crate::bounds::ASSIGN_REQUESTS_UNANSWERED_MAX;
use crate::codec::{encode_answer, encode_call, method};
use crate::fault::Fault;
use crate::payload::{
    AssignRefusal, AttemptKey, EndCode, Offer, ResultAnswers, SessionEnd, StatusUpdate,
    SyncVerdicts, Verdict, VerdictItem, Welcome,
};
use skep_model::limits::ITEMS_PER_FRAME_MAX;

impl CoordinatorEnd {
    /// Accepts the node. Without a hello that waits for it, nothing happens.
    pub fn reply_hello(&mut self, welcome: &Welcome) -> Vec<CoordinatorOutput> {
        let Stage::Deciding(id) = &self.stage else {
            return Vec::new();
        };
        let text = encode_answer(id, welcome);
        self.stage = Stage::AwaitsSync;
        vec![CoordinatorOutput::Send(text)]
    }

    /// Refuses the node and closes. With [`EndCode::Replaced`] or [`EndCode::Removed`] its
    /// process stops; otherwise it tries again later.
    pub fn refuse_hello(&mut self, code: EndCode, message: &str) -> Vec<CoordinatorOutput> {
        let Stage::Deciding(id) = &self.stage else {
            return Vec::new();
        };
        let mut outputs = answer_fault(Some(id), &Fault::new(code.into(), message));
        outputs.extend(self.close(close_code(code), message));
        outputs
    }

    /// Says what becomes of what the node holds. From here on the session is live. A reply to
    /// anything but the waiting report does nothing.
    pub fn reply_sync(
        &mut self,
        reply: &ReplyId,
        verdicts: &SyncVerdicts,
    ) -> Vec<CoordinatorOutput> {
        if self.stage != Stage::Comparing(reply.0.clone()) {
            return Vec::new();
        }
        self.stage = Stage::Live;
        vec![CoordinatorOutput::Send(encode_answer(&reply.0, verdicts))]
    }

    /// Answers results. MUST be called only when what it says is durable. A second reply does
    /// nothing.
    pub fn reply_results(
        &mut self,
        reply: &ReplyId,
        answers: &ResultAnswers,
    ) -> Vec<CoordinatorOutput> {
        if self.is_closed() || !self.results.remove(&reply.0) {
            return Vec::new();
        }
        vec![CoordinatorOutput::Send(encode_answer(&reply.0, answers))]
    }

    /// Sends assignments, in as many frames as they need. What cannot be sent comes back at once
    /// as [`FromNode::Assigned`] with a refusal.
    pub fn assign(&mut self, offers: &[Offer]) -> Vec<CoordinatorOutput> {
        if !self.is_live() {
            let keys: Vec<AttemptKey> = offers.iter().map(Offer::key).collect();
            let message = "the session is not live";
            return not_sent(&keys, AssignRefusal::NotLive, message);
        }
        let mut outputs = Vec::new();
        let mut too_large = Vec::new();
        let mut rest = offers;
        while !rest.is_empty() {
            let (text, sent, taken) = fill_assign(self.next_id, rest, &mut too_large);
            rest = &rest[taken..];
            if let Some(text) = text {
                self.assigns.insert(self.next_id, sent);
                self.next_id += 1;
                outputs.push(CoordinatorOutput::Send(text));
            }
        }
        if !too_large.is_empty() {
            let message = "the assignment does not fit into FRAME_BYTES_MAX";
            outputs.extend(not_sent(&too_large, AssignRefusal::TooLarge, message));
        }
        if self.assigns.len() > ASSIGN_REQUESTS_UNANSWERED_MAX {
            outputs.extend(self.end(
                EndCode::Protocol,
                "more than ASSIGN_REQUESTS_UNANSWERED_MAX assign requests are unanswered",
            ));
        }
        outputs
    }

    /// Tells the node to stop attempts that are no longer its own. Before the session is live
    /// nothing is sent: the synchronisation will say it.
    pub fn revoke(&self, attempts: &[AttemptKey]) -> Vec<CoordinatorOutput> {
        if !self.is_live() {
            return Vec::new();
        }
        attempts
            .chunks(ITEMS_PER_FRAME_MAX)
            .map(|chunk| {
                let items = chunk
                    .iter()
                    .map(|attempt| VerdictItem::new(*attempt, Verdict::Kill))
                    .collect();
                let verdicts = SyncVerdicts { items };
                CoordinatorOutput::Send(encode_call(None, method::STATE_SYNC, &verdicts))
            })
            .collect()
    }

    /// Tells the node whether it gets new work.
    pub fn tell_status(&self, status: StatusUpdate) -> Vec<CoordinatorOutput> {
        if !self.is_live() {
            return Vec::new();
        }
        let text = encode_call(None, method::STATUS_UPDATE, &status);
        vec![CoordinatorOutput::Send(text)]
    }

    /// Ends the session and closes the connection.
    pub fn end(&mut self, code: EndCode, message: &str) -> Vec<CoordinatorOutput> {
        if self.is_closed() {
            return Vec::new();
        }
        let end = SessionEnd {
            code,
            message: message.to_owned(),
        };
        let text = encode_call(None, method::SESSION_END, &end);
        let mut outputs = vec![CoordinatorOutput::Send(text)];
        outputs.extend(self.close(close_code(code), message));
        outputs
    }
}

/// Fills one frame from the front of `offers`; says what went in and how many were dealt with.
fn fill_assign(
    id: u64,
    offers: &[Offer],
    too_large: &mut Vec<AttemptKey>,
) -> (Option<String>, Vec<AttemptKey>, usize) {
    let mut frame = BatchFrame::request(id, method::TASK_ASSIGN, "items");
    let mut sent = Vec::with_capacity(offers.len().min(ITEMS_PER_FRAME_MAX));
    for (position, offer) in offers.iter().enumerate() {
        match frame.push(offer) {
            Fit::Added => sent.push(offer.key()),
            Fit::Full => return (frame.finish(), sent, position),
            Fit::TooLarge => too_large.push(offer.key()),
        }
    }
    (frame.finish(), sent, offers.len())
}

fn not_sent(keys: &[AttemptKey], code: AssignRefusal, message: &str) -> Vec<CoordinatorOutput> {
    vec![event(FromNode::Assigned(failed(keys, code, message)))]
}

const fn close_code(code: EndCode) -> CloseCode {
    match code {
        EndCode::Replaced => CloseCode::Replaced,
        EndCode::Removed => CloseCode::Removed,
        EndCode::Shutdown => CloseCode::GoingAway,
        EndCode::Protocol => CloseCode::Protocol,
    }
}

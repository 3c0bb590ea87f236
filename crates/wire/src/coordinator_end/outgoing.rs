//! What the coordinator says beside assignments: answers, grants, the end.

use super::output::{CloseCode, CoordinatorOutput, ReplyId};
use super::{CoordinatorEnd, Stage};
use crate::answer_memory::Outcome;
use crate::codec::{RequestId, WRITES, method};
use crate::fault::Fault;
use crate::payload::{
    Credit, EndCode, HoldTerms, NodeAnswer, ResultAnswers, SessionEnd, StatusUpdate, SyncVerdicts,
    Welcome,
};
use serde::Serialize;

impl CoordinatorEnd {
    /// Accepts the node. Without a hello that waits for it, nothing happens.
    pub fn reply_hello(&mut self, welcome: &Welcome) -> Vec<CoordinatorOutput> {
        let Stage::Deciding(id) = &self.stage else {
            return Vec::new();
        };
        let id = id.clone();
        self.stage = Stage::AwaitsSync;
        self.epoch = Some(welcome.epoch);
        // Nodes with long leases are silent for longer.
        self.options.silence_ms = self.options.silence_ms.max(welcome.lease_ms);
        self.answer(&id, welcome)
    }

    /// Refuses the node and closes. With [`EndCode::Replaced`] or [`EndCode::Removed`] its
    /// process stops; otherwise it tries again later.
    pub fn refuse_hello(&mut self, code: EndCode, message: &str) -> Vec<CoordinatorOutput> {
        let Stage::Deciding(id) = &self.stage else {
            return Vec::new();
        };
        let mut outputs = self.fault(Some(id), &Fault::new(code.into(), message));
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
        self.answer(&reply.0, verdicts)
    }

    /// Answers results. MUST be called only when what it says is durable. A second reply does
    /// nothing.
    pub fn reply_results(
        &mut self,
        reply: &ReplyId,
        answers: &ResultAnswers,
    ) -> Vec<CoordinatorOutput> {
        if self.is_closed() {
            return Vec::new();
        }
        let Some(taken) = self.results.remove(&reply.0) else {
            return Vec::new();
        };
        let grant = self.granting.as_mut().and_then(|granting| {
            granting.finish(taken.items, taken.bytes);
            granting.next_grant()
        });
        self.answer_granting(&reply.0, answers, grant)
    }

    /// Answers a request about an attempt. A second reply does nothing.
    pub fn reply_ask(&mut self, reply: &ReplyId, answer: &NodeAnswer) -> Vec<CoordinatorOutput> {
        if self.is_closed() || !self.asks.remove(&reply.0) {
            return Vec::new();
        }
        match answer {
            NodeAnswer::Resolve(answer) => self.answer(&reply.0, answer),
            NodeAnswer::Gate(answer) => self.answer(&reply.0, answer),
            NodeAnswer::Split(answer) => self.answer(&reply.0, answer),
            NodeAnswer::Merge(answer) => self.answer(&reply.0, answer),
        }
    }

    /// Refuses a request about an attempt. The refusal is an answer like any other: a repeated
    /// request is refused in the same words.
    pub fn refuse_ask(&mut self, reply: &ReplyId, fault: &Fault) -> Vec<CoordinatorOutput> {
        if self.is_closed() || !self.asks.remove(&reply.0) {
            return Vec::new();
        }
        let mut outputs = self.fault(Some(&reply.0), fault);
        let others = self.memory.settle(&reply.0, Outcome::Fault(fault.clone()));
        for other in &others {
            outputs.extend(self.fault(Some(other), fault));
        }
        outputs
    }

    /// Answers a request, and those that came again while it was worked on.
    pub(super) fn answer<R: Serialize>(
        &mut self,
        id: &RequestId,
        result: &R,
    ) -> Vec<CoordinatorOutput> {
        self.answer_granting(id, result, None)
    }

    /// The same with a grant, if there is one.
    fn answer_granting<R: Serialize>(
        &mut self,
        id: &RequestId,
        result: &R,
        grant: Option<Credit>,
    ) -> Vec<CoordinatorOutput> {
        let frame = self.framing.answer_granting(id, result, grant);
        let mut outputs = vec![CoordinatorOutput::Send(frame)];
        if self.memory.wants(id) {
            let raw = serde_json::value::to_raw_value(result).expect(WRITES);
            for other in self.memory.settle(id, Outcome::Answer(raw.clone())) {
                let frame = self.framing.answer_raw(&other, &raw);
                outputs.push(CoordinatorOutput::Send(frame));
            }
        }
        outputs
    }

    /// Tells the node whether it gets new work.
    pub fn tell_draining(&mut self, draining: bool) -> Vec<CoordinatorOutput> {
        self.is_draining = draining;
        self.tell_status(None)
    }

    /// Tells the node how long its work is its own while it is not heard. It is bound by it when a
    /// heartbeat repeats the number.
    pub fn tell_hold(&mut self, terms: HoldTerms) -> Vec<CoordinatorOutput> {
        self.tell_status(Some(terms))
    }

    fn tell_status(&self, hold: Option<HoldTerms>) -> Vec<CoordinatorOutput> {
        let status = StatusUpdate {
            draining: self.is_draining,
            hold,
        };
        if !self.is_live() {
            return Vec::new();
        }
        let frame = self.framing.call(None, method::STATUS_UPDATE, &status);
        vec![CoordinatorOutput::Send(frame)]
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
        let frame = self.framing.call(None, method::SESSION_END, &end);
        let mut outputs = vec![CoordinatorOutput::Send(frame)];
        outputs.extend(self.close(close_code(code), message));
        outputs
    }
}

const fn close_code(code: EndCode) -> CloseCode {
    match code {
        EndCode::Replaced => CloseCode::Replaced,
        EndCode::Removed => CloseCode::Removed,
        EndCode::Shutdown => CloseCode::GoingAway,
        EndCode::StorageFull => CloseCode::StorageFull,
        EndCode::Protocol => CloseCode::Protocol,
    }
}

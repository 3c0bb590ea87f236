//! The coordinator's side of the connection of one attached agent.
//!
//! It knows what the agent was told that it has, and compares that with what its seat holds: what is
//! new is assigned, what is gone is revoked. Requests come out one by one in their order; whoever
//! carries them out answers each of them once.

mod incoming;
mod output;
#[cfg(test)]
mod tests;

pub use output::{AGENT_CAPABILITIES, AgentAsk, AgentHostOptions, AgentHostOutput};

use crate::answer_memory::{AnswerMemory, Outcome};
use crate::bounds::{AGENT_ASKS_SILENCE_MS, BAD_MESSAGES_MAX};
use crate::codec::{
    AgentCall, BadFrame, Calls, HostCall, Message, RequestId, decode, encode_answer, encode_fault,
};
use crate::coordinator_end::CloseCode;
use crate::fault::{Fault, WireError};
use crate::payload::{
    AgentAccepts, AgentAnswer, AgentRequest, AgentRevoked, AgentTask, AgentWelcome, AttemptKey,
    Capability, EndCode, Ended, SessionEnd,
};
use serde::Serialize;

/// How far the session is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    AwaitsHello,
    /// The coordinator decides about the hello with this id.
    Deciding(RequestId),
    Live,
    /// Nothing is read or written any more.
    Closed,
}

/// What the agent was told that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    key: AttemptKey,
    /// The assign request that it has not answered.
    unanswered: Option<u64>,
}

/// State machine of one connection from an attached agent. Texts and time in, [`AgentHostOutput`]
/// out.
#[derive(Debug)]
pub struct AgentHost {
    options: AgentHostOptions,
    stage: Stage,
    opened_at: u64,
    heard_at: u64,
    bad_messages: u32,
    next_id: u64,
    is_negotiated: bool,
    wants_work: bool,
    told: Option<Told>,
    /// Requests that were not answered; those that need no answer count, too.
    waiting: Vec<Option<RequestId>>,
    memory: AnswerMemory,
    /// The coordinator's, once the agent was welcomed.
    epoch: Option<u32>,
}

impl AgentHost {
    /// The end of a connection that was opened now.
    pub fn new(options: AgentHostOptions, now_ms: u64) -> Self {
        Self {
            options,
            stage: Stage::AwaitsHello,
            opened_at: now_ms,
            heard_at: now_ms,
            bad_messages: 0,
            next_id: 1,
            is_negotiated: false,
            wants_work: false,
            told: None,
            waiting: Vec::new(),
            memory: AnswerMemory::default(),
            epoch: None,
        }
    }

    /// Whether the agent was welcomed and the connection is open.
    pub fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Whether the connection was given up; nothing comes out any more.
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Whether the agent is to be given a task now: it wants one, has none, waits for no answer that
    /// could change this, and was heard lately.
    pub fn asks_for_work(&self, now_ms: u64) -> bool {
        let is_heard = now_ms.saturating_sub(self.heard_at) <= AGENT_ASKS_SILENCE_MS;
        let is_free = self.told.is_none() && self.waiting.is_empty();
        self.is_live() && self.wants_work && is_free && is_heard
    }

    /// What the agent was told that it has.
    pub fn has(&self) -> Option<AttemptKey> {
        self.told.map(|told| told.key)
    }

    /// When [`Self::on_tick`] has something to do.
    pub fn next_timer(&self) -> Option<u64> {
        let silence = self.heard_at.saturating_add(self.options.silence_ms);
        match self.stage {
            Stage::Closed => None,
            Stage::Live => Some(silence),
            _ => Some(silence.min(self.handshake_ends_at())),
        }
    }

    const fn handshake_ends_at(&self) -> u64 {
        self.opened_at
            .saturating_add(self.options.handshake_timeout_ms)
    }

    /// Time passed: closes a connection whose handshake takes too long, or that is silent.
    pub fn on_tick(&mut self, now_ms: u64) -> Vec<AgentHostOutput> {
        if self.next_timer().is_none_or(|timer| now_ms < timer) {
            return Vec::new();
        }
        let reason = if self.is_live() {
            "the agent was silent for too long"
        } else {
            "the handshake took too long"
        };
        self.close(CloseCode::Timeout, reason)
    }

    /// A text frame came in.
    pub fn on_text(&mut self, now_ms: u64, text: &str) -> Vec<AgentHostOutput> {
        if self.is_closed() {
            return Vec::new();
        }
        self.heard_at = now_ms;
        match decode::<AgentCall>(text) {
            Ok(Message::Call { id, call, meta }) => self.on_call(now_ms, id, call, meta),
            Ok(Message::Answer { id, result }) => {
                let read = crate::codec::read_result::<AgentAccepts>("an assignment", result);
                self.on_accepts(&id, read.is_ok_and(|answer| answer.accepted))
            }
            Ok(Message::Fault { id: Some(id), .. }) => self.on_accepts(&id, false),
            Ok(Message::Fault { id: None, .. }) => self.count_bad(),
            Err(bad) => self.on_bad_frame(&bad),
        }
    }

    /// A binary frame came in. Agents write text.
    pub fn on_binary(&mut self, now_ms: u64) -> Vec<AgentHostOutput> {
        if self.is_closed() {
            return Vec::new();
        }
        self.heard_at = now_ms;
        self.on_bad_frame(&BadFrame::unreadable(WireError::EncodingNotAgreed {
            capability: Capability::MessagePack.as_str(),
        }))
    }

    /// The answer to an assignment. One that was taken back meanwhile needs none.
    fn on_accepts(&mut self, id: &RequestId, accepted: bool) -> Vec<AgentHostOutput> {
        let RequestId::Number(number) = id else {
            return self.count_bad();
        };
        match &mut self.told {
            Some(told) if told.unanswered == Some(*number) => {
                told.unanswered = None;
                let request = if accepted {
                    AgentRequest::Begin(told.key)
                } else {
                    AgentRequest::Decline(told.key)
                };
                self.ask(None, request)
            }
            _ if *number < self.next_id => Vec::new(),
            _ => self.count_bad(),
        }
    }

    fn ask(&mut self, id: Option<RequestId>, request: AgentRequest) -> Vec<AgentHostOutput> {
        self.waiting.push(id.clone());
        vec![AgentHostOutput::Asks(AgentAsk { id, request })]
    }

    /// Welcomes the agent. Without a hello that waits for it, nothing happens.
    pub fn reply_hello(&mut self, welcome: &AgentWelcome) -> Vec<AgentHostOutput> {
        let Stage::Deciding(id) = &self.stage else {
            return Vec::new();
        };
        let id = id.clone();
        self.stage = Stage::Live;
        self.epoch = Some(welcome.epoch);
        self.told = welcome.assignment.as_ref().map(|task| Told {
            key: task.key(),
            unanswered: None,
        });
        self.answer(&id, welcome)
    }

    /// Refuses the agent and closes.
    pub fn refuse_hello(&mut self, fault: &Fault) -> Vec<AgentHostOutput> {
        let Stage::Deciding(id) = &self.stage else {
            return Vec::new();
        };
        let mut outputs = vec![AgentHostOutput::Send(encode_fault(Some(id), fault))];
        outputs.extend(self.close(CloseCode::Protocol, &fault.message));
        outputs
    }

    /// Answers a request. A second reply does nothing.
    pub fn reply(&mut self, ask: &AgentAsk, answer: &AgentAnswer) -> Vec<AgentHostOutput> {
        if !self.take_waiting(ask) {
            return Vec::new();
        }
        match answer {
            AgentAnswer::Has(task) => {
                self.told = Some(Told {
                    key: task.key(),
                    unanswered: None,
                });
            }
            AgentAnswer::Ended(ended) => {
                self.told = self.told.filter(|told| told.key.task != ended.task);
            }
            AgentAnswer::Left | AgentAnswer::Said(_) => {}
        }
        let mut outputs = match (&ask.id, answer) {
            (None, _) => Vec::new(),
            (Some(id), AgentAnswer::Has(task)) => self.answer(id, task),
            (Some(id), AgentAnswer::Ended(ended)) => self.answer(id, ended),
            (Some(id), AgentAnswer::Said(value)) => self.answer(id, value),
            (Some(id), AgentAnswer::Left) => self.answer(id, &Ended {}),
        };
        if *answer == AgentAnswer::Left {
            outputs.extend(self.close(CloseCode::Normal, "the agent left"));
        }
        outputs
    }

    /// Refuses a request. A second reply does nothing.
    pub fn refuse(&mut self, ask: &AgentAsk, fault: &Fault) -> Vec<AgentHostOutput> {
        if !self.take_waiting(ask) {
            return Vec::new();
        }
        let Some(id) = &ask.id else {
            return Vec::new();
        };
        let others = self.memory.settle(id, Outcome::Fault(fault.clone()));
        let refused = std::iter::once(id).chain(&others);
        refused
            .map(|id| AgentHostOutput::Send(encode_fault(Some(id), fault)))
            .collect()
    }

    fn take_waiting(&mut self, ask: &AgentAsk) -> bool {
        let found = self.waiting.iter().position(|id| *id == ask.id);
        if self.is_closed() {
            return false;
        }
        found.map(|at| self.waiting.remove(at)).is_some()
    }

    /// What the agent's seat holds now. Nothing is compared while a request of the agent waits: its
    /// answer may be what changed it.
    pub fn holds(&mut self, held: Option<Box<AgentTask>>) -> Vec<AgentHostOutput> {
        if !self.is_live() || !self.waiting.is_empty() {
            return Vec::new();
        }
        let before = self.told.map(|told| told.key);
        if before == held.as_ref().map(|task| task.key()) {
            return Vec::new();
        }
        let revoked = before.map(|key| HostCall::Revoke(AgentRevoked::of(key)));
        let mut outputs: Vec<AgentHostOutput> = revoked
            .map(|call| AgentHostOutput::Send(call.encode(None)))
            .into_iter()
            .collect();
        self.told = held.map(|task| {
            let number = self.next_id;
            self.next_id += 1;
            let key = task.key();
            let id = RequestId::Number(number);
            outputs.push(AgentHostOutput::Send(
                HostCall::Assign(task).encode(Some(&id)),
            ));
            Told {
                key,
                unanswered: Some(number),
            }
        });
        outputs
    }

    /// Ends the session and closes the connection.
    pub fn end(&mut self, code: EndCode, message: &str) -> Vec<AgentHostOutput> {
        if self.is_closed() {
            return Vec::new();
        }
        let end = HostCall::End(SessionEnd {
            code,
            message: message.to_owned(),
        });
        let mut outputs = vec![AgentHostOutput::Send(end.encode(None))];
        outputs.extend(self.close(close_code(code), message));
        outputs
    }

    /// Answers a request, and those that came again while it was worked on.
    fn answer<R: Serialize>(&mut self, id: &RequestId, result: &R) -> Vec<AgentHostOutput> {
        let mut outputs = vec![AgentHostOutput::Send(encode_answer(id, result))];
        if self.memory.wants(id) {
            let raw = serde_json::value::to_raw_value(result).expect(crate::codec::WRITES);
            let others = self.memory.settle(id, Outcome::Answer(raw.clone()));
            outputs.extend(
                others
                    .iter()
                    .map(|other| AgentHostOutput::Send(encode_answer(other, &raw))),
            );
        }
        outputs
    }

    fn on_bad_frame(&mut self, bad: &BadFrame) -> Vec<AgentHostOutput> {
        let mut outputs = if bad.is_notification {
            Vec::new()
        } else {
            let text = encode_fault(bad.id.as_ref(), &bad.error.fault());
            vec![AgentHostOutput::Send(text)]
        };
        if bad.error.is_bad_behaviour() {
            outputs.extend(self.count_bad());
        }
        outputs
    }

    fn count_bad(&mut self) -> Vec<AgentHostOutput> {
        self.bad_messages += 1;
        if self.bad_messages <= BAD_MESSAGES_MAX {
            return Vec::new();
        }
        self.end(
            EndCode::Protocol,
            "more than BAD_MESSAGES_MAX messages were malformed or out of order",
        )
    }

    fn close(&mut self, code: CloseCode, reason: &str) -> Vec<AgentHostOutput> {
        self.stage = Stage::Closed;
        let reason = reason.to_owned();
        vec![AgentHostOutput::Close { code, reason }]
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

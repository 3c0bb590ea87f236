//! The coordinator's side of one connection.

mod outgoing;
mod output;
#[cfg(test)]
mod tests;

pub use output::{CloseCode, CoordinatorOptions, CoordinatorOutput, FromNode, ReplyId};

use crate::bounds::{
    ASSIGN_ANSWER_TIMEOUT_MS, BAD_MESSAGES_MAX, PROTOCOL_MAJOR, RESULT_REQUESTS_PENDING_MAX,
};
use crate::codec::{
    BadFrame, Message, NodeCall, RequestId, decode, encode_answer, encode_fault, method,
    read_result,
};
use crate::fault::{Fault, WireError, echo};
use crate::payload::{
    AssignAnswer, AssignAnswers, AssignRefusal, Assigned, AttemptKey, EndCode, Ended, Hello,
};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// How far the session is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Nothing was said.
    AwaitsHello,
    /// The coordinator decides about the hello with this id.
    Deciding(RequestId),
    /// The node was welcomed and has to say what it holds.
    AwaitsSync,
    /// The coordinator compares.
    Comparing(RequestId),
    /// Everything may be said.
    Live,
    /// Nothing is read or written any more.
    Closed,
}

/// State machine of one connection from a node. Texts and time in, [`CoordinatorOutput`] out.
#[derive(Debug)]
pub struct CoordinatorEnd {
    options: CoordinatorOptions,
    stage: Stage,
    opened_at: u64,
    heard_at: u64,
    bad_messages: u32,
    next_id: u64,
    /// Assign requests that the node has not answered, with what they carried.
    assigns: BTreeMap<u64, Vec<AttemptKey>>,
    /// The oldest of them and since when it was seen to wait.
    oldest_assign: Option<(u64, u64)>,
    /// Result requests that the coordinator has not answered.
    results: BTreeSet<RequestId>,
}

impl CoordinatorEnd {
    /// The end of a connection that was opened now.
    pub const fn new(options: CoordinatorOptions, now_ms: u64) -> Self {
        Self {
            options,
            stage: Stage::AwaitsHello,
            opened_at: now_ms,
            heard_at: now_ms,
            bad_messages: 0,
            next_id: 1,
            assigns: BTreeMap::new(),
            oldest_assign: None,
            results: BTreeSet::new(),
        }
    }

    /// Whether assignments may be sent.
    pub fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Whether the connection was given up; nothing comes out any more.
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// When [`Self::on_tick`] has something to do.
    pub fn next_timer(&self) -> Option<u64> {
        let silence = self.heard_at.saturating_add(self.options.silence_ms);
        match self.stage {
            Stage::Closed => None,
            Stage::Live => Some(silence.min(self.assign_times_out_at())),
            _ => Some(silence.min(self.handshake_ends_at())),
        }
    }

    const fn handshake_ends_at(&self) -> u64 {
        self.opened_at
            .saturating_add(self.options.handshake_timeout_ms)
    }

    fn assign_times_out_at(&self) -> u64 {
        self.oldest_assign.map_or(u64::MAX, |(_, since)| {
            since.saturating_add(ASSIGN_ANSWER_TIMEOUT_MS)
        })
    }

    /// Keeps an eye on the oldest assignment. Its time runs from the first sign of life after it
    /// was sent: a node that is heard but does not answer did not get it.
    fn watch_assigns(&mut self, now_ms: u64) {
        let oldest = self.assigns.keys().next().copied();
        if self.oldest_assign.map(|(id, _)| id) != oldest {
            self.oldest_assign = oldest.map(|id| (id, now_ms));
        }
    }

    /// Time passed: closes a connection whose handshake takes too long, or that is silent.
    pub fn on_tick(&mut self, now_ms: u64) -> Vec<CoordinatorOutput> {
        if self.next_timer().is_none_or(|timer| now_ms < timer) {
            return Vec::new();
        }
        let reason = if self.stage != Stage::Live {
            "the handshake took too long"
        } else if self.assign_times_out_at() <= now_ms {
            "an assignment was not answered for ASSIGN_ANSWER_TIMEOUT_MS"
        } else {
            "the node was silent for too long"
        };
        self.close(CloseCode::Timeout, reason)
    }

    /// A text frame came in.
    pub fn on_text(&mut self, now_ms: u64, text: &str) -> Vec<CoordinatorOutput> {
        if self.is_closed() {
            return Vec::new();
        }
        self.heard_at = now_ms;
        let outputs = match decode::<NodeCall>(text) {
            Ok(Message::Call { id, call }) => self.on_call(id, call),
            Ok(Message::Answer { id, result }) => self.on_answer(&id, result),
            Ok(Message::Fault { id, fault }) => self.on_fault(id.as_ref(), &fault),
            Err(bad) => self.on_bad_frame(&bad),
        };
        self.watch_assigns(now_ms);
        outputs
    }

    fn on_call(&mut self, id: Option<RequestId>, call: NodeCall) -> Vec<CoordinatorOutput> {
        match self.admit(id.clone(), call) {
            Ok(outputs) => outputs,
            Err(error @ WireError::VersionUnsupported { .. }) => {
                let mut outputs = answer_fault(id.as_ref(), &error.fault());
                outputs.extend(self.close(CloseCode::Protocol, "protocol version"));
                outputs
            }
            Err(error) => self.on_bad_frame(&BadFrame {
                is_notification: id.is_none(),
                id,
                error,
            }),
        }
    }

    /// Takes a call in if it may be made at this stage.
    fn admit(
        &mut self,
        id: Option<RequestId>,
        call: NodeCall,
    ) -> Result<Vec<CoordinatorOutput>, WireError> {
        match call {
            NodeCall::Hello(hello) => self.admit_hello(with_id(id, method::SESSION_START)?, hello),
            NodeCall::Sync(report) => {
                let id = with_id(id, method::STATE_SYNC)?;
                if self.stage != Stage::AwaitsSync {
                    return Err(out_of_order(
                        method::STATE_SYNC,
                        "it is said once, after the welcome",
                    ));
                }
                self.stage = Stage::Comparing(id.clone());
                let reply = ReplyId(id);
                Ok(vec![event(FromNode::SyncReport { reply, report })])
            }
            NodeCall::Heartbeat(heartbeat) => {
                let id = with_id(id, method::HEALTH_CHECK)?;
                if matches!(self.stage, Stage::AwaitsHello | Stage::Deciding(_)) {
                    return Err(out_of_order(
                        method::HEALTH_CHECK,
                        "first comes the welcome",
                    ));
                }
                let answer = CoordinatorOutput::Send(encode_answer(&id, &heartbeat));
                let sequence = heartbeat.sequence;
                Ok(vec![answer, event(FromNode::Heartbeat { sequence })])
            }
            NodeCall::Results(batch) => {
                let id = with_id(id, method::TASK_COMPLETE)?;
                self.when_live(method::TASK_COMPLETE)?;
                if self.results.len() >= RESULT_REQUESTS_PENDING_MAX {
                    return Err(WireError::Busy);
                }
                if !self.results.insert(id.clone()) {
                    return Err(WireError::WrongForm {
                        method: method::TASK_COMPLETE,
                        detail: "an unanswered request has the same id",
                    });
                }
                Ok(vec![event(FromNode::Results {
                    reply: ReplyId(id),
                    reports: batch.reports,
                })])
            }
            NodeCall::Goodbye(goodbye) => {
                let mut outputs: Vec<CoordinatorOutput> = id
                    .map(|id| CoordinatorOutput::Send(encode_answer(&id, &Ended {})))
                    .into_iter()
                    .collect();
                if !matches!(self.stage, Stage::AwaitsHello | Stage::Deciding(_)) {
                    outputs.push(event(FromNode::Goodbye {
                        reason: goodbye.reason,
                    }));
                }
                outputs.extend(self.close(CloseCode::Normal, "the node said goodbye"));
                Ok(outputs)
            }
            NodeCall::Metrics(metrics) => {
                self.when_live(method::METRICS_REPORT)?;
                Ok(vec![event(FromNode::Metrics(metrics))])
            }
            NodeCall::Progress(batch) => {
                self.when_live(method::STATUS_UPDATE)?;
                Ok(vec![event(FromNode::Progress(batch.items))])
            }
        }
    }

    fn admit_hello(
        &mut self,
        id: RequestId,
        hello: Box<Hello>,
    ) -> Result<Vec<CoordinatorOutput>, WireError> {
        if self.stage != Stage::AwaitsHello {
            return Err(out_of_order(
                method::SESSION_START,
                "it is said once per connection",
            ));
        }
        let major = hello.protocol.split('.').next();
        if major != Some(PROTOCOL_MAJOR) {
            return Err(WireError::VersionUnsupported {
                offered: echo(&hello.protocol),
            });
        }
        self.stage = Stage::Deciding(id);
        Ok(vec![event(FromNode::Hello(hello))])
    }

    fn when_live(&self, method: &'static str) -> Result<(), WireError> {
        match self.stage {
            Stage::Live => Ok(()),
            Stage::AwaitsHello | Stage::Deciding(_) => {
                Err(out_of_order(method, "first comes the welcome"))
            }
            _ => Err(out_of_order(method, "first comes the synchronisation")),
        }
    }

    fn on_answer(&mut self, id: &RequestId, result: &RawValue) -> Vec<CoordinatorOutput> {
        let Some(asked) = self.take_assign(id) else {
            return self.count_bad();
        };
        match read_result::<AssignAnswers>(method::TASK_ASSIGN, result) {
            Ok(answers) => vec![event(FromNode::Assigned(reconcile(&asked, answers)))],
            Err(error) => {
                let mut outputs = vec![event(FromNode::Assigned(failed(
                    &asked,
                    AssignRefusal::RequestFailed,
                    &error.to_string(),
                )))];
                outputs.extend(self.count_bad());
                outputs
            }
        }
    }

    fn on_fault(&mut self, id: Option<&RequestId>, fault: &Fault) -> Vec<CoordinatorOutput> {
        let Some(asked) = id.and_then(|id| self.take_assign(id)) else {
            return self.count_bad();
        };
        vec![event(FromNode::Assigned(failed(
            &asked,
            AssignRefusal::RequestFailed,
            &echo(&fault.message),
        )))]
    }

    fn take_assign(&mut self, id: &RequestId) -> Option<Vec<AttemptKey>> {
        match id {
            RequestId::Number(number) => self.assigns.remove(number),
            RequestId::Text(_) => None,
        }
    }

    fn on_bad_frame(&mut self, bad: &BadFrame) -> Vec<CoordinatorOutput> {
        let mut outputs = if bad.is_notification {
            Vec::new()
        } else {
            answer_fault(bad.id.as_ref(), &bad.error.fault())
        };
        // A newer node may tell us what we do not know yet; that is not its fault.
        if !matches!(bad.error, WireError::MethodUnknown { .. } | WireError::Busy) {
            outputs.extend(self.count_bad());
        }
        outputs
    }

    fn count_bad(&mut self) -> Vec<CoordinatorOutput> {
        self.bad_messages += 1;
        if self.bad_messages <= BAD_MESSAGES_MAX {
            return Vec::new();
        }
        self.end(
            EndCode::Protocol,
            "more than BAD_MESSAGES_MAX messages were malformed or out of order",
        )
    }

    fn close(&mut self, code: CloseCode, reason: &str) -> Vec<CoordinatorOutput> {
        self.stage = Stage::Closed;
        vec![CoordinatorOutput::Close {
            code,
            reason: reason.to_owned(),
        }]
    }
}

const fn event(event: FromNode) -> CoordinatorOutput {
    CoordinatorOutput::Event(event)
}

fn answer_fault(id: Option<&RequestId>, fault: &Fault) -> Vec<CoordinatorOutput> {
    vec![CoordinatorOutput::Send(encode_fault(id, fault))]
}

fn with_id(id: Option<RequestId>, method: &'static str) -> Result<RequestId, WireError> {
    id.ok_or(WireError::WrongForm {
        method,
        detail: "it is a request and needs an `id`",
    })
}

const fn out_of_order(method: &'static str, expected: &'static str) -> WireError {
    WireError::OutOfOrder { method, expected }
}

fn failed(asked: &[AttemptKey], code: AssignRefusal, message: &str) -> Vec<Assigned> {
    asked
        .iter()
        .map(|attempt| {
            let message = message.to_owned();
            Assigned::new(*attempt, AssignAnswer::Refused { code, message })
        })
        .collect()
}

/// The answers to exactly the attempts that were asked about: others are dropped, and an attempt
/// without an answer counts as refused.
fn reconcile(asked: &[AttemptKey], answers: AssignAnswers) -> Vec<Assigned> {
    let in_order = answers.items.len() == asked.len()
        && answers
            .items
            .iter()
            .zip(asked)
            .all(|(item, attempt)| item.attempt() == *attempt);
    if in_order {
        return answers.items;
    }
    let mut by_attempt: BTreeMap<AttemptKey, Assigned> = answers
        .items
        .into_iter()
        .map(|item| (item.attempt(), item))
        .collect();
    asked
        .iter()
        .flat_map(|attempt| match by_attempt.remove(attempt) {
            Some(item) => vec![item],
            None => failed(
                &[*attempt],
                AssignRefusal::RequestFailed,
                "the node did not answer for this attempt",
            ),
        })
        .collect()
}

//! What the coordinator says, and what the node makes of it.

use super::attempts::Admission;
use super::lease::Lease;
use super::link::{Asked, Link, Request, Stage};
use super::{ExitCode, KillReason, NodeEnd, NodeOutput};
use crate::bounds::{BAD_MESSAGES_MAX, HEARTBEAT_JITTER_PERCENT, SYNC_ITEMS_MAX};
use crate::codec::{
    BadFrame, CoordinatorCall, Message, RequestId, decode, encode_answer, encode_fault, method,
    read_result,
};
use crate::fault::{Fault, FaultCode, WireError, echo};
use crate::payload::{
    AssignAnswer, AssignAnswers, AssignBatch, AssignRefusal, Assigned, Assignment, EndCode,
    Heartbeat, ResultAnswers, SessionEnd, SyncReport, SyncVerdicts, Verdict, Welcome,
};
use serde_json::value::RawValue;

impl NodeEnd {
    pub(super) fn on_text(&mut self, now: u64, text: &str) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        connection.heard_at = now;
        match decode::<CoordinatorCall>(text) {
            Ok(Message::Call { id, call }) => self.on_call(now, id, call),
            Ok(Message::Answer { id, result }) => match connection.take(&id) {
                Some(request) => self.on_answer(now, request, result),
                // An answer to nothing that was asked.
                None => self.count_bad(now),
            },
            Ok(Message::Fault { id, fault }) => {
                let request = id.and_then(|id| connection.take(&id));
                self.on_fault(now, request, &fault);
            }
            Err(bad) => self.on_bad_frame(now, &bad),
        }
    }

    fn on_call(&mut self, now: u64, id: Option<RequestId>, call: CoordinatorCall) {
        match call {
            CoordinatorCall::End(end) => self.on_end(now, &end),
            CoordinatorCall::Status(status) => {
                self.outputs.push(NodeOutput::Draining(status.draining));
            }
            CoordinatorCall::Assign(batch) if self.is_live() => self.on_assign(now, id, batch),
            CoordinatorCall::Verdicts(verdicts) if self.is_live() => self.follow(&verdicts),
            CoordinatorCall::Assign(_) => self.out_of_order(now, id, method::TASK_ASSIGN),
            CoordinatorCall::Verdicts(_) => self.out_of_order(now, id, method::STATE_SYNC),
        }
    }

    fn out_of_order(&mut self, now: u64, id: Option<RequestId>, method: &'static str) {
        let bad = BadFrame {
            is_notification: id.is_none(),
            id,
            error: WireError::OutOfOrder {
                method,
                expected: "first comes the answer to the synchronisation",
            },
        };
        self.on_bad_frame(now, &bad);
    }

    fn on_end(&mut self, now: u64, end: &SessionEnd) {
        let reason = echo(&end.message);
        match end.code {
            EndCode::Replaced => self.exit(ExitCode::Replaced, reason),
            EndCode::Removed => self.exit(ExitCode::Removed, reason),
            EndCode::Shutdown | EndCode::Protocol => self.close(now, &reason),
        }
    }

    fn on_assign(&mut self, now: u64, id: Option<RequestId>, batch: AssignBatch) {
        let items = batch
            .items
            .into_iter()
            .map(|assignment| {
                let key = assignment.key();
                Assigned::new(key, self.admit(now, assignment))
            })
            .collect();
        if let Some(id) = id {
            self.send(encode_answer(&id, &AssignAnswers { items }));
        }
    }

    fn admit(&mut self, now: u64, assignment: Assignment) -> AssignAnswer {
        if self.spool.contains(assignment.key()) {
            return AssignAnswer::Duplicate;
        }
        let closed = if self.leaves_at.is_some() {
            Some(AssignRefusal::ShuttingDown)
        } else if self.lease.is_none_or(|lease| lease.fenced_at() <= now) {
            Some(AssignRefusal::LeaseExpired)
        } else if self.spool.is_full() {
            Some(AssignRefusal::SpoolFull)
        } else {
            None
        };
        let admission = match closed {
            Some(code) if !self.attempts.holds(assignment.key()) => Admission::Refused(code),
            _ => self.attempts.admit(assignment),
        };
        match admission {
            Admission::Duplicate => AssignAnswer::Duplicate,
            Admission::Refused(code) => AssignAnswer::Refused {
                code,
                message: explain(code).to_owned(),
            },
            Admission::Accepted { superseded } => {
                for attempt in superseded {
                    self.kill_output(attempt, KillReason::Revoked);
                }
                AssignAnswer::Accepted
            }
        }
    }

    /// Does what the coordinator decided about attempts and results. What does not apply any more
    /// is passed over: the attempt ended in the meantime, and its result will be answered.
    fn follow(&mut self, verdicts: &SyncVerdicts) {
        let mut discarded = Vec::new();
        for item in &verdicts.items {
            let attempt = item.attempt();
            match item.verdict {
                Verdict::Keep => {}
                Verdict::Kill => {
                    if self.attempts.kill(attempt) {
                        self.kill_output(attempt, KillReason::Revoked);
                    }
                }
                Verdict::Resend => self.spool.resend(attempt),
                Verdict::Discard => {
                    if self.spool.discard(attempt) {
                        discarded.push(attempt);
                    }
                }
            }
        }
        if !discarded.is_empty() {
            self.outputs.push(NodeOutput::Unspool(discarded));
        }
    }

    fn on_answer(&mut self, now: u64, request: Request, result: &RawValue) {
        let Request { sent_at, asked } = request;
        let problem = match asked {
            Asked::Hello => read_result::<Welcome>(method::SESSION_START, result)
                .map(|welcome| self.on_welcome(now, sent_at, welcome)),
            Asked::Sync => read_result::<SyncVerdicts>(method::STATE_SYNC, result)
                .map(|verdicts| self.on_verdicts(&verdicts)),
            Asked::Heartbeat { sequence } => {
                match read_result::<Heartbeat>(method::HEALTH_CHECK, result) {
                    Ok(answer) if answer.sequence == sequence => {
                        if let Some(lease) = &mut self.lease {
                            lease.renew(sent_at);
                        }
                    }
                    _ => self.count_bad(now),
                }
                return;
            }
            Asked::Results(keys) => {
                if let Ok(answers) = read_result::<ResultAnswers>(method::TASK_COMPLETE, result) {
                    let done = self.spool.answered(now, &keys, &answers);
                    if !done.is_empty() {
                        self.outputs.push(NodeOutput::Unspool(done));
                    }
                } else {
                    self.spool.refuse(now, &keys);
                    self.count_bad(now);
                }
                return;
            }
        };
        if let Err(error) = problem {
            self.close(now, &error.to_string());
        }
    }

    fn on_welcome(&mut self, now: u64, hello_sent_at: u64, welcome: Welcome) {
        if welcome.node != self.options.node {
            return self.close(now, "the welcome is for another node");
        }
        let lease = Lease::new(&welcome, hello_sent_at);
        let first_heartbeat = self
            .jitter
            .around(lease.heartbeat_ms, HEARTBEAT_JITTER_PERCENT);
        self.lease = Some(lease);
        self.epoch_seen = Some(welcome.epoch);
        let held = self.attempts.held();
        let room = SYNC_ITEMS_MAX.saturating_sub(held.len());
        let spooled = self.spool.keys().take(room).collect();
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        connection.stage = Stage::Syncing;
        connection.heartbeat_at = Some(now.saturating_add(first_heartbeat));
        let report = SyncReport { held, spooled };
        let text = connection.request(now, method::STATE_SYNC, &report, Asked::Sync);
        self.send(text);
        self.outputs.push(NodeOutput::Welcomed(Box::new(welcome)));
    }

    fn on_verdicts(&mut self, verdicts: &SyncVerdicts) {
        if let Link::Up(connection) = &mut self.link {
            connection.stage = Stage::Live;
        }
        self.failures = 0;
        self.spool.send_all_again();
        self.follow(verdicts);
    }

    fn on_fault(&mut self, now: u64, request: Option<Request>, fault: &Fault) {
        let message = echo(&fault.message);
        match request.map(|request| request.asked) {
            Some(Asked::Hello) => match fault.known_code() {
                Some(FaultCode::Replaced) => self.exit(ExitCode::Replaced, message),
                Some(FaultCode::Removed) => self.exit(ExitCode::Removed, message),
                Some(FaultCode::VersionUnsupported) => {
                    self.exit(ExitCode::VersionUnsupported, message);
                }
                _ => self.close(now, &message),
            },
            Some(Asked::Sync) => self.close(now, &message),
            Some(Asked::Results(keys)) => self.spool.refuse(now, &keys),
            Some(Asked::Heartbeat { .. }) | None => self.count_bad(now),
        }
    }

    fn on_bad_frame(&mut self, now: u64, bad: &BadFrame) {
        if !bad.is_notification {
            self.send(encode_fault(bad.id.as_ref(), &bad.error.fault()));
        }
        // A newer coordinator may say what this node does not know yet; that is no fault.
        if !matches!(bad.error, WireError::MethodUnknown { .. }) {
            self.count_bad(now);
        }
    }

    fn count_bad(&mut self, now: u64) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        connection.bad_messages += 1;
        if connection.bad_messages > BAD_MESSAGES_MAX {
            self.close(now, "more than BAD_MESSAGES_MAX messages were malformed");
        }
    }
}

const fn explain(code: AssignRefusal) -> &'static str {
    match code {
        AssignRefusal::NoSlot => "all slots of the node are taken",
        AssignRefusal::Stale => "the node knows a higher fence of this task",
        AssignRefusal::AlreadyEnded => "this attempt ended on the node before",
        AssignRefusal::LeaseExpired => "no heartbeat was answered for too long",
        AssignRefusal::SpoolFull => "SPOOLED_REPORTS_MAX results wait for an answer",
        AssignRefusal::ShuttingDown => "the node stops",
        AssignRefusal::TooLarge
        | AssignRefusal::NotLive
        | AssignRefusal::RequestFailed
        | AssignRefusal::Other => "the assignment could not be handed over",
    }
}

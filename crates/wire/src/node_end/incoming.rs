//! What the coordinator says, and what the node makes of it.

use super::lease::Lease;
use super::link::{Asked, Link, Request, Stage};
use super::{ExitCode, KillReason, LinkOptions, NodeEnd, NodeOutput};
use crate::answer_memory::{Outcome, Recall};
use crate::bounds::{HEARTBEAT_JITTER_PERCENT, SYNC_ITEMS_MAX};
use crate::codec::{
    BadFrame, Body, Calls, CoordinatorCall, Message, Opened, RequestId, WRITES, granted_by, method,
    read_result,
};
use crate::fault::{Fault, FaultCode, WireError, echo};
use crate::frame::FrameRef;
use crate::payload::{
    Capability, Credit, EndCode, Heartbeat, Meta, Negotiation, ResultAnswers, SessionEnd,
    StatusUpdate, SyncReport, SyncVerdicts, Verdict, Welcome,
};
use serde::Serialize;
use skep_model::time::UnixMillis;

impl NodeEnd {
    pub(super) fn on_frame(&mut self, now: u64, frame: FrameRef<'_>) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        connection.heard_at = now;
        let is_agreed = connection.agreed.has(Capability::MessagePack);
        if matches!(frame, FrameRef::Binary(_)) && !is_agreed {
            let capability = Capability::MessagePack.as_str();
            let error = WireError::EncodingNotAgreed { capability };
            return self.on_bad_frame(now, &BadFrame::unreadable(error));
        }
        match Opened::new(frame) {
            Ok(opened) => self.on_opened(now, &opened),
            Err(bad) => self.on_bad_frame(now, &bad),
        }
    }

    fn on_opened(&mut self, now: u64, opened: &Opened<'_>) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        match opened.decode::<CoordinatorCall>() {
            Ok(Message::Call { id, call, meta }) => {
                let meta = meta.unwrap_or_default();
                match self.examine(now, id.as_ref(), call.method(), &meta) {
                    Ok(true) => self.on_call(now, id, call, &meta, opened.cost()),
                    Ok(false) => {}
                    Err(error) => self.refuse(now, id, error),
                }
            }
            Ok(Message::Answer { id, result }) => {
                if let Some(credit) = granted_by(result) {
                    connection.spending.grant(credit);
                }
                match connection.take(&id) {
                    Some(request) => self.on_answer(now, request, result),
                    // An answer to nothing that was asked.
                    None => self.count_bad(now),
                }
            }
            Ok(Message::Fault { id, fault }) => {
                let request = id.and_then(|id| connection.take(&id));
                self.on_fault(now, request, &fault);
            }
            Err(bad) => self.on_bad_frame(now, &bad),
        }
    }

    /// Looks at what a call says about itself. False if it was answered from memory.
    fn examine(
        &mut self,
        now: u64,
        id: Option<&RequestId>,
        method: &'static str,
        meta: &Meta,
    ) -> Result<bool, WireError> {
        let unix_ms_at_zero = self.link_options.unix_ms_at_zero;
        let time_of_day = unix_ms_at_zero.map(|zero| UnixMillis(zero.saturating_add(now)));
        let Link::Up(connection) = &mut self.link else {
            return Ok(false);
        };
        if let Some(credit) = meta.credit {
            connection.spending.grant(credit);
        }
        meta.check(method, self.epoch_seen, time_of_day)?;
        let Some(id) = id else {
            return Ok(true);
        };
        let frame = match connection.memory.recall(id, meta)? {
            Recall::New => return Ok(true),
            Recall::Joined => return Ok(false),
            Recall::Known(Outcome::Answer(raw)) => connection.framing.answer_raw(id, &raw),
            Recall::Known(Outcome::Fault(fault)) => connection.framing.fault(Some(id), &fault),
        };
        self.send(frame);
        Ok(false)
    }

    fn on_call(
        &mut self,
        now: u64,
        id: Option<RequestId>,
        call: CoordinatorCall,
        meta: &Meta,
        cost: u64,
    ) {
        let is_live = self.is_live();
        match call {
            CoordinatorCall::End(end) => self.on_end(now, &end),
            CoordinatorCall::Status(status) => self.on_status(now, status, meta),
            CoordinatorCall::Assign(batch) if is_live => self.on_assign(now, id, batch, cost),
            CoordinatorCall::Verdicts(verdicts) if is_live => self.follow(&verdicts),
            CoordinatorCall::Balance(request) if is_live => self.on_balance(now, id, &request),
            CoordinatorCall::Assign(_) => self.out_of_order(now, id, method::TASK_ASSIGN),
            CoordinatorCall::Verdicts(_) => self.out_of_order(now, id, method::STATE_SYNC),
            CoordinatorCall::Balance(_) => self.out_of_order(now, id, method::LOAD_BALANCE),
        }
    }

    fn on_status(&mut self, now: u64, status: StatusUpdate, meta: &Meta) {
        if let Some(terms) = status.hold {
            self.on_terms(now, terms);
        }
        // With a grant or terms it repeats what the node knows, unless it changed.
        let says_more = meta.credit.is_some() || status.hold.is_some();
        if !says_more || status.draining != self.is_draining {
            self.outputs.push(NodeOutput::Draining(status.draining));
        }
        self.is_draining = status.draining;
        if status.draining {
            self.nothing_more_comes();
        }
    }

    pub(super) fn refuse(&mut self, now: u64, id: Option<RequestId>, error: WireError) {
        if let (Link::Up(connection), Some(id)) = (&mut self.link, &id) {
            connection.memory.forget(id);
        }
        let bad = BadFrame {
            is_notification: id.is_none(),
            id,
            error,
        };
        self.on_bad_frame(now, &bad);
    }

    /// Answers a request of the coordinator, and those that came again meanwhile.
    pub(super) fn answer<R: Serialize>(&mut self, id: &RequestId, result: &R) {
        self.answer_granting(id, result, None);
    }

    /// The same with a grant, if there is one.
    pub(super) fn answer_granting<R: Serialize>(
        &mut self,
        id: &RequestId,
        result: &R,
        grant: Option<Credit>,
    ) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        let framing = connection.framing;
        let frame = framing.answer_granting(id, result, grant);
        self.outputs.push(NodeOutput::Send(frame));
        if connection.memory.wants(id) {
            let raw = serde_json::value::to_raw_value(result).expect(WRITES);
            for other in connection.memory.settle(id, Outcome::Answer(raw.clone())) {
                let frame = framing.answer_raw(&other, &raw);
                self.outputs.push(NodeOutput::Send(frame));
            }
        }
    }

    fn out_of_order(&mut self, now: u64, id: Option<RequestId>, method: &'static str) {
        let expected = "first comes the answer to the synchronisation";
        self.refuse(now, id, WireError::OutOfOrder { method, expected });
    }

    fn on_end(&mut self, now: u64, end: &SessionEnd) {
        let reason = echo(&end.message);
        match end.code {
            EndCode::Replaced => self.exit(ExitCode::Replaced, reason),
            EndCode::Removed => self.exit(ExitCode::Removed, reason),
            EndCode::Shutdown | EndCode::Protocol | EndCode::StorageFull => {
                self.close(now, &reason);
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

    fn on_answer(&mut self, now: u64, request: Request, result: Body<'_>) {
        let Request { sent_at, asked } = request;
        let problem = match asked {
            Asked::Negotiation => read_result::<Negotiation>(method::NEGOTIATE, result)
                .map(|answer| self.on_negotiated(&answer)),
            Asked::Question(question) => return self.on_question_answered(&question, result),
            Asked::GivenUp => return,
            Asked::Hello => read_result::<Welcome>(method::SESSION_START, result)
                .map(|welcome| self.on_welcome(now, sent_at, welcome)),
            Asked::Sync => read_result::<SyncVerdicts>(method::STATE_SYNC, result)
                .map(|verdicts| self.on_verdicts(now, &verdicts)),
            Asked::Heartbeat { sequence } => {
                match read_result::<Heartbeat>(method::HEALTH_CHECK, result) {
                    Ok(answer) if answer.sequence == sequence => {
                        self.heartbeat_answered(now, sent_at);
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

    fn on_negotiated(&mut self, answer: &Negotiation) {
        let LinkOptions {
            offers,
            assign_window,
            ..
        } = self.link_options;
        if let Link::Up(connection) = &mut self.link {
            connection.agree(offers, assign_window, answer);
            if let Some(granting) = &mut connection.granting {
                granting.pause(self.is_overloaded);
            }
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
        match welcome.hold {
            Some(terms) => self.on_terms(now, terms),
            None => self.no_terms(),
        }
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
        let frame = connection.request(now, method::STATE_SYNC, &report, Asked::Sync);
        self.send(frame);
        self.outputs.push(NodeOutput::Welcomed(Box::new(welcome)));
    }

    fn on_verdicts(&mut self, now: u64, verdicts: &SyncVerdicts) {
        if let Link::Up(connection) = &mut self.link {
            connection.stage = Stage::Live;
        }
        self.failures = 0;
        self.spool.send_all_again();
        self.follow(verdicts);
        self.thaw();
        self.tell_if_away();
        self.tell_wish(now);
        if self.is_overloaded {
            self.tell_load();
        }
    }

    fn on_fault(&mut self, now: u64, request: Option<Request>, fault: &Fault) {
        let message = echo(&fault.message);
        let sent_at = request.as_ref().map(|request| request.sent_at);
        match request.map(|request| request.asked) {
            Some(Asked::Hello) => match fault.known_code() {
                Some(FaultCode::Replaced) => self.exit(ExitCode::Replaced, message),
                Some(FaultCode::Removed) => self.exit(ExitCode::Removed, message),
                Some(FaultCode::VersionUnsupported) => {
                    self.exit(ExitCode::VersionUnsupported, message);
                }
                Some(FaultCode::StorageFull) => {
                    // The coordinator lives and has heard the node; it only cannot note it down.
                    if let (Some(lease), Some(sent_at)) = (&mut self.lease, sent_at) {
                        lease.renew(sent_at);
                    }
                    self.close(now, &message);
                    self.wait_for_storage(now);
                }
                _ => self.close(now, &message),
            },
            Some(Asked::Sync) => self.close(now, &message),
            // An older coordinator does not negotiate: everything stays text.
            Some(Asked::Negotiation | Asked::GivenUp) => {}
            Some(Asked::Question(question)) => self.on_question_refused(&question, fault),
            Some(Asked::Results(keys)) => self.spool.refuse(now, &keys),
            Some(Asked::Heartbeat { .. }) | None => self.count_bad(now),
        }
    }
}

//! What the coordinator says to an attached agent.

use super::link::Asked;
use super::{AgentEnd, AgentExit, AgentOutput};
use crate::bounds::{BAD_MESSAGES_MAX, RESULT_RETRY_MS};
use crate::codec::{
    BadFrame, Body, HostCall, Message, RequestId, decode, encode_answer, encode_fault, method,
    read_result,
};
use crate::fault::{Fault, WireError};
use crate::payload::{
    AgentAccepts, AgentEnded, AgentNote, AgentRevoked, AgentTask, AgentWelcome, AttemptKey,
    EndCode, SessionEnd,
};

impl AgentEnd {
    pub(super) fn on_text(&mut self, now: u64, text: &str) {
        if self.connection().is_none() {
            return;
        }
        match decode::<HostCall>(text) {
            Ok(Message::Call { id, call, .. }) => self.on_call(now, id, call),
            Ok(Message::Answer { id, result }) => match self.asked(&id) {
                Some(asked) => self.on_answer(now, asked, result),
                None => self.count_bad(now),
            },
            Ok(Message::Fault { id, fault }) => match id.as_ref().and_then(|id| self.asked(id)) {
                Some(asked) => self.on_fault(now, asked, fault),
                None => self.count_bad(now),
            },
            Err(bad) => self.on_bad_frame(now, &bad),
        }
    }

    fn asked(&mut self, id: &RequestId) -> Option<Asked> {
        match id {
            RequestId::Number(number) => self.connection()?.answered(*number),
            RequestId::Text(_) => None,
        }
    }

    fn on_call(&mut self, now: u64, id: Option<RequestId>, call: HostCall) {
        match call {
            HostCall::Assign(task) => match id {
                Some(id) => self.on_assign(&id, task),
                None => self.on_bad_frame(
                    now,
                    &BadFrame {
                        id: None,
                        is_notification: true,
                        error: WireError::WrongForm {
                            method: method::TASK_ASSIGN,
                            detail: "it is a request and needs an `id`",
                        },
                    },
                ),
            },
            HostCall::Revoke(revoked) => self.on_revoked(&revoked),
            HostCall::End(end) => self.on_end(now, end),
        }
    }

    /// One task at a time: another one goes back.
    fn on_assign(&mut self, id: &RequestId, task: Box<AgentTask>) {
        let mine = self.mine.as_ref().map(|mine| mine.task.key());
        let accepted = !self.is_leaving && mine.is_none_or(|mine| mine == task.key());
        let reason = (!accepted).then(|| "the agent leaves, or has another task".to_owned());
        let answer = AgentAccepts { accepted, reason };
        self.out.push(AgentOutput::Send(encode_answer(id, &answer)));
        if accepted && mine.is_none() {
            self.take(task);
        }
    }

    fn on_revoked(&mut self, revoked: &AgentRevoked) {
        self.next = self.next.take().filter(|next| next.key() != revoked.key());
        let is_mine = |mine: &super::Mine| mine.task.key() == revoked.key();
        if self.mine.as_ref().is_some_and(is_mine) {
            self.drop_work();
        }
    }

    fn on_end(&mut self, now: u64, end: SessionEnd) {
        match end.code {
            EndCode::Replaced | EndCode::Removed => {
                self.exit(AgentExit::Ended(end.code, end.message));
            }
            EndCode::Shutdown | EndCode::Protocol | EndCode::StorageFull => {
                self.hang_up(now, &end.message);
            }
        }
    }

    fn on_answer(&mut self, now: u64, asked: Asked, result: Body<'_>) {
        let read = match asked {
            Asked::Hello => read_result::<AgentWelcome>(method::SESSION_START, result)
                .map(|welcome| self.on_welcome(now, welcome)),
            Asked::End(key) => read_result::<AgentEnded>(method::TASK_COMPLETE, result)
                .map(|ended| self.settled(key, Ok(ended))),
            Asked::Leave => {
                self.exit(AgentExit::Left);
                Ok(())
            }
            Asked::Else => Ok(()),
        };
        if read.is_err() {
            self.hang_up(now, "an answer could not be read");
        }
    }

    fn on_welcome(&mut self, now: u64, welcome: AgentWelcome) {
        self.failures = 0;
        if let Some(connection) = self.connection() {
            connection.welcomed(now, welcome.terms.heartbeat_ms);
        }
        // A name that was made up there is said again with the next hello.
        self.session
            .insert("name".to_owned(), welcome.name.clone().into());
        self.out
            .push(AgentOutput::Welcomed(welcome.id, welcome.name));
        self.compare(welcome.assignment);
    }

    /// What the agent has there and what it has here. An end that was not answered is said in any
    /// case: whoever took it in before says so again.
    fn compare(&mut self, there: Option<Box<AgentTask>>) {
        let here = self.mine.as_ref().map(|mine| mine.task.key());
        let has_ended = self.has().is_some_and(|(_, goes_on)| !goes_on);
        let is_same = here == there.as_ref().map(|task| task.key());
        if !is_same && !has_ended {
            self.drop_work();
        }
        match there {
            Some(task) if !is_same && self.mine.is_some() => self.next = Some(task),
            Some(task) => self.go_on_with(task),
            None => {}
        }
    }

    /// Takes what the agent has there, if it is new here, and begins it if it was not begun: the
    /// answer to its assignment may have been lost.
    fn go_on_with(&mut self, task: Box<AgentTask>) {
        let (key, begun) = (task.key(), task.begun);
        if self.mine.is_none() {
            self.take(task);
        }
        if !begun && self.has() == Some((key, true)) {
            let AttemptKey { task, fence } = key;
            let note = None;
            self.notes.push_front(AgentNote { task, fence, note });
        }
    }

    fn on_fault(&mut self, now: u64, asked: Asked, fault: Fault) {
        match asked {
            Asked::Hello if fault.may_pass() => self.hang_up(now, &fault.message),
            Asked::Hello => {
                let reason = format!("`{}`: {}", fault.word(), fault.message);
                self.exit(AgentExit::Refused(reason));
            }
            Asked::End(key) if fault.may_pass() => {
                if let Some(mine) = &mut self.mine
                    && mine.task.key() == key
                {
                    mine.is_said = false;
                    mine.again_at = Some(now + RESULT_RETRY_MS);
                }
            }
            Asked::End(key) => self.settled(key, Err(fault)),
            Asked::Leave => self.exit(AgentExit::Left),
            Asked::Else => {}
        }
    }

    /// The end of the work was answered for good.
    fn settled(&mut self, key: AttemptKey, answer: Result<AgentEnded, Fault>) {
        if self
            .mine
            .as_ref()
            .is_some_and(|mine| mine.task.key() == key)
        {
            self.mine = None;
            self.notes.clear();
            self.out.push(AgentOutput::Ended(key, answer));
            if let Some(next) = self.next.take() {
                self.go_on_with(next);
            }
        }
    }

    fn on_bad_frame(&mut self, now: u64, bad: &BadFrame) {
        if !bad.is_notification {
            let text = encode_fault(bad.id.as_ref(), &bad.error.fault());
            self.out.push(AgentOutput::Send(text));
        }
        if bad.error.is_bad_behaviour() {
            self.count_bad(now);
        }
    }

    fn count_bad(&mut self, now: u64) {
        let Some(connection) = self.connection() else {
            return;
        };
        connection.bad_messages += 1;
        if connection.bad_messages > BAD_MESSAGES_MAX {
            self.hang_up(now, "more than BAD_MESSAGES_MAX messages were malformed");
        }
    }
}

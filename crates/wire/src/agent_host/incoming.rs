//! What an attached agent says, and whether it may be said now.

use super::{AGENT_CAPABILITIES, AgentHost, AgentHostOutput, Stage};
use crate::answer_memory::{Outcome, Recall};
use crate::bounds::{AGENT_REQUESTS_WAITING_MAX, PROTOCOL_MAJOR, PROTOCOL_VERSION};
use crate::codec::{AgentCall, BadFrame, Calls, RequestId, encode_answer, encode_fault, method};
use crate::coordinator_end::CloseCode;
use crate::fault::{WireError, echo};
use crate::payload::{
    AgentHello, AgentNegotiation, AgentRequest, AgentStatus, Capabilities, Ended, Extensions, Meta,
    Role,
};
use skep_model::time::UnixMillis;

type Admitted = Result<Vec<AgentHostOutput>, WireError>;

impl AgentHost {
    pub(super) fn on_call(
        &mut self,
        now: u64,
        id: Option<RequestId>,
        call: AgentCall,
        meta: Option<Box<Meta>>,
    ) -> Vec<AgentHostOutput> {
        let admitted = match meta {
            Some(meta) => self.admit_named(now, id.clone(), call, &meta),
            None => self.admit(id.clone(), call),
        };
        let error = match admitted {
            Ok(outputs) => return outputs,
            Err(error) => error,
        };
        if let Some(id) = &id {
            self.memory.forget(id);
        }
        if matches!(error, WireError::VersionUnsupported { .. }) {
            let text = encode_fault(id.as_ref(), &error.fault());
            let mut outputs = vec![AgentHostOutput::Send(text)];
            outputs.extend(self.close(CloseCode::Protocol, "protocol version"));
            return outputs;
        }
        self.on_bad_frame(&BadFrame {
            is_notification: id.is_none(),
            id,
            error,
        })
    }

    /// Takes a call in that says something about itself: epoch, deadline, name.
    fn admit_named(
        &mut self,
        now: u64,
        id: Option<RequestId>,
        call: AgentCall,
        meta: &Meta,
    ) -> Admitted {
        let zero = self.options.unix_ms_at_zero;
        let time = zero.map(|zero| UnixMillis(zero.saturating_add(now)));
        meta.check(call.method(), self.epoch, time)?;
        if let Some(id) = &id {
            match self.memory.recall(id, meta)? {
                Recall::New => {}
                Recall::Joined => return Ok(Vec::new()),
                Recall::Known(outcome) => {
                    return Ok(vec![AgentHostOutput::Send(match &outcome {
                        Outcome::Answer(raw) => encode_answer(id, raw),
                        Outcome::Fault(fault) => encode_fault(Some(id), fault),
                    })]);
                }
            }
        }
        self.admit(id, call)
    }

    /// Takes a call in if it may be made at this stage.
    fn admit(&mut self, id: Option<RequestId>, call: AgentCall) -> Admitted {
        let method = call.method();
        match call {
            AgentCall::Negotiate(said) => self.admit_negotiation(&needed(id, method)?, &said),
            AgentCall::Hello(hello) => self.admit_hello(needed(id, method)?, hello),
            AgentCall::Goodbye(_) => self.admit_goodbye(id),
            AgentCall::Status(status) => self.admit_status(id, status),
            AgentCall::NodesOnly(method) => Err(WireError::MethodNotServed { method }),
            AgentCall::Claim(claim) => self.admit_ask(id, method, AgentRequest::Claim(claim)),
            AgentCall::Result(result) => self.admit_ask(id, method, AgentRequest::End(result)),
            AgentCall::Look(_) => self.admit_ask(id, method, AgentRequest::Look),
            AgentCall::Beat(beat) => self.admit_ask(id, method, AgentRequest::Beat(beat)),
            AgentCall::Resolve(question) => {
                self.admit_ask(id, method, AgentRequest::Resolve(question))
            }
            AgentCall::Merge(question) => self.admit_ask(id, method, AgentRequest::Merge(question)),
        }
    }

    fn admit_negotiation(&mut self, id: &RequestId, said: &AgentNegotiation) -> Admitted {
        let method = method::NEGOTIATE;
        if self.is_negotiated || self.stage != Stage::AwaitsHello {
            return Err(out_of_order(method, "it is said once, before the hello"));
        }
        is_agent(method, said.role)?;
        check_version(&said.version)?;
        self.is_negotiated = true;
        let names = said.capabilities.iter().map(String::as_str);
        let agreed = AGENT_CAPABILITIES.and(Capabilities::of_names(names));
        let answer = AgentNegotiation {
            version: PROTOCOL_VERSION.to_owned(),
            role: Role::Agent,
            capabilities: agreed.names(),
            extensions: Extensions::ALL.and(said.extensions),
        };
        Ok(self.answer(id, &answer))
    }

    fn admit_hello(&mut self, id: RequestId, hello: Box<AgentHello>) -> Admitted {
        let method = method::SESSION_START;
        if self.stage != Stage::AwaitsHello {
            return Err(out_of_order(method, "it is said once per connection"));
        }
        is_agent(method, hello.role)?;
        check_version(&hello.protocol)?;
        self.stage = Stage::Deciding(id);
        self.wants_work = hello.wants_work;
        Ok(vec![AgentHostOutput::Hello(hello)])
    }

    fn admit_goodbye(&mut self, id: Option<RequestId>) -> Admitted {
        if self.is_live() {
            self.wants_work = false;
            return self.bounded_ask(id, method::SESSION_END, AgentRequest::Leave);
        }
        let mut outputs = id.map_or_else(Vec::new, |id| self.answer(&id, &Ended {}));
        outputs.extend(self.close(CloseCode::Normal, "the agent said goodbye"));
        Ok(outputs)
    }

    fn admit_status(&mut self, id: Option<RequestId>, status: AgentStatus) -> Admitted {
        self.when_live(method::STATUS_UPDATE)?;
        self.wants_work = status.wants_work.unwrap_or(self.wants_work);
        match status.working {
            Some(note) => self.bounded_ask(id, method::STATUS_UPDATE, AgentRequest::Note(note)),
            None => Ok(id.map_or_else(Vec::new, |id| self.answer(&id, &Ended {}))),
        }
    }

    fn admit_ask(
        &mut self,
        id: Option<RequestId>,
        method: &'static str,
        request: AgentRequest,
    ) -> Admitted {
        let id = needed(id, method)?;
        self.when_live(method)?;
        self.bounded_ask(Some(id), method, request)
    }

    fn bounded_ask(
        &mut self,
        id: Option<RequestId>,
        method: &'static str,
        request: AgentRequest,
    ) -> Admitted {
        if self.waiting.len() >= AGENT_REQUESTS_WAITING_MAX {
            return Err(WireError::Busy);
        }
        if id.is_some() && self.waiting.contains(&id) {
            return Err(WireError::WrongForm {
                method,
                detail: "an unanswered request has the same id",
            });
        }
        Ok(self.ask(id, request))
    }

    fn when_live(&self, method: &'static str) -> Result<(), WireError> {
        if self.is_live() {
            return Ok(());
        }
        Err(out_of_order(method, "first comes the welcome"))
    }
}

fn check_version(version: &str) -> Result<(), WireError> {
    if version.split('.').next() == Some(PROTOCOL_MAJOR) {
        return Ok(());
    }
    Err(WireError::VersionUnsupported {
        offered: echo(version),
    })
}

fn is_agent(method: &'static str, role: Role) -> Result<(), WireError> {
    if role == Role::Agent {
        return Ok(());
    }
    Err(WireError::WrongForm {
        method,
        detail: "`role` should be `agent` on a connection that began as one",
    })
}

fn needed(id: Option<RequestId>, method: &'static str) -> Result<RequestId, WireError> {
    id.ok_or(WireError::WrongForm {
        method,
        detail: "it is a request and needs an `id`",
    })
}

const fn out_of_order(method: &'static str, expected: &'static str) -> WireError {
    WireError::OutOfOrder { method, expected }
}

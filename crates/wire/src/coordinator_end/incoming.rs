//! What the node says, and whether it may be said now.

use super::{CloseCode, CoordinatorEnd, CoordinatorOutput, FromNode, ReplyId, Stage, event};
use crate::answer_memory::{Outcome, Recall};
use crate::bounds::{ASKS_IN_FLIGHT_MAX, PROTOCOL_MAJOR, RESULT_REQUESTS_PENDING_MAX};
use crate::codec::{BadFrame, Calls, NodeCall, RequestId, method};
use crate::fault::{WireError, echo};
use crate::payload::{
    Capability, Credit, Ended, Goodbye, Heartbeat, Hello, Meta, NodeRequest, ProgressBatch,
    ResultBatch, SyncReport,
};

type Admitted = Result<Vec<CoordinatorOutput>, WireError>;

impl CoordinatorEnd {
    pub(super) fn on_call(
        &mut self,
        now: u64,
        id: Option<RequestId>,
        call: NodeCall,
        meta: Option<Box<Meta>>,
        cost: u64,
    ) -> Vec<CoordinatorOutput> {
        let admitted = match meta {
            Some(meta) => self.admit_named(now, id.clone(), call, &meta, cost),
            None => self.admit(id.clone(), call, None, cost),
        };
        match admitted {
            Ok(outputs) => outputs,
            Err(error) => {
                if let Some(id) = &id {
                    self.memory.forget(id);
                }
                if matches!(error, WireError::VersionUnsupported { .. }) {
                    let mut outputs = self.fault(id.as_ref(), &error.fault());
                    outputs.extend(self.close(CloseCode::Protocol, "protocol version"));
                    return outputs;
                }
                self.on_bad_frame(&BadFrame {
                    is_notification: id.is_none(),
                    id,
                    error,
                })
            }
        }
    }

    /// Takes a call in that says something about itself: grants, epoch, deadline, name, groups.
    fn admit_named(
        &mut self,
        now: u64,
        id: Option<RequestId>,
        call: NodeCall,
        meta: &Meta,
        cost: u64,
    ) -> Admitted {
        let method = call.method();
        let mut outputs = Vec::new();
        if let Some(credit) = meta.credit {
            self.spending.grant(credit);
            outputs.extend(self.send_waiting());
        }
        meta.check(method, self.epoch, self.time_of_day(now))?;
        if let Some(id) = &id {
            match self.memory.recall(id, meta)? {
                Recall::New => {}
                Recall::Joined => return Ok(outputs),
                Recall::Known(outcome) => {
                    outputs.push(self.repeat(id, &outcome));
                    return Ok(outputs);
                }
            }
        }
        let key = meta.idempotency_key.clone();
        let admitted = self.admit(id, call, key, cost)?;
        if meta.has_groups() {
            let meta = Box::new(meta.clone());
            outputs.push(event(FromNode::Groups { method, meta }));
        }
        outputs.extend(admitted);
        Ok(outputs)
    }

    fn repeat(&self, id: &RequestId, outcome: &Outcome) -> CoordinatorOutput {
        CoordinatorOutput::Send(match outcome {
            Outcome::Answer(raw) => self.framing.answer_raw(id, raw),
            Outcome::Fault(fault) => self.framing.fault(Some(id), fault),
        })
    }

    /// Takes a call in if it may be made at this stage.
    fn admit(
        &mut self,
        id: Option<RequestId>,
        call: NodeCall,
        key: Option<Box<str>>,
        cost: u64,
    ) -> Admitted {
        match call {
            NodeCall::Negotiate(said) => {
                self.admit_negotiation(&with_id(id, method::NEGOTIATE)?, &said)
            }
            NodeCall::Hello(hello) => self.admit_hello(with_id(id, method::SESSION_START)?, hello),
            NodeCall::Sync(report) => self.admit_sync(with_id(id, method::STATE_SYNC)?, report),
            NodeCall::Heartbeat(heartbeat) => {
                self.admit_heartbeat(&with_id(id, method::HEALTH_CHECK)?, heartbeat)
            }
            NodeCall::Results(batch) => {
                self.admit_results(with_id(id, method::TASK_COMPLETE)?, batch, cost)
            }
            NodeCall::Goodbye(goodbye) => Ok(self.admit_goodbye(id, goodbye)),
            NodeCall::Metrics(metrics) => {
                self.when_live(method::METRICS_REPORT)?;
                Ok(vec![event(FromNode::Metrics(metrics))])
            }
            NodeCall::Progress(batch) => self.admit_progress(batch),
            NodeCall::Load(notice) => {
                self.when_live(method::LOAD_BALANCE)?;
                Ok(vec![event(FromNode::Load(notice))])
            }
            NodeCall::Ask(request) => {
                let id = with_id(id, request.method())?;
                self.admit_ask(id, request, key)
            }
        }
    }

    fn admit_hello(&mut self, id: RequestId, hello: Box<Hello>) -> Admitted {
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

    fn admit_sync(&mut self, id: RequestId, report: SyncReport) -> Admitted {
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

    fn admit_heartbeat(&mut self, id: &RequestId, heartbeat: Heartbeat) -> Admitted {
        if matches!(self.stage, Stage::AwaitsHello | Stage::Deciding(_)) {
            return Err(out_of_order(
                method::HEALTH_CHECK,
                "first comes the welcome",
            ));
        }
        let mut outputs = self.answer(id, &heartbeat);
        let Heartbeat { sequence, terms } = heartbeat;
        outputs.push(event(FromNode::Heartbeat { sequence, terms }));
        Ok(outputs)
    }

    fn admit_results(&mut self, id: RequestId, batch: ResultBatch, cost: u64) -> Admitted {
        let method = method::TASK_COMPLETE;
        self.when_live(method)?;
        if self.results.len() >= RESULT_REQUESTS_PENDING_MAX {
            return Err(WireError::Busy);
        }
        if self.results.contains_key(&id) {
            return Err(WireError::WrongForm {
                method,
                detail: "an unanswered request has the same id",
            });
        }
        let taken = Credit {
            items: batch.reports.len() as u64,
            bytes: cost,
        };
        if let Some(granting) = &mut self.granting
            && !granting.receive(taken.items, taken.bytes)
        {
            return Err(WireError::CreditExceeded { method });
        }
        self.results.insert(id.clone(), taken);
        Ok(vec![event(FromNode::Results {
            reply: ReplyId(id),
            reports: batch.reports,
        })])
    }

    fn admit_goodbye(&mut self, id: Option<RequestId>, goodbye: Goodbye) -> Vec<CoordinatorOutput> {
        let mut outputs = id.map_or_else(Vec::new, |id| self.answer(&id, &Ended {}));
        if !matches!(self.stage, Stage::AwaitsHello | Stage::Deciding(_)) {
            outputs.push(event(FromNode::Goodbye {
                reason: goodbye.reason,
            }));
        }
        outputs.extend(self.close(CloseCode::Normal, "the node said goodbye"));
        outputs
    }

    fn admit_progress(&mut self, batch: ProgressBatch) -> Admitted {
        self.when_live(method::STATUS_UPDATE)?;
        let mut outputs = Vec::new();
        let ProgressBatch {
            items,
            away,
            parked,
        } = batch;
        // An empty one only carries a grant, or says whether the node is away or parked.
        let carries_else =
            away.is_some() || parked.is_some() || self.has_agreed(Capability::Credits);
        if !(items.is_empty() && carries_else) {
            outputs.push(event(FromNode::Progress(items)));
        }
        outputs.extend(away.map(|away| event(FromNode::Away(away))));
        outputs.extend(parked.map(|parked| event(FromNode::Parked(parked))));
        Ok(outputs)
    }

    fn admit_ask(
        &mut self,
        id: RequestId,
        request: Box<NodeRequest>,
        key: Option<Box<str>>,
    ) -> Admitted {
        let method = request.method();
        if !self.options.offers.has(request.capability()) {
            return Err(WireError::MethodNotServed { method });
        }
        self.when_live(method)?;
        if self.asks.len() >= ASKS_IN_FLIGHT_MAX {
            return Err(WireError::Busy);
        }
        if !self.asks.insert(id.clone()) {
            return Err(WireError::WrongForm {
                method,
                detail: "an unanswered request has the same id",
            });
        }
        Ok(vec![event(FromNode::Ask {
            reply: ReplyId(id),
            request,
            key,
        })])
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
}

fn with_id(id: Option<RequestId>, method: &'static str) -> Result<RequestId, WireError> {
    id.ok_or(WireError::WrongForm {
        method,
        detail: "it is a request and needs an `id`",
    })
}

pub(super) const fn out_of_order(method: &'static str, expected: &'static str) -> WireError {
    WireError::OutOfOrder { method, expected }
}

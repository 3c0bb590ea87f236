//! Work that the coordinator hands over: taken in, or refused with a reason.

use super::attempts::Admission;
use super::{KillReason, NodeEnd};
use crate::codec::{RequestId, method};
use crate::fault::WireError;
use crate::payload::{
    AssignAnswer, AssignAnswers, AssignBatch, AssignRefusal, Assigned, Assignment,
};

impl NodeEnd {
    pub(super) fn on_assign(
        &mut self,
        now: u64,
        id: Option<RequestId>,
        batch: AssignBatch,
        cost: u64,
    ) {
        let count = batch.items.len() as u64;
        if !self.takes_within_credit(count, cost) {
            let method = method::TASK_ASSIGN;
            return self.refuse(now, id, WireError::CreditExceeded { method });
        }
        let items = batch
            .items
            .into_iter()
            .map(|assignment| {
                let key = assignment.key();
                Assigned::new(key, self.admit(now, assignment))
            })
            .collect();
        let grant = self.has_dealt_with(count, cost);
        match id {
            Some(id) => self.answer_granting(&id, &AssignAnswers { items }, grant),
            None => self.tell_grant(grant),
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
            // What was here before is not answered as if it had never started.
            Some(code) if !self.attempts.knows(assignment.key()) => Admission::Refused(code),
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

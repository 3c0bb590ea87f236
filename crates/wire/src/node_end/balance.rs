//! How much work comes in: credit for assignments, overload, and what is given back.

use super::NodeEnd;
use super::link::Link;
use crate::codec::{RequestId, method};
use crate::credit::Granting;
use crate::fault::WireError;
use crate::payload::{
    BalanceAnswer, BalanceRequest, Capability, Credit, LoadNotice, Meta, ProgressBatch,
};

impl NodeEnd {
    /// Whether assignments that came in were granted.
    pub(super) fn takes_within_credit(&mut self, items: u64, cost: u64) -> bool {
        match &mut self.link {
            Link::Up(connection) => connection
                .granting
                .as_mut()
                .is_none_or(|granting| granting.receive(items, cost)),
            _ => true,
        }
    }

    /// Assignments were dealt with: there is room for others, which is to be told.
    pub(super) fn has_dealt_with(&mut self, items: u64, cost: u64) -> Option<Credit> {
        let granting = self.granting()?;
        granting.finish(items, cost);
        granting.next_grant()
    }

    const fn granting(&mut self) -> Option<&mut Granting> {
        match &mut self.link {
            Link::Up(connection) => connection.granting.as_mut(),
            _ => None,
        }
    }

    /// Tells of a grant that no answer carries.
    pub(super) fn tell_grant(&mut self, grant: Option<Credit>) {
        if let (Link::Up(connection), Some(credit)) = (&mut self.link, grant) {
            let frame = connection.framing.call_with(
                None,
                method::STATUS_UPDATE,
                &ProgressBatch::default(),
                &Meta::granting(credit),
            );
            self.send(frame);
        }
    }

    pub(super) fn on_overloaded(&mut self, overloaded: bool) {
        if self.is_overloaded == overloaded {
            return;
        }
        self.is_overloaded = overloaded;
        self.tell_load();
    }

    /// Tells the coordinator whether there is more than this node can do, and grants accordingly.
    pub(super) fn tell_load(&mut self) {
        let overloaded = self.is_overloaded;
        let waiting = u32::try_from(self.attempts.waiting_count()).unwrap_or(u32::MAX);
        let is_live = self.is_live();
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        if let Some(granting) = &mut connection.granting {
            granting.pause(overloaded);
        }
        if is_live && connection.agreed.has(Capability::LoadBalance) {
            let notice = LoadNotice {
                overloaded,
                waiting,
            };
            let frame = connection.framing.call(None, method::LOAD_BALANCE, &notice);
            self.send(frame);
        }
        if is_live {
            let grant = self.granting().and_then(Granting::next_grant);
            self.tell_grant(grant);
        }
    }

    /// The coordinator wants attempts back that were not started.
    pub(super) fn on_balance(&mut self, now: u64, id: Option<RequestId>, request: &BalanceRequest) {
        let method = method::LOAD_BALANCE;
        let is_served = self.link_options.offers.has(Capability::LoadBalance);
        let Some(id) = id else {
            let detail = "it is a request and needs an `id`";
            return self.refuse(now, None, WireError::WrongForm { method, detail });
        };
        if !is_served {
            return self.refuse(now, Some(id), WireError::MethodNotServed { method });
        }
        let given_back = self
            .attempts
            .give_back(&request.attempts, request.at_most as usize);
        self.answer(&id, &BalanceAnswer { given_back });
    }
}

//! The node's connection to the coordinator, or the wait for the next one.

use super::ask::Question;
use super::round_trips::RoundTrips;
use crate::answer_memory::AnswerMemory;
use crate::bounds::{
    CONNECT_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS, HEARTBEATS_UNANSWERED_MAX, RESULT_ANSWER_TIMEOUT_MS,
};
use crate::codec::RequestId;
use crate::credit::{Granting, Spending};
use crate::frame::Frame;
use crate::framing::Framing;
use crate::payload::{AttemptKey, Capabilities, Capability, Credit, Negotiation};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Where the node's only connection stands.
#[derive(Debug)]
pub(super) enum Link {
    /// There is none; the next one is asked for at this time.
    Down { retry_at: u64 },
    /// One was asked for.
    Connecting { since: u64 },
    /// One is open.
    Up(Box<Connection>),
    /// There will be no other.
    Over,
}

impl Link {
    pub(super) fn is_live(&self) -> bool {
        matches!(self, Self::Up(connection) if connection.stage == Stage::Live)
    }
}

/// How far the session on a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The hello was sent.
    Greeting,
    /// Welcomed; what the node holds was sent.
    Syncing,
    /// Everything may be said.
    Live,
}

/// What a request of the node was about.
#[derive(Debug)]
pub(super) enum Asked {
    Negotiation,
    Hello,
    Sync,
    Heartbeat {
        sequence: u64,
    },
    Results(Vec<AttemptKey>),
    Question(Question),
    /// A question that is not waited for any more; its answer may still come.
    GivenUp,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) sent_at: u64,
    pub(super) asked: Asked,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stage: Stage,
    opened_at: u64,
    pub(super) heard_at: u64,
    pub(super) bad_messages: u32,
    /// None until the welcome.
    pub(super) heartbeat_at: Option<u64>,
    next_id: u64,
    pub(super) requests: BTreeMap<u64, Request>,
    heartbeats: VecDeque<u64>,
    results_in_flight: usize,
    /// Questions about attempts, those given up included.
    pub(super) questions: usize,
    heartbeat_sequence: u64,
    /// What both ends agreed on.
    pub(super) agreed: Capabilities,
    pub(super) framing: Framing,
    /// Results that may be sent.
    pub(super) spending: Spending,
    /// Assignments that may come; none when credits were not agreed on.
    pub(super) granting: Option<Granting>,
    pub(super) memory: AnswerMemory,
    pub(super) round_trips: RoundTrips,
}

impl Connection {
    pub(super) fn new(now: u64) -> Self {
        Self {
            stage: Stage::Greeting,
            opened_at: now,
            heard_at: now,
            bad_messages: 0,
            heartbeat_at: None,
            next_id: 1,
            requests: BTreeMap::new(),
            heartbeats: VecDeque::new(),
            results_in_flight: 0,
            questions: 0,
            heartbeat_sequence: 0,
            agreed: Capabilities::NONE,
            framing: Framing::TEXT,
            spending: Spending::default(),
            granting: None,
            memory: AnswerMemory::default(),
            round_trips: RoundTrips::default(),
        }
    }

    /// The coordinator answered the negotiation: from here on frames are written as agreed.
    pub(super) fn agree(&mut self, offered: Capabilities, window: Credit, answer: &Negotiation) {
        self.agreed = offered.and(answer.known());
        self.framing = Framing::agreed(self.agreed);
        if let Some(credit) = answer
            .credit
            .filter(|_| self.agreed.has(Capability::Credits))
        {
            self.spending = Spending::bounded(credit);
            self.granting = Some(Granting::new(window));
        }
    }

    /// The id that the next request will have.
    pub(super) const fn next_id(&self) -> u64 {
        self.next_id
    }

    pub(super) const fn next_sequence(&self) -> u64 {
        self.heartbeat_sequence + 1
    }

    pub(super) const fn results_in_flight(&self) -> usize {
        self.results_in_flight
    }

    /// Writes a request and remembers it.
    pub(super) fn request<P: Serialize>(
        &mut self,
        now: u64,
        method: &'static str,
        params: &P,
        asked: Asked,
    ) -> Frame {
        let id = RequestId::Number(self.next_id);
        let frame = self.framing.call(Some(&id), method, params);
        self.sent(now, asked);
        frame
    }

    /// Remembers a request that was written with [`Self::next_id`].
    pub(super) fn sent(&mut self, now: u64, asked: Asked) {
        let id = self.next_id;
        self.next_id += 1;
        match asked {
            Asked::Heartbeat { sequence } => {
                self.heartbeat_sequence = sequence;
                self.heartbeats.push_back(id);
                if self.heartbeats.len() > HEARTBEATS_UNANSWERED_MAX
                    && let Some(oldest) = self.heartbeats.pop_front()
                {
                    self.requests.remove(&oldest);
                }
            }
            Asked::Results(_) => self.results_in_flight += 1,
            Asked::Question(_) => self.questions += 1,
            Asked::Negotiation | Asked::Hello | Asked::Sync | Asked::GivenUp => {}
        }
        let sent_at = now;
        self.requests.insert(id, Request { sent_at, asked });
    }

    /// The request with this id, which is answered now.
    pub(super) fn take(&mut self, id: &RequestId) -> Option<Request> {
        let RequestId::Number(id) = id else {
            return None;
        };
        let request = self.requests.remove(id)?;
        match request.asked {
            Asked::Heartbeat { .. } => self.heartbeats.retain(|heartbeat| heartbeat != id),
            Asked::Results(_) => self.results_in_flight -= 1,
            Asked::Question(_) | Asked::GivenUp => self.questions -= 1,
            Asked::Negotiation | Asked::Hello | Asked::Sync => {}
        }
        Some(request)
    }

    /// When the connection has to be given up unless something comes in, and why.
    pub(super) fn gives_up_at(&self, silence_ms: Option<u64>) -> (u64, &'static str) {
        let handshake = (self.stage != Stage::Live).then(|| {
            let at = self.opened_at.saturating_add(HANDSHAKE_TIMEOUT_MS);
            (at, "the handshake took longer than HANDSHAKE_TIMEOUT_MS")
        });
        let silence = silence_ms.map(|silence_ms| {
            let at = self.heard_at.saturating_add(silence_ms);
            (at, "nothing came in for SILENCE_PERCENT of the lease")
        });
        let results = self.oldest_results_request().map(|sent_at| {
            let at = sent_at.saturating_add(RESULT_ANSWER_TIMEOUT_MS);
            (at, "results were not answered in RESULT_ANSWER_TIMEOUT_MS")
        });
        [handshake, silence, results]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or((u64::MAX, "no limit applies"))
    }

    fn oldest_results_request(&self) -> Option<u64> {
        if self.results_in_flight == 0 {
            return None;
        }
        // Ids rise with time, and at most a few dozen requests are open.
        self.requests
            .values()
            .find(|request| matches!(request.asked, Asked::Results(_)))
            .map(|request| request.sent_at)
    }
}

/// When an attempt to connect is given up.
pub(super) const fn connect_gives_up_at(since: u64) -> u64 {
    since.saturating_add(CONNECT_TIMEOUT_MS)
}

//! The coordinator's side of one connection.

mod answers;
mod assigning;
mod incoming;
mod negotiation;
mod outgoing;
mod output;
#[cfg(test)]
mod tests;

pub use output::{CloseCode, CoordinatorOptions, CoordinatorOutput, FromNode, ReplyId};

use crate::answer_memory::AnswerMemory;
use crate::bounds::{ASSIGN_ANSWER_TIMEOUT_MS, BAD_MESSAGES_MAX};
use crate::codec::{BadFrame, Message, NodeCall, Opened, RequestId, granted_by};
use crate::credit::{Granting, Spending};
use crate::fault::{Fault, WireError};
use crate::frame::FrameRef;
use crate::framing::Framing;
use crate::payload::{AttemptKey, Capabilities, Capability, Credit, EndCode, Offer};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    /// Result requests that the coordinator has not answered, and what they take of its credit.
    results: BTreeMap<RequestId, Credit>,
    /// Requests about attempts that the coordinator has not answered.
    asks: BTreeSet<RequestId>,
    /// Requests to give attempts back that the node has not answered.
    balances: BTreeSet<u64>,
    /// What both ends agreed on; none before the negotiation.
    agreed: Option<Capabilities>,
    framing: Framing,
    /// What may be sent to the node.
    spending: Spending,
    /// What the node may send; none when credits were not agreed on.
    granting: Option<Granting>,
    /// Assignments that wait for credit.
    waiting: VecDeque<Offer>,
    memory: AnswerMemory,
    /// The coordinator's, once the node was welcomed.
    epoch: Option<u32>,
    /// What the node was told last.
    is_draining: bool,
}

impl CoordinatorEnd {
    /// The end of a connection that was opened now.
    pub fn new(options: CoordinatorOptions, now_ms: u64) -> Self {
        Self {
            options,
            stage: Stage::AwaitsHello,
            opened_at: now_ms,
            heard_at: now_ms,
            bad_messages: 0,
            next_id: 1,
            assigns: BTreeMap::new(),
            oldest_assign: None,
            results: BTreeMap::new(),
            asks: BTreeSet::new(),
            balances: BTreeSet::new(),
            agreed: None,
            framing: Framing::TEXT,
            spending: Spending::default(),
            granting: None,
            waiting: VecDeque::new(),
            memory: AnswerMemory::default(),
            epoch: None,
            is_draining: false,
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
        self.on_frame(now_ms, FrameRef::Text(text))
    }

    /// A frame came in. A binary one is refused unless it was agreed on.
    pub fn on_frame(&mut self, now_ms: u64, frame: FrameRef<'_>) -> Vec<CoordinatorOutput> {
        if self.is_closed() {
            return Vec::new();
        }
        self.heard_at = now_ms;
        let outputs = match self.open(frame) {
            Ok(opened) => self.on_opened(now_ms, &opened),
            Err(bad) => self.on_bad_frame(&bad),
        };
        self.watch_assigns(now_ms);
        outputs
    }

    fn open<'a>(&self, frame: FrameRef<'a>) -> Result<Opened<'a>, BadFrame> {
        if matches!(frame, FrameRef::Binary(_)) && !self.has_agreed(Capability::MessagePack) {
            return Err(BadFrame::unreadable(WireError::EncodingNotAgreed {
                capability: Capability::MessagePack.as_str(),
            }));
        }
        Opened::new(frame)
    }

    fn on_opened(&mut self, now_ms: u64, opened: &Opened<'_>) -> Vec<CoordinatorOutput> {
        match opened.decode::<NodeCall>() {
            Ok(Message::Call { id, call, meta }) => {
                self.on_call(now_ms, id, call, meta, opened.cost())
            }
            Ok(Message::Answer { id, result }) => {
                if let Some(credit) = granted_by(result) {
                    self.spending.grant(credit);
                }
                self.on_answer(&id, result)
            }
            Ok(Message::Fault { id, fault }) => self.on_fault(id.as_ref(), &fault),
            Err(bad) => self.on_bad_frame(&bad),
        }
    }

    fn has_agreed(&self, capability: Capability) -> bool {
        self.agreed.is_some_and(|agreed| agreed.has(capability))
    }

    fn on_bad_frame(&mut self, bad: &BadFrame) -> Vec<CoordinatorOutput> {
        let mut outputs = if bad.is_notification {
            Vec::new()
        } else {
            self.fault(bad.id.as_ref(), &bad.error.fault())
        };
        // A newer node may tell us what we do not know yet; that is not its fault.
        if bad.error.is_bad_behaviour() {
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

    fn fault(&self, id: Option<&RequestId>, fault: &Fault) -> Vec<CoordinatorOutput> {
        vec![CoordinatorOutput::Send(self.framing.fault(id, fault))]
    }
}

const fn event(event: FromNode) -> CoordinatorOutput {
    CoordinatorOutput::Event(event)
}

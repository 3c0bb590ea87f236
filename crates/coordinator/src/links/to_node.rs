//! What the coordinator tells a node, and how it is said over a connection.

use skep_wire::coordinator_end::ReplyId;
use skep_wire::payload::{
    AttemptKey, BalanceRequest, EndCode, HoldTerms, Offer, ResultAnswers, SyncVerdicts, Welcome,
};
use skep_wire::{CoordinatorEnd, CoordinatorOutput};

/// What the coordinator tells a node.
#[derive(Debug)]
pub enum ToNode {
    /// Answers its hello.
    Welcome(Welcome),
    /// Answers its sync report.
    Verdicts {
        /// The request.
        request: ReplyId,
        /// Keep, kill or resend for each item.
        verdicts: SyncVerdicts,
    },
    /// Answers its results.
    Answers {
        /// The request.
        request: ReplyId,
        /// One answer per report.
        answers: ResultAnswers,
    },
    /// New work.
    Assign(Vec<Offer>),
    /// Stop these attempts.
    Revoke(Vec<AttemptKey>),
    /// Whether it gets new work.
    Draining(bool),
    /// How long it holds its work while it is not heard.
    Hold(HoldTerms),
    /// Give back all that was not started.
    GiveBack,
    /// The session is over; the connection closes after this.
    End {
        /// What the node should do about it.
        code: EndCode,
        /// For people.
        message: String,
    },
}

impl ToNode {
    /// Says it through the connection's end of the protocol.
    pub fn through(self, end: &mut CoordinatorEnd) -> Vec<CoordinatorOutput> {
        match self {
            Self::Welcome(welcome) => end.reply_hello(&welcome),
            Self::Verdicts { request, verdicts } => end.reply_sync(&request, &verdicts),
            Self::Answers { request, answers } => end.reply_results(&request, &answers),
            Self::Assign(offers) => end.assign(&offers),
            Self::Revoke(attempts) => end.revoke(&attempts),
            Self::Draining(draining) => end.tell_draining(draining),
            Self::Hold(terms) => end.tell_hold(terms),
            Self::GiveBack => {
                let everything = BalanceRequest {
                    attempts: Vec::new(),
                    at_most: u32::MAX,
                };
                // None: there is nothing here, and the node does not know how.
                end.ask_back(&everything).unwrap_or_default()
            }
            Self::End { code, message } => {
                let refused = end.refuse_hello(code, &message);
                if refused.is_empty() {
                    end.end(code, &message)
                } else {
                    refused
                }
            }
        }
    }
}

//! Questions about attempts: from the node's shell to the coordinator and back.

use super::link::{Asked, Link, Request};
use super::{NodeEnd, NodeOutput};
use crate::bounds::{ASK_TIMEOUT_MS, ASKS_IN_FLIGHT_MAX, TASKS_PER_REQUEST_MAX};
use crate::codec::{Body, RequestId, method, read_result};
use crate::fault::{Fault, WireError};
use crate::payload::{Meta, NodeAnswer, NodeRequest};

/// Why there is no answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskFailure {
    /// The coordinator did not offer to answer it.
    #[error("the coordinator does not serve `{method}`")]
    NotServed {
        /// What should have been asked.
        method: &'static str,
    },
    /// There is no live session.
    #[error("there is no session with the coordinator: ask again later")]
    NotLive,
    /// Too many questions are open.
    #[error("ASKS_IN_FLIGHT_MAX `{ASKS_IN_FLIGHT_MAX}` questions are open: ask again later")]
    Busy,
    /// It names or adds too many tasks.
    #[error(
        "the question names `{tasks}` tasks, more than TASKS_PER_REQUEST_MAX \
         `{TASKS_PER_REQUEST_MAX}`: split it"
    )]
    TooManyTasks {
        /// How many.
        tasks: usize,
    },
    /// The connection ended first; whether it had an effect is not known. With the same key it
    /// can be asked again.
    #[error("the connection ended before the answer: ask again with the same key")]
    Lost,
    /// No answer came in time; as above.
    #[error("no answer came in ASK_TIMEOUT_MS `{ASK_TIMEOUT_MS}`: ask again with the same key")]
    TimedOut,
    /// The coordinator refused it.
    #[error("the coordinator refused: {0:?}")]
    Refused(Fault),
    /// The answer could not be read.
    #[error(transparent)]
    Unreadable(WireError),
}

/// A question that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    token: u64,
    method: &'static str,
}

impl NodeEnd {
    pub(super) fn on_ask(
        &mut self,
        now: u64,
        token: u64,
        request: &NodeRequest,
        key: Option<Box<str>>,
    ) {
        match self.ask(now, token, request, key) {
            Ok(()) => {}
            Err(failure) => self.answered(token, Err(failure)),
        }
    }

    fn ask(
        &mut self,
        now: u64,
        token: u64,
        request: &NodeRequest,
        key: Option<Box<str>>,
    ) -> Result<(), AskFailure> {
        let method = request.method();
        let tasks = request.named_tasks();
        if !self.is_live() {
            return Err(AskFailure::NotLive);
        }
        let Link::Up(connection) = &mut self.link else {
            return Err(AskFailure::NotLive);
        };
        if !connection.agreed.has(request.capability()) {
            return Err(AskFailure::NotServed { method });
        }
        if connection.questions >= ASKS_IN_FLIGHT_MAX {
            return Err(AskFailure::Busy);
        }
        if tasks > TASKS_PER_REQUEST_MAX {
            return Err(AskFailure::TooManyTasks { tasks });
        }
        let meta = Meta {
            idempotency_key: key,
            epoch: self.epoch_seen,
            ..Meta::default()
        };
        let id = RequestId::Number(connection.next_id());
        let frame = request.frame(connection.framing, Some(&id), Some(&meta));
        connection.sent(now, Asked::Question(Question { token, method }));
        self.send(frame);
        Ok(())
    }

    pub(super) fn on_question_answered(&mut self, question: &Question, result: Body<'_>) {
        let method = question.method;
        let answer = match method {
            method::DEPENDENCY_RESOLVE => read_result(method, result).map(NodeAnswer::Resolve),
            method::QUALITY_GATE => read_result(method, result).map(NodeAnswer::Gate),
            method::TASK_SPLIT => read_result(method, result).map(NodeAnswer::Split),
            _ => read_result(method, result).map(NodeAnswer::Merge),
        };
        let answer = answer.map(Box::new).map_err(AskFailure::Unreadable);
        self.answered(question.token, answer);
    }

    pub(super) fn on_question_refused(&mut self, question: &Question, fault: &Fault) {
        self.answered(question.token, Err(AskFailure::Refused(fault.clone())));
    }

    fn answered(&mut self, token: u64, answer: Result<Box<NodeAnswer>, AskFailure>) {
        self.outputs.push(NodeOutput::Answered { token, answer });
    }

    /// When the oldest question is given up.
    pub(super) fn question_timer(&self) -> Option<u64> {
        let Link::Up(connection) = &self.link else {
            return None;
        };
        if connection.questions == 0 {
            return None;
        }
        // Ids rise with time, and at most a few dozen requests are open.
        connection
            .requests
            .values()
            .find(|request| matches!(request.asked, Asked::Question(_)))
            .map(|request| request.sent_at.saturating_add(ASK_TIMEOUT_MS))
    }

    pub(super) fn give_up_questions(&mut self, now: u64) {
        self.fail_questions_if(&AskFailure::TimedOut, |request| {
            request.sent_at.saturating_add(ASK_TIMEOUT_MS) <= now
        });
    }

    /// The connection is over.
    pub(super) fn fail_questions(&mut self, failure: &AskFailure) {
        self.fail_questions_if(failure, |_| true);
    }

    fn fail_questions_if(&mut self, failure: &AskFailure, is_over: impl Fn(&Request) -> bool) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        if connection.questions == 0 {
            return;
        }
        for request in connection.requests.values_mut() {
            if let Asked::Question(Question { token, .. }) = request.asked
                && is_over(request)
            {
                request.asked = Asked::GivenUp;
                let answer = Err(failure.clone());
                self.outputs.push(NodeOutput::Answered { token, answer });
            }
        }
    }
}

//! An attached agent's side of all its connections, one after the other.
//!
//! It has at most one task. What it has survives a lost connection: with the next welcome the
//! coordinator says what the agent has there, and only if that is another thing, or nothing, the
//! work is dropped. How a task ended is kept and said until it is answered.

mod incoming;
mod link;
#[cfg(test)]
mod tests;

use crate::bounds::AGENT_NOTES_WAITING_MAX;
use crate::codec::{AgentCall, Calls, RequestId};
use crate::fault::Fault;
use crate::jitter::Jitter;
use crate::payload::{
    AgentEnded, AgentNote, AgentOutcome, AgentResult, AgentStatus, AgentTask, AttemptKey, EndCode,
};
use link::{Asked, Connection, Link};
use serde_json::{Map, Value};
use skep_model::ids::AgentId;
use std::collections::VecDeque;

/// What an agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentOptions {
    /// What `sessions.register` takes. With an `instance` of its own it comes back to what it had
    /// after a lost connection at once.
    pub session: Map<String, Value>,
    /// For spreading timers.
    pub jitter_seed: u64,
}

/// What happens to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentInput {
    /// Time passed.
    Tick,
    /// The connection that was asked for is open.
    Connected,
    /// The connection is gone, or could not be opened.
    Disconnected,
    /// Who answers there refused to open it, for a reason that waiting cannot mend.
    Refused(String),
    /// A text frame came in.
    Text(String),
    /// The work that it has ended so. Without work, or a second time, nothing happens.
    Finish(AttemptKey, AgentOutcome),
    /// A line for the log of the work that it has.
    Note(AttemptKey, String),
    /// It takes no more work; what it has goes on.
    NoMoreWork,
    /// It leaves; what it has goes back.
    Leave,
}

/// What is to be done for an agent, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentOutput {
    /// Open a connection.
    Connect,
    /// Write this frame.
    Send(String),
    /// Give the connection up.
    Disconnect(String),
    /// The coordinator knows the agent under this id and name.
    Welcomed(AgentId, String),
    /// Begin this work.
    Work(Box<AgentTask>),
    /// Stop this work: it is not the agent's any more. Nothing is to be said about it.
    Drop(AttemptKey),
    /// How the task stands after its end was said; or why that was not taken in.
    Ended(AttemptKey, Result<AgentEnded, Fault>),
    /// Nothing follows.
    Exit(AgentExit),
}

/// Why an agent is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentExit {
    /// It left.
    Left,
    /// The coordinator, or whoever answers in its place, does not let it in.
    Refused(String),
    /// Another process is the agent now, or it was removed.
    Ended(EndCode, String),
}

/// The work that the agent has.
#[derive(Debug)]
struct Mine {
    task: Box<AgentTask>,
    /// How it ended, until that was answered.
    outcome: Option<AgentOutcome>,
    /// When the end is said again, if it waits for that.
    again_at: Option<u64>,
    is_said: bool,
}

/// State machine of an attached agent. Inputs and time in, [`AgentOutput`] out.
#[derive(Debug)]
pub struct AgentEnd {
    session: Map<String, Value>,
    jitter: Jitter,
    link: Link,
    failures: u32,
    wants_work: bool,
    is_leaving: bool,
    mine: Option<Mine>,
    /// What it has at the coordinator beside an end that was not answered yet.
    next: Option<Box<AgentTask>>,
    notes: VecDeque<AgentNote>,
    out: Vec<AgentOutput>,
}

impl AgentEnd {
    /// An agent without a connection; it asks for one with the first tick.
    pub fn new(options: AgentOptions) -> Self {
        Self {
            session: options.session,
            jitter: Jitter::new(options.jitter_seed),
            link: Link::Down { retry_at: 0 },
            failures: 0,
            wants_work: true,
            is_leaving: false,
            mine: None,
            next: None,
            notes: VecDeque::new(),
            out: Vec::new(),
        }
    }

    /// Whether the agent was welcomed on the present connection.
    pub fn is_live(&self) -> bool {
        matches!(&self.link, Link::Up(connection) if connection.is_live)
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.link, Link::Over)
    }

    /// The work that it has, and whether it goes on.
    pub fn has(&self) -> Option<(AttemptKey, bool)> {
        let mine = self.mine.as_ref()?;
        Some((mine.task.key(), mine.outcome.is_none()))
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: u64, input: AgentInput) -> Vec<AgentOutput> {
        if self.is_over() {
            return Vec::new();
        }
        match input {
            AgentInput::Tick => {}
            AgentInput::Connected => self.connected(now),
            AgentInput::Disconnected => self.disconnected(now),
            AgentInput::Refused(reason) => self.exit(AgentExit::Refused(reason)),
            AgentInput::Text(text) => self.on_text(now, &text),
            AgentInput::Finish(key, outcome) => self.finish(key, outcome),
            AgentInput::Note(key, note) => self.note(key, note),
            AgentInput::NoMoreWork => self.no_more_work(now),
            AgentInput::Leave => self.leave(now),
        }
        self.on_time(now);
        self.say_what_waits(now);
        std::mem::take(&mut self.out)
    }

    /// When it wants a tick.
    pub fn next_timer(&self) -> Option<u64> {
        let again = self.mine.as_ref().and_then(|mine| mine.again_at);
        let again = again.filter(|_| self.is_live());
        self.link.next_timer().into_iter().chain(again).min()
    }

    fn finish(&mut self, key: AttemptKey, outcome: AgentOutcome) {
        if let Some(mine) = &mut self.mine
            && mine.task.key() == key
            && mine.outcome.is_none()
        {
            mine.outcome = Some(outcome);
        }
    }

    fn note(&mut self, key: AttemptKey, note: String) {
        let is_mine = self
            .mine
            .as_ref()
            .is_some_and(|mine| mine.task.key() == key);
        if !is_mine {
            return;
        }
        if self.notes.len() >= AGENT_NOTES_WAITING_MAX {
            self.notes.pop_front();
        }
        let AttemptKey { task, fence } = key;
        let note = Some(note);
        self.notes.push_back(AgentNote { task, fence, note });
    }

    fn no_more_work(&mut self, now: u64) {
        if std::mem::take(&mut self.wants_work) && self.is_live() {
            let status = AgentStatus {
                wants_work: Some(false),
                working: None,
            };
            self.request(now, Asked::Else, &AgentCall::Status(status));
        }
    }

    /// Begins work that was given, or goes on with it.
    fn take(&mut self, task: Box<AgentTask>) {
        self.out.push(AgentOutput::Work(task.clone()));
        self.mine = Some(Mine {
            task,
            outcome: None,
            again_at: None,
            is_said: false,
        });
    }

    /// The work is not the agent's any more.
    fn drop_work(&mut self) {
        if let Some(mine) = self.mine.take() {
            self.notes.clear();
            let key = mine.task.key();
            self.out.push(AgentOutput::Drop(key));
        }
    }

    /// Notes and the end of the work, if the connection takes them now.
    fn say_what_waits(&mut self, now: u64) {
        if !self.is_live() {
            return;
        }
        while let Some(note) = self.notes.pop_front() {
            let status = AgentStatus {
                wants_work: None,
                working: Some(note),
            };
            self.notify(&AgentCall::Status(status));
        }
        let Some(mine) = &mut self.mine else { return };
        let waits = mine.again_at.is_some_and(|at| at > now);
        let Some(outcome) = mine.outcome.clone().filter(|_| !mine.is_said && !waits) else {
            return;
        };
        mine.is_said = true;
        mine.again_at = None;
        let AttemptKey { task, fence } = mine.task.key();
        let result = Box::new(AgentResult {
            task,
            fence,
            outcome,
        });
        let asked = Asked::End(result.key());
        self.request(now, asked, &AgentCall::Result(result));
    }

    fn request(&mut self, now: u64, asked: Asked, call: &AgentCall) {
        if let Link::Up(connection) = &mut self.link {
            let id = RequestId::Number(connection.asks(now, asked));
            self.out.push(AgentOutput::Send(call.encode(Some(&id))));
        }
    }

    fn notify(&mut self, call: &AgentCall) {
        self.out.push(AgentOutput::Send(call.encode(None)));
    }

    fn exit(&mut self, exit: AgentExit) {
        self.link = Link::Over;
        self.next = None;
        if let Some(mine) = self.mine.take() {
            self.out.push(AgentOutput::Drop(mine.task.key()));
        }
        self.out.push(AgentOutput::Exit(exit));
    }

    fn connection(&mut self) -> Option<&mut Connection> {
        match &mut self.link {
            Link::Up(connection) => Some(connection),
            _ => None,
        }
    }
}

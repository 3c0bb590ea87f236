//! The agent's connection: none, being opened, or open; and what is due on it.

use super::{AgentEnd, AgentExit, AgentOutput};
use crate::bounds::{
    AGENT_ANSWER_TIMEOUT_MS, AGENT_LEAVE_TIMEOUT_MS, CONNECT_TIMEOUT_MS, HEARTBEAT_JITTER_PERCENT,
    PROTOCOL_VERSION, RECONNECT_DOUBLINGS_MAX, RECONNECT_INITIAL_MS, RECONNECT_MAX_MS,
    TIMER_MS_MAX, TIMER_MS_MIN,
};
use crate::codec::AgentCall;
use crate::payload::{
    AgentBeat, AgentHello, AgentNegotiation, AttemptKey, Extensions, Goodbye, Role,
};
use skep_model::limits::SESSION_HEARTBEAT_MS;
use std::collections::BTreeMap;

/// What a request was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Hello,
    End(AttemptKey),
    Leave,
    /// Its answer says nothing more than that it was heard.
    Else,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) is_live: bool,
    pub(super) bad_messages: u32,
    heartbeat_ms: u64,
    beat_at: u64,
    beats: u64,
    next_id: u64,
    /// Requests without an answer, and since when.
    asked: BTreeMap<u64, (Asked, u64)>,
    /// When the leave is over without an answer.
    left_at: Option<u64>,
}

impl Connection {
    /// Notes a request; gives its number.
    pub(super) fn asks(&mut self, now: u64, asked: Asked) -> u64 {
        let number = self.next_id;
        self.next_id += 1;
        self.asked.insert(number, (asked, now));
        number
    }

    pub(super) fn answered(&mut self, number: u64) -> Option<Asked> {
        self.asked.remove(&number).map(|(asked, _)| asked)
    }

    /// It is welcome, and follows these timers.
    pub(super) fn welcomed(&mut self, now: u64, heartbeat_ms: u64) {
        self.is_live = true;
        self.heartbeat_ms = heartbeat_ms.clamp(TIMER_MS_MIN, TIMER_MS_MAX);
        self.beat_at = now + self.heartbeat_ms * (100 - HEARTBEAT_JITTER_PERCENT) / 100;
    }

    fn times_out_at(&self) -> Option<u64> {
        let since = self.asked.values().map(|(_, since)| *since).min()?;
        Some(since + AGENT_ANSWER_TIMEOUT_MS)
    }
}

#[derive(Debug)]
pub(super) enum Link {
    Down { retry_at: u64 },
    Opening { until: u64 },
    Up(Connection),
    Over,
}

impl Link {
    pub(super) fn next_timer(&self) -> Option<u64> {
        match self {
            Self::Down { retry_at } => Some(*retry_at),
            Self::Opening { until } => Some(*until),
            Self::Up(connection) => {
                let beat = connection.is_live.then_some(connection.beat_at);
                let timers = [connection.times_out_at(), connection.left_at, beat];
                timers.into_iter().flatten().min()
            }
            Self::Over => None,
        }
    }
}

impl AgentEnd {
    /// The hello goes out at once, behind the negotiation.
    pub(super) fn connected(&mut self, now: u64) {
        self.link = Link::Up(Connection {
            is_live: false,
            bad_messages: 0,
            heartbeat_ms: SESSION_HEARTBEAT_MS,
            beat_at: u64::MAX,
            beats: 0,
            next_id: 1,
            asked: BTreeMap::new(),
            left_at: None,
        });
        let negotiation = AgentNegotiation {
            version: PROTOCOL_VERSION.to_owned(),
            role: Role::Agent,
            capabilities: crate::agent_host::AGENT_CAPABILITIES.names(),
            extensions: Extensions::ALL,
        };
        self.request(now, Asked::Else, &AgentCall::Negotiate(negotiation));
        let hello = Box::new(AgentHello {
            protocol: PROTOCOL_VERSION.to_owned(),
            role: Role::Agent,
            session: self.session.clone(),
            wants_work: self.wants_work,
        });
        self.request(now, Asked::Hello, &AgentCall::Hello(hello));
    }

    /// It tries again, later with each failure.
    pub(super) fn disconnected(&mut self, now: u64) {
        if self.is_leaving {
            self.exit(AgentExit::Left);
            return;
        }
        let doublings = self.failures.min(RECONNECT_DOUBLINGS_MAX);
        let bound = RECONNECT_INITIAL_MS
            .saturating_mul(1 << doublings)
            .min(RECONNECT_MAX_MS);
        self.failures = self.failures.saturating_add(1);
        let retry_at = now + self.jitter.up_to(bound);
        self.link = Link::Down { retry_at };
        self.next = None;
        if let Some(mine) = &mut self.mine {
            mine.is_said = false;
            mine.again_at = None;
        }
    }

    /// Gives the connection up.
    pub(super) fn hang_up(&mut self, now: u64, reason: &str) {
        self.out.push(AgentOutput::Disconnect(reason.to_owned()));
        self.disconnected(now);
    }

    /// It leaves; without a connection there is nobody to tell, and silence says the same later.
    pub(super) fn leave(&mut self, now: u64) {
        if self.is_leaving {
            return;
        }
        self.is_leaving = true;
        if !self.is_live() {
            self.exit(AgentExit::Left);
            return;
        }
        let goodbye = AgentCall::Goodbye(Goodbye {
            reason: "the agent leaves".to_owned(),
        });
        self.request(now, Asked::Leave, &goodbye);
        if let Some(connection) = self.connection() {
            connection.left_at = Some(now + AGENT_LEAVE_TIMEOUT_MS);
        }
    }

    /// What is due now.
    pub(super) fn on_time(&mut self, now: u64) {
        match &self.link {
            Link::Down { retry_at } if *retry_at <= now => {
                self.link = Link::Opening {
                    until: now + CONNECT_TIMEOUT_MS,
                };
                self.out.push(AgentOutput::Connect);
            }
            Link::Opening { until } if *until <= now => {
                self.hang_up(now, "no connection in time");
            }
            Link::Up(connection) if connection.left_at.is_some_and(|at| at <= now) => {
                self.exit(AgentExit::Left);
            }
            Link::Up(connection) if connection.times_out_at().is_some_and(|at| at <= now) => {
                self.hang_up(
                    now,
                    "a request was not answered for AGENT_ANSWER_TIMEOUT_MS",
                );
            }
            Link::Up(connection) if connection.is_live && connection.beat_at <= now => {
                self.beat(now);
            }
            _ => {}
        }
    }

    fn beat(&mut self, now: u64) {
        let task = self.has().filter(|(_, goes_on)| *goes_on);
        let task = task.map(|(key, _)| key.task);
        let mut jitter = self.jitter.clone();
        let Some(connection) = self.connection() else {
            return;
        };
        connection.beats += 1;
        let sequence = connection.beats;
        // Never later than it was told: somebody counts the silence.
        let spread = connection.heartbeat_ms * HEARTBEAT_JITTER_PERCENT / 100;
        connection.beat_at = now + connection.heartbeat_ms - jitter.up_to(spread);
        self.jitter = jitter;
        let beat = AgentBeat { sequence, task };
        self.request(now, Asked::Else, &AgentCall::Beat(beat));
    }
}

//! Who of the attached agents was heard when, who asks for work, and what follows from silence.
//!
//! An attached agent calls when it likes, so silence alone says little. What is borne depends on
//! what it has: nothing (then it is only offline), something that it did not begin (then that goes
//! back), or something that it works on (then the silence bound is that of its heartbeat mode, or
//! the timeout of the task). Calls and requests stay here, in memory; only transitions enter the
//! log. Each seat has one place in the agenda: one that asks for nothing costs nothing.

mod patience;

use crate::liveness::STALL_EXCUSED_MS;
use parking_lot::Mutex;
use patience::{Held, Look, Since, verdict};
use skep_core::State;
use skep_model::command::Command;
use skep_model::event::Event;
use skep_model::ids::{NodeId, TaskId};
use skep_model::limits;
use skep_model::node::NodeState;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names one request for work for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// What the session of an attached agent does, as far as the engine has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionSign {
    /// It made a call.
    Called {
        /// Its seat.
        seat: NodeId,
        /// When, in milliseconds of the elapsed clock: the engine may learn of it later.
        at: u64,
    },
    /// It asks for one task.
    Asks {
        /// Its seat.
        seat: NodeId,
        /// The request.
        ask: AskId,
        /// When the request ends without one, in milliseconds of the elapsed clock.
        until: u64,
    },
    /// The request is over: its caller is gone.
    Withdraws {
        /// Its seat.
        seat: NodeId,
        /// The request.
        ask: AskId,
    },
}

/// How much silence of attached agents is borne, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimers {
    /// Without anything to do, or with heartbeats in the background.
    pub offline_ms: u64,
    /// Between being given a task and beginning it.
    pub claim_ms: u64,
    /// While it works, when it is known by its calls only and the task has no timeout.
    pub working_ms: u64,
    /// Offline, until it is forgotten.
    pub forgotten_ms: u64,
}

impl Default for SessionTimers {
    fn default() -> Self {
        Self {
            offline_ms: limits::SESSION_OFFLINE_MS,
            claim_ms: limits::CLAIM_TIMEOUT_MS,
            working_ms: limits::WORKING_SILENCE_MS,
            forgotten_ms: limits::SESSION_FORGOTTEN_MS,
        }
    }
}

/// When each attached agent made its last call, in milliseconds of
/// [`crate::ports::Clock::elapsed_ms`]. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct LastCalls(Arc<Mutex<BTreeMap<NodeId, u64>>>);

impl LastCalls {
    /// How long the agent on this seat has been silent; `None` when nothing is known of it.
    pub fn silent_ms(&self, seat: NodeId, elapsed_ms: u64) -> Option<u64> {
        let called = self.0.lock().get(&seat).copied();
        called.map(|at| elapsed_ms.saturating_sub(at))
    }

    fn set(&self, seat: NodeId, at: u64) {
        self.0.lock().insert(seat, at);
    }

    fn forget(&self, seat: NodeId) {
        self.0.lock().remove(&seat);
    }
}

/// One seat.
#[derive(Debug)]
struct Entry {
    called: u64,
    held: Option<Held>,
    /// Requests for work that are open, with their ends.
    asks: BTreeMap<AskId, u64>,
    /// A transition was proposed and is not applied yet.
    transition_pending: bool,
    /// Its place in the agenda.
    look_at: Option<u64>,
}

/// All seats.
#[derive(Debug)]
pub(crate) struct Attendance {
    timers: SessionTimers,
    seats: BTreeMap<NodeId, Entry>,
    agenda: BTreeSet<(u64, NodeId)>,
    /// Who holds which task.
    holders: BTreeMap<TaskId, NodeId>,
    last_calls: LastCalls,
    /// No silence counts from before: the log took nothing, see `Liveness`.
    full_at: u64,
}

/// What is due.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// Transitions to propose, each once.
    pub(crate) transitions: Vec<(NodeId, Command)>,
    /// Requests that are over, and whose they were.
    pub(crate) over: Vec<(NodeId, AskId)>,
}

impl Attendance {
    /// At start every seat counts as heard just now, and what it holds as given just now: nobody
    /// knows how long the coordinator was away.
    pub(crate) fn start(timers: SessionTimers, state: &State, now: u64) -> Self {
        let mut attendance = Self {
            timers,
            seats: BTreeMap::new(),
            agenda: BTreeSet::new(),
            holders: BTreeMap::new(),
            last_calls: LastCalls::default(),
            full_at: 0,
        };
        for seat in state.nodes().filter(|node| node.session.is_some()) {
            attendance.take_note(state, seat.id, now);
        }
        attendance
    }

    /// For those who look at last calls.
    pub(crate) fn last_calls(&self) -> LastCalls {
        self.last_calls.clone()
    }

    /// The agent on this seat made a call.
    pub(crate) fn called(&mut self, seat: NodeId, now: u64) {
        if let Some(entry) = self.seats.get_mut(&seat) {
            entry.called = entry.called.max(now);
            self.last_calls.set(seat, entry.called);
        }
    }

    /// It asks for a task. False when it cannot be given any: it is unknown, or has one.
    pub(crate) fn asks(&mut self, state: &State, seat: NodeId, ask: AskId, until: u64) -> bool {
        let has_task = state.held_by_node(seat).next().is_some();
        match self.seats.get_mut(&seat) {
            Some(entry) if !has_task => {
                entry.asks.insert(ask, until);
                self.schedule(seat, until);
                true
            }
            _ => false,
        }
    }

    /// It does not ask any more.
    pub(crate) fn withdraws(&mut self, seat: NodeId, ask: AskId) {
        if let Some(entry) = self.seats.get_mut(&seat) {
            entry.asks.remove(&ask);
        }
    }

    /// Whether it asks for a task.
    pub(crate) fn is_asking(&self, seat: NodeId) -> bool {
        let entry = self.seats.get(&seat);
        entry.is_some_and(|entry| !entry.asks.is_empty())
    }

    /// Learns from an applied entry. Answers the requests that are over, because the agent was
    /// given a task or is gone, and seats whose standing changed.
    pub(crate) fn observe(
        &mut self,
        state: &State,
        events: &[Event],
        now: u64,
    ) -> (Vec<AskId>, Vec<NodeId>) {
        let (mut over, mut changed) = (Vec::new(), Vec::new());
        for event in events {
            let Some(seat) = self.seat_of(state, event) else {
                continue;
            };
            let is_given = matches!(event, Event::TaskLeased { .. });
            let is_gone = state.node(seat).is_none_or(|node| node.session.is_none());
            if is_gone && !self.seats.contains_key(&seat) {
                continue;
            }
            if (is_given || is_gone)
                && let Some(entry) = self.seats.get_mut(&seat)
            {
                over.extend(std::mem::take(&mut entry.asks).into_keys());
            }
            if is_gone {
                self.forget(seat);
            } else {
                if is_return(event) {
                    self.called(seat, now);
                }
                self.take_note(state, seat, now);
            }
            changed.push(seat);
        }
        (over, changed)
    }

    /// Nobody was heard for so long, by no fault of theirs.
    pub(crate) fn excuse(&mut self, stalled_ms: u64) {
        if stalled_ms < STALL_EXCUSED_MS {
            return;
        }
        for (seat, entry) in &mut self.seats {
            entry.called += stalled_ms;
            self.last_calls.set(*seat, entry.called);
            if let Some(held) = &mut entry.held {
                held.excuse(stalled_ms);
            }
        }
    }

    /// The disk is full: what is said now cannot be written.
    pub(crate) fn log_was_full(&mut self, now: u64) {
        self.full_at = now;
    }

    /// A proposed transition was applied, refused, or not stored.
    pub(crate) fn settled(&mut self, seat: NodeId, now: u64) {
        if let Some(entry) = self.seats.get_mut(&seat) {
            entry.transition_pending = false;
            self.schedule(seat, now + SETTLED_PAUSE_MS);
        }
    }

    /// What is due now.
    pub(crate) fn due(&mut self, state: &State, now: u64) -> Due {
        let mut due = Due::default();
        while let Some((at, seat)) = self.agenda.first().copied()
            && at <= now
        {
            self.agenda.pop_first();
            let Some(entry) = self.seats.get_mut(&seat) else {
                continue;
            };
            entry.look_at = None;
            let ended = entry.asks.extract_if(.., |_, until| *until <= now);
            due.over.extend(ended.map(|(ask, _)| (seat, ask)));
            let next_end = entry.asks.values().min().copied();
            let look = match state.node(seat) {
                Some(record) if !entry.transition_pending => {
                    let since = Since {
                        called: entry.called,
                        full_at: self.full_at,
                    };
                    verdict(&self.timers, record, entry.held, since, now)
                }
                _ => Look::Never,
            };
            let next = match look {
                Look::Act(command) => {
                    entry.transition_pending = true;
                    due.transitions.push((seat, command));
                    next_end
                }
                Look::At(at) => Some(next_end.map_or(at, |end| end.min(at))),
                Look::Never => next_end,
            };
            if let Some(next) = next {
                self.schedule(seat, next.max(now + 1));
            }
        }
        due
    }

    /// When [`Self::due`] may next have something to say.
    pub(crate) fn next_wake(&self) -> Option<u64> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Something about the seat changed: it is looked at anew.
    fn take_note(&mut self, state: &State, seat: NodeId, now: u64) {
        let entry = self.seats.entry(seat).or_insert_with(|| {
            self.last_calls.set(seat, now);
            Entry {
                called: now,
                held: None,
                asks: BTreeMap::new(),
                transition_pending: false,
                look_at: None,
            }
        });
        let before = entry.held.map(|held| held.task);
        entry.held = Held::of(state, seat, entry.held, now);
        let after = entry.held.map(|held| held.task);
        if let Some(task) = before.filter(|_| before != after) {
            self.holders.remove(&task);
        }
        if let Some(task) = after {
            self.holders.insert(task, seat);
        }
        self.schedule(seat, now);
    }

    fn forget(&mut self, seat: NodeId) {
        if let Some(entry) = self.seats.remove(&seat) {
            if let Some(at) = entry.look_at {
                self.agenda.remove(&(at, seat));
            }
            if let Some(held) = entry.held {
                self.holders.remove(&held.task);
            }
        }
        self.last_calls.forget(seat);
    }

    /// The seat that an event is about, if it may be one.
    fn seat_of(&self, state: &State, event: &Event) -> Option<NodeId> {
        match event {
            Event::TaskLeased { node, .. }
            | Event::NodeRegistered { node, .. }
            | Event::NodeChanged { node, .. }
            | Event::NodeRemoved { node }
            | Event::AttemptEnded { node, .. }
            | Event::AttemptRevoked { node, .. } => Some(*node),
            Event::TaskFinished { task, .. } => self.holders.get(task).copied(),
            Event::TaskProgressed { task, .. } => {
                let lease = state.task(*task).and_then(|task| task.lease.as_ref());
                lease.map(|lease| lease.node)
            }
            _ => None,
        }
    }

    fn schedule(&mut self, seat: NodeId, at: u64) {
        let Some(entry) = self.seats.get_mut(&seat) else {
            return;
        };
        if entry.look_at.is_some_and(|known| known <= at) {
            return;
        }
        if let Some(known) = entry.look_at.replace(at) {
            self.agenda.remove(&(known, seat));
        }
        self.agenda.insert((at, seat));
    }
}

/// Whether the event says that an agent registered, or is there again. Only a call of it leads to
/// that, and what is known of the call itself may come later than the event.
const fn is_return(event: &Event) -> bool {
    matches!(
        event,
        Event::NodeRegistered { .. }
            | Event::NodeChanged {
                state: NodeState::Ready,
                ..
            }
    )
}

/// Pause after a transition, which may have been refused, before the next judgement.
const SETTLED_PAUSE_MS: u64 = 1_000;

#[cfg(test)]
mod tests;

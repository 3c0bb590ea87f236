//! What an engine does next: proposals that are due, the next commit, the last one.

use super::{Engine, Now, Origin, Output};
use crate::ports::{Commit, Derived};
use skep_model::command::{Actor, Command};
use skep_scheduler::Snapshot;

/// How long derived rows may wait for a commit that carries entries, milliseconds.
const DERIVED_FLUSH_MS: u64 = 20;

impl Engine {
    /// When the engine wants a [`Input::Tick`](super::Input::Tick), in milliseconds of the elapsed clock.
    pub fn next_wake(&self, now: Now) -> Option<u64> {
        let view = self.view.read();
        let timer = (!self.timers_in_flight)
            .then(|| view.state.next_timer())
            .flatten()
            .map(|at| now.elapsed_ms + at.since(self.log_time(now)));
        let flush = if self.sequencer.is_idle() {
            self.disk_full_until
                .or(self.derived_since.map(|since| since + DERIVED_FLUSH_MS))
        } else {
            None
        };
        if self.closing {
            return flush;
        }
        let waits = view.state.ready_count() > 0;
        let breaker = waits
            .then(|| view.breakers.next_retry(self.breakers_seen))
            .flatten()
            .map(|at| now.elapsed_ms + at.since(self.log_time(now)));
        let schedule = self.firings.next_due(&view.state);
        let schedule = schedule.map(|at| now.elapsed_ms + at.since(self.log_time(now)));
        let triggered = self.trigger_firings.is_any_due(&view.state);
        [
            timer,
            schedule,
            triggered.then_some(now.elapsed_ms),
            breaker,
            self.liveness.next_wake(),
            self.attendance.next_wake(),
            flush,
            self.dispatcher.pause_until(),
            self.next_look_at_parked(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Proposes what is due and starts the next commit if none is under way.
    pub fn advance(&mut self, now: Now, out: &mut Vec<Output>) {
        self.apply_stored(now, out);
        self.note_presence();
        if !self.closing {
            for node in self.links.take_unwelcome() {
                let command = Command::RemoveNode(node);
                self.push(now, Actor::Coordinator, command, Origin::Nobody);
            }
            self.attend(now, out);
            self.propose_due(now);
            self.fire_schedules(now);
            self.fire_triggers(now);
            self.move_parked(now);
        }
        if !self.sequencer.is_idle() {
            return;
        }
        if self
            .disk_full_until
            .is_some_and(|until| now.elapsed_ms < until)
        {
            return;
        }
        let flush_due = self
            .derived_since
            .is_some_and(|since| now.elapsed_ms >= since + DERIVED_FLUSH_MS);
        if self.sequencer.waiting() == 0 && !flush_due {
            if self.closing {
                self.finish(out);
            }
            return;
        }
        self.start_commit(out);
    }

    pub(super) fn start_commit(&mut self, out: &mut Vec<Output>) {
        let mut commit = Commit {
            derived: self.take_derived(false),
            ..Commit::default()
        };
        self.sequencer.cut(&mut commit);
        out.push(Output::Commit(commit));
    }

    fn note_presence(&mut self) {
        let changes = self.links.take_presence();
        if changes.is_empty() {
            return;
        }
        let mut view = self.view.write();
        for (node, live) in changes {
            if live {
                view.connected.insert(node);
            } else {
                view.connected.remove(&node);
                view.overloaded.remove(&node);
            }
        }
        self.decision_wanted = true;
    }

    /// A breaker that was open is tried again: what waits may be granted now.
    fn note_breakers(&mut self, now: Now) {
        let log_time = self.log_time(now);
        let view = self.view.read();
        let next = view.breakers.next_retry(self.breakers_seen);
        if next.is_some_and(|at| at <= log_time) {
            self.decision_wanted = true;
        }
        self.breakers_seen = log_time;
    }

    /// While a decision is under way its room is not known to be left over.
    fn next_look_at_parked(&self) -> Option<u64> {
        let is_deciding = self.dispatcher.is_deciding();
        (!is_deciding).then(|| self.moves.next_look()).flatten()
    }

    /// What stands still on parked nodes may go on elsewhere.
    fn move_parked(&mut self, now: Now) {
        if self.dispatcher.is_deciding() {
            return;
        }
        let times = (now.elapsed_ms, self.log_time(now));
        let moves = {
            let view = self.view.read();
            let dispatcher = &mut self.dispatcher;
            let place = |snapshot: &Snapshot<'_>| dispatcher.place(&view.state, snapshot);
            self.moves.look(&view, times, place)
        };
        if !moves.is_empty() {
            let command = Command::MoveAttempts(moves);
            self.push(now, Actor::Coordinator, command, Origin::Moves);
        }
    }

    fn propose_due(&mut self, now: Now) {
        self.note_breakers(now);
        let log_time = self.log_time(now);
        let (transitions, timers_due, grants) = {
            let view = self.view.read();
            let transitions = self.liveness.due(&view.state, now.elapsed_ms);
            let timers_due =
                !self.timers_in_flight && view.state.next_timer().is_some_and(|at| at <= log_time);
            let pause_over = self
                .dispatcher
                .pause_until()
                .is_some_and(|until| now.elapsed_ms >= until);
            let wanted = std::mem::take(&mut self.decision_wanted) || pause_over;
            let grants = if wanted && self.dispatcher.may_decide(&view.state, now.elapsed_ms) {
                let (grants, took_us) = self
                    .stopwatch
                    .time(|| self.dispatcher.decide(&view, log_time));
                if let Some(us) = took_us {
                    self.stats.decision_took(us);
                }
                grants
            } else {
                Vec::new()
            };
            (transitions, timers_due, grants)
        };
        for (node, command) in transitions {
            self.push(now, Actor::Coordinator, command, Origin::Transition(node));
        }
        if timers_due {
            self.timers_in_flight = true;
            self.push(now, Actor::Coordinator, Command::FireTimers, Origin::Timers);
        }
        if !grants.is_empty() {
            self.push(
                now,
                Actor::Coordinator,
                Command::GrantLeases(grants),
                Origin::Decision,
            );
        }
    }

    fn take_derived(&mut self, force_checkpoint: bool) -> Derived {
        self.derived_since = None;
        self.applier
            .take_derived(&mut self.view.write().state, force_checkpoint)
    }

    /// The last commit of a clean stop: everything derived, and a checkpoint.
    fn finish(&mut self, out: &mut Vec<Output>) {
        let derived = self.take_derived(true);
        if derived.is_empty() {
            out.push(Output::Stopped);
            return;
        }
        let mut commit = Commit {
            derived,
            ..Commit::default()
        };
        self.sequencer.cut(&mut commit);
        out.push(Output::Commit(commit));
    }
}

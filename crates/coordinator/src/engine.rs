//! The coordinator without threads, sockets or clocks: inputs in, outputs out.
//!
//! The production shell ([`crate::hive`]) and the simulator drive this same value. It owns the
//! order of things: a proposal is queued, cut into a commit, made durable by the journal, applied
//! to the state, and only then answered, published and acted on.

mod advance;
mod applying;
mod disk_full;
mod firings;
mod io;
mod options;
mod origin;
mod sessions;
mod trigger_firings;

use applying::Stored;
use firings::Firings;
pub use io::{Input, Now, Output, ProposeError};
pub use options::{CHECKPOINT_EVENTS_DEFAULT, EngineOptions, OVERLAP_FROM_DEFAULT, Parts};
pub(crate) use origin::Origin;
use trigger_firings::TriggerFirings;

use crate::applier::Applier;
use crate::attendance::Attendance;
use crate::dispatcher::Dispatcher;
use crate::gathering::Waiting;
use crate::links::{ConnectionId, Links};
use crate::liveness::Liveness;
use crate::log_clock::LogClock;
use crate::moves::Moves;
use crate::ports::{Clock, Commit, Entropy, JournalError, Recovered};
use crate::sequencer::{Sequencer, Ticket};
use crate::stats::EngineStats;
use crate::stopwatch::Stopwatch;
use crate::view::View;
use parking_lot::RwLock;
use skep_model::command::{Actor, Command, LogEntry};
use skep_model::time::UnixMillis;
use skep_wire::FromNode;
use std::sync::Arc;

/// Pause before a full disk is tried again, milliseconds.
const DISK_FULL_RETRY_MS: u64 = 1_000;

/// The coordinator as a value.
#[derive(Debug)]
pub struct Engine {
    view: Arc<RwLock<View>>,
    applier: Applier,
    sequencer: Sequencer<Origin>,
    dispatcher: Dispatcher,
    moves: Moves,
    liveness: Liveness,
    attendance: Attendance,
    links: Links,
    entropy: Box<dyn Entropy>,
    stats: EngineStats,
    stopwatch: Stopwatch,
    timers_in_flight: bool,
    /// When the oldest derived row came up.
    derived_since: Option<u64>,
    disk_full_until: Option<u64>,
    closing: bool,
    /// Something was applied since the last decision.
    decision_wanted: bool,
    /// Breakers that were due before this were looked at.
    breakers_seen: UnixMillis,
    log_clock: LogClock,
    firings: Firings,
    /// What is durable and not applied yet.
    stored: Option<Stored>,
    overlap_from: usize,
    trigger_firings: TriggerFirings,
}

impl Engine {
    /// An engine that goes on where the recovered log ends.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when the recovered rows or digests contradict the log.
    pub fn recover(
        recovered: Recovered,
        options: EngineOptions,
        parts: Parts,
        now: Now,
    ) -> Result<Self, JournalError> {
        let last = recovered
            .entries
            .last()
            .map_or(recovered.checkpoint_index, |entry| entry.0);
        let (applier, mut view) = Applier::recover(recovered, options.checkpoint_events)?;
        let liveness = Liveness::start(options.timers, &view.state, now.elapsed_ms);
        view.leases = liveness.leases();
        let sessions = options.timers.sessions;
        let attendance = Attendance::start(sessions, &view.state, now.elapsed_ms);
        view.last_calls = attendance.last_calls();
        let log_clock = LogClock::starting(view.state.now(), now.elapsed_ms);
        view.log_clock = log_clock;
        let derived_since = applier.has_derived().then_some(now.elapsed_ms);
        Ok(Self {
            view: Arc::new(RwLock::new(view)),
            applier,
            sequencer: Sequencer::new(last),
            dispatcher: Dispatcher::new(parts.strategy, options.policy),
            moves: Moves::default(),
            liveness,
            attendance,
            links: Links::new(
                options.timers,
                options.task_token_key,
                options.server_version,
            ),
            entropy: parts.entropy,
            stats: EngineStats::default(),
            stopwatch: Stopwatch::default(),
            timers_in_flight: false,
            derived_since,
            disk_full_until: None,
            closing: false,
            decision_wanted: true,
            breakers_seen: UnixMillis(0),
            log_clock,
            firings: Firings::new(parts.calendar),
            stored: None,
            overlap_from: options.overlap_from,
            trigger_firings: TriggerFirings::default(),
        })
    }

    /// For readers; the engine alone writes.
    pub fn view(&self) -> Arc<RwLock<View>> {
        Arc::clone(&self.view)
    }

    /// Counts from now on how long decisions take, by this clock.
    pub(crate) fn time_decisions(&mut self, clock: Arc<dyn Clock>) {
        self.stopwatch = Stopwatch::new(clock);
    }

    /// Whether a commit is on its way to the disk: what is proposed meanwhile waits anyway.
    pub const fn is_committing(&self) -> bool {
        !self.sequencer.is_idle()
    }

    /// Counters.
    pub fn stats(&self) -> EngineStats {
        EngineStats {
            proposals_waiting: self.sequencer.waiting() as u64,
            links: self.links.live() as u64,
            ..self.stats.clone()
        }
    }

    /// Takes one input and says what follows from it.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.feed(now, input, &mut out);
        self.advance(now, &mut out);
        out
    }

    /// Takes one input. After a burst of them the caller must call [`Self::advance`] once.
    ///
    /// What is durable is applied by the next call of either. A commit that comes out before that may be
    /// written meanwhile.
    pub fn feed(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        self.apply_stored(now, out);
        match input {
            Input::Propose {
                ticket,
                actor,
                command,
            } => {
                self.propose(now, ticket, actor, command, out);
            }
            Input::Committed {
                commit,
                took_ms,
                result,
            } => {
                self.committed(now, commit, took_ms, result, out);
            }
            Input::LinkOpened(connection, caller) => self.links.opened(connection, caller),
            Input::Link(connection, message) => self.link(now, connection, message, out),
            Input::LinkClosed(connection) => self.links.closed(connection),
            Input::Session(sign) => self.session(now, sign, out),
            Input::Tick => {}
            Input::Shutdown => {
                self.closing = true;
                self.links.end_all(out);
            }
        }
    }

    fn propose(
        &mut self,
        now: Now,
        ticket: Ticket,
        actor: Actor,
        command: Command,
        out: &mut Vec<Output>,
    ) {
        if self.closing {
            out.push(Output::Answer(ticket, Err(ProposeError::Stopped)));
            return;
        }
        let entry = self.stamp(now, actor, command);
        if self.sequencer.offer(entry, Origin::Caller(ticket)).is_err() {
            self.stats.proposals_refused += 1;
            let retry_after_ms = DISK_FULL_RETRY_MS;
            out.push(Output::Answer(
                ticket,
                Err(ProposeError::Overloaded { retry_after_ms }),
            ));
        }
    }

    pub(super) fn log_time(&self, now: Now) -> UnixMillis {
        self.log_clock.at(now)
    }

    fn stamp(&mut self, now: Now, actor: Actor, command: Command) -> LogEntry {
        LogEntry {
            at: self.log_clock.stamp(now),
            seed: self.entropy.seed(),
            actor,
            command,
        }
    }

    fn push(&mut self, now: Now, actor: Actor, command: Command, origin: Origin) {
        let entry = self.stamp(now, actor, command);
        self.sequencer.push(entry, origin);
    }

    fn link(
        &mut self,
        now: Now,
        connection: ConnectionId,
        message: FromNode,
        out: &mut Vec<Output>,
    ) {
        if let (FromNode::Metrics(metrics), Some(node)) = (&message, self.links.node_of(connection))
        {
            self.view.write().metrics.insert(node, *metrics);
        }
        if let (FromNode::Load(notice), Some(node)) = (&message, self.links.node_of(connection)) {
            self.view.write().note_load(node, notice.overloaded);
            self.decision_wanted = true;
        }
        let proposals = match message {
            FromNode::Assigned(answers) => self.links.assigned(connection, answers, out),
            FromNode::Heartbeat {
                terms: Some(terms), ..
            } => {
                let view = self.view.read();
                let agreed = self.links.acts_by(connection, terms, &view.state);
                agreed.into_iter().collect()
            }
            FromNode::GaveBack { given_back } => self.links.gave_back(connection, &given_back, out),
            other => {
                let view = self.view.read();
                let entropy = self.entropy.as_mut();
                let proposal = self
                    .links
                    .message(connection, other, &view.state, entropy, out);
                proposal.into_iter().collect()
            }
        };
        if let Some(node) = self.links.node_of(connection) {
            self.liveness
                .heard(node, &self.view.read().state, now.elapsed_ms);
        }
        for (actor, command, origin) in proposals {
            self.push(now, actor, command, origin);
        }
    }

    fn committed(
        &mut self,
        now: Now,
        mut commit: Commit,
        took_ms: u64,
        result: Result<(), JournalError>,
        out: &mut Vec<Output>,
    ) {
        self.liveness.excuse(took_ms);
        self.attendance.excuse(took_ms);
        match result {
            Ok(()) => {
                if !commit.entries.is_empty() {
                    self.stats.commit_took(took_ms);
                }
                let waiting = self.sequencer.committed();
                self.disk_full_until = None;
                self.begin_applying(commit, waiting, out);
            }
            Err(JournalError::DiskFull { .. }) => {
                self.liveness.log_was_full(now.elapsed_ms);
                self.attendance.log_was_full(now.elapsed_ms);
                self.applier.take_back(std::mem::take(&mut commit.derived));
                self.derived_since.get_or_insert(now.elapsed_ms);
                self.disk_full_until = Some(now.elapsed_ms + DISK_FULL_RETRY_MS);
                self.reject(now, commit, out);
                if self.closing {
                    // Nothing that is left was acknowledged, or it follows from the log.
                    out.push(Output::Stopped);
                }
            }
            Err(fatal) => {
                for origin in self
                    .sequencer
                    .committed()
                    .into_iter()
                    .flat_map(Waiting::all)
                {
                    if let Origin::Caller(ticket) = origin {
                        out.push(Output::Answer(ticket, Err(ProposeError::Stopped)));
                    }
                }
                out.push(Output::Halt(fatal));
            }
        }
    }
}

#[cfg(test)]
mod tests;

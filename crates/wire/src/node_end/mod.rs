//! The node's side of the protocol: one brain for the life of the process, over all connections.
//!
//! It decides what to connect, say, start, stop, write to disk and delete; the shell around it
//! only does so. Its rules:
//!
//! * Lease and hold count from when a heartbeat was *sent* that was answered. The hold is how long
//!   the node's work is its own: the lease, or longer if the coordinator says so. The node stops
//!   all attempts and closes the connection before it ends, by the share of the lease that
//!   `SELF_FENCE_PERCENT` leaves. Until the last process of an attempt is gone the node goes on saying that it holds
//!   it: nobody else may start it while it is only *told* to stop.
//! * A hello that is refused as `storage_full` counts like an answered heartbeat: the coordinator
//!   has heard the node, and counts its silence from there, too.
//! * A result is written to disk first, then sent, then kept until it is answered. A broken
//!   connection loses none. Only while the node's disk is full it is sent from memory.
//! * An attempt (task and fence) is started at most once by one process.
//! * What was accepted and not started when the node stops, or gives its lease up, is reported as
//!   just that: its task loses nothing by it.
//! * A node that was told to stop says so before it leaves, and waits until the coordinator has
//!   said that nothing more comes: what was granted meanwhile is handed back, not lost.
//! * Inputs come before timers: an answer that is there at the last moment counts.

mod ask;
mod assigning;
mod attempts;
mod away;
mod balance;
mod ended;
mod incoming;
mod io;
mod lease;
mod link;
mod misconduct;
mod parking;
mod round_trips;
mod spool;
#[cfg(test)]
mod tests;
mod timers;

pub use ask::AskFailure;
pub use io::{ExitCode, KillReason, LinkOptions, NodeInput, NodeOptions, NodeOutput};

use crate::bounds::{
    PROTOCOL_VERSION, RECONNECT_DOUBLINGS_MAX, RECONNECT_INITIAL_MS, RECONNECT_MAX_MS,
    RESULT_REQUESTS_IN_FLIGHT_MAX, SHUTDOWN_TIMEOUT_MS, STORAGE_FULL_RETRY_MS,
};
use crate::codec::method;
use crate::frame::{Frame, FrameRef};
use crate::framing::Framing;
use crate::jitter::Jitter;
use crate::payload::{AttemptKey, Capabilities, Goodbye, Hello, Negotiation, NodeMetrics};
use attempts::{Attempts, not_started};
use away::Away;
use lease::Lease;
use link::{Asked, Connection, Link};
use parking::Parking;
use skep_model::attempt::AttemptReport;
use skep_model::limits::SLOTS_MAX;
use skep_model::task::HandBack;
use spool::Spool;

/// State machine of a node. Feed it what happened and the time in milliseconds of a clock that
/// also counts the machine's sleep (`CLOCK_BOOTTIME`), and perform what it returns, in order.
#[derive(Debug)]
pub struct NodeEnd {
    options: NodeOptions,
    link_options: LinkOptions,
    jitter: Jitter,
    link: Link,
    /// Failed tries to get a live session since the last one.
    failures: u32,
    /// None until the first welcome.
    lease: Option<Lease>,
    epoch_seen: Option<u32>,
    attempts: Attempts,
    spool: Spool,
    /// When a node that stops leaves, come what may.
    leaves_at: Option<u64>,
    is_draining: bool,
    is_overloaded: bool,
    away: Away,
    parking: Parking,
    outputs: Vec<NodeOutput>,
}

impl NodeEnd {
    /// A node that starts, with the results that an earlier process left on disk. It connects at
    /// the first tick.
    pub fn new(options: NodeOptions, recovered_spool: Vec<AttemptReport>) -> Self {
        let mut attempts = Attempts::new(options.slots.min(SLOTS_MAX) as usize);
        for report in &recovered_spool {
            attempts.remember_ended(report.into());
        }
        Self {
            jitter: Jitter::new(options.jitter_seed),
            options,
            link_options: LinkOptions::PLAIN,
            link: Link::Down { retry_at: 0 },
            failures: 0,
            lease: None,
            epoch_seen: None,
            attempts,
            spool: Spool::recovered(recovered_spool),
            leaves_at: None,
            is_draining: false,
            is_overloaded: false,
            away: Away::default(),
            parking: Parking::default(),
            outputs: Vec::new(),
        }
    }

    /// Offers this to coordinators from the next connection on.
    #[must_use]
    pub const fn with_link(mut self, options: LinkOptions) -> Self {
        self.link_options = options;
        self
    }

    /// Whether a session is live.
    pub fn is_live(&self) -> bool {
        self.link.is_live()
    }

    /// What both ends of the present connection agreed on.
    pub const fn agreed(&self) -> Capabilities {
        match &self.link {
            Link::Up(connection) => connection.agreed,
            _ => Capabilities::NONE,
        }
    }

    /// Whether the process is to end; nothing comes out any more.
    pub const fn is_over(&self) -> bool {
        matches!(self.link, Link::Over)
    }

    /// Takes in what happened at `now_ms`, and what became due until then.
    pub fn handle(&mut self, now_ms: u64, input: NodeInput) -> Vec<NodeOutput> {
        if self.is_over() {
            return Vec::new();
        }
        match input {
            NodeInput::Connected => self.on_connected(now_ms),
            NodeInput::Disconnected => {
                if matches!(self.link, Link::Connecting { .. } | Link::Up(_)) {
                    self.go_down(now_ms);
                }
            }
            NodeInput::ConnectRefused { status } => self.on_connect_refused(now_ms, status),
            NodeInput::Text(text) => self.on_frame(now_ms, FrameRef::Text(&text)),
            NodeInput::Binary(bytes) => self.on_frame(now_ms, FrameRef::Binary(&bytes)),
            NodeInput::Tick => {}
            NodeInput::Started(attempt) => self.attempts.started(now_ms, attempt),
            NodeInput::Verifying(attempt) => self.attempts.verifying(now_ms, attempt),
            NodeInput::Finished(report) => {
                if let Some(report) = self.attempts.finished(*report) {
                    self.spool.add(report);
                }
            }
            NodeInput::Spooled { batch } => self.spool.written(batch),
            NodeInput::SpoolStalled { batch } => self.spool.stalled(batch),
            NodeInput::Shutdown => self.on_shutdown(now_ms),
            NodeInput::Frozen => self.on_frozen(now_ms),
            NodeInput::Metrics(metrics) => self.on_metrics(metrics),
            NodeInput::Away(reason) => self.on_away(reason),
            NodeInput::Park(for_ms) => self.on_park(now_ms, for_ms),
            NodeInput::Ask {
                token,
                request,
                key,
            } => self.on_ask(now_ms, token, &request, key),
            NodeInput::Overloaded(overloaded) => self.on_overloaded(overloaded),
        }
        self.run_timers(now_ms);
        self.flush(now_ms);
        std::mem::take(&mut self.outputs)
    }

    fn on_connected(&mut self, now: u64) {
        if !matches!(self.link, Link::Connecting { .. }) {
            return;
        }
        let hello = Hello {
            protocol: PROTOCOL_VERSION.to_owned(),
            node: self.options.node,
            instance: self.options.instance,
            starts: self.options.starts,
            facts: self.options.facts.clone(),
            resume: self.epoch_seen,
            meta: None,
        };
        let mut connection = Connection::new(now);
        // The hello does not wait for the answer: text is understood in any case.
        let LinkOptions {
            offers,
            assign_window,
            ..
        } = self.link_options;
        if !offers.is_empty() {
            let offer = Negotiation::offering(offers, assign_window);
            let frame = connection.request(now, method::NEGOTIATE, &offer, Asked::Negotiation);
            self.outputs.push(NodeOutput::Send(frame));
        }
        let frame = connection.request(now, method::SESSION_START, &hello, Asked::Hello);
        self.link = Link::Up(Box::new(connection));
        self.send(frame);
    }

    fn on_connect_refused(&mut self, now: u64, status: u16) {
        if !matches!(self.link, Link::Connecting { .. }) {
            return;
        }
        if matches!(status, 401 | 403) {
            self.exit(
                ExitCode::AuthRefused,
                format!("the coordinator refused the connection with status `{status}`"),
            );
        } else {
            self.go_down(now);
        }
    }

    fn on_shutdown(&mut self, now: u64) {
        if self.leaves_at.is_some() {
            return;
        }
        self.leaves_at = Some(now.saturating_add(SHUTDOWN_TIMEOUT_MS));
        self.announce_stop(now);
        self.stop_attempts(KillReason::Shutdown, HandBack::Stopping);
    }

    /// Stops all attempts. Those that were not started are reported as such, so that their tasks
    /// lose nothing, also when there is no session now.
    fn stop_attempts(&mut self, reason: KillReason, hand_back: HandBack) {
        let stopped = self.attempts.stop_all(hand_back);
        for attempt in stopped.never_started {
            self.spool.add(not_started(attempt, hand_back));
        }
        for attempt in stopped.running {
            self.kill_output(attempt, reason);
        }
    }

    /// Hands out everything that can go on: starts, disk writes, results.
    fn flush(&mut self, now: u64) {
        if self.is_over() {
            return;
        }
        while let Some(assignment) = self.attempts.next_start() {
            self.outputs.push(NodeOutput::Start(assignment));
        }
        if let Some((batch, reports)) = self.spool.next_write() {
            self.outputs.push(NodeOutput::Spool { batch, reports });
        }
        if let Link::Up(connection) = &mut self.link
            && connection.stage == link::Stage::Live
        {
            while self.spool.has_unsent()
                && connection.results_in_flight() < RESULT_REQUESTS_IN_FLIGHT_MAX
            {
                let room = connection
                    .spending
                    .room(connection.results_in_flight() == 0);
                let frame = connection
                    .framing
                    .batch(connection.next_id(), method::TASK_COMPLETE, "reports")
                    .within(room);
                let Some((frame, cost, keys)) = self.spool.next_request(frame) else {
                    break;
                };
                connection.spending.spend(keys.len() as u64, cost);
                connection.sent(now, Asked::Results(keys));
                self.outputs.push(NodeOutput::Send(frame));
            }
        }
        self.leave_if_done(now);
    }

    /// Ends a node that was told to stop, once nothing is left to wait for or the time is up.
    fn leave_if_done(&mut self, now: u64) {
        let Some(leaves_at) = self.leaves_at else {
            return;
        };
        let connected = matches!(self.link, Link::Up(_));
        let stopped = self.attempts.is_empty() && self.spool.is_written();
        let answered = self.spool.is_empty() || !connected;
        let is_expected = self.away.expects_nothing(now) || !self.is_live();
        if !(stopped && answered && is_expected) && now < leaves_at {
            return;
        }
        // With unanswered results it leaves without a goodbye: a goodbye gives up its attempts
        // at once, and the next process could no longer hand in what is on disk.
        if self.is_live() && stopped && self.spool.is_empty() {
            let reason = "the node stops".to_owned();
            let framing = self.framing();
            self.send(framing.call(None, method::SESSION_END, &Goodbye { reason }));
        }
        self.exit(ExitCode::Shutdown, "the node was told to stop".to_owned());
    }

    fn exit(&mut self, code: ExitCode, reason: String) {
        for attempt in self.attempts.kill_all() {
            let why = if code == ExitCode::Shutdown {
                KillReason::Shutdown
            } else {
                KillReason::Revoked
            };
            self.kill_output(attempt, why);
        }
        if let Some((batch, reports)) = self.spool.last_write() {
            self.outputs.push(NodeOutput::Spool { batch, reports });
        }
        if matches!(self.link, Link::Connecting { .. } | Link::Up(_)) {
            let reason = reason.clone();
            self.outputs.push(NodeOutput::CloseConnection { reason });
        }
        self.fail_questions(&AskFailure::Lost);
        self.outputs.push(NodeOutput::Exit { code, reason });
        self.link = Link::Over;
    }

    /// Gives the connection up and plans the next one.
    fn close(&mut self, now: u64, reason: &str) {
        let reason = reason.to_owned();
        self.outputs.push(NodeOutput::CloseConnection { reason });
        self.go_down(now);
    }

    fn go_down(&mut self, now: u64) {
        self.fail_questions(&AskFailure::Lost);
        let doubled = RECONNECT_INITIAL_MS << self.failures.min(RECONNECT_DOUBLINGS_MAX);
        self.failures = self.failures.saturating_add(1);
        let delay = self.jitter.up_to(doubled.min(RECONNECT_MAX_MS));
        let retry_at = now.saturating_add(delay);
        self.link = Link::Down { retry_at };
    }

    /// The coordinator's disk is full: it is not asked again at once.
    fn wait_for_storage(&mut self, now: u64) {
        if let Link::Down { retry_at } = &mut self.link {
            *retry_at = (*retry_at).max(now.saturating_add(STORAGE_FULL_RETRY_MS));
        }
    }

    fn kill_output(&mut self, attempt: AttemptKey, reason: KillReason) {
        self.outputs.push(NodeOutput::Kill { attempt, reason });
    }

    fn on_metrics(&mut self, metrics: NodeMetrics) {
        if let Link::Up(connection) = &self.link
            && connection.stage == link::Stage::Live
        {
            let metrics = NodeMetrics {
                rtt_ms: connection.round_trips.median(),
                ..metrics
            };
            let frame = connection
                .framing
                .call(None, method::METRICS_REPORT, &metrics);
            self.send(frame);
        }
    }

    /// How frames are written now.
    const fn framing(&self) -> Framing {
        match &self.link {
            Link::Up(connection) => connection.framing,
            _ => Framing::TEXT,
        }
    }

    fn send(&mut self, frame: Frame) {
        self.outputs.push(NodeOutput::Send(frame));
    }
}

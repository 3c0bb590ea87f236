//! The event loop: every cause for which the node wakes up, and everything it then does.

mod parking;

use crate::attempt_thread::{Workshop, report_without_process};
use crate::attempts::Attempts;
use crate::availability::Schedule;
use crate::connection::{Connection, ConnectionEvent};
use crate::control::Standing;
use crate::inbox::{Answer, Inbox, Note, Question};
use crate::load::LoadMeter;
use crate::node::{NodeExit, Shutdown};
use crate::spool::SpoolQueue;
use crate::{CLOCK_CHECK_MS, FREEZE_CHECK_MS, METRICS_INTERVAL_MS, STOP_TIMEOUT_MS};
use skep_model::attempt::Outcome;
use skep_model::work::Work;
use skep_wire::payload::Assignment;
use skep_wire::{NodeEnd, NodeInput, NodeOutput};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::task::TaskTracker;

/// What an event loop is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) brain: NodeEnd,
    pub(crate) connection: Connection,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) queue: Arc<SpoolQueue>,
    pub(crate) attempts: Attempts,
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) session: Arc<Notify>,
    pub(crate) load: LoadMeter,
    pub(crate) schedule: Schedule,
    pub(crate) clock: fn() -> u64,
}

/// Why the loop woke up.
enum Wake {
    Connection(ConnectionEvent),
    Notes(Vec<Note>),
    Timer,
    Metrics,
    StopPolitely,
    StopAtOnce,
}

/// Feeds the brain and does what it says.
#[derive(Debug)]
pub(crate) struct EventLoop {
    parts: Parts,
    inputs: VecDeque<NodeInput>,
    /// Who waits for the answers to questions. Bounded by the brain: it answers each, at once when
    /// too many are open.
    waiting: BTreeMap<u64, oneshot::Sender<Answer>>,
    next_token: u64,
    exit: Option<NodeExit>,
    is_stopping: bool,
    /// The attempts were told to stand still, and it is not known that they do.
    is_freezing: bool,
    /// The user of the machine, who waits to hear that the attempts stand still.
    parker: Option<oneshot::Sender<Standing>>,
    /// Whether the coordinator took this process in before.
    was_welcomed: bool,
    /// Owns connections that say goodbye.
    closing: TaskTracker,
}

impl EventLoop {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            inputs: VecDeque::new(),
            waiting: BTreeMap::new(),
            next_token: 0,
            exit: None,
            is_stopping: false,
            is_freezing: false,
            parker: None,
            was_welcomed: false,
            closing: TaskTracker::new(),
        }
    }

    /// Runs to the end of the node, and ends what it started.
    pub(crate) async fn run(
        mut self,
        shutdown: Shutdown,
        spool_thread: JoinHandle<()>,
    ) -> NodeExit {
        let mut metrics = interval(Duration::from_millis(METRICS_INTERVAL_MS));
        metrics.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, when there is no session and no load to compare with.
        metrics.tick().await;
        self.feed(NodeInput::Tick);
        let exit = loop {
            if let Some(exit) = self.exit.take() {
                break exit;
            }
            let wake = self.next_wake(&shutdown, &mut metrics).await;
            self.on_wake(wake);
        };
        self.wind_down(&exit, spool_thread).await;
        exit
    }

    async fn next_wake(&mut self, shutdown: &Shutdown, metrics: &mut Interval) -> Wake {
        let timer = self.next_timer();
        tokio::select! {
            // A flood of frames must not keep the node from stopping, so rare causes come first.
            // The timer may be last: the brain looks at the time with every input.
            biased;
            () = shutdown.at_once.cancelled() => Wake::StopAtOnce,
            () = shutdown.politely.cancelled(), if !self.is_stopping => Wake::StopPolitely,
            _ = metrics.tick() => Wake::Metrics,
            notes = self.parts.inbox.take() => Wake::Notes(notes),
            event = self.parts.connection.next() => Wake::Connection(event),
            () = tokio::time::sleep_until(timer) => Wake::Timer,
        }
    }

    /// The runtime's clock stands still while the machine sleeps, the brain's does not. So the
    /// loop wakes up often enough to notice soon after a sleep that its lease has run out.
    fn next_timer(&self) -> Instant {
        let now = (self.parts.clock)();
        let due = self.parts.brain.next_timer().unwrap_or(u64::MAX);
        let check_ms = if self.is_freezing {
            FREEZE_CHECK_MS
        } else {
            CLOCK_CHECK_MS
        };
        Instant::now() + Duration::from_millis(due.saturating_sub(now).min(check_ms))
    }

    fn on_wake(&mut self, wake: Wake) {
        let now = (self.parts.clock)();
        if let Some(away) = self.parts.schedule.look(now) {
            self.feed(away);
        }
        if self.is_freezing && self.parts.attempts.stand_still() {
            self.is_freezing = false;
            self.feed(NodeInput::Frozen);
            if let Some(parker) = self.parker.take() {
                self.tell_standing(parker);
            }
        }
        match wake {
            Wake::Connection(event) => self.on_connection(event),
            Wake::Notes(notes) => self.on_notes(notes),
            Wake::Timer => self.feed(NodeInput::Tick),
            Wake::Metrics => {
                let attempts = self.parts.attempts.count() as u32;
                if let Some(mut sample) = self.parts.load.sample(attempts) {
                    let now = (self.parts.clock)();
                    self.parts
                        .schedule
                        .loaded(now, sample.load_permille, attempts);
                    sample.upload_bytes_s = self
                        .parts
                        .workshop
                        .uploads
                        .bytes_per_second(std::time::Instant::now());
                    self.feed(NodeInput::Metrics(sample));
                }
                self.feed(NodeInput::Overloaded(self.parts.load.is_overloaded()));
            }
            Wake::StopPolitely => {
                tracing::info!("the node stops its attempts and says goodbye");
                self.is_stopping = true;
                self.feed(NodeInput::Shutdown);
            }
            Wake::StopAtOnce => {
                self.parts.attempts.interrupt_all();
                self.exit = Some(NodeExit::StoppedAtOnce);
            }
        }
    }

    fn on_connection(&mut self, event: ConnectionEvent) {
        let input = match event {
            ConnectionEvent::Opened => NodeInput::Connected,
            ConnectionEvent::Frame(frame) => frame.into(),
            ConnectionEvent::Refused(status) => {
                tracing::warn!(status, "the coordinator refused the connection");
                NodeInput::ConnectRefused { status }
            }
            ConnectionEvent::Untrusted(reason) => {
                tracing::error!(
                    reason,
                    "whoever answers at the coordinator's address is not trusted"
                );
                if !self.was_welcomed {
                    self.exit = Some(NodeExit::Untrusted { reason });
                    return;
                }
                // A foreign network may have come in between: the swarm is found again later.
                NodeInput::Disconnected
            }
            ConnectionEvent::Lost(reason) => {
                tracing::warn!(reason, "no connection to the coordinator");
                NodeInput::Disconnected
            }
        };
        self.feed(input);
    }

    fn on_notes(&mut self, notes: Vec<Note>) {
        for note in notes {
            match note {
                Note::Started(key) => self.inputs.push_back(NodeInput::Started(key)),
                Note::Verifying(key) => self.inputs.push_back(NodeInput::Verifying(key)),
                Note::Spooled(batch) => self.inputs.push_back(NodeInput::Spooled { batch }),
                Note::SpoolStalled(batch) => {
                    self.inputs.push_back(NodeInput::SpoolStalled { batch });
                }
                Note::Ask(question) => self.ask(question),
                Note::Park(for_ms, reply) => self.park(for_ms, reply),
                Note::Finished(report) => {
                    self.parts.attempts.finished(&report);
                    self.inputs.push_back(NodeInput::Finished(report));
                }
                Note::SpoolBroken(reason) => {
                    tracing::error!(
                        reason,
                        "results can no longer be made durable: the node ends"
                    );
                    self.parts.attempts.interrupt_all();
                    self.exit = Some(NodeExit::SpoolBroken { reason });
                    return;
                }
            }
        }
        self.think();
    }

    fn feed(&mut self, input: NodeInput) {
        self.inputs.push_back(input);
        self.think();
    }

    /// Lets the brain think until it has nothing more to say.
    fn think(&mut self) {
        let now = (self.parts.clock)();
        while let Some(input) = self.inputs.pop_front() {
            for output in self.parts.brain.handle(now, input) {
                self.perform(output);
            }
        }
    }

    fn perform(&mut self, output: NodeOutput) {
        match output {
            NodeOutput::Connect => self.parts.connection.open(),
            NodeOutput::Send(frame) => {
                if let Err(reason) = self.parts.connection.send(frame) {
                    tracing::warn!(reason, "the connection to the coordinator broke");
                    self.inputs.push_back(NodeInput::Disconnected);
                }
            }
            NodeOutput::Start(assignment) => self.start(assignment),
            NodeOutput::Kill { attempt, reason } => {
                tracing::info!(%attempt, ?reason, "an attempt is stopped");
                self.parts.attempts.kill(attempt, reason);
            }
            NodeOutput::Freeze => {
                tracing::info!("the node is parked: its attempts stand still");
                self.parts.attempts.freeze();
                self.is_freezing = true;
            }
            NodeOutput::Thaw => {
                tracing::info!("the node is not parked any more: its attempts go on");
                self.parts.attempts.thaw();
                self.is_freezing = false;
            }
            NodeOutput::Spool { batch, reports } => self.parts.queue.write(batch, reports),
            NodeOutput::Unspool(keys) => {
                for key in &keys {
                    self.parts.workshop.release(*key);
                }
                self.parts.queue.forget(keys);
            }
            NodeOutput::Welcomed(welcome) => {
                let agreed = self.parts.brain.agreed().names();
                tracing::info!(session = welcome.session, ?agreed, "joined the coordinator");
                self.was_welcomed = true;
                self.parts.session.notify_one();
            }
            NodeOutput::Answered { token, answer } => self.answered(token, answer),
            NodeOutput::Draining(draining) => {
                tracing::info!(draining, "the coordinator changed what it gives this node");
            }
            NodeOutput::CloseConnection { reason } => {
                tracing::info!(reason, "the connection to the coordinator is closed");
                if let Some(goodbye) = self.parts.connection.close() {
                    self.closing.spawn(goodbye);
                }
            }
            NodeOutput::Exit { code, reason } => {
                self.exit = Some(NodeExit::Session { code, reason });
            }
        }
    }

    fn ask(&mut self, question: Question) {
        let Question { request, reply } = question;
        let token = self.next_token;
        self.next_token += 1;
        if let Some(reply) = reply {
            self.waiting.insert(token, reply);
        }
        let key = None;
        self.inputs.push_back(NodeInput::Ask {
            token,
            request,
            key,
        });
    }

    fn answered(&mut self, token: u64, answer: Answer) {
        match self.waiting.remove(&token) {
            // Whoever asked may be gone: its attempt was stopped.
            Some(reply) => drop(reply.send(answer)),
            None => {
                if let Err(failure) = answer {
                    tracing::debug!(%failure, "the coordinator was told something in vain");
                }
            }
        }
    }

    fn start(&mut self, assignment: Box<Assignment>) {
        let Assignment { work, .. } = &*assignment;
        match work {
            Work::Noop => {
                let report = report_without_process(assignment.key(), Outcome::Completed);
                self.inputs.push_back(NodeInput::Finished(report));
            }
            Work::Command(command) => {
                let command = command.clone();
                self.parts.attempts.start(assignment, command);
            }
            Work::Described(_) => {
                let outcome = Outcome::Error {
                    code: "not_a_nodes_work".to_owned(),
                    message: "work that is described in words is for attached agents".to_owned(),
                };
                let report = report_without_process(assignment.key(), outcome);
                self.inputs.push_back(NodeInput::Finished(report));
            }
        }
    }

    /// Waits, within bounds, for what still runs: goodbyes, stopped attempts, the spool.
    async fn wind_down(mut self, exit: &NodeExit, spool_thread: JoinHandle<()>) {
        self.closing.close();
        self.closing.wait().await;
        if *exit != NodeExit::StoppedAtOnce {
            let patience = Duration::from_millis(STOP_TIMEOUT_MS);
            if tokio::time::timeout(patience, self.attempts_end())
                .await
                .is_err()
            {
                let left = self.parts.attempts.count();
                tracing::warn!(
                    left,
                    "attempts did not stop in time; they die with the process"
                );
            }
        }
        // Output that is not sent stays on disk for the next start.
        self.parts.workshop.stop.cancel();
        self.parts.workshop.side_tasks.close();
        self.parts.workshop.side_tasks.wait().await;
        self.parts.queue.close();
        let joined = tokio::task::spawn_blocking(|| spool_thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the thread that keeps results broke");
        }
    }

    async fn attempts_end(&mut self) {
        while self.parts.attempts.count() > 0 {
            for note in self.parts.inbox.take().await {
                if let Note::Finished(report) = note {
                    self.parts.attempts.finished(&report);
                }
            }
        }
    }
}

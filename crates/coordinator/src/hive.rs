//! Runs an [`Engine`] on real threads and hands out cheap handles to it.
//!
//! Two threads: `skep-sequencer` owns the engine and makes small commits itself; `skep-journal`
//! makes the larger ones, so that the next gathers while the disk works. Everyone else sends
//! messages over bounded channels.

use crate::admission::Caller;
use crate::attendance::AskId;
use crate::engine::{Engine, Now, ProposeError};
use crate::journal_desk::{JournalDesk, run_journal};
use crate::links::{ConnectionId, ToNode};
use crate::loops::SequencerLoop;
use crate::ports::{Clock, Journal};
use crate::seat_watch::{SeatWatch, SeatWatches};
use crate::snapshot;
use crate::stats::EngineStats;
use crate::view::View;
use crate::view_guard::ViewGuard;
use parking_lot::{Mutex, RwLock};
use skep_model::command::{Actor, Command};
use skep_model::event::EntryEvents;
use skep_model::ids::{NodeId, TaskId};
use skep_model::limits;
use skep_model::requirements::Requirements;
use skep_model::time::UnixMillis;
use skep_scheduler::{Explanation, Policy};
use skep_wire::FromNode;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// Messages of nodes that wait for the sequencer; their connections wait when it is full.
const LINK_INPUTS_QUEUED_MAX: usize = 4_096;
/// Entries a subscriber may lag behind before it has to read from the archive.
const BROADCAST_ENTRIES: usize = 1_024;

pub(crate) type Answer = Result<Arc<EntryEvents>, ProposeError>;

pub(crate) struct Proposal {
    pub(crate) actor: Actor,
    pub(crate) command: Command,
    pub(crate) answer: oneshot::Sender<Answer>,
}

pub(crate) enum LinkInput {
    Opened(ConnectionId, Caller, mpsc::Sender<ToNode>),
    Message(ConnectionId, FromNode),
    Closed(ConnectionId),
    /// An attached agent made a call at this time of the elapsed clock.
    Called(NodeId, u64),
    /// It asks for work until a time of the elapsed clock; the sender is used or dropped when that
    /// is over.
    Asks(NodeId, AskId, u64, oneshot::Sender<()>),
    /// It does not ask any more.
    Withdraws(NodeId, AskId),
}

/// Why a hive ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// The journal failed; the process must exit without acknowledging anything more.
    Halted(String),
}

struct Shared {
    view: Arc<RwLock<View>>,
    clock: Arc<dyn Clock>,
    proposals: mpsc::Sender<Proposal>,
    links: mpsc::Sender<LinkInput>,
    events: broadcast::Sender<Arc<EntryEvents>>,
    stats: Arc<Mutex<EngineStats>>,
    connections: AtomicU64,
    asks: AtomicU64,
    seat_watches: SeatWatches,
    policy: Policy,
    shutdown: watch::Sender<bool>,
    ended: watch::Receiver<Option<Ended>>,
}

impl Shared {
    fn now(&self, view: &View) -> UnixMillis {
        view.log_clock.at(Now {
            wall: self.clock.wall(),
            elapsed_ms: self.clock.elapsed_ms(),
        })
    }
}

/// A handle to a running coordinator. Cheap to clone.
#[derive(Clone)]
pub struct Hive(Arc<Shared>);

impl std::fmt::Debug for Hive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hive").finish_non_exhaustive()
    }
}

/// The threads of a hive; join them after [`Hive::shut_down`].
#[derive(Debug)]
pub struct HiveThreads {
    sequencer: JoinHandle<()>,
    journal: JoinHandle<()>,
}

impl HiveThreads {
    /// Waits until both threads ended.
    pub fn join(self) {
        for thread in [self.sequencer, self.journal] {
            if thread.join().is_err() {
                tracing::error!("a thread of the hive panicked");
            }
        }
    }
}

/// One node connection as the hive sees it.
#[derive(Debug)]
pub struct NodeConnection {
    /// Names it in [`Hive::node_event`].
    pub id: ConnectionId,
    /// What the coordinator tells the node, in order. It ends when the connection must close.
    pub outbox: mpsc::Receiver<ToNode>,
}

/// An open request of an attached agent for work. Dropping it withdraws it.
#[derive(Debug)]
pub struct Ask {
    seat: NodeId,
    id: AskId,
    over: oneshot::Receiver<()>,
    links: mpsc::Sender<LinkInput>,
}

impl Ask {
    /// Waits until the agent was given a task, or the time is over. What it has by then, the view
    /// says.
    pub async fn over(&mut self) {
        // A sender that was dropped means the same.
        drop((&mut self.over).await);
    }
}

impl Drop for Ask {
    fn drop(&mut self) {
        // When the queue is full the request ends by its time; a task that is given meanwhile is
        // handed out with the next request.
        drop(
            self.links
                .try_send(LinkInput::Withdraws(self.seat, self.id)),
        );
    }
}

impl Hive {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system could not start a thread.
    pub fn start(
        mut engine: Engine,
        journal: Box<dyn Journal>,
        clock: Arc<dyn Clock>,
        policy: Policy,
    ) -> std::io::Result<(Self, HiveThreads)> {
        let (proposals, proposals_in) = mpsc::channel(limits::PROPOSALS_QUEUED_MAX);
        let (links, links_in) = mpsc::channel(LINK_INPUTS_QUEUED_MAX);
        let (commits, commits_in) = std::sync::mpsc::sync_channel(1);
        let (done, done_in) = mpsc::channel(1);
        let (events, _) = broadcast::channel(BROADCAST_ENTRIES);
        let (shutdown, shutdown_in) = watch::channel(false);
        let (ended_out, ended) = watch::channel(None);
        engine.time_decisions(Arc::clone(&clock));
        let stats = Arc::new(Mutex::new(engine.stats()));
        let view = engine.view();
        let desk = Arc::new(Mutex::new(JournalDesk::new(journal)));
        let journal_desk = Arc::clone(&desk);
        let journal_clock = Arc::clone(&clock);
        let shared_clock = Arc::clone(&clock);
        let journal = std::thread::Builder::new()
            .name("skep-journal".into())
            .spawn(move || {
                run_journal(&journal_desk, &commits_in, &done, journal_clock.as_ref());
            })?;
        let seat_watches = SeatWatches::default();
        let sequencer_loop = SequencerLoop {
            engine,
            clock,
            commits,
            journal: desk,
            events: events.clone(),
            stats: Arc::clone(&stats),
            waiting: BTreeMap::new(),
            outboxes: BTreeMap::new(),
            asking: BTreeMap::new(),
            seat_watches: seat_watches.clone(),
            next_ticket: 0,
            ended: ended_out,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let sequencer = std::thread::Builder::new()
            .name("skep-sequencer".into())
            .spawn(move || {
                runtime.block_on(sequencer_loop.run(proposals_in, links_in, done_in, shutdown_in));
            })?;
        let connections = AtomicU64::new(1);
        let shared = Shared {
            view,
            clock: shared_clock,
            proposals,
            links,
            events,
            stats,
            connections,
            asks: AtomicU64::new(1),
            seat_watches,
            policy,
            shutdown,
            ended,
        };
        Ok((Self(Arc::new(shared)), HiveThreads { sequencer, journal }))
    }

    /// Puts a command into the log. When it returns `Ok`, the command is durable and applied; a
    /// refusal is an event in the answer.
    ///
    /// # Errors
    /// [`ProposeError`]; with `Stopped` it is not known whether the command was stored.
    pub async fn propose(&self, actor: Actor, command: Command) -> Answer {
        let (answer, answered) = oneshot::channel();
        match self.0.proposals.try_send(Proposal {
            actor,
            command,
            answer,
        }) {
            Ok(()) => answered.await.unwrap_or(Err(ProposeError::Stopped)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(ProposeError::Overloaded {
                retry_after_ms: 1_000,
            }),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(ProposeError::Stopped),
        }
    }

    /// The state after the last committed entry. Do not hold the guard across an await, and do
    /// not ask for a second one meanwhile: a writer that waits in between would stop both for
    /// ever. Debug builds panic instead, so that a test finds it.
    pub fn view(&self) -> ViewGuard<'_> {
        ViewGuard::of(&self.0.view)
    }

    /// The present time of the log, see [`LogClock`](crate::LogClock).
    pub fn now(&self) -> UnixMillis {
        self.0.now(&self.view())
    }

    /// All entries from now on. A subscriber that lags reads on from the archive by cursor.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<EntryEvents>> {
        self.0.events.subscribe()
    }

    /// How many subscribe.
    pub fn subscribers(&self) -> usize {
        self.0.events.receiver_count()
    }

    /// Announces a node connection of this caller; `None` when the hive has ended.
    pub async fn connect_node(&self, caller: Caller) -> Option<NodeConnection> {
        let id = ConnectionId(self.0.connections.fetch_add(1, Ordering::Relaxed));
        let (inbox, outbox) = mpsc::channel(limits::FRAMES_QUEUED_MAX);
        let opened = LinkInput::Opened(id, caller, inbox);
        self.0.links.send(opened).await.ok()?;
        Some(NodeConnection { id, outbox })
    }

    /// Passes on a node's message; waits when the coordinator is behind.
    pub async fn node_event(&self, connection: ConnectionId, message: FromNode) {
        if self
            .0
            .links
            .send(LinkInput::Message(connection, message))
            .await
            .is_err()
        {
            tracing::debug!(?connection, "a node spoke after the hive ended");
        }
    }

    /// The connection is gone.
    pub async fn node_closed(&self, connection: ConnectionId) {
        if self
            .0
            .links
            .send(LinkInput::Closed(connection))
            .await
            .is_err()
        {
            tracing::debug!(?connection, "a node left after the hive ended");
        }
    }

    /// The attached agent on this seat made a call.
    pub async fn session_called(&self, seat: NodeId) {
        let called = LinkInput::Called(seat, self.0.clock.elapsed_ms());
        if self.0.links.send(called).await.is_err() {
            tracing::debug!(%seat, "an attached agent called after the hive ended");
        }
    }

    /// The attached agent on this seat asks for one task, for so long at most. `None` when the hive
    /// has ended.
    pub async fn ask_for_work(&self, seat: NodeId, wait_ms: u64) -> Option<Ask> {
        let id = AskId(self.0.asks.fetch_add(1, Ordering::Relaxed));
        let until = self.0.clock.elapsed_ms().saturating_add(wait_ms);
        let (sender, over) = oneshot::channel();
        let asks = LinkInput::Asks(seat, id, until, sender);
        self.0.links.send(asks).await.ok()?;
        Some(Ask {
            seat,
            id,
            over,
            links: self.0.links.clone(),
        })
    }

    /// Follows what changes at the seat of an attached agent, for its connection; one that did so
    /// before is told that its place is taken.
    pub fn watch_seat(&self, seat: NodeId) -> SeatWatch {
        self.0.seat_watches.watch(seat)
    }

    /// How long the attached agent on this seat has been silent; `None` when that is not known.
    pub fn silent_ms(&self, view: &View, seat: NodeId) -> Option<u64> {
        view.last_calls.silent_ms(seat, self.0.clock.elapsed_ms())
    }

    /// For each agent, why it could or could not run the task; `None` when it is not live.
    pub fn explain(&self, task: TaskId) -> Option<Explanation> {
        let view = self.view();
        let now = self.0.now(&view);
        snapshot::explain_task(&view, task, &self.0.policy, now)
    }

    /// For each agent, why it could or could not run a task with these requirements.
    pub fn explain_requirements(&self, requirements: &Requirements) -> Explanation {
        let view = self.view();
        let now = self.0.now(&view);
        snapshot::explain_requirements(&view, requirements, &[], &self.0.policy, now)
    }

    /// Counters.
    pub fn stats(&self) -> EngineStats {
        self.0.stats.lock().clone()
    }

    /// Writes what is pending, with a checkpoint, and ends the threads.
    pub fn shut_down(&self) {
        self.0.shutdown.send_replace(true);
    }

    /// Waits until the hive ended, for whatever reason.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.0.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(Ended::Stopped),
            Err(_) => Ended::Halted("the sequencer thread ended unexpectedly".into()),
        }
    }
}

#[cfg(test)]
mod tests;

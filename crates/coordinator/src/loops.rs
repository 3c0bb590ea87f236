//! The sequencer's loop, which owns the engine.

use crate::attendance::{AskId, SessionSign};
use crate::engine::{Engine, Input, Now, Output};
use crate::hive::{Answer, Ended, LinkInput, Proposal};
use crate::journal_desk::{Done, JournalDesk};
use crate::links::{ConnectionId, ToNode};
use crate::ports::{Clock, Commit};
use crate::seat_watch::SeatWatches;
use crate::sequencer::Ticket;
use crate::stats::EngineStats;
use parking_lot::Mutex;
use skep_model::event::EntryEvents;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// Inputs taken in one go before the engine advances.
const INPUTS_PER_TURN_MAX: usize = 1_024;
/// A commit of at most this many proposals is made by the sequencer itself when nothing else is under
/// way: on an idle coordinator two thread switches cost about as much as the disk. Larger ones go
/// to the journal's thread, so that the next commit gathers meanwhile.
const INLINE_COMMIT_PROPOSALS_MAX: usize = 4;
/// Longest sleep of the sequencer; a machine that slept is noticed after at most this.
const SLEEP_MAX: Duration = Duration::from_secs(1);

pub(crate) struct SequencerLoop {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) commits: std::sync::mpsc::SyncSender<Commit>,
    pub(crate) journal: Arc<Mutex<JournalDesk>>,
    pub(crate) events: broadcast::Sender<Arc<EntryEvents>>,
    pub(crate) stats: Arc<Mutex<EngineStats>>,
    pub(crate) waiting: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    pub(crate) outboxes: BTreeMap<ConnectionId, mpsc::Sender<ToNode>>,
    /// Requests for work that are open.
    pub(crate) asking: BTreeMap<AskId, oneshot::Sender<()>>,
    pub(crate) seat_watches: SeatWatches,
    pub(crate) next_ticket: u64,
    pub(crate) ended: watch::Sender<Option<Ended>>,
}

impl SequencerLoop {
    pub(crate) async fn run(
        mut self,
        mut proposals: mpsc::Receiver<Proposal>,
        mut links: mpsc::Receiver<LinkInput>,
        mut done: mpsc::Receiver<Done>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let mut new_proposals = Vec::new();
        let mut new_links = Vec::new();
        loop {
            let mut inputs = Vec::new();
            tokio::select! {
                biased;
                finished = done.recv() => {
                    let Some((commit, took_ms, result)) = finished else {
                        self.ended.send_replace(Some(journal_gone()));
                        return;
                    };
                    // What came meanwhile may go into the next commit at once.
                    let more = std::iter::from_fn(|| proposals.try_recv().ok());
                    let more = more.take(INPUTS_PER_TURN_MAX);
                    inputs.extend(more.map(|proposal| self.proposal(proposal)));
                    inputs.push(Input::Committed { commit, took_ms, result });
                }
                count = links.recv_many(&mut new_links, INPUTS_PER_TURN_MAX) => {
                    // Zero: every handle was dropped, so nobody can ask for anything any more.
                    inputs.extend((count == 0).then_some(Input::Shutdown));
                    inputs.extend(new_links.drain(..).map(|input| self.link_input(input)));
                }
                // While a commit is under way they wait in their channel, and wake nobody.
                count = proposals.recv_many(&mut new_proposals, INPUTS_PER_TURN_MAX),
                    if !self.engine.is_committing() =>
                {
                    inputs.extend((count == 0).then_some(Input::Shutdown));
                    inputs.extend(new_proposals.drain(..).map(|proposal| self.proposal(proposal)));
                }
                Ok(()) = shutdown.changed() => inputs.push(Input::Shutdown),
                () = tokio::time::sleep(self.sleep()) => inputs.push(Input::Tick),
            }
            if self.turn(inputs) {
                return;
            }
        }
    }

    fn now(&self) -> Now {
        Now {
            wall: self.clock.wall(),
            elapsed_ms: self.clock.elapsed_ms(),
        }
    }

    fn sleep(&self) -> Duration {
        let now = self.now();
        self.engine.next_wake(now).map_or(SLEEP_MAX, |at| {
            Duration::from_millis(at.saturating_sub(now.elapsed_ms)).min(SLEEP_MAX)
        })
    }

    fn proposal(&mut self, proposal: Proposal) -> Input {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.waiting.insert(ticket, proposal.answer);
        Input::Propose {
            ticket,
            actor: proposal.actor,
            command: proposal.command,
        }
    }

    fn link_input(&mut self, input: LinkInput) -> Input {
        match input {
            LinkInput::Opened(connection, caller, outbox) => {
                self.outboxes.insert(connection, outbox);
                Input::LinkOpened(connection, caller)
            }
            LinkInput::Message(connection, message) => Input::Link(connection, message),
            LinkInput::Closed(connection) => {
                self.outboxes.remove(&connection);
                Input::LinkClosed(connection)
            }
            LinkInput::Called(seat, at) => Input::Session(SessionSign::Called { seat, at }),
            LinkInput::Asks(seat, ask, until, over) => {
                self.asking.insert(ask, over);
                Input::Session(SessionSign::Asks { seat, ask, until })
            }
            LinkInput::Withdraws(seat, ask) => {
                self.asking.remove(&ask);
                Input::Session(SessionSign::Withdraws { seat, ask })
            }
        }
    }

    /// Feeds the inputs and performs what follows; true when the hive has ended.
    fn turn(&mut self, mut inputs: Vec<Input>) -> bool {
        loop {
            let now = self.now();
            let mut outputs = Vec::new();
            for input in inputs.drain(..) {
                self.engine.feed(now, input, &mut outputs);
            }
            // A commit among these is written while the engine applies the last one.
            let mut ended = self.perform_all(&mut outputs, &mut inputs);
            self.engine.advance(now, &mut outputs);
            *self.stats.lock() = self.engine.stats();
            ended = self.perform_all(&mut outputs, &mut inputs).or(ended);
            if let Some(reason) = ended {
                self.ended.send_replace(Some(reason));
                return true;
            }
            // Something was committed at once: go on with it before new inputs.
            if inputs.is_empty() {
                return false;
            }
        }
    }

    /// Has a small commit made right here, if the journal is free; larger ones go to its thread.
    fn commit(&self, commit: Commit, next: &mut Vec<Input>) -> Option<Ended> {
        if commit.proposals() <= INLINE_COMMIT_PROPOSALS_MAX
            && commit.derived.checkpoint.is_none()
            && let Some(mut journal) = self.journal.try_lock()
        {
            let (commit, took_ms, result): Done = journal.commit(commit, self.clock.as_ref());
            next.push(Input::Committed {
                commit,
                took_ms,
                result,
            });
            return None;
        }
        let sent = self.commits.send(commit);
        sent.err().map(|_| journal_gone())
    }

    fn perform_all(&mut self, outputs: &mut Vec<Output>, next: &mut Vec<Input>) -> Option<Ended> {
        let mut ended = None;
        for output in outputs.drain(..) {
            ended = self.perform(output, next).or(ended);
        }
        ended
    }

    fn perform(&mut self, output: Output, next: &mut Vec<Input>) -> Option<Ended> {
        match output {
            Output::Commit(commit) => return self.commit(commit, next),
            Output::Answer(ticket, answer) => {
                if let Some(waiting) = self.waiting.remove(&ticket) {
                    // A caller that went away does not need its answer.
                    drop(waiting.send(answer));
                }
            }
            Output::ToNode(connection, message) => self.tell(connection, message),
            Output::AskOver(ask) => {
                if let Some(over) = self.asking.remove(&ask)
                    && over.send(()).is_err()
                {
                    tracing::debug!(?ask, "a request for work was withdrawn meanwhile");
                }
            }
            Output::SeatChanged(seat) => self.seat_watches.changed(seat),
            Output::Publish(events) => {
                // Nobody listens is no error.
                drop(self.events.send(events));
            }
            Output::Halt(error) => return Some(Ended::Halted(error.to_string())),
            Output::Stopped => return Some(Ended::Stopped),
        }
        None
    }

    /// A connection that cannot take more is cut: the node comes back and is told its state anew.
    fn tell(&mut self, connection: ConnectionId, message: ToNode) {
        let Some(outbox) = self.outboxes.get(&connection) else {
            return;
        };
        if outbox.try_send(message).is_err() {
            tracing::warn!(
                ?connection,
                "a node does not take its frames; closing its connection"
            );
            self.outboxes.remove(&connection);
        }
    }
}

fn journal_gone() -> Ended {
    Ended::Halted("the journal thread ended unexpectedly".into())
}

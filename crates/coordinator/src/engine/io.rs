//! What goes into an engine and what comes out.

use crate::admission::Caller;
use crate::attendance::{AskId, SessionSign};
use crate::links::{ConnectionId, ToNode};
use crate::ports::{Commit, JournalError};
use crate::sequencer::Ticket;
use skep_model::command::{Actor, Command};
use skep_model::event::EntryEvents;
use skep_model::ids::NodeId;
use skep_model::time::UnixMillis;
use skep_wire::FromNode;
use std::sync::Arc;

/// Both clocks, read together by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Stamped into log entries; may jump.
    pub wall: UnixMillis,
    /// Measures silence and leases; never goes back.
    pub elapsed_ms: u64,
}

/// What the world tells the coordinator.
#[derive(Debug)]
pub enum Input {
    /// Somebody wants a command in the log.
    Propose {
        /// For the answer.
        ticket: Ticket,
        /// On whose behalf.
        actor: Actor,
        /// What.
        command: Command,
    },
    /// The journal answered the commit that [`Output::Commit`] gave it.
    Committed {
        /// The same commit.
        commit: Commit,
        /// How long it took, milliseconds.
        took_ms: u64,
        /// Whether it is durable.
        result: Result<(), JournalError>,
    },
    /// A node connection was opened by this caller; nothing else is known about it yet.
    LinkOpened(ConnectionId, Caller),
    /// A message of a node.
    Link(ConnectionId, FromNode),
    /// A node connection is gone.
    LinkClosed(ConnectionId),
    /// Something about the session of an attached agent.
    Session(SessionSign),
    /// Time passed.
    Tick,
    /// Write what is pending and stop.
    Shutdown,
}

/// What the coordinator wants done.
#[derive(Debug)]
pub enum Output {
    /// Hand this to the journal; one at a time.
    Commit(Commit),
    /// Answer a caller.
    Answer(Ticket, Result<Arc<EntryEvents>, ProposeError>),
    /// Tell a node something, in order.
    ToNode(ConnectionId, ToNode),
    /// A request for work is over: its agent was given a task, its time is up, or the agent cannot
    /// be given any.
    AskOver(AskId),
    /// Something about the seat of an attached agent changed: what it holds, or whether it is there.
    SeatChanged(NodeId),
    /// Tell subscribers.
    Publish(Arc<EntryEvents>),
    /// The process must stop: what is on disk is not known, or contradicts itself.
    Halt(JournalError),
    /// Everything is written; the shell may end.
    Stopped,
}

/// Why a proposal has no answer from the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Too many proposals wait.
    #[error("too many requests wait for the log: try again in {retry_after_ms} ms")]
    Overloaded {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The disk is full; nothing of the request was stored.
    #[error("the coordinator's disk is full: nothing of the request was stored")]
    StorageFull,
    /// The coordinator stops; whether the request was stored is not known.
    #[error("the coordinator stopped: whether the request was stored is not known")]
    Stopped,
}

//! What threads and tasks tell the event loop.

use crate::control::Standing;
use parking_lot::Mutex;
use skep_model::attempt::AttemptReport;
use skep_wire::AskFailure;
use skep_wire::payload::{AttemptKey, NodeAnswer, NodeRequest};
use tokio::sync::{Notify, oneshot};

/// Something that happened outside of the event loop.
#[derive(Debug)]
pub(crate) enum Note {
    /// The command of an attempt runs.
    Started(AttemptKey),
    /// The gates of an attempt run.
    Verifying(AttemptKey),
    /// The coordinator is to be asked.
    Ask(Question),
    /// An attempt ended; its thread is about to end too.
    Finished(Box<AttemptReport>),
    /// This batch of results, and all before it, is on disk.
    Spooled(u64),
    /// The disk is full: this batch, and all after it, waits for space.
    SpoolStalled(u64),
    /// The machine's user wants the attempts to stand still for so many milliseconds, or to go on.
    Park(Option<u64>, oneshot::Sender<Standing>),
    /// Results cannot be made durable any more.
    SpoolBroken(String),
}

/// A question about an attempt.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) request: Box<NodeRequest>,
    /// Takes the answer; none when nobody waits for it.
    pub(crate) reply: Option<oneshot::Sender<Answer>>,
}

/// What came of a question.
pub(crate) type Answer = Result<Box<NodeAnswer>, AskFailure>;

/// Takes notes from everywhere and wakes the loop. Bounded by what is under way: for each slot
/// three notes, a question, and one for each gate but the last; for each batch, of which there is
/// one at a time, two; and one wish of the user.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    notes: Mutex<Vec<Note>>,
    arrived: Notify,
}

impl Inbox {
    /// Never waits.
    pub(crate) fn push(&self, note: Note) {
        self.notes.lock().push(note);
        self.arrived.notify_one();
    }

    /// Waits until there are notes, and takes them. Dropping the future loses none.
    pub(crate) async fn take(&self) -> Vec<Note> {
        loop {
            let notes = std::mem::take(&mut *self.notes.lock());
            if !notes.is_empty() {
                return notes;
            }
            self.arrived.notified().await;
        }
    }
}

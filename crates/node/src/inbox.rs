//! What threads and tasks tell the event loop.

use parking_lot::Mutex;
use skep_model::attempt::AttemptReport;
use skep_wire::payload::AttemptKey;
use tokio::sync::Notify;

/// Something that happened outside of the event loop.
#[derive(Debug)]
pub(crate) enum Note {
    /// The command of an attempt runs.
    Started(AttemptKey),
    /// The gates of an attempt run.
    Verifying(AttemptKey),
    /// An attempt ended; its thread is about to end too.
    Finished(Box<AttemptReport>),
    /// This batch of results, and all before it, is on disk.
    Spooled(u64),
    /// The disk is full: this batch, and all after it, waits for space.
    SpoolStalled(u64),
    /// Results cannot be made durable any more.
    SpoolBroken(String),
}

/// Takes notes from everywhere and wakes the loop. Bounded by what is under way: three notes for
/// each slot, and two for each batch, of which there is one at a time.
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

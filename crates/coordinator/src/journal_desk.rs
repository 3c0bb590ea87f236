//! The journal and its thread. Whoever holds the desk's lock makes a commit; there is never more
//! than one under way.

use crate::ports::{Clock, Commit, Journal, JournalError};
use parking_lot::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Pause between commits after which upkeep may run, milliseconds.
const IDLE_AFTER_MS: u64 = 200;
/// Pause between two pieces of upkeep that somebody waits for.
const WANTED_PAUSE: Duration = Duration::from_millis(20);
/// Longest sleep of the journal's thread.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// A commit that was tried: how long it took in milliseconds, and whether it is durable.
pub(crate) type Done = (Commit, u64, Result<(), JournalError>);

/// A journal with what its upkeep has to know.
pub(crate) struct JournalDesk {
    journal: Box<dyn Journal>,
    /// Failed upkeep: said with the next commit, which must not be tried any more.
    broken: Option<JournalError>,
    upkeep_due: bool,
    committed_at: u64,
}

impl JournalDesk {
    pub(crate) fn new(journal: Box<dyn Journal>) -> Self {
        Self {
            journal,
            broken: None,
            upkeep_due: true,
            committed_at: 0,
        }
    }

    pub(crate) fn commit(&mut self, commit: Commit, clock: &dyn Clock) -> Done {
        let start_us = clock.elapsed_us();
        let result = self
            .broken
            .take()
            .map_or_else(|| self.journal.commit(&commit), Err);
        self.committed_at = clock.elapsed_ms();
        self.upkeep_due = true;
        let took_ms = clock.elapsed_us().saturating_sub(start_us) / 1_000;
        (commit, took_ms, result)
    }

    /// Does some upkeep if there is any and no commit came lately.
    fn idle(&mut self, clock: &dyn Clock) {
        let wanted = self.journal.is_upkeep_wanted();
        // Who waits for it need not wait for a pause between commits as well.
        let rested = wanted || clock.elapsed_ms() >= self.committed_at + IDLE_AFTER_MS;
        let due = wanted || self.upkeep_due;
        if !due || !rested || self.broken.is_some() {
            return;
        }
        match self.journal.idle() {
            Ok(more) => self.upkeep_due = more,
            // No harm done, and no reason to refuse a commit that may fit: it waits for space.
            Err(JournalError::DiskFull { .. }) => self.upkeep_due = false,
            Err(error) => self.broken = Some(error),
        }
    }

    fn pause(&self) -> Duration {
        if self.broken.is_none() && self.journal.is_upkeep_wanted() {
            WANTED_PAUSE
        } else if self.upkeep_due {
            Duration::from_millis(IDLE_AFTER_MS)
        } else {
            SLEEP_MAX
        }
    }
}

/// The loop of the journal's thread; it ends when the sequencer does.
pub(crate) fn run_journal(
    desk: &Mutex<JournalDesk>,
    commits: &Receiver<Commit>,
    done: &mpsc::Sender<Done>,
    clock: &dyn Clock,
) {
    loop {
        let pause = desk.lock().pause();
        match commits.recv_timeout(pause) {
            Ok(commit) => {
                let finished = desk.lock().commit(commit, clock);
                if done.blocking_send(finished).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => desk.lock().idle(clock),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

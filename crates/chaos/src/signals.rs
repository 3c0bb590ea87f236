//! What the threads of a play tell each other: how far clients may go, where readers end, stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often a waiting client looks whether everything stops.
const LOOK_UP: Duration = Duration::from_millis(200);

/// Shared by all threads of a play.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Tasks that may be submitted by now.
    pace: Mutex<usize>,
    pace_changed: Condvar,
    /// Log index that every reader has to reach; 0 as long as it is not known.
    end_index: AtomicU64,
    stopped: AtomicBool,
}

impl Signals {
    /// Lets clients submit so many tasks in all.
    pub(crate) fn let_submit(&self, tasks: usize) {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        self.pace_changed.notify_all();
    }

    /// Waits until more than so many tasks may be submitted; false when everything stops.
    pub(crate) fn wait_for_pace(&self, tasks_before: usize) -> bool {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        while *pace <= tasks_before {
            if self.is_stopped() {
                return false;
            }
            let waited = self.pace_changed.wait_timeout(pace, LOOK_UP);
            pace = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Tells the readers where the history ends.
    pub(crate) fn end_at(&self, index: u64) {
        self.end_index.store(index, Ordering::Release);
    }

    /// Where the history ends, once it is known.
    pub(crate) fn end_index(&self) -> Option<u64> {
        Some(self.end_index.load(Ordering::Acquire)).filter(|index| *index > 0)
    }

    /// Ends all threads soon.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

/// Stops the threads when it is dropped, also on an early return.
#[derive(Debug)]
pub(crate) struct StopOnDrop<'a>(pub(crate) &'a Signals);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

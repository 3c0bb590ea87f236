//! Stops a running attempt from another thread, or lets it stand still for a while.

use crate::freezer::Freezer;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Why an attempt is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The coordinator said so; the outcome is `Killed`.
    Killed,
    /// The node gives up the lease or shuts down; the outcome is `Interrupted`.
    Interrupted,
}

const RUNNING: u8 = 0;
const KILLED: u8 = 1;
const INTERRUPTED: u8 = 2;

/// Shared between the thread that runs an attempt and those that may stop it. The first reason
/// given counts. Stopping is TERM, the task's grace, KILL, for the whole process tree.
#[derive(Debug, Clone)]
pub struct CancelHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: AtomicU8,
    /// Becomes readable, for good, when the attempt is stopped; wakes the runner's `poll`.
    wake: OwnedFd,
    freezer: Freezer,
}

impl CancelHandle {
    /// A handle for one attempt. Fails only when no file can be opened.
    pub fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            shared: Arc::new(Shared {
                state: AtomicU8::new(RUNNING),
                wake,
                freezer: Freezer::new()?,
            }),
        })
    }

    /// Stops the attempt because the coordinator said so.
    pub fn kill(&self) {
        self.stop(KILLED);
    }

    /// Stops the attempt because this node cannot or may not go on.
    pub fn interrupt(&self) {
        self.stop(INTERRUPTED);
    }

    /// Lets everything of the attempt stand still until [`Self::thaw`]. Its timeout does not run
    /// meanwhile. A program that would start now waits. Stopping it kills it at once.
    pub fn freeze(&self) {
        self.shared.freezer.set(true);
    }

    /// Lets the attempt go on.
    pub fn thaw(&self) {
        self.shared.freezer.set(false);
    }

    /// Whether the attempt was frozen and no process of it runs any more.
    pub fn stands_still(&self) -> bool {
        self.shared.freezer.stands_still()
    }

    pub(crate) fn freezer(&self) -> &Freezer {
        &self.shared.freezer
    }

    /// Why the attempt is stopped, if it is.
    pub fn reason(&self) -> Option<StopReason> {
        match self.shared.state.load(Ordering::Acquire) {
            KILLED => Some(StopReason::Killed),
            INTERRUPTED => Some(StopReason::Interrupted),
            _ => None,
        }
    }

    fn stop(&self, state: u8) {
        let first =
            self.shared
                .state
                .compare_exchange(RUNNING, state, Ordering::AcqRel, Ordering::Acquire);
        if first.is_ok() {
            // A counter of one event cannot be full, so the write cannot be refused.
            let _ = rustix::io::write(&self.shared.wake, &1_u64.to_ne_bytes());
            self.shared.freezer.end();
        }
    }

    pub(crate) fn wake(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_counts() {
        let handle = CancelHandle::new().unwrap();
        assert_eq!(handle.reason(), None);
        handle.interrupt();
        handle.kill();
        assert_eq!(handle.reason(), Some(StopReason::Interrupted));
    }
}

//! Whether an attempt is to stand still, and whether its program does.

use parking_lot::{Condvar, Mutex};
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the program of an attempt does. Between command and gates, and before and after them, there
/// is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    None,
    Runs,
    StandsStill,
}

#[derive(Debug)]
struct Wish {
    is_frozen: bool,
    is_over: bool,
    program: Program,
}

/// Shared by whoever freezes an attempt and the thread that runs it.
#[derive(Debug)]
pub(crate) struct Freezer {
    wish: Mutex<Wish>,
    changed: Condvar,
    /// Becomes readable when the wish changes; wakes the runner's `poll`.
    wake: OwnedFd,
}

impl Freezer {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            wish: Mutex::new(Wish {
                is_frozen: false,
                is_over: false,
                program: Program::None,
            }),
            changed: Condvar::new(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    pub(crate) fn set(&self, is_frozen: bool) {
        self.wish.lock().is_frozen = is_frozen;
        self.changed.notify_all();
        // A counter of few events cannot be full, so the write cannot be refused.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// The attempt is stopped: nobody waits for it to thaw any more.
    pub(crate) fn end(&self) {
        self.wish.lock().is_over = true;
        self.changed.notify_all();
    }

    /// Whether it is to stand still and nothing of it runs.
    pub(crate) fn stands_still(&self) -> bool {
        let wish = self.wish.lock();
        wish.is_frozen && wish.program != Program::Runs
    }

    /// A program is about to start. Waits as long as the attempt is frozen.
    pub(crate) fn program_starts(&self) {
        let mut wish = self.wish.lock();
        while wish.is_frozen && !wish.is_over {
            self.changed.wait(&mut wish);
        }
        wish.program = Program::Runs;
    }

    /// All processes of the program stand still.
    pub(crate) fn program_stands_still(&self) {
        let mut wish = self.wish.lock();
        if wish.is_frozen && wish.program == Program::Runs {
            wish.program = Program::StandsStill;
        }
    }

    /// The program goes on.
    pub(crate) fn program_goes_on(&self) {
        self.wish.lock().program = Program::Runs;
    }

    pub(crate) fn program_ended(&self) {
        self.wish.lock().program = Program::None;
    }

    /// Whether it is to stand still now, after [`Self::wake`] became readable.
    pub(crate) fn news(&self) -> bool {
        let mut count = [0_u8; 8];
        // Nothing to read means that somebody read it before.
        let _ = rustix::io::read(&self.wake, &mut count);
        let wish = self.wish.lock();
        wish.is_frozen && !wish.is_over
    }

    pub(crate) fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

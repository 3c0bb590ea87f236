//! What a mirror did, for metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Counters of a mirror, shared with those who show them.
#[derive(Debug)]
pub struct MirrorStats {
    start: Instant,
    /// Milliseconds from `start` to the oldest change that the server lacks, plus one; 0 for none.
    behind_since_ms: AtomicU64,
    up: AtomicBool,
    written: AtomicU64,
    rebuilds: AtomicU64,
    failures: AtomicU64,
    foreign: AtomicU64,
}

/// What a mirror did since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MirrorCounts {
    /// Whether the server took what it was given last.
    pub up: bool,
    /// Age of the oldest change that is not in the server; 0 when all are.
    pub lag_ms: u64,
    /// Keys that were written or removed.
    pub written: u64,
    /// How often all of it was written anew.
    pub rebuilds: u64,
    /// Rounds that failed; what they were about is in the next one.
    pub failures: u64,
    /// Keys that are not shown, because others have them in the server.
    pub foreign: u64,
}

impl Default for MirrorStats {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            behind_since_ms: AtomicU64::new(1),
            up: AtomicBool::new(false),
            written: AtomicU64::new(0),
            rebuilds: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            foreign: AtomicU64::new(0),
        }
    }
}

impl MirrorStats {
    /// How it stands.
    pub fn counts(&self) -> MirrorCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let lag_ms = match read(&self.behind_since_ms) {
            0 => 0,
            since => (self.elapsed_ms() + 1).saturating_sub(since),
        };
        MirrorCounts {
            up: self.up.load(Ordering::Relaxed),
            lag_ms,
            written: read(&self.written),
            rebuilds: read(&self.rebuilds),
            failures: read(&self.failures),
            foreign: read(&self.foreign),
        }
    }

    /// Something changed that the server lacks.
    pub(crate) fn fell_behind(&self) {
        let now = self.elapsed_ms() + 1;
        let (order, since) = (Ordering::Relaxed, &self.behind_since_ms);
        // If it is behind already, the older time counts.
        let _ = since.compare_exchange(0, now, order, order);
    }

    /// All is in the server; whether it was not so before.
    pub(crate) fn caught_up(&self) -> bool {
        self.behind_since_ms.store(0, Ordering::Relaxed);
        !self.up.swap(true, Ordering::Relaxed)
    }

    /// A round failed; whether it is the first one in a row.
    pub(crate) fn failed(&self) -> bool {
        let earlier = self.failures.fetch_add(1, Ordering::Relaxed);
        self.fell_behind();
        self.up.swap(false, Ordering::Relaxed) || earlier == 0
    }

    pub(crate) fn wrote(&self, keys: usize) {
        self.written.fetch_add(keys as u64, Ordering::Relaxed);
    }

    pub(crate) fn rebuilt(&self) {
        self.rebuilds.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn found_foreign(&self, keys: usize) {
        self.foreign.store(keys as u64, Ordering::Relaxed);
    }

    fn elapsed_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

//! Leaves a server alone for a while after it failed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a server that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Breaker {
    start: Instant,
    /// Milliseconds from `start` before which nobody asks; 0 for now.
    closed_until_ms: AtomicU64,
    up: AtomicBool,
    failures: AtomicU64,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            closed_until_ms: AtomicU64::new(0),
            up: AtomicBool::new(true),
            failures: AtomicU64::new(0),
        }
    }

    /// Whether the server may be asked.
    pub(crate) fn lets_through(&self) -> bool {
        self.elapsed_ms() >= self.closed_until_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn succeeded(&self) {
        if !self.up.swap(true, Ordering::Relaxed) {
            tracing::info!("tier 2 of shared memory answers again");
        }
    }

    pub(crate) fn failed(&self, error: &dyn std::fmt::Display) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let until = self.elapsed_ms() + PAUSE.as_millis() as u64;
        self.closed_until_ms.store(until, Ordering::Relaxed);
        if self.up.swap(false, Ordering::Relaxed) {
            tracing::warn!(%error, "tier 2 of shared memory does not answer; reads go past it");
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn elapsed_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

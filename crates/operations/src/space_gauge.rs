//! Admission by space: new work is refused before the disk is full.

use skep_coordinator::ports::Clock;
use skep_store::{DataDir, SpaceState};
use std::sync::atomic::{AtomicU64, Ordering};

/// How long one measurement is good for: asking the system costs as much as a small write.
const MEASURED_EVERY_MS: u64 = 50;
/// Stands for enough space.
const ENOUGH: u64 = u64::MAX;

/// Whether the disk of the data directory has room for new work, measured at most 20 times a second.
#[derive(Debug)]
pub struct SpaceGauge {
    /// On the clock of the boot; 0 before the first measurement.
    measured_at_ms: AtomicU64,
    /// Bytes that are free, when they are too few.
    low: AtomicU64,
}

impl SpaceGauge {
    /// Nothing is measured yet.
    pub const fn new() -> Self {
        Self {
            measured_at_ms: AtomicU64::new(0),
            low: AtomicU64::new(ENOUGH),
        }
    }

    /// The free bytes when they are too few for new work.
    pub fn low(&self, clock: &dyn Clock, dir: &DataDir) -> Option<u64> {
        let now = clock.elapsed_ms().max(1);
        let measured = self.measured_at_ms.load(Ordering::Relaxed);
        if measured == 0 || now.saturating_sub(measured) >= MEASURED_EVERY_MS {
            // A system that does not say is not held back.
            let low = match dir.space() {
                Ok(SpaceState::Low { free }) => free,
                Ok(SpaceState::Ok { .. }) | Err(_) => ENOUGH,
            };
            self.low.store(low, Ordering::Relaxed);
            self.measured_at_ms.store(now, Ordering::Relaxed);
        }
        let low = self.low.load(Ordering::Relaxed);
        (low != ENOUGH).then_some(low)
    }
}

impl Default for SpaceGauge {
    fn default() -> Self {
        Self::new()
    }
}

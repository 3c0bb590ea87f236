//! Admission by memory: new work is refused before the process is killed for its size.

use skep_coordinator::ports::Clock;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long one measurement is good for.
const MEASURED_EVERY_MS: u64 = 1_000;
/// Pages are this large wherever Skep runs.
const PAGE_BYTES: u64 = 4_096;
const RESIDENT_FILE: &str = "/proc/self/statm";

/// How much memory this process uses, measured at most once a second.
#[derive(Debug)]
pub struct MemoryGauge {
    limit_bytes: u64,
    /// On the clock of the boot; 0 before the first measurement.
    measured_at_ms: AtomicU64,
    resident_bytes: AtomicU64,
}

impl MemoryGauge {
    /// Refuses new work at this size.
    pub const fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            measured_at_ms: AtomicU64::new(0),
            resident_bytes: AtomicU64::new(0),
        }
    }

    /// The size when it is above the limit.
    pub fn excess(&self, clock: &dyn Clock) -> Option<MemoryExcess> {
        let now = clock.elapsed_ms().max(1);
        let measured = self.measured_at_ms.load(Ordering::Relaxed);
        if measured == 0 || now.saturating_sub(measured) >= MEASURED_EVERY_MS {
            self.measured_at_ms.store(now, Ordering::Relaxed);
            // A system that does not say is not held back.
            let resident = resident_bytes().unwrap_or(0);
            self.resident_bytes.store(resident, Ordering::Relaxed);
        }
        let resident_bytes = self.resident_bytes.load(Ordering::Relaxed);
        (resident_bytes > self.limit_bytes).then_some(MemoryExcess {
            resident_bytes,
            limit_bytes: self.limit_bytes,
        })
    }
}

/// More memory is used than may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator uses {resident_bytes} bytes of memory, and may use {limit_bytes}")]
pub struct MemoryExcess {
    resident_bytes: u64,
    limit_bytes: u64,
}

fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string(RESIDENT_FILE).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(PAGE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::time::UnixMillis;

    struct Stopped;

    impl Clock for Stopped {
        fn wall(&self) -> UnixMillis {
            UnixMillis(1)
        }

        fn elapsed_ms(&self) -> u64 {
            5
        }
    }

    #[test]
    fn a_process_that_is_larger_than_it_may_be_is_noticed() {
        assert_eq!(MemoryGauge::new(u64::MAX).excess(&Stopped), None);
        let excess = MemoryGauge::new(1 << 10).excess(&Stopped).unwrap();
        assert!(excess.resident_bytes > 1 << 20, "{excess}");
    }
}

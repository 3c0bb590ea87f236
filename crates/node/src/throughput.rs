//! How fast artifacts went to the coordinator lately.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Smaller transfers take as long as a round trip, and say nothing about the link.
const BYTES_MIN: u64 = 256 << 10;
/// Transfers that count.
const TRANSFERS_KEPT: usize = 8;
/// Older ones do not count any more.
const AGE_MAX: Duration = Duration::from_mins(10);

#[derive(Debug)]
struct Transfer {
    bytes: u64,
    took: Duration,
    ended_at: Instant,
}

/// The last transfers.
#[derive(Debug, Default)]
pub(crate) struct Throughput {
    last: Mutex<VecDeque<Transfer>>,
}

impl Throughput {
    /// So many bytes went over, in this time until now.
    pub(crate) fn add(&self, bytes: u64, took: Duration, ended_at: Instant) {
        if bytes < BYTES_MIN {
            return;
        }
        let mut last = self.last.lock();
        if last.len() == TRANSFERS_KEPT {
            last.pop_front();
        }
        last.push_back(Transfer {
            bytes,
            took,
            ended_at,
        });
    }

    /// Bytes per second over the transfers that count now; `None` when there are none.
    pub(crate) fn bytes_per_second(&self, now: Instant) -> Option<u64> {
        let mut last = self.last.lock();
        last.retain(|transfer| now.duration_since(transfer.ended_at) < AGE_MAX);
        let bytes: u64 = last.iter().map(|transfer| transfer.bytes).sum();
        let took: Duration = last.iter().map(|transfer| transfer.took).sum();
        let micros = took.as_micros().max(1);
        let rate = u128::from(bytes) * 1_000_000 / micros;
        (bytes > 0).then(|| u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_large_transfers_of_the_last_minutes() {
        let throughput = Throughput::default();
        let now = Instant::now();
        let add = |bytes, ms| throughput.add(bytes, Duration::from_millis(ms), now);
        assert_eq!(throughput.bytes_per_second(now), None);
        add(BYTES_MIN - 1, 9_000);
        assert_eq!(throughput.bytes_per_second(now), None, "too small");
        add(1_000_000, 500);
        add(2_000_000, 1_000);
        assert_eq!(throughput.bytes_per_second(now), Some(2_000_000));
        for _ in 0..TRANSFERS_KEPT {
            add(1_000_000, 1_000);
        }
        assert_eq!(throughput.bytes_per_second(now), Some(1_000_000));
        assert_eq!(throughput.bytes_per_second(now + AGE_MAX), None, "too old");
    }
}

//! How fast artifacts went to the coordinator lately.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

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
    /// So many bytes went over in the time since then.
    pub(crate) fn add(&self, bytes: u64, since: Instant) {
        if bytes < BYTES_MIN {
            return;
        }
        let ended_at = Instant::now();
        let mut last = self.last.lock();
        if last.len() == TRANSFERS_KEPT {
            last.pop_front();
        }
        last.push_back(Transfer {
            bytes,
            took: ended_at.duration_since(since),
            ended_at,
        });
    }

    /// Bytes per second over the transfers that count; `None` when there are none.
    pub(crate) fn bytes_per_second(&self) -> Option<u64> {
        let mut last = self.last.lock();
        last.retain(|transfer| transfer.ended_at.elapsed() < AGE_MAX);
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

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_that_of_large_transfers_of_the_last_minutes() {
        let throughput = Throughput::default();
        let transfer = async |bytes: u64, ms: u64| {
            let since = Instant::now();
            tokio::time::advance(Duration::from_millis(ms)).await;
            throughput.add(bytes, since);
        };
        assert_eq!(throughput.bytes_per_second(), None);
        transfer(BYTES_MIN - 1, 9_000).await;
        assert_eq!(throughput.bytes_per_second(), None, "too small");
        transfer(1_000_000, 500).await;
        transfer(2_000_000, 1_000).await;
        assert_eq!(throughput.bytes_per_second(), Some(2_000_000));
        for _ in 0..TRANSFERS_KEPT {
            transfer(1_000_000, 1_000).await;
        }
        assert_eq!(throughput.bytes_per_second(), Some(1_000_000));
        tokio::time::advance(AGE_MAX).await;
        assert_eq!(throughput.bytes_per_second(), None);
    }
}

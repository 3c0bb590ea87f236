//! Medians and percentiles.

use super::{Measurement, Percentiles};
use std::time::Duration;

/// The run with the middle value (the lower one of two).
pub(super) fn median_by_value(mut runs: Vec<Measurement>) -> Option<Measurement> {
    runs.sort_by(|a, b| a.value.total_cmp(&b.value));
    let middle = runs.len().checked_sub(1)? / 2;
    Some(runs.swap_remove(middle))
}

/// Median and 99th percentile by nearest rank; none of nothing.
pub(super) fn percentiles(mut samples: Vec<Duration>) -> Option<Percentiles> {
    samples.sort_unstable();
    let rank = |percent: usize| (samples.len() * percent).div_ceil(100).checked_sub(1);
    let p50 = *samples.get(rank(50)?)?;
    let p99 = *samples.get(rank(99)?)?;
    Some(Percentiles { p50, p99 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let samples = |n: u64| (1..=n).rev().map(Duration::from_millis).collect::<Vec<_>>();
        let table = [
            (1, 1, 1),
            (2, 1, 2),
            (3, 2, 3),
            (100, 50, 99),
            (200, 100, 198),
        ];
        for (n, p50, p99) in table {
            let (p50, p99) = (Duration::from_millis(p50), Duration::from_millis(p99));
            assert_eq!(
                percentiles(samples(n)),
                Some(Percentiles { p50, p99 }),
                "{n} samples"
            );
        }
        assert_eq!(percentiles(vec![]), None);
    }

    #[test]
    fn the_median_run_is_one_of_the_runs() {
        let run = |value, n| Measurement {
            value,
            n,
            latency: None,
            details: Vec::new(),
        };
        let median = median_by_value(vec![run(9.0, 1), run(2.0, 2), run(5.0, 3)]);
        assert_eq!(median, Some(run(5.0, 3)));
        assert_eq!(
            median_by_value(vec![run(9.0, 1), run(2.0, 2)]),
            Some(run(2.0, 2))
        );
        assert_eq!(median_by_value(vec![]), None);
    }
}

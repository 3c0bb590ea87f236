//! Reads values and histograms from the text that Prometheus reads.

use anyhow::{Context, Result};
use std::time::Duration;

/// The metrics at one moment.
#[derive(Debug)]
pub(super) struct MetricsText(String);

/// How often something took at most so long; not cumulated.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram {
    /// Upper bounds in seconds; the last is infinite.
    buckets: Vec<(f64, u64)>,
}

impl MetricsText {
    pub(super) const fn new(text: String) -> Self {
        Self(text)
    }

    /// The value of this series, e.g. `skep_nodes{state="ready"}`; 0 when there is none, because
    /// an empty state has no series.
    pub(super) fn value(&self, series: &str) -> Result<u64> {
        let mut lines = self.0.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(Ok(0), |value| {
            let parsed = value.trim().parse();
            parsed.with_context(|| format!("`{series}` is `{value}`"))
        })
    }

    /// The histogram of this name.
    pub(super) fn histogram(&self, name: &str) -> Result<Histogram> {
        let start = format!("{name}_bucket{{le=\"");
        let lines = self.0.lines().filter_map(|line| line.strip_prefix(&start));
        let mut buckets = Vec::new();
        let mut before = 0;
        for line in lines {
            let (bound, count) = line.split_once("\"} ").context("a bucket has no count")?;
            let bound = match bound {
                "+Inf" => f64::INFINITY,
                bound => bound.parse().context("read the bound of a bucket")?,
            };
            // A count may be followed by an exemplar.
            let count = count.split(' ').next().unwrap_or_default();
            let count: u64 = count.parse().context("read the count of a bucket")?;
            buckets.push((bound, count - before));
            before = count;
        }
        anyhow::ensure!(!buckets.is_empty(), "there is no histogram `{name}`");
        Ok(Histogram { buckets })
    }
}

impl Histogram {
    /// What came since then.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&earlier.buckets);
        let buckets = pairs.map(|((bound, now), (_, then))| (*bound, now.saturating_sub(*then)));
        Self {
            buckets: buckets.collect(),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// The upper bound of the bucket that holds this share of the durations. None when nothing was
    /// timed, or when it lies beyond the last bound.
    pub(super) fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let bucket = self.buckets.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        let (bound, _) = bucket?;
        Duration::try_from_secs_f64(*bound).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP skep_nodes Nodes by state.\n\
        skep_nodes{state=\"ready\"} 7\n\
        skep_commits_total 12\n\
        d_seconds_bucket{le=\"0.001\"} 90\n\
        d_seconds_bucket{le=\"0.005\"} 98\n\
        d_seconds_bucket{le=\"0.02\"} 100\n\
        d_seconds_bucket{le=\"+Inf\"} 101\n";

    #[test]
    fn series_are_found_by_their_whole_name() {
        let metrics = MetricsText::new(TEXT.to_owned());
        assert_eq!(metrics.value("skep_nodes{state=\"ready\"}").unwrap(), 7);
        assert_eq!(metrics.value("skep_nodes{state=\"lost\"}").unwrap(), 0);
        assert_eq!(metrics.value("skep_commits_total").unwrap(), 12);
        assert_eq!(metrics.value("skep_commits").unwrap(), 0);
    }

    #[test]
    fn a_percentile_is_the_bound_of_its_bucket() {
        let histogram = MetricsText::new(TEXT.to_owned()).histogram("d_seconds");
        let histogram = histogram.unwrap();
        let ms = |percent| histogram.percentile(percent).map(|took| took.as_millis());
        assert_eq!((ms(50), ms(97), ms(99)), (Some(1), Some(5), Some(20)));
        assert_eq!(ms(100), None);
        let nothing = histogram.since(&histogram);
        assert_eq!((nothing.count(), nothing.percentile(99)), (0, None));
    }
}

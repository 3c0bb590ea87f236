//! How a figure moved over a time.

use super::report::success_rate;
use super::window::{Sample, Spread, WINDOW_S_MAX, Window};
use crate::context::Context;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::rfc3339::Timestamp;
use serde::{Deserialize, Serialize};
use skep_model::time::UnixMillis;

/// A day.
const WINDOW_S_DEFAULT: u64 = 86_400;
const BUCKETS_DEFAULT: usize = 24;
const BUCKETS_MAX: usize = 500;
/// Values on each side of a change: fewer could be chance.
const SIDE_MIN: usize = 3;
/// A change is this many standard deviations of what is on either side of it.
const DEVIATIONS_MIN: f64 = 3.0;
const HOUR_MS: f64 = 3_600_000.0;

/// A figure of the tasks that became final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TrendMetric {
    /// How many there were.
    TasksFinished,
    /// Share of those that succeeded.
    SuccessRate,
    /// Mean of how long the last attempts ran, milliseconds.
    DurationMs,
    /// Mean time from being ready to the grant of the last attempt, milliseconds.
    QueueWaitMs,
}

/// Which figure, over which time.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrendQuery {
    /// The figure.
    metric: TrendMetric,
    /// The last so many seconds; a day unless said.
    #[serde(default)]
    #[schemars(range(min = 1, max = WINDOW_S_MAX))]
    window_s: Option<u64>,
    /// Equal parts of the time, 24 unless said.
    #[serde(default)]
    #[schemars(range(min = 2, max = BUCKETS_MAX))]
    buckets: Option<usize>,
}

/// How a figure moved.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Trend {
    /// The figure.
    metric: TrendMetric,
    /// Whether all tasks of the time were looked at.
    complete: bool,
    /// Part after part, oldest first.
    points: Vec<Point>,
    /// Rise per hour of the line that fits the values best; none with fewer than two of them.
    slope_per_hour: Option<f64>,
    /// Where the figure changed most, if that is more than chance.
    change: Option<Change>,
}

/// The figure in a part of the time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, schemars::JsonSchema)]
struct Point {
    /// Where the part begins.
    from: Timestamp,
    /// The figure; none when nothing ended in this part that it could be taken from.
    value: Option<f64>,
    /// Tasks that it was taken from.
    tasks: usize,
}

/// A change of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, schemars::JsonSchema)]
struct Change {
    /// The first part after it.
    at: Timestamp,
    /// Mean of the values before.
    before: f64,
    /// Mean of the values after.
    after: f64,
}

pub(super) async fn trend(context: Context, query: TrendQuery) -> Result<Trend, OperationError> {
    let buckets = query.buckets.unwrap_or(BUCKETS_DEFAULT);
    if !(2..=BUCKETS_MAX).contains(&buckets) {
        let detail =
            format!("`buckets` is `{buckets}`; want a whole number from 2 to {BUCKETS_MAX}");
        return Err(OperationError::new(ErrorCode::QueryMalformed, detail));
    }
    let seconds = query.window_s.unwrap_or(WINDOW_S_DEFAULT);
    let window = Window::last(&context.services, seconds).await?;
    let points = points(&window, query.metric, buckets);
    Ok(Trend {
        metric: query.metric,
        complete: window.complete,
        slope_per_hour: slope_per_hour(&points),
        change: change(&points),
        points,
    })
}

fn points(window: &Window, metric: TrendMetric, buckets: usize) -> Vec<Point> {
    let length = window.until.since(window.since).max(1);
    let mut parts: Vec<Vec<&Sample>> = vec![Vec::new(); buckets];
    for sample in &window.samples {
        let passed = sample.finished_at.since(window.since);
        let part = (u128::from(passed) * buckets as u128 / u128::from(length)) as usize;
        parts[part.min(buckets - 1)].push(sample);
    }
    let begins = |part: usize| {
        let passed = u128::from(length) * part as u128 / buckets as u128;
        UnixMillis(window.since.0 + passed as u64)
    };
    let point = |(part, samples): (usize, Vec<&Sample>)| Point {
        from: begins(part).into(),
        value: value(metric, &samples),
        tasks: samples.len(),
    };
    parts.into_iter().enumerate().map(point).collect()
}

fn value(metric: TrendMetric, samples: &[&Sample]) -> Option<f64> {
    let mean = |of: fn(&Sample) -> Option<u64>| {
        let spread = Spread::of(samples.iter().filter_map(|sample| of(sample)));
        spread.map(|spread| spread.mean as f64)
    };
    match metric {
        TrendMetric::TasksFinished => Some(samples.len() as f64),
        TrendMetric::SuccessRate => success_rate(samples),
        TrendMetric::DurationMs => mean(|sample| sample.duration_ms),
        TrendMetric::QueueWaitMs => mean(|sample| sample.queue_wait_ms),
    }
}

/// Least squares over the parts that have a value.
fn slope_per_hour(points: &[Point]) -> Option<f64> {
    let first = points.first()?.from.0;
    let known: Vec<(f64, f64)> = points
        .iter()
        .filter_map(|point| Some((point.from.0.since(first) as f64 / HOUR_MS, point.value?)))
        .collect();
    if known.len() < 2 {
        return None;
    }
    let count = known.len() as f64;
    let mean_x = known.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = known.iter().map(|(_, y)| y).sum::<f64>() / count;
    let covariance: f64 = known.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = known.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (variance > 0.0).then(|| covariance / variance)
}

/// The place where the means of both sides differ most.
fn change(points: &[Point]) -> Option<Change> {
    let known: Vec<(Timestamp, f64)> = points
        .iter()
        .filter_map(|point| Some((point.from, point.value?)))
        .collect();
    let mut best: Option<(f64, Change)> = None;
    for place in SIDE_MIN..=known.len().checked_sub(SIDE_MIN)? {
        let (before, spread_before) = mean_and_squares(&known[..place]);
        let (after, spread_after) = mean_and_squares(&known[place..]);
        let deviation = ((spread_before + spread_after) / known.len() as f64).sqrt();
        let difference = (after - before).abs();
        // Values that do not scatter at all leave no doubt about any difference.
        let weight = difference / deviation.max(f64::EPSILON);
        let heavier = best.is_none_or(|(known, _)| weight > known);
        if difference > 0.0 && weight >= DEVIATIONS_MIN && heavier {
            let at = known[place].0;
            best = Some((weight, Change { at, before, after }));
        }
    }
    best.map(|(_, change)| change)
}

/// The mean, and the sum of the squares of the distances from it.
fn mean_and_squares(values: &[(Timestamp, f64)]) -> (f64, f64) {
    let mean = values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|(_, value)| (value - mean).powi(2)).sum();
    (mean, squares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::ids::TaskId;
    use skep_model::task::TaskState;

    const HOUR: u64 = 3_600_000;

    fn series(values: &[Option<f64>]) -> Vec<Point> {
        let point = |(hour, value): (u64, &Option<f64>)| Point {
            from: UnixMillis(hour * HOUR).into(),
            value: *value,
            tasks: 1,
        };
        (0..).zip(values).map(point).collect()
    }

    fn steady(value: f64, count: usize) -> Vec<Option<f64>> {
        vec![Some(value); count]
    }

    #[test]
    fn the_slope_is_that_of_the_line_and_gaps_do_not_bend_it() {
        let rising = series(&[Some(1.0), Some(3.0), None, Some(7.0), Some(9.0)]);
        assert_eq!(slope_per_hour(&rising), Some(2.0));
        assert_eq!(slope_per_hour(&series(&[Some(1.0), None])), None);
        assert_eq!(slope_per_hour(&series(&steady(4.0, 5))), Some(0.0));
    }

    #[test]
    fn a_step_is_found_where_it_is_and_noise_is_no_step() {
        let step = [steady(1.0, 5), steady(9.0, 4)].concat();
        let found = change(&series(&step)).unwrap();
        assert_eq!((found.before, found.after), (1.0, 9.0));
        assert_eq!(found.at, UnixMillis(5 * HOUR).into());
        let noise: Vec<_> = [1.0, 3.0].into_iter().cycle().take(12).map(Some).collect();
        assert_eq!(change(&series(&noise)), None);
        assert_eq!(change(&series(&steady(2.0, 12))), None);
        assert_eq!(change(&series(&steady(2.0, 2))), None);
    }

    #[test]
    fn tasks_are_counted_in_the_part_in_which_they_ended() {
        let sample = |at| Sample {
            id: TaskId::from_u128(u128::from(at)),
            name: String::new(),
            state: TaskState::Succeeded,
            finished_at: UnixMillis(at),
            duration_ms: Some(at),
            queue_wait_ms: None,
            attempts: 1,
            node: None,
            agent: None,
            usage: None,
            reason: None,
            held: Vec::new(),
        };
        let window = Window {
            since: UnixMillis(100),
            until: UnixMillis(200),
            samples: [100, 149, 150, 200].map(sample).to_vec(),
            complete: true,
        };
        let values = |metric| {
            let points = points(&window, metric, 2);
            points.iter().map(|point| point.value).collect::<Vec<_>>()
        };
        assert_eq!(values(TrendMetric::TasksFinished), [Some(2.0), Some(2.0)]);
        assert_eq!(values(TrendMetric::DurationMs), [Some(124.0), Some(175.0)]);
        assert_eq!(values(TrendMetric::QueueWaitMs), [None, None]);
    }
}

//! The tasks of a time, summed up.

use super::window::{Sample, Spread, WINDOW_S_MAX, Window};
use crate::context::Context;
use crate::error::OperationError;
use crate::rfc3339::Timestamp;
use serde::{Deserialize, Serialize};
use skep_model::ids::{AgentId, NodeId, TaskId};
use skep_model::task::TaskState;
use std::collections::BTreeMap;

/// A day.
const WINDOW_S_DEFAULT: u64 = 86_400;
/// Slowest tasks that are named.
const SLOWEST_MAX: usize = 5;

/// Which time.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ReportQuery {
    /// The last so many seconds; a day unless said.
    #[schemars(range(min = 1, max = WINDOW_S_MAX))]
    window_s: Option<u64>,
    /// Only tasks that this agent ran last, by id or name.
    agent: Option<String>,
}

/// The tasks that became final in a time, summed up.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct TaskReport {
    /// From.
    since: Timestamp,
    /// To.
    until: Timestamp,
    /// Whether all tasks of the time were looked at.
    complete: bool,
    /// How many became final.
    tasks: usize,
    /// The same by state.
    states: BTreeMap<TaskState, usize>,
    /// Share of those that succeeded; none without tasks.
    success_rate: Option<f64>,
    /// How long their last attempts ran, milliseconds.
    duration_ms: Option<Spread>,
    /// From when they were ready to the grant of their last attempts, milliseconds.
    queue_wait_ms: Option<Spread>,
    /// Attempts that were made.
    attempts: u64,
    /// Of these, further ones after a first.
    retries: u64,
    /// Processor time of the last attempts, milliseconds.
    cpu_ms: u64,
    /// Largest resident size of an attempt.
    memory_peak_bytes: u64,
    /// By node that ran them last.
    nodes: Vec<Share<NodeId>>,
    /// By agent that ran them last.
    agents: Vec<Share<AgentId>>,
    /// Those whose last attempt ran longest.
    slowest: Vec<Slow>,
}

/// What one node or agent did.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Share<T> {
    /// The node or agent.
    id: T,
    /// Tasks that became final with it.
    tasks: usize,
    /// Of these, succeeded ones.
    succeeded: usize,
    /// How long their last attempts ran, milliseconds.
    duration_ms: Option<Spread>,
    /// Processor time of the last attempts, milliseconds.
    cpu_ms: u64,
    /// Largest resident size of an attempt.
    memory_peak_bytes: u64,
}

/// A task that ran long.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Slow {
    /// The task.
    task: TaskId,
    /// Its name.
    name: String,
    /// How long its last attempt ran.
    duration_ms: u64,
}

pub(super) async fn report(
    context: Context,
    query: ReportQuery,
) -> Result<TaskReport, OperationError> {
    let agent = query
        .agent
        .as_deref()
        .map(|text| crate::agents::resolve(&context, text))
        .transpose()?;
    let seconds = query.window_s.unwrap_or(WINDOW_S_DEFAULT);
    let mut window = Window::last(&context.services, seconds).await?;
    if agent.is_some() {
        window.samples.retain(|sample| sample.agent == agent);
    }
    Ok(TaskReport::of(&window))
}

impl TaskReport {
    fn of(window: &Window) -> Self {
        let samples = &window.samples;
        let mut states = BTreeMap::new();
        for sample in samples {
            *states.entry(sample.state).or_default() += 1;
        }
        let all: Vec<_> = samples.iter().collect();
        let (cpu_ms, memory_peak_bytes) = usage(&all);
        let attempts: u64 = samples
            .iter()
            .map(|sample| u64::from(sample.attempts))
            .sum();
        let tried = samples.iter().filter(|sample| sample.attempts > 0).count();
        Self {
            since: window.since.into(),
            until: window.until.into(),
            complete: window.complete,
            tasks: samples.len(),
            states,
            success_rate: success_rate(&all),
            duration_ms: durations(&all),
            queue_wait_ms: Spread::of(samples.iter().filter_map(|sample| sample.queue_wait_ms)),
            attempts,
            retries: attempts.saturating_sub(tried as u64),
            cpu_ms,
            memory_peak_bytes,
            nodes: shares(samples, |sample| sample.node),
            agents: shares(samples, |sample| sample.agent),
            slowest: slowest(samples),
        }
    }
}

fn durations(samples: &[&Sample]) -> Option<Spread> {
    Spread::of(samples.iter().filter_map(|sample| sample.duration_ms))
}

/// None without tasks.
pub(super) fn success_rate(samples: &[&Sample]) -> Option<f64> {
    let succeeded = samples.iter().filter(|sample| is_success(sample)).count();
    (!samples.is_empty()).then(|| succeeded as f64 / samples.len() as f64)
}

fn is_success(sample: &Sample) -> bool {
    sample.state == TaskState::Succeeded
}

fn usage(samples: &[&Sample]) -> (u64, u64) {
    let used = || samples.iter().filter_map(|sample| sample.usage);
    let cpu_ms = used().map(|usage| usage.user_ms + usage.system_ms).sum();
    let peak = used().map(|usage| usage.memory_peak_bytes).max();
    (cpu_ms, peak.unwrap_or(0))
}

/// Those with most tasks first.
fn shares<T: Ord + Copy>(samples: &[Sample], of: impl Fn(&Sample) -> Option<T>) -> Vec<Share<T>> {
    let mut groups: BTreeMap<T, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        if let Some(id) = of(sample) {
            groups.entry(id).or_default().push(sample);
        }
    }
    let share = |(id, samples): (T, Vec<&Sample>)| {
        let (cpu_ms, memory_peak_bytes) = usage(&samples);
        Share {
            id,
            tasks: samples.len(),
            succeeded: samples.iter().filter(|sample| is_success(sample)).count(),
            duration_ms: durations(&samples),
            cpu_ms,
            memory_peak_bytes,
        }
    };
    let mut shares: Vec<_> = groups.into_iter().map(share).collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.tasks));
    shares
}

fn slowest(samples: &[Sample]) -> Vec<Slow> {
    let slow = |sample: &Sample| {
        Some(Slow {
            task: sample.id,
            name: sample.name.clone(),
            duration_ms: sample.duration_ms?,
        })
    };
    let mut slowest: Vec<_> = samples.iter().filter_map(slow).collect();
    slowest.sort_by_key(|slow| std::cmp::Reverse(slow.duration_ms));
    slowest.truncate(SLOWEST_MAX);
    slowest
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_model::attempt::ResourceUse;
    use skep_model::time::UnixMillis;

    fn sample(number: u128, state: TaskState, duration_ms: u64) -> Sample {
        Sample {
            id: TaskId::from_u128(number),
            name: format!("t{number}"),
            state,
            finished_at: UnixMillis(1_000),
            duration_ms: Some(duration_ms),
            queue_wait_ms: Some(duration_ms / 10),
            attempts: 2,
            node: Some(NodeId::from_u128(number % 2)),
            agent: Some(AgentId::from_u128(7)),
            usage: Some(ResourceUse {
                user_ms: 3,
                system_ms: 1,
                memory_peak_bytes: duration_ms,
            }),
            reason: None,
            held: Vec::new(),
        }
    }

    #[test]
    fn a_report_counts_and_measures_what_ended() {
        let samples = vec![
            sample(1, TaskState::Succeeded, 10),
            sample(2, TaskState::Failed, 20),
            sample(3, TaskState::Succeeded, 40),
            sample(4, TaskState::Succeeded, 30),
        ];
        let report = TaskReport::of(&Window {
            samples,
            ..Window::default()
        });
        assert_eq!((report.tasks, report.attempts, report.retries), (4, 8, 4));
        assert_eq!(report.states[&TaskState::Succeeded], 3);
        assert_eq!(report.success_rate, Some(0.75));
        assert_eq!((report.cpu_ms, report.memory_peak_bytes), (16, 40));
        assert_eq!(report.duration_ms.unwrap().mean, 25);
        assert_eq!(report.nodes.len(), 2);
        assert_eq!((report.agents[0].tasks, report.agents[0].succeeded), (4, 3));
        assert_eq!(report.slowest[0].name, "t3");
    }

    #[test]
    fn nothing_ended_is_said_as_such() {
        let report = TaskReport::of(&Window::default());
        assert_eq!((report.tasks, report.success_rate), (0, None));
        assert_eq!(report.duration_ms, None);
    }
}

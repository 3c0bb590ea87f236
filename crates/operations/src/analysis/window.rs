//! The tasks that became final in a time, each reduced to the few figures that are summed up.

use crate::context::Services;
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::lookup::{self, AnyTask};
use crate::views::TaskView;
use skep_model::attempt::ResourceUse;
use skep_model::ids::{AgentId, NodeId, TaskId};
use skep_model::limits;
use skep_model::requirements::Performer;
use skep_model::task::{AttemptEnd, FinishedTask, TaskState};
use skep_model::time::UnixMillis;
use skep_store::{PageStart, TaskFilter};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Tasks that are looked at for one answer, the newest first.
const TASKS_SEEN_MAX: usize = 50_000;
/// Longest time that is looked at, seconds: a year.
pub(crate) const WINDOW_S_MAX: u64 = 366 * 86_400;

/// One task that became final.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) id: TaskId,
    pub(super) name: String,
    pub(super) state: TaskState,
    pub(super) finished_at: UnixMillis,
    /// How long the last attempt ran; none when there was no attempt.
    pub(super) duration_ms: Option<u64>,
    /// From when it was ready to the grant of the last attempt.
    pub(super) queue_wait_ms: Option<u64>,
    pub(super) attempts: u32,
    pub(super) node: Option<NodeId>,
    pub(super) agent: Option<AgentId>,
    pub(super) usage: Option<ResourceUse>,
    /// Why it is final, when it did not succeed.
    pub(super) reason: Option<String>,
    /// The nodes that its attempts held, each with how long, milliseconds. None of a task for
    /// attached agents, whose seats are no machines.
    pub(super) held: Vec<(NodeId, u64)>,
}

impl Sample {
    fn of(task: &Arc<FinishedTask>) -> Self {
        let any = AnyTask::Final(Arc::clone(task));
        let view = TaskView::from(&any);
        let record = &task.record;
        // A task that was readied again and never granted waits still as far as this tells.
        let last = record.ended_attempts.last();
        let granted = last.filter(|attempt| attempt.granted_at >= record.ready_at);
        Self {
            id: record.id,
            name: view.name,
            state: record.state,
            finished_at: task.finished_at,
            duration_ms: view.duration_ms.filter(|_| record.attempts > 0),
            queue_wait_ms: granted.map(|attempt| attempt.granted_at.since(record.ready_at)),
            attempts: record.attempts,
            node: view.node,
            agent: view.agent,
            usage: task.report.as_ref().map(|report| report.usage),
            reason: view.reason.filter(|_| record.state != TaskState::Succeeded),
            held: held(task),
        }
    }
}

fn held(task: &FinishedTask) -> Vec<(NodeId, u64)> {
    let record = &task.record;
    if record.spec.work.performer() != Performer::Node {
        return Vec::new();
    }
    let ran = record
        .ended_attempts
        .iter()
        .filter(|attempt| !matches!(attempt.ended, AttemptEnd::NeverStarted(_)));
    ran.map(|attempt| (attempt.node, attempt.ended_at.since(attempt.granted_at)))
        .collect()
}

/// What became final in a time, newest first.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) since: UnixMillis,
    pub(super) until: UnixMillis,
    pub(super) samples: Vec<Sample>,
    /// Whether nothing was left out.
    pub(super) complete: bool,
}

impl Window {
    /// The last `seconds`; those that are given, or the operation's own.
    pub(super) async fn last(
        services: &Arc<Services>,
        seconds: u64,
    ) -> Result<Self, OperationError> {
        if !(1..=WINDOW_S_MAX).contains(&seconds) {
            let detail =
                format!("`window_s` is `{seconds}`; want a whole number from 1 to {WINDOW_S_MAX}");
            return Err(OperationError::new(ErrorCode::QueryMalformed, detail));
        }
        let until = services.now();
        let since = UnixMillis(until.0.saturating_sub(seconds * 1_000));
        let mut window = Self {
            since,
            until,
            complete: true,
            ..Self::default()
        };
        window.gather(services).await?;
        Ok(window)
    }

    /// What just ended is looked at first: it moves into the archive, never back.
    async fn gather(&mut self, services: &Arc<Services>) -> Result<(), OperationError> {
        let recent: Vec<_> = services.hive.view().recent.finished().cloned().collect();
        let mut seen = BTreeSet::new();
        for task in recent.iter().filter(|task| task.finished_at >= self.since) {
            seen.insert(task.record.id);
            self.samples.push(Sample::of(task));
        }
        let mut start = PageStart::Newest;
        loop {
            if self.samples.len() >= TASKS_SEEN_MAX {
                self.complete = false;
                break;
            }
            let page = lookup::ask(services, "read the history", move |archive| {
                archive.tasks(&TaskFilter::default(), start, limits::PAGE_ITEMS_MAX)
            })
            .await?;
            let last = page
                .items
                .last()
                .map(|(place, task)| (*place, task.finished_at));
            for (_, task) in page.items {
                if task.finished_at >= self.since && seen.insert(task.record.id) {
                    self.samples.push(Sample::of(&Arc::new(task)));
                }
            }
            match last {
                Some((place, ended)) if page.more && ended >= self.since => {
                    start = PageStart::Before(place);
                }
                _ => break,
            }
        }
        self.samples
            .sort_by_key(|sample| std::cmp::Reverse(sample.finished_at));
        Ok(())
    }
}

/// Figures of many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub(crate) struct Spread {
    /// How many values there are.
    pub(crate) count: usize,
    /// Their mean, rounded down.
    pub(crate) mean: u64,
    /// Half of them are not above this.
    pub(crate) p50: u64,
    /// 95 in 100 of them are not above this.
    pub(crate) p95: u64,
    /// The largest.
    pub(crate) max: u64,
}

impl Spread {
    /// None without values.
    pub(crate) fn of(values: impl Iterator<Item = u64>) -> Option<Self> {
        let mut values: Vec<_> = values.collect();
        values.sort_unstable();
        let max = *values.last()?;
        let rank = |percent: usize| (values.len() * percent).div_ceil(100).max(1) - 1;
        let sum: u128 = values.iter().map(|value| u128::from(*value)).sum();
        Some(Self {
            count: values.len(),
            mean: u64::try_from(sum / values.len() as u128).unwrap_or(u64::MAX),
            p50: values[rank(50)],
            p95: values[rank(95)],
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_a_spread_are_among_its_values() {
        let spread = Spread::of([30, 10, 20, 1_000].into_iter()).unwrap();
        let expected = Spread {
            count: 4,
            mean: 265,
            p50: 20,
            p95: 1_000,
            max: 1_000,
        };
        assert_eq!(spread, expected);
        let one = Spread::of([7].into_iter()).unwrap();
        assert_eq!((one.p50, one.p95, one.max), (7, 7, 7));
        assert_eq!(Spread::of(std::iter::empty()), None);
    }
}

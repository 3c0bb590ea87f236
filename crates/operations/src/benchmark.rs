//! Measures the running swarm with tasks that do nothing.

use crate::analysis::Spread;
use crate::context::Context;
use crate::declare::{WRITE, act};
use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use crate::events::{EventFeed, EventFilter};
use crate::fields::NoParameters;
use crate::operation::{Cost, Operation, Repetition};
use serde::{Deserialize, Serialize};
use skep_model::command::Command;
use skep_model::ids::TaskId;
use skep_model::node::NodeState;
use skep_model::task::{NewTask, TaskSpec};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tasks of the scheduler's measurement unless said.
const TASKS_DEFAULT: usize = 500;
const TASKS_MAX: usize = 10_000;
/// Single commands and single tasks that are timed.
const SAMPLES: usize = 50;
/// Longest time until all tasks of a part ended.
const END_MAX: Duration = Duration::from_mins(1);

pub(crate) fn operations() -> Vec<Operation> {
    const AGAIN: &str = "each call measures anew; its tasks have the label `benchmark`";
    vec![
        act(
            "system.benchmark",
            "/system/benchmark",
            WRITE,
            "Measures the running swarm with tasks that do nothing: its scheduler, store and links.",
        )
        .cost(Cost::High)
        .repetition(Repetition::Acts(AGAIN))
        .takes(benchmark),
    ]
}

/// A part of the swarm that can be measured.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
enum Suite {
    /// From submission to end: single tasks, then many at once.
    Scheduler,
    /// From a command to the news that it is durable.
    Store,
    /// From a heartbeat to its answer, of each node.
    Transport,
}

/// What to measure.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    /// The parts; all when empty.
    suites: BTreeSet<Suite>,
    /// Tasks that are submitted at once, 500 unless said.
    #[schemars(range(min = 1, max = TASKS_MAX))]
    tasks: Option<usize>,
}

/// What was measured. Parts that were not asked for are left out.
#[derive(Debug, Default, Serialize, schemars::JsonSchema)]
struct Measured {
    /// The scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler: Option<SchedulerFigures>,
    /// The store.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<StoreFigures>,
    /// The links.
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<Vec<LinkFigures>>,
}

/// From submission to end.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct SchedulerFigures {
    /// Of single tasks, one after the other, microseconds.
    single_task_us: Spread,
    /// Tasks that were submitted at once.
    tasks: usize,
    /// Until the last of them ended, milliseconds.
    took_ms: u64,
    /// How many ended in a second.
    tasks_per_s: f64,
}

/// From a command to the news that it is durable.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct StoreFigures {
    /// Of single commands, one after the other, microseconds.
    durable_write_us: Spread,
    /// How many a second, one after the other.
    writes_per_s: f64,
}

/// The way to a node.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct LinkFigures {
    /// The node.
    node: String,
    /// From a heartbeat to its answer, milliseconds: the median of the last few; none when none was
    /// answered yet.
    rtt_ms: Option<u32>,
    /// How fast artifacts came lately, bytes per second; none when none came.
    throughput_bytes_s: Option<u64>,
}

async fn benchmark(
    context: Context,
    _: NoParameters,
    wanted: Wanted,
) -> Result<Measured, OperationError> {
    let tasks = wanted.tasks.unwrap_or(TASKS_DEFAULT);
    if !(1..=TASKS_MAX).contains(&tasks) {
        let detail = format!("`tasks` is `{tasks}`; want a whole number from 1 to {TASKS_MAX}");
        return Err(OperationError::new(ErrorCode::FieldInvalid, detail));
    }
    let wants = |suite| wanted.suites.is_empty() || wanted.suites.contains(&suite);
    if wants(Suite::Scheduler) || wants(Suite::Store) {
        refuse_without_nodes(&context)?;
    }
    let mut measured = Measured::default();
    if wants(Suite::Store) {
        measured.store = Some(store(&context).await?);
    }
    if wants(Suite::Scheduler) {
        measured.scheduler = Some(scheduler(&context, tasks).await?);
    }
    if wants(Suite::Transport) {
        measured.transport = Some(transport(&context));
    }
    Ok(measured)
}

/// The tasks would stay for ever.
fn refuse_without_nodes(context: &Context) -> Result<(), OperationError> {
    let view = context.services.hive.view();
    let mut machines = view.state.machines();
    if machines.any(|node| node.state == NodeState::Ready && node.facts.slots > 0) {
        return Ok(());
    }
    let detail = "nothing can be measured: no node takes work";
    Err(OperationError::new(ErrorCode::NodesMissing, detail))
}

async fn store(context: &Context) -> Result<StoreFigures, OperationError> {
    let mut ends = Ends::follow(context).await?;
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let started = Instant::now();
        ends.await_all_of(&submit(context, 1).await?);
        samples.push(micros(started.elapsed()));
    }
    ends.come().await?;
    let seconds = samples.iter().sum::<u64>() as f64 / 1e6;
    Ok(StoreFigures {
        durable_write_us: Spread::of(samples.into_iter()).ok_or_else(no_samples)?,
        writes_per_s: SAMPLES as f64 / seconds.max(f64::EPSILON),
    })
}

async fn scheduler(context: &Context, tasks: usize) -> Result<SchedulerFigures, OperationError> {
    let mut ends = Ends::follow(context).await?;
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let started = Instant::now();
        ends.await_all_of(&submit(context, 1).await?);
        ends.come().await?;
        samples.push(micros(started.elapsed()));
    }
    let started = Instant::now();
    ends.await_all_of(&submit(context, tasks).await?);
    ends.come().await?;
    let took = started.elapsed();
    Ok(SchedulerFigures {
        single_task_us: Spread::of(samples.into_iter()).ok_or_else(no_samples)?,
        tasks,
        took_ms: micros(took) / 1_000,
        tasks_per_s: tasks as f64 / took.as_secs_f64().max(f64::EPSILON),
    })
}

fn no_samples() -> OperationError {
    OperationError::new(ErrorCode::Internal, "nothing was measured")
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn transport(context: &Context) -> Vec<LinkFigures> {
    let view = context.services.hive.view();
    let machines = view.state.machines();
    machines
        .map(|node| {
            let metrics = view.metrics.get(&node.id);
            LinkFigures {
                node: node.facts.name.clone(),
                rtt_ms: metrics.and_then(|metrics| metrics.rtt_ms),
                throughput_bytes_s: metrics.and_then(|metrics| metrics.upload_bytes_s),
            }
        })
        .collect()
}

/// Submits tasks that do nothing, and gives their ids once they are durable.
async fn submit(context: &Context, count: usize) -> Result<Vec<TaskId>, OperationError> {
    let ids = context.services.fresh_ids(count);
    let task = |id: u128| {
        let mut spec = TaskSpec::noop("benchmark");
        spec.labels.insert("benchmark".to_owned(), String::new());
        NewTask {
            id: TaskId::from_u128(id),
            spec: Arc::new(spec),
            needs: Vec::new(),
        }
    };
    let tasks: Vec<_> = ids.into_iter().map(task).collect();
    let ids = tasks.iter().map(|task| task.id).collect();
    let command = Command::SubmitTasks {
        run: None,
        tasks,
        idempotency: None,
    };
    context.propose(command).await?;
    Ok(ids)
}

/// Waits for the ends of tasks, some of which come before their submission is answered.
struct Ends {
    feed: EventFeed,
    awaited: BTreeSet<TaskId>,
}

impl Ends {
    async fn follow(context: &Context) -> Result<Self, OperationError> {
        let services = Arc::clone(&context.services);
        Ok(Self {
            feed: EventFeed::open(services, None, EventFilter::default()).await?,
            awaited: BTreeSet::new(),
        })
    }

    fn await_all_of(&mut self, tasks: &[TaskId]) {
        self.awaited.extend(tasks);
    }

    /// All of them have ended.
    async fn come(&mut self) -> Result<(), OperationError> {
        let deadline = tokio::time::Instant::now() + END_MAX;
        while !self.awaited.is_empty() {
            let news = tokio::time::timeout_at(deadline, self.feed.next()).await;
            let Ok(events) = news else {
                let detail = format!(
                    "{} tasks did not end within {} s",
                    self.awaited.len(),
                    END_MAX.as_secs()
                );
                return Err(OperationError::new(ErrorCode::BenchmarkStalled, detail));
            };
            for event in events?
                .iter()
                .filter(|event| event.event == "task_finished")
            {
                if let Some(task) = event.task {
                    self.awaited.remove(&task);
                }
            }
        }
        Ok(())
    }
}

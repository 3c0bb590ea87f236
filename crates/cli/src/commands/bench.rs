//! `skep bench`: measures a running swarm with tasks that do nothing.

use super::Session;
use crate::api::Api;
use crate::args::BenchArgs;
use crate::event_follower::{EventFollower, newest_cursor};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{note, text};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Single tasks that are timed on the idle swarm.
const LATENCY_SAMPLES: usize = 100;
/// Submissions under way at a time.
const SUBMISSIONS_AT_ONCE: usize = 4;
/// The swarm is stuck when no task ends for this long.
const STALL_MAX: Duration = Duration::from_mins(1);

pub(crate) async fn run(session: &Session, args: BenchArgs) -> Outcome {
    let api = session.api()?;
    let status = api.get("/api/v2/system/status").await?;
    if status
        .pointer("/slots")
        .and_then(Value::as_u64)
        .unwrap_or(0)
        == 0
    {
        let message = "no node takes work, so nothing would ever end";
        return Err(Failure::new(Exit::Conflict, "no_nodes", message)
            .hint("start one with `skep node start`, or resume a drained one"));
    }
    note("single tasks, one after the other");
    let mut latencies = single_tasks(&api).await?;
    note(&format!(
        "{} tasks in batches of {}",
        args.tasks, args.batch
    ));
    let bulk = bulk(&api, &args).await?;
    latencies.sort_unstable();
    let result = json!({
        "tasks": args.tasks,
        "batch": args.batch,
        "slots": status.pointer("/slots"),
        "submit": rate(args.tasks, bulk.submitted),
        "end_to_end": rate(args.tasks, bulk.ended),
        "single_task_ms": {
            "samples": latencies.len(),
            "p50": percentile_ms(&latencies, 50),
            "p99": percentile_ms(&latencies, 99),
        },
        "states": bulk.states,
    });
    session.output.document(&result, shown)?;
    let all_succeeded = bulk.states.keys().all(|state| state == "succeeded");
    Ok(if all_succeeded {
        Exit::Ok
    } else {
        Exit::TaskFailed
    })
}

fn shown(result: &Value) -> String {
    let number = |at: &str| result.pointer(at).and_then(Value::as_f64).unwrap_or(0.0);
    let rate = |at: &str| {
        let (per_second, seconds) = (format!("{at}/tasks_per_s"), format!("{at}/seconds"));
        format!(
            "{:.0} tasks/s ({:.2} s)",
            number(&per_second),
            number(&seconds)
        )
    };
    format!(
        "submitted    {}\nend to end   {}\nsingle task  p50 {:.2} ms, p99 {:.2} ms ({} samples)\n\
         ended        {}",
        rate("/submit"),
        rate("/end_to_end"),
        number("/single_task_ms/p50"),
        number("/single_task_ms/p99"),
        number("/single_task_ms/samples"),
        super::runs::counts_text(result.pointer("/states").unwrap_or(&Value::Null)),
    )
}

fn rate(tasks: u32, took: Duration) -> Value {
    let seconds = took.as_secs_f64();
    json!({ "seconds": seconds, "tasks_per_s": f64::from(tasks) / seconds.max(f64::EPSILON) })
}

/// The smallest sample that this share of the sorted samples does not exceed.
fn percentile_ms(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted
        .get(rank - 1)
        .map(|sample| sample.as_secs_f64() * 1_000.0)
}

/// From the submission of a task to the news of its end, for one task at a time.
async fn single_tasks(api: &Api) -> Result<Vec<Duration>, Failure> {
    let mut events = EventFollower::after(api, newest_cursor(api).await?, []);
    let mut samples = Vec::with_capacity(LATENCY_SAMPLES);
    for number in 0..LATENCY_SAMPLES {
        let started = Instant::now();
        let submitted = api.post("/api/v2/tasks/batch", &noops(number, 1)).await?;
        let task = text(&submitted, "/tasks/0");
        while next_end(&mut events)
            .await?
            .is_none_or(|(ended, _)| ended != task)
        {}
        samples.push(started.elapsed());
    }
    Ok(samples)
}

/// Tasks that do nothing, with names that tell them apart.
fn noops(first: usize, count: usize) -> Value {
    let tasks: Vec<_> = (first..first + count)
        .map(|number| json!({ "name": format!("bench-{number}"), "kind": "noop" }))
        .collect();
    json!({ "tasks": tasks })
}

/// What the bulk of tasks took, from its first submission on.
struct Bulk {
    submitted: Duration,
    ended: Duration,
    states: BTreeMap<String, u64>,
}

async fn bulk(api: &Api, args: &BenchArgs) -> Result<Bulk, Failure> {
    let mut events = EventFollower::after(api, newest_cursor(api).await?, []);
    let (tasks, batch) = (args.tasks as usize, args.batch as usize);
    let started = Instant::now();
    let submissions = async {
        let ids: Vec<Vec<String>> = stream::iter((0..tasks).step_by(batch))
            .map(|first| submit(api, noops(first, batch.min(tasks - first))))
            .buffer_unordered(SUBMISSIONS_AT_ONCE)
            .try_collect()
            .await?;
        Ok::<_, Failure>((ids, started.elapsed()))
    };
    let mut submissions = std::pin::pin!(submissions);
    let mut ended: BTreeMap<String, String> = BTreeMap::new();
    // Ends are counted while submitting goes on: some come before the answer that names the task.
    let (ids, submitted) = loop {
        tokio::select! {
            done = &mut submissions => break done?,
            end = next_end(&mut events) => ended.extend(end?),
        }
    };
    let mut open: BTreeSet<String> = ids.into_iter().flatten().collect();
    let mut states: BTreeMap<String, u64> = BTreeMap::new();
    for (task, state) in ended {
        if open.remove(&task) {
            *states.entry(state).or_default() += 1;
        }
    }
    while !open.is_empty() {
        if let Some((task, state)) = next_end(&mut events).await?
            && open.remove(&task)
        {
            *states.entry(state).or_default() += 1;
        }
    }
    Ok(Bulk {
        submitted,
        ended: started.elapsed(),
        states,
    })
}

async fn submit(api: &Api, tasks: Value) -> Result<Vec<String>, Failure> {
    let submitted = api.post("/api/v2/tasks/batch", &tasks).await?;
    let ids = submitted.pointer("/tasks").and_then(Value::as_array);
    Ok(ids
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect())
}

/// The task and the final state, if the next event is the end of a task.
async fn next_end(events: &mut EventFollower) -> Result<Option<(String, String)>, Failure> {
    let event = tokio::time::timeout(STALL_MAX, events.next())
        .await
        .map_err(|_| {
            let message = format!(
                "nothing happened in the swarm for {} s",
                STALL_MAX.as_secs()
            );
            Failure::new(Exit::TimedOut, "swarm_stalled", message)
                .hint("`skep node ls` shows the nodes, `skep task ls --state ready` what waits")
        })??;
    if event.name == "resync" {
        let message = "events were dropped before they were read: the swarm outran this command";
        return Err(
            Failure::new(Exit::Failed, "events_lost", message).hint("measure with fewer --tasks")
        );
    }
    let is_end = event.name == "task_finished";
    Ok(is_end.then(|| (text(&event.data, "/task"), text(&event.data, "/data/state"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_that_were_measured() {
        let samples: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile_ms(&samples, 50), Some(50.0));
        assert_eq!(percentile_ms(&samples, 99), Some(99.0));
        assert_eq!(percentile_ms(&samples[..1], 99), Some(1.0));
        assert_eq!(percentile_ms(&[], 50), None);
    }

    #[test]
    fn the_rate_counts_all_tasks_over_the_whole_time() {
        let rate = rate(500, Duration::from_millis(250));
        assert_eq!(rate["tasks_per_s"].as_f64(), Some(2_000.0));
    }
}

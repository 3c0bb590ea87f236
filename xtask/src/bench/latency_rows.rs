//! Rows about the time of one task or one graph on an idle swarm.

use super::contract;
use super::event_stream::EventStream;
use super::hive::Hive;
use super::http::{self, Connection, Server};
use super::{Bench, Measurement, Percentiles, statistics};
use anyhow::{Context, Result};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Tasks before the timed ones, which fill caches and open files.
const WARM_UP: usize = 20;
const LAYERS: usize = 10;
const WIDTH: usize = 100;
const GRAPH_NODES: usize = 4;

/// From the submission of one task that does nothing until the event that it succeeded.
pub(super) fn idle_latency(bench: &Bench) -> Result<Measurement> {
    let n = bench.amount(200, 20);
    let latency = one_at_a_time(bench, 1, contract::TASKS, &contract::noop(), n)?;
    Ok(Measurement {
        value: latency.p50.as_secs_f64() * 1e3,
        n,
        latency: Some(latency),
        details: Vec::new(),
    })
}

/// From the submission of a graph of a thousand tasks until the event that its run succeeded.
pub(super) fn dag_1000_makespan(bench: &Bench) -> Result<Measurement> {
    let n = bench.amount(5, 1);
    let plan = contract::layered_plan(LAYERS, WIDTH);
    let hive = Hive::start(bench, GRAPH_NODES)?;
    let samples = http::run_client(sample(hive.server.clone(), contract::RUNS, &plan, 1, n))?;
    hive.stop()?;
    let latency = statistics::percentiles(samples).context("no graph was run")?;
    Ok(Measurement {
        value: latency.p50.as_secs_f64(),
        n,
        latency: Some(latency),
        details: Vec::new(),
    })
}

/// Durations of tasks that are submitted one after the other, each after the end of the one
/// before.
pub(super) fn one_at_a_time(
    bench: &Bench,
    nodes: usize,
    path: &str,
    body: &Value,
    n: usize,
) -> Result<Percentiles> {
    let hive = Hive::start(bench, nodes)?;
    let samples = http::run_client(sample(hive.server.clone(), path, body, WARM_UP, n))?;
    hive.stop()?;
    statistics::percentiles(samples).context("no task was run")
}

async fn sample(
    server: Server,
    path: &str,
    body: &Value,
    warm_up: usize,
    n: usize,
) -> Result<Vec<Duration>> {
    let request = server.post(path, body);
    let mut events = EventStream::open(&server).await?;
    let mut connection = server.connect().await?;
    let mut samples = Vec::with_capacity(warm_up + n);
    for _ in 0..warm_up + n {
        samples.push(submit_and_wait(&mut connection, &request, &mut events).await?);
    }
    Ok(samples.split_off(warm_up))
}

async fn submit_and_wait(
    connection: &mut Connection,
    request: &[u8],
    events: &mut EventStream,
) -> Result<Duration> {
    let start = Instant::now();
    let answer = connection.exchange_json(request).await?;
    events.wait_for_success(contract::id(&answer)?).await?;
    Ok(start.elapsed())
}

//! Rows about many tasks at a time.

use super::contract;
use super::hive::Hive;
use super::http::{self, Server};
use super::load::{BATCH, CounterReader, Load};
use super::{Bench, Measurement, statistics};
use anyhow::{Result, ensure};
use std::time::Instant;

const SINGLE_CONNECTIONS: usize = 64;
const END_TO_END_CONNECTIONS: usize = 4;
const END_TO_END_NODES: usize = 4;

/// Durable tasks a second when they come in batches, without nodes.
pub(super) fn submit_batch_100(bench: &Bench) -> Result<Measurement> {
    let tasks = bench.amount(100_000, 5_000);
    let load = |server: &Server| Load::of_batches(server, tasks);
    measure_submission(bench, load, BATCH)
}

/// Durable tasks a second when each comes by itself, without nodes.
pub(super) fn submit_single_64(bench: &Bench) -> Result<Measurement> {
    let requests = bench.amount(30_000, 2_000);
    let load = |server: &Server| Load {
        server: server.clone(),
        request: server.post(contract::TASKS, &contract::noop()).into(),
        requests,
        connections: SINGLE_CONNECTIONS,
    };
    measure_submission(bench, load, 1)
}

/// Main memory that 100,000 waiting tasks take in the coordinator, beyond what it takes empty.
pub(super) fn queue_rss_per_100k(bench: &Bench) -> Result<Measurement> {
    const TASKS: usize = 100_000;
    let n = bench.amount(500_000, 50_000);
    let hive = Hive::start(bench, 0)?;
    let empty = hive.usage()?.rss_bytes;
    http::run_client(Load::of_batches(&hive.server, n).drive())?;
    let full = hive.usage()?.rss_bytes;
    hive.stop()?;
    let bytes_per_task = full.saturating_sub(empty) as f64 / n as f64;
    Ok(Measurement {
        value: bytes_per_task * TASKS as f64 / f64::from(1 << 20),
        n,
        latency: None,
        details: Vec::new(),
    })
}

fn measure_submission(
    bench: &Bench,
    load: impl FnOnce(&Server) -> Load,
    tasks_per_request: usize,
) -> Result<Measurement> {
    let hive = Hive::start(bench, 0)?;
    let load = load(&hive.server);
    let n = load.requests * tasks_per_request;
    let (took, samples) = http::run_client(load.drive())?;
    hive.stop()?;
    let latency = statistics::percentiles(samples);
    Ok(Measurement {
        value: n as f64 / took.as_secs_f64(),
        n,
        latency,
        details: Vec::new(),
    })
}

/// Finished tasks a second, from the first submission until the last is final.
pub(super) fn end_to_end_noop_4_nodes(bench: &Bench) -> Result<Measurement> {
    let batches = bench.amount(400, 20);
    let n = batches * BATCH;
    let hive = Hive::start(bench, END_TO_END_NODES)?;
    let server = hive.server.clone();
    let load = Load {
        server: server.clone(),
        request: server.post(contract::BATCH, &contract::batch(BATCH)).into(),
        requests: batches,
        connections: END_TO_END_CONNECTIONS,
    };
    let took = http::run_client(async move {
        let mut counters = CounterReader::open(&server).await?;
        let before = counters.read().await?;
        let start = Instant::now();
        load.drive().await?;
        let after = counters.wait_for(before, n as u64).await?;
        let took = start.elapsed();
        ensure!(
            after.otherwise == before.otherwise,
            "some tasks did not succeed: {after:?}"
        );
        Ok(took)
    })?;
    hive.stop()?;
    Ok(Measurement {
        value: n as f64 / took.as_secs_f64(),
        n,
        latency: None,
        details: Vec::new(),
    })
}

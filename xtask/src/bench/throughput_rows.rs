//! Rows about many tasks at a time.

use super::contract::{self, Finished};
use super::hive::Hive;
use super::http::{self, Connection, Server};
use super::{Bench, Measurement, statistics};
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const BATCH: usize = 100;
const BATCH_CONNECTIONS: usize = 8;
const SINGLE_CONNECTIONS: usize = 64;
const END_TO_END_CONNECTIONS: usize = 4;
const END_TO_END_NODES: usize = 4;
/// How exactly the end is timed.
const COUNTERS_POLL: Duration = Duration::from_millis(5);

/// Durable tasks a second when they come in batches, without nodes.
pub(super) fn submit_batch_100(bench: &Bench) -> Result<Measurement> {
    let batches = bench.amount(1_000, 50);
    let body = contract::batch(BATCH);
    let load = |server: &Server| Load {
        server: server.clone(),
        request: server.post(contract::BATCH, &body).into(),
        requests: batches,
        connections: BATCH_CONNECTIONS,
    };
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
    let batches = bench.amount(5_000, 500);
    let hive = Hive::start(bench, 0)?;
    let empty = hive.coordinator_rss()?;
    let load = Load {
        server: hive.server.clone(),
        request: hive
            .server
            .post(contract::BATCH, &contract::batch(BATCH))
            .into(),
        requests: batches,
        connections: BATCH_CONNECTIONS,
    };
    http::run_client(load.drive())?;
    let full = hive.coordinator_rss()?;
    hive.stop()?;
    let n = batches * BATCH;
    let bytes_per_task = full.saturating_sub(empty) as f64 / n as f64;
    Ok(Measurement {
        value: bytes_per_task * TASKS as f64 / f64::from(1 << 20),
        n,
        latency: None,
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
    })
}

/// Reads the counters over one connection.
struct CounterReader {
    connection: Connection,
    request: Vec<u8>,
}

impl CounterReader {
    async fn open(server: &Server) -> Result<Self> {
        Ok(Self {
            connection: server.connect().await?,
            request: server.get(contract::COUNTERS),
        })
    }

    async fn read(&mut self) -> Result<Finished> {
        contract::finished(&self.connection.exchange_json(&self.request).await?)
    }

    /// Waits until so many more are final than before; the row's time limit bounds it.
    async fn wait_for(&mut self, before: Finished, more: u64) -> Result<Finished> {
        let goal = before.succeeded + before.otherwise + more;
        loop {
            let now = self.read().await?;
            if now.succeeded + now.otherwise >= goal {
                return Ok(now);
            }
            tokio::time::sleep(COUNTERS_POLL).await;
        }
    }
}

/// The same request, again and again, over several connections.
struct Load {
    server: Server,
    request: Arc<[u8]>,
    requests: usize,
    connections: usize,
}

impl Load {
    /// Sends all requests; returns the time for all and for each.
    async fn drive(self) -> Result<(Duration, Vec<Duration>)> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(self.server.connect().await?);
        }
        let left = Arc::new(AtomicUsize::new(self.requests));
        let mut clients = JoinSet::new();
        let start = Instant::now();
        for connection in connections {
            clients.spawn(client(connection, self.request.clone(), left.clone()));
        }
        let mut samples = Vec::with_capacity(self.requests);
        while let Some(finished) = clients.join_next().await {
            samples.extend(finished.context("a client panicked")??);
        }
        Ok((start.elapsed(), samples))
    }
}

/// Sends requests over one connection while some are left.
async fn client(
    mut connection: Connection,
    request: Arc<[u8]>,
    left: Arc<AtomicUsize>,
) -> Result<Vec<Duration>> {
    let mut samples = Vec::new();
    let take = |count: usize| count.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
    {
        let start = Instant::now();
        connection.exchange(&request).await?;
        samples.push(start.elapsed());
    }
    Ok(samples)
}

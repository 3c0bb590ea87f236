//! Rows about shared memory: values of 1 KiB, each durable before it is acknowledged.

use super::hive::Hive;
use super::http::{self, Server};
use super::web_socket::WebSocket;
use super::{Bench, Measurement, contract, statistics};
use anyhow::{Context, Result, ensure};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Entries that are written and read in turn.
const KEYS: usize = 1_024;
const MANY: usize = 32;
/// Questions on one WebSocket that wait for their answers at the same time.
const IN_FLIGHT: usize = 512;

/// Durable writes a second over HTTP, one client.
pub(super) fn memory_set_1(bench: &Bench) -> Result<Measurement> {
    set(bench, 1, bench.amount(5_000, 300))
}

/// The same with 32 clients.
pub(super) fn memory_set_32(bench: &Bench) -> Result<Measurement> {
    set(bench, MANY, bench.amount(60_000, 2_000))
}

/// Reads a second over HTTP, one client.
pub(super) fn memory_get_1(bench: &Bench) -> Result<Measurement> {
    get(bench, 1, bench.amount(20_000, 500))
}

/// The same with 32 clients.
pub(super) fn memory_get_32(bench: &Bench) -> Result<Measurement> {
    get(bench, MANY, bench.amount(150_000, 4_000))
}

/// Durable writes a second over one WebSocket, many of them on their way at a time.
pub(super) fn memory_set_pipelined(bench: &Bench) -> Result<Measurement> {
    let n = bench.amount(200_000, 4_000);
    let hive = Hive::start(bench, 0)?;
    let server = hive.server.clone();
    let (took, samples) = http::run_client(pipelined(server, n))?;
    hive.stop()?;
    Ok(measured(n, took, samples))
}

fn measured(n: usize, took: Duration, samples: Vec<Duration>) -> Measurement {
    Measurement {
        value: n as f64 / took.as_secs_f64(),
        n,
        latency: statistics::percentiles(samples),
        details: Vec::new(),
    }
}

fn set(bench: &Bench, clients: usize, n: usize) -> Result<Measurement> {
    let hive = Hive::start(bench, 0)?;
    let requests = writes(&hive.server);
    let driven = drive(hive.server.clone(), requests, clients, n);
    let (took, samples) = http::run_client(driven)?;
    hive.stop()?;
    Ok(measured(n, took, samples))
}

fn get(bench: &Bench, clients: usize, n: usize) -> Result<Measurement> {
    let hive = Hive::start(bench, 0)?;
    let server = hive.server.clone();
    let filling = drive(server.clone(), writes(&server), MANY, KEYS);
    http::run_client(filling)?;
    let reads = (0..KEYS).map(|key| server.get(&contract::memory_path(key)).into());
    let reads: Vec<Arc<[u8]>> = reads.collect();
    let (took, samples) = http::run_client(drive(server, reads.into(), clients, n))?;
    hive.stop()?;
    Ok(measured(n, took, samples))
}

/// A write of each key.
fn writes(server: &Server) -> Arc<[Arc<[u8]>]> {
    let body = contract::memory_put();
    let writes = (0..KEYS).map(|key| server.put(&contract::memory_path(key), &body).into());
    writes.collect()
}

/// Sends `n` of these requests in turn over so many connections.
async fn drive(
    server: Server,
    requests: Arc<[Arc<[u8]>]>,
    clients: usize,
    n: usize,
) -> Result<(Duration, Vec<Duration>)> {
    let mut connections = Vec::with_capacity(clients);
    for _ in 0..clients {
        connections.push(server.connect().await?);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    let start = Instant::now();
    for mut connection in connections {
        let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
        running.spawn(async move {
            let mut samples = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= n {
                    return anyhow::Ok(samples);
                }
                let began = Instant::now();
                connection.exchange(&requests[number % KEYS]).await?;
                samples.push(began.elapsed());
            }
        });
    }
    let mut samples = Vec::with_capacity(n);
    while let Some(finished) = running.join_next().await {
        samples.extend(finished.context("a client panicked")??);
    }
    Ok((start.elapsed(), samples))
}

async fn pipelined(server: Server, n: usize) -> Result<(Duration, Vec<Duration>)> {
    let mut socket = WebSocket::open(&server, contract::CALLS).await?;
    let questions: Vec<_> = (0..KEYS).map(contract::memory_question).collect();
    let mut samples = Vec::with_capacity(n);
    // Answers may come in another order; the oldest question that waits bounds each of them.
    let mut asked = VecDeque::with_capacity(IN_FLIGHT);
    let start = Instant::now();
    let mut sent = 0;
    while samples.len() < n {
        while sent < n && asked.len() < IN_FLIGHT {
            socket.queue(&questions[sent % KEYS]);
            asked.push_back(Instant::now());
            sent += 1;
        }
        socket.flush().await?;
        let answers = socket.receive().await?;
        ensure!(!answers.is_empty(), "the coordinator closed the connection");
        for answer in answers {
            contract::check_call(&answer)?;
            let began = asked.pop_front().context("an answer to no question")?;
            samples.push(began.elapsed());
        }
    }
    Ok((start.elapsed(), samples))
}

//! Submits the same request over many connections, and waits until tasks are final.

use super::contract::{self, Finished};
use super::http::{Connection, Server};
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How exactly the end is timed.
const COUNTERS_POLL: Duration = Duration::from_millis(5);

/// Reads the counters over one connection.
#[derive(Debug)]
pub(super) struct CounterReader {
    connection: Connection,
    request: Vec<u8>,
}

impl CounterReader {
    pub(super) async fn open(server: &Server) -> Result<Self> {
        Ok(Self {
            connection: server.connect().await?,
            request: server.get(contract::COUNTERS),
        })
    }

    pub(super) async fn read(&mut self) -> Result<Finished> {
        contract::finished(&self.connection.exchange_json(&self.request).await?)
    }

    /// Waits until so many more are final than before; the row's time limit bounds it.
    pub(super) async fn wait_for(&mut self, before: Finished, more: u64) -> Result<Finished> {
        self.wait_for_all(before.all() + more).await
    }

    /// Waits until so many are final since the start; the row's time limit bounds it.
    pub(super) async fn wait_for_all(&mut self, goal: u64) -> Result<Finished> {
        loop {
            let now = self.read().await?;
            if now.all() >= goal {
                return Ok(now);
            }
            tokio::time::sleep(COUNTERS_POLL).await;
        }
    }
}

/// The same request, again and again, over several connections.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) server: Server,
    pub(super) request: Arc<[u8]>,
    pub(super) requests: usize,
    pub(super) connections: usize,
}

/// Tasks in one request of [`Load::of_batches`].
pub(super) const BATCH: usize = 100;
const BATCH_CONNECTIONS: usize = 8;

impl Load {
    /// So many tasks that do nothing, in batches.
    pub(super) fn of_batches(server: &Server, tasks: usize) -> Self {
        Self {
            server: server.clone(),
            request: server.post(contract::BATCH, &contract::batch(BATCH)).into(),
            requests: tasks.div_ceil(BATCH),
            connections: BATCH_CONNECTIONS,
        }
    }

    /// Sends all requests; returns the time for all and for each.
    pub(super) async fn drive(self) -> Result<(Duration, Vec<Duration>)> {
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

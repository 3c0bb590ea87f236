//! Submits single tasks that do nothing: as fast as they are answered, or at a rate that does not
//! care about answers.

use crate::connection::Coordinator;
use crate::http::{Answer, Caller};
use anyhow::{Context, Result};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Where tasks are submitted.
const PATH: &str = "/api/v2/tasks";
/// A task that does nothing.
const BODY: &str = r#"{"name":"t","kind":"noop"}"#;
/// How often the pace is kept.
const PACE: Duration = Duration::from_millis(2);
/// Connections that are opened at a time.
const OPENED_AT_ONCE: usize = 128;
/// Probes in a row that have to be quick before an overload counts as over.
const QUICK_PROBES: u32 = 20;

/// What is submitted.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where.
    pub coordinator: Coordinator,
    /// Connections; each has one request under way.
    pub connections: usize,
    /// Requests a second; without it, each follows the answer to the one before.
    pub rate: Option<u32>,
    /// For how long.
    pub duration: Duration,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Answered {
    /// Answers with a success.
    pub accepted: u64,
    /// Answers 429 that say when to come back.
    pub refused: u64,
    /// Every other answer.
    pub other: u64,
    /// Requests that were due and not sent, because no connection was free.
    pub unsent: u64,
    /// From the first request to the last answer, seconds.
    pub seconds: f64,
    /// Accepted while the load lasted; answers that came later do not count for the rate.
    pub accepted_in_time: u64,
}

impl Answered {
    fn count(&mut self, answer: Answer, in_time: bool) {
        match answer.status {
            200..300 => {
                self.accepted += 1;
                self.accepted_in_time += u64::from(in_time);
            }
            429 if answer.says_when => self.refused += 1,
            _ => self.other += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.other += other.other;
        self.accepted_in_time += other.accepted_in_time;
    }
}

impl Load {
    /// Submits.
    ///
    /// # Errors
    /// A connection could not be opened or broke.
    pub async fn drive(self) -> Result<Answered> {
        let callers = connect_all(&self.coordinator, self.connections).await?;
        let request = self
            .coordinator
            .request("POST", PATH, "application/json", BODY);
        let permits = Arc::new(Semaphore::new(0));
        let stop = CancellationToken::new();
        let start = Instant::now();
        let end = start + self.duration;
        let mut clients = JoinSet::new();
        for caller in callers {
            let paced = self.rate.map(|_| Arc::clone(&permits));
            clients.spawn(client(
                caller,
                Arc::clone(&request),
                paced,
                stop.clone(),
                end,
            ));
        }
        let unsent = if let Some(rate) = self.rate {
            pace(&permits, rate, self.connections, end).await
        } else {
            tokio::time::sleep_until(end.into()).await;
            0
        };
        stop.cancel();
        let mut answered = Answered {
            unsent,
            ..Answered::default()
        };
        while let Some(client) = clients.join_next().await {
            answered.add(client.context("a client panicked")??);
        }
        answered.seconds = start.elapsed().as_secs_f64();
        Ok(answered)
    }
}

/// Hands out permits at the rate until the end; those beyond the free connections are dropped and
/// counted.
async fn pace(permits: &Semaphore, rate: u32, connections: usize, end: Instant) -> u64 {
    let start = Instant::now();
    let (mut due_before, mut unsent) = (0, 0);
    let mut tick = tokio::time::interval(PACE);
    while Instant::now() < end {
        tick.tick().await;
        let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        let wanted = due - due_before;
        due_before = due;
        // A permit that nobody has taken stands for a connection that was busy all the time.
        let room = connections.saturating_sub(permits.available_permits()) as u64;
        let given = wanted.min(room);
        unsent += wanted - given;
        permits.add_permits(given as usize);
    }
    unsent + permits.available_permits() as u64
}

async fn client(
    mut caller: Caller,
    request: Arc<[u8]>,
    paced: Option<Arc<Semaphore>>,
    stop: CancellationToken,
    end: Instant,
) -> Result<Answered> {
    let mut answered = Answered::default();
    while !stop.is_cancelled() {
        if let Some(permits) = &paced {
            let permit = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                permit = permits.acquire() => permit.context("the pace is kept")?,
            };
            permit.forget();
        }
        let answer = caller.exchange(&request).await?;
        answered.count(answer, Instant::now() <= end);
    }
    Ok(answered)
}

async fn connect_all(coordinator: &Coordinator, connections: usize) -> Result<Vec<Caller>> {
    let gate = Arc::new(Semaphore::new(OPENED_AT_ONCE));
    let mut opening = JoinSet::new();
    for _ in 0..connections {
        let (coordinator, gate) = (coordinator.clone(), Arc::clone(&gate));
        opening.spawn(async move {
            let _turn = gate.acquire().await;
            Caller::connect(&coordinator).await
        });
    }
    let mut callers = Vec::with_capacity(connections);
    while let Some(opened) = opening.join_next().await {
        callers.push(opened.context("a client panicked")??);
    }
    Ok(callers)
}

/// Submits one task after the other until twenty in a row were accepted, each within this time.
/// Gives the time until the first of them.
///
/// # Errors
/// It takes longer than the patience, or the connection broke.
pub async fn recovery(
    coordinator: &Coordinator,
    quick: Duration,
    patience: Duration,
) -> Result<Duration> {
    let request = coordinator.request("POST", PATH, "application/json", BODY);
    let start = Instant::now();
    let (mut in_a_row, mut recovered) = (0, Duration::ZERO);
    let probes = async {
        let mut caller = Caller::connect(coordinator).await?;
        while in_a_row < QUICK_PROBES {
            let sent = Instant::now();
            let answer = caller.exchange(&request).await?;
            if (200..300).contains(&answer.status) && sent.elapsed() <= quick {
                in_a_row += 1;
            } else {
                in_a_row = 0;
                recovered = start.elapsed();
            }
        }
        Ok(recovered)
    };
    let recovered = tokio::time::timeout(patience, probes).await;
    recovered.with_context(|| format!("not recovered within {} s", patience.as_secs()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_429_that_says_when_counts_as_refused() {
        let mut answered = Answered::default();
        for (status, says_when) in [(201, false), (429, true), (429, false), (503, true)] {
            answered.count(Answer { status, says_when }, true);
        }
        let counts = (answered.accepted, answered.refused, answered.other);
        assert_eq!(counts, (1, 1, 2));
    }

    #[tokio::test]
    async fn what_no_connection_is_free_for_is_counted_as_not_sent() {
        let permits = Semaphore::new(0);
        let end = Instant::now();
        assert_eq!(pace(&permits, 1_000, 4, end).await, 0);
        let end = Instant::now() + Duration::from_millis(20);
        let unsent = pace(&permits, 1_000_000, 4, end).await;
        assert!(unsent > 4 && permits.available_permits() == 4, "{unsent}");
    }
}

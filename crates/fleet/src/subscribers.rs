//! Follows the events many times over, while single tasks are submitted at a steady rate.

use crate::connection::Coordinator;
use crate::http::Caller;
use crate::submissions::Load;
use anyhow::Result;
use memchr::memmem;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const EVENTS: &str = "/api/v2/events";
/// Connections over which tasks are submitted.
const SUBMITTERS: usize = 32;
/// Bytes read at a time.
const BUFFER_BYTES: usize = 16 << 10;
/// What begins the content of an event, and of the word that nothing can follow.
const DATA: &[u8] = b"\ndata:";
const RESYNC: &[u8] = b"\nevent: resync";
/// How often it is looked at whether all got everything.
const LOOK: Duration = Duration::from_millis(20);
/// Nothing comes any more when nobody got anything for so long.
const QUIET: Duration = Duration::from_secs(3);

/// Who follows what.
#[derive(Debug, Clone)]
pub struct Audience {
    /// Where.
    pub coordinator: Coordinator,
    /// How many follow.
    pub subscribers: usize,
    /// Single tasks submitted a second.
    pub tasks_per_second: u32,
    /// For how long.
    pub duration: Duration,
}

/// What came through.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Delivered {
    /// Tasks that were submitted.
    pub tasks: u64,
    /// Tasks that were due and not submitted, because the coordinator was too slow.
    pub unsent: u64,
    /// For how long, seconds.
    pub seconds: f64,
    /// Events that all subscribers got, together, while tasks were submitted.
    pub in_time: u64,
    /// Events that all subscribers got, together.
    pub events: u64,
    /// Of the subscriber that got the fewest.
    pub fewest: u64,
    /// Of the one that got the most.
    pub most: u64,
    /// From the last submission to the last event, seconds.
    pub behind: f64,
    /// Streams that ended or had to start again.
    pub broken: u64,
}

#[derive(Debug, Default)]
struct Seen {
    events: AtomicU64,
    broken: AtomicU64,
}

impl Audience {
    /// Follows and submits.
    ///
    /// # Errors
    /// A stream could not be opened, or a connection broke.
    pub async fn follow(self) -> Result<Delivered> {
        let seen: Vec<Arc<Seen>> = std::iter::repeat_with(Arc::default)
            .take(self.subscribers)
            .collect();
        let request = self
            .coordinator
            .request("GET", EVENTS, "text/event-stream", "");
        let stop = CancellationToken::new();
        let mut followers = JoinSet::new();
        for seen in &seen {
            let caller = Caller::connect(&self.coordinator).await?;
            let (stream, rest) = caller.open_stream(&request).await?;
            let following = follow(stream, rest, Arc::clone(seen));
            followers.spawn(stop.clone().run_until_cancelled_owned(following));
        }
        let total = || -> u64 {
            seen.iter()
                .map(|one| one.events.load(Ordering::Relaxed))
                .sum()
        };
        let start = Instant::now();
        // Over several connections, so that the rate does not depend on how long an answer takes.
        let load = Load {
            coordinator: self.coordinator,
            connections: SUBMITTERS,
            rate: Some(self.tasks_per_second),
            duration: self.duration,
        };
        let answered = load.drive().await?;
        let (ended, in_time) = (Instant::now(), total());
        let behind = quiet(total).await.saturating_duration_since(ended);
        stop.cancel();
        while followers.join_next().await.is_some() {}
        let counts = seen.iter().map(|one| one.events.load(Ordering::Relaxed));
        Ok(Delivered {
            tasks: answered.accepted,
            unsent: answered.unsent,
            seconds: (ended - start).as_secs_f64(),
            in_time,
            events: total(),
            fewest: counts.clone().min().unwrap_or_default(),
            most: counts.max().unwrap_or_default(),
            behind: behind.as_secs_f64(),
            broken: seen
                .iter()
                .map(|one| one.broken.load(Ordering::Relaxed))
                .sum(),
        })
    }
}

/// Waits until the number has stood still; when it last moved.
async fn quiet(number: impl Fn() -> u64) -> Instant {
    let (mut last, mut moved) = (number(), Instant::now());
    while moved.elapsed() < QUIET {
        tokio::time::sleep(LOOK).await;
        let now = number();
        if now != last {
            (last, moved) = (now, Instant::now());
        }
    }
    moved
}

/// Counts events until the stream ends.
async fn follow(mut stream: TcpStream, rest: Vec<u8>, seen: Arc<Seen>) {
    let mut counter = Counter::default();
    let mut buffer = rest;
    loop {
        let (events, resyncs) = counter.count(&buffer);
        seen.events.fetch_add(events, Ordering::Relaxed);
        seen.broken.fetch_add(resyncs, Ordering::Relaxed);
        buffer.clear();
        buffer.reserve(BUFFER_BYTES);
        if !matches!(stream.read_buf(&mut buffer).await, Ok(read) if read > 0) {
            seen.broken.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
}

/// Counts two words in bytes that come in pieces.
#[derive(Debug, Default)]
struct Counter {
    /// The end of the last piece, where a word may have begun.
    tail: Vec<u8>,
}

impl Counter {
    /// Words that end in this piece.
    fn count(&mut self, piece: &[u8]) -> (u64, u64) {
        let before = self.tail.len();
        let mut text = std::mem::take(&mut self.tail);
        text.extend_from_slice(piece);
        let count = |word: &[u8]| {
            let begins = memmem::find_iter(&text, word);
            begins.filter(|at| at + word.len() > before).count() as u64
        };
        let counted = (count(DATA), count(RESYNC));
        let keep = text.len().min(RESYNC.len() - 1);
        text.drain(..text.len() - keep);
        self.tail = text;
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_once_however_they_are_cut() {
        let text = b"id: 1\nevent: task_ready\ndata: {}\n\nid: 2\nevent: resync\ndata: {}\n\n";
        for size in 1..text.len() {
            let mut counter = Counter::default();
            let counts = text.chunks(size).map(|piece| counter.count(piece));
            let sums = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            assert_eq!(sums, (2, 1), "in pieces of {size}");
        }
    }
}

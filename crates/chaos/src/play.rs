//! One play: start, submit and follow while faults come, settle, read everything, stop.

use crate::follower::{self, Follower};
use crate::history::{History, ListedTask, Stream};
use crate::http::Server;
use crate::random::Random;
use crate::report::Coverage;
use crate::signals::{Signals, StopOnDrop};
use crate::submitter::Work;
use crate::swarm::Swarm;
use crate::wiring::Wiring;
use crate::workload;
use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

const CLIENTS: u64 = 2;
/// Longest time in which tasks have to end between two faults, before the next one comes anyway.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(20);
/// Tasks that have to end between two faults.
const PROGRESS_TASKS: u64 = 20;
/// Longest time until all tasks are final after the last fault.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);
/// Longest wait for one answer after the faults are over.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// What is played.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) skep: &'a Path,
    /// Everything is kept here.
    pub(crate) directory: &'a Path,
    pub(crate) wiring: Wiring,
    pub(crate) tasks: usize,
    pub(crate) seed: u64,
}

/// What is done to a swarm while clients submit.
pub(crate) trait Disturbance {
    /// Does everything, one after the other, and undoes it. What it submitted itself, and what it
    /// saw of how work went on, it adds to the history.
    fn play(
        &mut self,
        swarm: &mut Swarm,
        signals: &Signals,
        played: &mut Vec<String>,
    ) -> Result<History>;
}

/// Plays in the directory; the answer is for the checker.
pub(crate) fn play(
    stage: &Stage<'_>,
    disturbance: &mut impl Disturbance,
) -> Result<(History, Coverage)> {
    let start = Instant::now();
    let directory = stage.directory;
    let counter_file = directory.join("counter");
    fs::write(&counter_file, "").context("make the counter file")?;
    let mut swarm = Swarm::start(stage.skep, directory, &stage.wiring)?;
    let work = Work::new(workload::plan(stage.tasks, stage.seed, &counter_file));
    let server = swarm.server.clone();
    let mut coverage = Coverage::default();
    let signals = Signals::default();
    let mut history = std::thread::scope(|scope| {
        let _stop = StopOnDrop(&signals);
        let threads = Threads::start(scope, stage.seed, &work, &server, &signals)?;
        let seen = disturbance.play(&mut swarm, &signals, &mut coverage.faults)?;
        threads.finish(&server, &signals, seen)
    })?;
    let findings = swarm.stop(directory)?;
    history.orphans = findings.orphans;
    history.breakdowns.extend(findings.breakdowns);
    let executions = fs::read_to_string(&counter_file).context("read the counter file")?;
    history.executions = History::read_executions(&executions).map_err(|text| anyhow!(text))?;
    let (submissions, repeated_requests) = work.into_done();
    history.submissions.extend(submissions);
    coverage.repeated_requests = repeated_requests;
    coverage.kills = findings.kills;
    coverage.seconds = start.elapsed().as_secs_f64();
    Ok((history, coverage))
}

/// The binary under test, by its whole path.
pub(crate) fn find(skep: &Path) -> Result<PathBuf> {
    skep.canonicalize().with_context(|| {
        format!(
            "find `{}`; build it with `cargo build -p skep-cli`",
            skep.display()
        )
    })
}

/// Clients and readers.
struct Threads<'scope> {
    clients: Vec<ScopedJoinHandle<'scope, ()>>,
    readers: Vec<ScopedJoinHandle<'scope, Stream>>,
}

impl<'scope> Threads<'scope> {
    fn start<'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        seed: u64,
        work: &'env Work,
        server: &'env Server,
        signals: &'env Signals,
    ) -> Result<Self> {
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let random = Random::new(seed, 10 + number);
            let thread = Builder::new().name(format!("client-{number}"));
            let submit = move || work.submit_all(server, signals, random);
            clients.push(thread.spawn_scoped(scope, submit)?);
        }
        let follower =
            move |name, stream| Follower::new(name, server, signals, Random::new(seed, stream));
        let stream = move || follower("the stream reader", 20).by_stream();
        let pages = move || follower("the page reader", 21).by_pages();
        let readers = vec![
            Builder::new()
                .name("stream-reader".to_owned())
                .spawn_scoped(scope, stream)?,
            Builder::new()
                .name("page-reader".to_owned())
                .spawn_scoped(scope, pages)?,
        ];
        Ok(Self { clients, readers })
    }

    /// Waits for clients and tasks, then reads everything.
    fn finish(self, server: &Server, signals: &Signals, mut history: History) -> Result<History> {
        for client in self.clients {
            client.join().map_err(|_| anyhow!("a client panicked"))?;
        }
        history.breakdowns.extend(wait_until_settled(server)?);
        let status = patiently(|| server.get("/api/v2/system/status"))?;
        let end = status["events_cursor"]
            .as_str()
            .and_then(|text| text.split('.').next());
        let end = end
            .and_then(|index| index.parse().ok())
            .context("status names no cursor")?;
        signals.end_at(end);
        for reader in self.readers {
            history
                .streams
                .push(reader.join().map_err(|_| anyhow!("a reader panicked"))?);
        }
        history.all_events = patiently(|| follower::all_events(server))?;
        history.listed = patiently(|| list_tasks(server))?;
        Ok(history)
    }
}

/// Waits until some tasks ended; how many did.
pub(crate) fn wait_for_progress(server: &Server) -> u64 {
    let ended = || {
        let status = server.get("/api/v2/system/status").ok()?;
        status["history"]["tasks"].as_u64()
    };
    let (start, before) = (Instant::now(), ended().unwrap_or_default());
    loop {
        let progress = ended().unwrap_or_default().saturating_sub(before);
        if progress >= PROGRESS_TASKS || start.elapsed() > PROGRESS_TIMEOUT {
            return progress;
        }
        std::thread::sleep(POLL);
    }
}

/// Waits until no task is live; says what still is when that takes too long.
fn wait_until_settled(server: &Server) -> Result<Option<String>> {
    const LIVE: [&str; 6] = [
        "pending",
        "ready",
        "leased",
        "running",
        "verifying",
        "paused",
    ];
    let start = Instant::now();
    loop {
        let status = patiently(|| server.get("/api/v2/system/status"))?;
        let live: u64 = LIVE
            .iter()
            .filter_map(|state| status["tasks"][state].as_u64())
            .sum();
        if live == 0 {
            return Ok(None);
        }
        if start.elapsed() > SETTLE_TIMEOUT {
            let bound = SETTLE_TIMEOUT.as_secs();
            return Ok(Some(format!(
                "{live} tasks are not final after {bound} s: {status}"
            )));
        }
        std::thread::sleep(POLL);
    }
}

fn list_tasks(server: &Server) -> Result<Vec<ListedTask>> {
    let mut tasks = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/api/v2/tasks?limit=500{cursor}"))?;
        for item in page["items"].as_array().context("a page has no `items`")? {
            let word = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
            let attempts = item["attempts"].as_u64().unwrap_or_default();
            tasks.push(ListedTask {
                id: word("id"),
                state: word("state"),
                attempts,
            });
        }
        match &page["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => return Ok(tasks),
        }
    }
}

/// Repeats what fails, for a while.
pub(crate) fn patiently<T>(ask: impl Fn() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match ask() {
            Err(error) if start.elapsed() > READ_TIMEOUT => return Err(error),
            Err(_) => std::thread::sleep(POLL),
            Ok(value) => return Ok(value),
        }
    }
}

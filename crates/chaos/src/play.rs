//! One play: start, submit and follow while faults come, settle, read everything, stop.

use crate::args::Args;
use crate::faults::{Fault, Sleeper, pause};
use crate::follower::{self, Follower};
use crate::history::{History, ListedTask, Stream};
use crate::http::Server;
use crate::random::Random;
use crate::report::Coverage;
use crate::signals::{Signals, StopOnDrop};
use crate::submitter::Work;
use crate::swarm::Swarm;
use crate::workload;
use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

const NODES: usize = 3;
const CLIENTS: u64 = 2;
/// From so many cycles on, one node sleeps until its work is given to others.
const CYCLES_WITH_SLEEPER: usize = 3;
/// Longest time in which tasks have to end between two faults, before the next one comes anyway.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(20);
/// Tasks that have to end between two faults.
const PROGRESS_TASKS: u64 = 20;
/// Longest time for which clients submit before a fault comes.
const SUBMITTING_MS_MAX: u64 = 60;
/// Longest time until all tasks are final after the last fault.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);
/// Longest wait for one answer after the faults are over.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Plays in the directory; the answer is for the checker.
pub(crate) fn play(args: &Args, directory: &Path) -> Result<(History, Coverage)> {
    let start = Instant::now();
    let counter_file = directory.join("counter");
    fs::write(&counter_file, "").context("make the counter file")?;
    let mut random = Random::new(args.seed, 0);
    let skep = args.skep.canonicalize();
    let skep = skep.with_context(|| {
        format!(
            "find `{}`; build it with `cargo build -p skep-cli`",
            args.skep.display()
        )
    })?;
    let mut swarm = Swarm::start(&skep, directory, NODES, &mut random)?;
    if args.sabotage {
        swarm.sabotage(directory);
    }
    let work = Work::new(workload::plan(args.tasks, args.seed, &counter_file));
    let server = swarm.server.clone();
    let mut coverage = Coverage::default();
    let signals = Signals::default();
    let mut history = std::thread::scope(|scope| {
        let _stop = StopOnDrop(&signals);
        let threads = Threads::start(scope, args, &work, &server, &signals)?;
        let mut unrest = Unrest {
            swarm: &mut swarm,
            random,
            sleeper: None,
        };
        unrest.play(args, &signals, &mut coverage.faults)?;
        threads.finish(&server, &signals)
    })?;
    let findings = swarm.stop(directory)?;
    history.orphans = findings.orphans;
    history.breakdowns.extend(findings.breakdowns);
    let executions = fs::read_to_string(&counter_file).context("read the counter file")?;
    history.executions = History::read_executions(&executions).map_err(|text| anyhow!(text))?;
    (history.submissions, coverage.repeated_requests) = work.into_done();
    coverage.kills = findings.kills;
    coverage.seconds = start.elapsed().as_secs_f64();
    Ok((history, coverage))
}

/// Clients and readers.
struct Threads<'scope> {
    clients: Vec<ScopedJoinHandle<'scope, ()>>,
    readers: Vec<ScopedJoinHandle<'scope, Stream>>,
}

impl<'scope> Threads<'scope> {
    fn start<'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        args: &Args,
        work: &'env Work,
        server: &'env Server,
        signals: &'env Signals,
    ) -> Result<Self> {
        let seed = args.seed;
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
    fn finish(self, server: &Server, signals: &Signals) -> Result<History> {
        let mut history = History::default();
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

/// The faults of a play.
struct Unrest<'a> {
    swarm: &'a mut Swarm,
    random: Random,
    sleeper: Option<Sleeper>,
}

impl Unrest<'_> {
    fn play(&mut self, args: &Args, signals: &Signals, played: &mut Vec<String>) -> Result<()> {
        let plan = Fault::plan(args.cycles, &mut self.random);
        for (cycle, fault) in plan.into_iter().enumerate() {
            let quota = |halves: usize| args.tasks * (2 * cycle + halves) / (2 * args.cycles);
            signals.let_submit(quota(1));
            let progress = self.wait_for_progress();
            pause(&mut self.random, 0, 800);
            if cycle == 0 && args.cycles >= CYCLES_WITH_SLEEPER {
                self.sleeper = Some(Sleeper::put_to_sleep(self.swarm, NODES - 1)?);
                played.push(format!("n{NODES} sleeps"));
            }
            let sleeping = self.sleeper.as_ref().map(Sleeper::node);
            let awake: Vec<_> = (0..NODES).filter(|node| Some(*node) != sleeping).collect();
            // The second half is on its way when the fault comes.
            signals.let_submit(quota(2));
            pause(&mut self.random, 0, SUBMITTING_MS_MAX);
            fault.play(self.swarm, &awake, &mut self.random)?;
            played.push(format!("{fault:?} after {progress} tasks ended"));
            self.wake_sleeper_if_lost(played)?;
        }
        signals.let_submit(args.tasks);
        if let Some(sleeper) = self.sleeper.take() {
            played.push(match sleeper.wake_when_lost(self.swarm)? {
                Some(slept) => format!("n{NODES} woke, given up, after {} s", slept.as_secs()),
                None => format!("n{NODES} woke and was never given up"),
            });
        }
        Ok(())
    }

    fn wake_sleeper_if_lost(&mut self, played: &mut Vec<String>) -> Result<()> {
        let Some(sleeper) = &self.sleeper else {
            return Ok(());
        };
        if sleeper.wake_if_lost(self.swarm)? {
            played.push(format!("n{NODES} woke, given up"));
            self.sleeper = None;
        }
        Ok(())
    }

    /// Waits until some tasks ended; how many did.
    fn wait_for_progress(&self) -> u64 {
        let ended = || {
            let status = self.swarm.server.get("/api/v2/system/status").ok()?;
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
fn patiently<T>(ask: impl Fn() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match ask() {
            Err(error) if start.elapsed() > READ_TIMEOUT => return Err(error),
            Err(_) => std::thread::sleep(POLL),
            Ok(value) => return Ok(value),
        }
    }
}

//! What a task costs the coordinator, with more queued tasks and with more nodes.

mod plot;

use super::fleet_process::PlayedNodes;
use super::hive::Hive;
use super::http::{self, Server};
use super::load::{BATCH, CounterReader, Load};
use super::machine::Machine;
use super::usage::Usage;
use super::{Bench, Options, decimals, page};
use crate::console::{note, say};
use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::time::{Duration, Instant};

const QUEUED: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const NODES: [usize; 4] = [10, 100, 1_000, 10_000];
/// What stays the same while the other changes.
const NODES_BESIDE: usize = 100;
const QUEUED_BESIDE: usize = 10_000;
/// Attempts that a played node takes at a time.
const SLOTS: usize = 256;
/// Tasks that are submitted to see what a submission costs.
const SUBMITTED: usize = 50_000;
const WATCH: Duration = Duration::from_secs(8);
/// How often the queue is filled up again.
const FILL_UP: Duration = Duration::from_millis(5);
/// Most batches that are submitted to fill it up once: the loop has to come round again.
const FILL_UP_BATCHES: usize = 64;

/// What was measured at one place.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Point {
    pub(super) queued: usize,
    pub(super) nodes: usize,
    /// Processor time of the coordinator for a task from submission to end, microseconds.
    pub(super) task_us: f64,
    /// Of that, for its submission in a batch of 100.
    pub(super) submit_us: f64,
    /// Tasks finished a second meanwhile.
    pub(super) per_second: f64,
    /// Main memory of the coordinator at the end, MiB.
    pub(super) rss_mib: f64,
}

/// Both ways to grow.
#[derive(Debug, Serialize)]
pub(super) struct Study {
    pub(super) by_queued: Vec<Point>,
    pub(super) by_nodes: Vec<Point>,
}

/// Measures, prints, and writes the page if it is to.
pub(super) fn run(
    workspace: &Workspace,
    bench: &Bench,
    machine: &Machine,
    options: &Options,
) -> Result<()> {
    let mut measured: Vec<Point> = Vec::new();
    let mut at = |queued: usize, nodes: usize| {
        let known = measured
            .iter()
            .find(|point| (point.queued, point.nodes) == (queued, nodes));
        if let Some(known) = known {
            return Ok(*known);
        }
        note(&format!("==> {queued} queued tasks, {nodes} nodes"));
        let point = median(bench, queued, nodes)?;
        note(&format!("    {} us a task", decimals(point.task_us)));
        measured.push(point);
        Ok(point)
    };
    let kept = if bench.quick { 2 } else { QUEUED.len() };
    let by_queued = QUEUED[..kept]
        .iter()
        .map(|queued| at(*queued, NODES_BESIDE));
    let by_queued = by_queued.collect::<Result<_>>()?;
    let by_nodes = NODES[..kept].iter().map(|nodes| at(QUEUED_BESIDE, *nodes));
    let by_nodes = by_nodes.collect::<Result<_>>()?;
    let study = Study {
        by_queued,
        by_nodes,
    };
    if options.write {
        page::write_scaling(workspace, machine, &study, &plot::draw(&study))?;
    }
    if options.json {
        let json = serde_json::to_string_pretty(&study);
        say(&json.context("encode the study")?);
    } else {
        say(&format!("{machine}\n\n{}", study.tables()));
    }
    Ok(())
}

fn median(bench: &Bench, queued: usize, nodes: usize) -> Result<Point> {
    let runs = (0..bench.runs).map(|_| measure(bench, queued, nodes));
    let mut runs = runs.collect::<Result<Vec<_>>>()?;
    runs.sort_by(|a, b| a.task_us.total_cmp(&b.task_us));
    let middle = (runs.len() - 1) / 2;
    Ok(runs.swap_remove(middle))
}

fn measure(bench: &Bench, queued: usize, nodes: usize) -> Result<Point> {
    let hive = Hive::start(bench, 0)?;
    http::run_client(Load::of_batches(&hive.server, queued).drive())?;
    let before = hive.usage()?;
    let extra = bench.amount(SUBMITTED, SUBMITTED / 10);
    http::run_client(Load::of_batches(&hive.server, extra).drive())?;
    let submit = hive.usage()?.cpu_since(&before);
    let played = PlayedNodes::start(bench, &hive, nodes, SLOTS)?;
    let window = bench.amount(WATCH.as_millis() as usize, 1_000);
    let mut keeper = Keeper {
        server: hive.server.clone(),
        submitted: queued + extra,
        queued,
    };
    let (first, last) = http::run_client(async {
        let mut counters = CounterReader::open(&keeper.server).await?;
        // What was submitted beyond the queue is worked off first.
        counters.wait_for_all(extra as u64).await?;
        let settle = Duration::from_millis(window as u64 / 4);
        keeper.keep(&mut counters, settle).await?;
        let first = seen(&hive, &mut counters).await?;
        let watch = Duration::from_millis(window as u64);
        keeper.keep(&mut counters, watch).await?;
        Ok((first, seen(&hive, &mut counters).await?))
    })?;
    played.stop()?;
    // What waits is not waited for.
    drop(hive);
    let done = (last.done - first.done) as f64;
    ensure!(done > 0.0, "no task was finished");
    let took = last.at.duration_since(first.at).as_secs_f64();
    let us = |cpu: Duration, tasks: f64| cpu.as_secs_f64() * 1e6 / tasks;
    Ok(Point {
        queued,
        nodes,
        task_us: us(last.usage.cpu_since(&first.usage), done),
        submit_us: us(submit, extra as f64),
        per_second: done / took,
        rss_mib: last.usage.rss_mib(),
    })
}

struct Seen {
    at: Instant,
    usage: Usage,
    done: u64,
}

async fn seen(hive: &Hive, counters: &mut CounterReader) -> Result<Seen> {
    let done = counters.read().await?;
    ensure!(done.otherwise == 0, "some tasks did not succeed: {done:?}");
    Ok(Seen {
        at: Instant::now(),
        usage: hive.usage()?,
        done: done.succeeded,
    })
}

/// Keeps so many tasks open.
struct Keeper {
    server: Server,
    submitted: usize,
    queued: usize,
}

impl Keeper {
    async fn keep(&mut self, counters: &mut CounterReader, time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            let done = usize::try_from(counters.read().await?.all())?;
            let open = self.submitted - done;
            let wanted = self
                .queued
                .saturating_sub(open)
                .min(FILL_UP_BATCHES * BATCH);
            if wanted < BATCH {
                tokio::time::sleep(FILL_UP).await;
                continue;
            }
            let tasks = wanted / BATCH * BATCH;
            Load::of_batches(&self.server, tasks).drive().await?;
            self.submitted += tasks;
        }
        Ok(())
    }
}

impl Study {
    /// Both tables, as they stand in the page.
    pub(super) fn tables(&self) -> String {
        let title = "| queued tasks | nodes | µs of processor a task | of that, submission | \
                     tasks/s | coordinator, MiB |\n|---|---|---|---|---|---|\n";
        let table = |points: &[Point]| {
            let lines = points.iter().map(|point| {
                format!(
                    "| {} | {} | {} | {} | {} | {} |\n",
                    point.queued,
                    point.nodes,
                    decimals(point.task_us),
                    decimals(point.submit_us),
                    decimals(point.per_second),
                    decimals(point.rss_mib)
                )
            });
            format!("{title}{}", lines.collect::<String>())
        };
        format!("{}\n{}", table(&self.by_queued), table(&self.by_nodes))
    }
}

//! Rows about ten thousand nodes at one coordinator. They are played by one process, and speak TLS
//! as machines do that joined.

use super::fleet_process::PlayedNodes;
use super::hive::Hive;
use super::load::{CounterReader, Load};
use super::{Bench, Detail, Measurement, http};
use anyhow::{Result, ensure};
use std::thread;
use std::time::Duration;

/// Attempts that a played node takes at a time.
const SLOTS: usize = 4;
/// Two heartbeats: what the connecting left behind is done by then.
const SETTLE: Duration = Duration::from_secs(10);
/// How long the processor is watched: six heartbeats.
const WATCH: Duration = Duration::from_secs(30);
const WATCH_QUICK: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_millis(50);
/// Longest time from the nodes' own view to the coordinator's.
const VIEW_PATIENCE_POLLS: usize = 1_200;

/// Main memory of a coordinator with ten thousand idle nodes.
pub(super) fn nodes_10000_rss(bench: &Bench) -> Result<Measurement> {
    let n = nodes(bench);
    let hive = Hive::start_for_machines(bench)?;
    let empty = hive.usage()?;
    let played = PlayedNodes::start(bench, &hive, n, SLOTS)?;
    all_ready(&hive, n)?;
    let joined_after = played.started.seconds;
    thread::sleep(SETTLE);
    let full = hive.usage()?;
    let grown = full.rss_bytes.saturating_sub(empty.rss_bytes) as f64;
    played.stop()?;
    hive.stop()?;
    Ok(Measurement {
        value: full.rss_mib(),
        n,
        latency: None,
        details: vec![
            Detail::new("for each node", grown / 1024.0 / n as f64, "KiB"),
            Detail::new("until all had joined", joined_after, "s"),
        ],
    })
}

/// Processor time of a coordinator with ten thousand idle nodes that send heartbeats.
pub(super) fn nodes_10000_cpu(bench: &Bench) -> Result<Measurement> {
    let n = nodes(bench);
    let hive = Hive::start_for_machines(bench)?;
    let mut played = PlayedNodes::start(bench, &hive, n, SLOTS)?;
    all_ready(&hive, n)?;
    thread::sleep(SETTLE);
    let before = hive.usage()?;
    thread::sleep(if bench.quick { WATCH_QUICK } else { WATCH });
    let value = hive.usage()?.percent_since(&before);
    let lost = hive.metrics()?.value("skep_nodes{state=\"lost\"}")?;
    let broken = played.tell()?.lost;
    played.stop()?;
    hive.stop()?;
    ensure!(lost == 0, "{lost} nodes were called lost that were there");
    Ok(Measurement {
        value,
        n,
        latency: None,
        details: vec![Detail::new("connections that broke", broken as f64, "")],
    })
}

/// From the moment in which ten thousand connections break until all nodes take work again, while
/// tasks are under way, all of which have to succeed.
pub(super) fn reconnect_storm_10000(bench: &Bench) -> Result<Measurement> {
    let n = nodes(bench);
    let tasks = bench.amount(50_000, 2_000);
    let hive = Hive::start_for_machines(bench)?;
    let mut played = PlayedNodes::start(bench, &hive, n, SLOTS)?;
    all_ready(&hive, n)?;
    let server = hive.server.clone();
    http::run_client(Load::of_batches(&server, tasks).drive())?;
    let open = hive.metrics()?;
    let under_way = tasks as u64 - open.value("skep_finished_total{state=\"succeeded\"}")?;
    let told = played.cut()?;
    let waited = all_ready(&hive, n)?;
    let finished = http::run_client(async move {
        let mut counters = CounterReader::open(&server).await?;
        counters.wait_for_all(tasks as u64).await
    })?;
    let metrics = hive.metrics()?;
    let again = metrics.value("skep_lease_expirations_total")?;
    let peak = hive.usage()?.rss_peak_bytes as f64 / f64::from(1 << 20);
    played.stop()?;
    hive.stop()?;
    ensure!(
        finished.succeeded == tasks as u64 && finished.otherwise == 0,
        "of {tasks} accepted tasks not all succeeded: {finished:?}"
    );
    Ok(Measurement {
        value: told.seconds + waited.as_secs_f64(),
        n,
        latency: None,
        details: vec![
            Detail::new("tasks open at the cut, all succeeded", under_way as f64, ""),
            Detail::new("attempts given up", again as f64, ""),
            Detail::new("most main memory", peak, "MiB"),
        ],
    })
}

fn nodes(bench: &Bench) -> usize {
    bench.amount(10_000, 300)
}

/// Waits until the coordinator, too, has them all; how long that took.
fn all_ready(hive: &Hive, nodes: usize) -> Result<Duration> {
    let start = std::time::Instant::now();
    for _ in 0..VIEW_PATIENCE_POLLS {
        let metrics = hive.metrics()?;
        let connected = metrics.value("skep_node_connections")?;
        let ready = metrics.value("skep_nodes{state=\"ready\"}")?;
        if (connected, ready) == (nodes as u64, nodes as u64) {
            return Ok(start.elapsed());
        }
        thread::sleep(POLL);
    }
    anyhow::bail!("the coordinator does not see {nodes} ready nodes")
}

//! Rows about a million tasks that wait.

use super::fleet_process::PlayedNodes;
use super::hive::{Ending, Hive};
use super::load::Load;
use super::{Bench, Detail, Measurement, Percentiles, http};
use anyhow::{Context, Result, ensure};
use std::thread;
use std::time::{Duration, Instant};

const READY: &str = "skep_tasks{state=\"ready\"}";
const DECISIONS: &str = "skep_decision_duration_seconds";
const SLOTS: usize = 4;
/// How long rounds are watched.
const WATCH: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);

/// From the start of a coordinator that was killed until it serves, with a million tasks in its
/// data directory.
pub(super) fn restart_1m(bench: &Bench) -> Result<Measurement> {
    let (n, hive) = filled(bench)?;
    let killed = hive.restart(bench, Ending::Kill)?;
    let after_kill = killed.ready_after;
    all_there(&killed, n)?;
    let stopped = killed.restart(bench, Ending::Stop)?;
    let after_stop = stopped.ready_after;
    all_there(&stopped, n)?;
    stopped.stop()?;
    Ok(Measurement {
        value: after_kill.as_secs_f64(),
        n,
        latency: None,
        details: vec![Detail::new(
            "after a clean stop",
            after_stop.as_secs_f64(),
            "s",
        )],
    })
}

/// Main memory of a coordinator with a million tasks that wait.
pub(super) fn queue_1m_rss(bench: &Bench) -> Result<Measurement> {
    let (n, hive) = filled(bench)?;
    all_there(&hive, n)?;
    let usage = hive.usage()?;
    let fresh = hive.restart(bench, Ending::Stop)?;
    let again = fresh.usage()?.rss_mib();
    fresh.stop()?;
    Ok(Measurement {
        value: usage.rss_mib(),
        n,
        latency: None,
        details: vec![Detail::new("after a restart", again, "MiB")],
    })
}

/// How long the scheduler takes for a round, while ten thousand nodes work on a million tasks. The
/// value is the upper bound of the histogram's bucket.
pub(super) fn schedule_p99_1m(bench: &Bench) -> Result<Measurement> {
    let nodes = bench.amount(10_000, 300);
    let (tasks, hive) = filled(bench)?;
    let played = PlayedNodes::start(bench, &hive, nodes, SLOTS)?;
    let (before, start) = (hive.metrics()?, Instant::now());
    let used_before = hive.usage()?;
    while start.elapsed() < WATCH && hive.metrics()?.value(READY)? > tasks as u64 / 4 {
        thread::sleep(POLL);
    }
    let (after, took) = (hive.metrics()?, start.elapsed().as_secs_f64());
    let percent = hive.usage()?.percent_since(&used_before);
    let rounds = after
        .histogram(DECISIONS)?
        .since(&before.histogram(DECISIONS)?);
    let percentile = |percent| {
        let found = rounds.percentile(percent);
        found.context("no round was timed, or one took longer than the last bucket")
    };
    let latency = Percentiles {
        p50: percentile(50)?,
        p99: percentile(99)?,
    };
    let done = "skep_finished_total{state=\"succeeded\"}";
    let done = after.value(done)? - before.value(done)?;
    let left = |metrics: &super::metrics_text::MetricsText| metrics.value(READY);
    let details = vec![
        Detail::new("nodes", nodes as f64, ""),
        Detail::new("queued at first", left(&before)? as f64, ""),
        Detail::new("queued at last", left(&after)? as f64, ""),
        Detail::new("tasks a second", done as f64 / took, ""),
        Detail::new("coordinator", percent, "% of a core"),
        Detail::new("main memory", hive.usage()?.rss_mib(), "MiB"),
    ];
    played.stop()?;
    // What waits is not waited for.
    drop(hive);
    Ok(Measurement {
        value: latency.p99.as_secs_f64() * 1e3,
        n: usize::try_from(rounds.count())?,
        latency: Some(latency),
        details,
    })
}

/// A coordinator without nodes and with a million tasks.
fn filled(bench: &Bench) -> Result<(usize, Hive)> {
    let n = bench.amount(1_000_000, 20_000);
    let hive = Hive::start(bench, 0)?;
    http::run_client(Load::of_batches(&hive.server, n).drive())?;
    Ok((n, hive))
}

fn all_there(hive: &Hive, tasks: usize) -> Result<()> {
    let found = hive.metrics()?.value(READY)?;
    ensure!(found == tasks as u64, "{found} of {tasks} tasks wait");
    Ok(())
}

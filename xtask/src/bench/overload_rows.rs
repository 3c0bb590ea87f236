//! Rows about more callers, and more requests, than a coordinator has to like.

use super::fleet_process;
use super::hive::Hive;
use super::{Bench, Detail, Measurement};
use anyhow::{Result, ensure};
use serde::Deserialize;

/// Each task that is submitted by itself and waits for a node makes one event. A tenth more than
/// the budget asks for, so that what is offered does not bound what is measured.
const TASKS_PER_SECOND: usize = 550;
/// Enough that the wait for the disk does not bound the rate.
const USUAL_CONNECTIONS: usize = 512;
const OVERLOAD: f64 = 3.0;

#[derive(Debug, Deserialize)]
struct Delivered {
    seconds: f64,
    in_time: u64,
    events: u64,
    fewest: u64,
    most: u64,
    behind: f64,
    unsent: u64,
    broken: u64,
}

#[derive(Debug, Deserialize)]
struct Answered {
    accepted: u64,
    refused: u64,
    other: u64,
    unsent: u64,
    accepted_in_time: u64,
    recovered_after: f64,
}

/// Events that a thousand followers get, all together, of five hundred that happen a second.
pub(super) fn fanout_1000(bench: &Bench) -> Result<Measurement> {
    let subscribers = bench.amount(1_000, 50);
    let seconds = bench.amount(20, 3);
    let hive = Hive::start(bench, 0)?;
    let mut rss = Vec::new();
    let numbers = [
        ("subscribers", subscribers),
        ("tasks-per-second", TASKS_PER_SECOND),
        ("seconds", seconds),
    ];
    let before = hive.usage()?;
    let delivered: Delivered = fleet_process::run(bench, &hive, "subscribers", &numbers, || {
        rss.push(hive.usage()?.rss_mib());
        Ok(())
    })?;
    let percent = hive.usage()?.percent_since(&before);
    hive.stop()?;
    ensure!(
        delivered.fewest == delivered.most && delivered.broken == 0,
        "not all got the same events: {delivered:?}"
    );
    // The first quarter fills buffers.
    let settled = rss.get(rss.len() / 4).copied().unwrap_or_default();
    let most = rss.iter().copied().fold(settled, f64::max);
    Ok(Measurement {
        value: delivered.in_time as f64 / delivered.seconds,
        n: usize::try_from(delivered.events)?,
        latency: None,
        details: vec![
            Detail::new(
                "events a second",
                delivered.most as f64 / delivered.seconds,
                "",
            ),
            Detail::new("tasks not sent in time", delivered.unsent as f64, ""),
            Detail::new("last event behind the last task", delivered.behind, "s"),
            Detail::new("growth of main memory", most - settled, "MiB"),
            Detail::new("coordinator", percent, "% of a core"),
        ],
    })
}

/// Single submissions accepted a second when three times as many come as can be taken, in percent
/// of what can be taken.
pub(super) fn submit_overload_goodput(bench: &Bench) -> Result<Measurement> {
    let seconds = bench.amount(10, 2);
    let hive = Hive::start(bench, 0)?;
    let usual = [("connections", USUAL_CONNECTIONS), ("seconds", seconds)];
    let usual: Answered = fleet_process::run(bench, &hive, "submissions", &usual, || Ok(()))?;
    let most = usual.accepted_in_time as f64 / seconds as f64;
    let overload = [
        ("connections", bench.amount(10_000, 500)),
        ("seconds", seconds),
        ("rate", (most * OVERLOAD) as usize),
    ];
    let load: Answered = fleet_process::run(bench, &hive, "submissions", &overload, || Ok(()))?;
    let peak = hive.usage()?.rss_peak_bytes as f64 / f64::from(1 << 20);
    hive.stop()?;
    ensure!(
        load.other == 0,
        "{} answers were neither a success nor a 429 with `Retry-After`",
        load.other
    );
    let goodput = load.accepted_in_time as f64 / seconds as f64;
    Ok(Measurement {
        value: goodput / most * 100.0,
        n: usize::try_from(load.accepted + load.refused)?,
        latency: None,
        details: vec![
            Detail::new("most that is taken", most, "tasks/s"),
            Detail::new("accepted under overload", goodput, "tasks/s"),
            Detail::new("refused with 429", load.refused as f64, ""),
            Detail::new("not sent, no connection was free", load.unsent as f64, ""),
            Detail::new("recovered after", load.recovered_after, "s"),
            Detail::new("most main memory", peak, "MiB"),
        ],
    })
}

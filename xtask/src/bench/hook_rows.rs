//! The row about hooks: an agent waits for each of them, before and after all that it does.

use super::hive::Hive;
use super::{Bench, Detail, Measurement, Percentiles, statistics};
use anyhow::{Context, Result, ensure};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What Claude-Flow's settings and prompts call, with the flags that they give.
const HOOKS: &[&[&str]] = &[
    &["pre-task", "--description", "measure", "--task-id", "bench"],
    &[
        "post-task",
        "--task-id",
        "bench",
        "--analyze-performance",
        "true",
    ],
    &[
        "pre-edit",
        "--file",
        "src/main.rs",
        "--load-context",
        "true",
    ],
    &[
        "post-edit",
        "--file",
        "src/main.rs",
        "--memory-key",
        "swarm/bench/step",
    ],
    &["pre-bash", "--command", "make", "--validate-safety", "true"],
    &[
        "pre-command",
        "--command",
        "make",
        "--validate-safety",
        "true",
    ],
    &["post-bash", "--command", "make", "--exit-code", "0"],
    &[
        "post-command",
        "--command",
        "make",
        "--track-metrics",
        "true",
        "--store-results",
        "true",
    ],
    &["post-search", "--query", "budget", "--result-count", "3"],
    &["mcp-initialized", "--server", "skep"],
    &["agent-spawned", "--name", "one", "--type", "coder"],
    &["task-orchestrated", "--task-id", "bench"],
    &["neural-trained", "--model", "none", "--accuracy", "0.5"],
    &["notify", "--message", "measured", "--level", "info"],
    &[
        "session-end",
        "--session-id",
        "bench",
        "--generate-summary",
        "true",
        "--persist-state",
        "true",
        "--export-metrics",
        "true",
    ],
    &["session-restore", "--session-id", "bench"],
];

/// From the start of each hook to its end; the slowest one counts, and of it the 99th percentile.
pub(super) fn hooks(bench: &Bench) -> Result<Measurement> {
    let each = bench.amount(100, 5);
    let hive = Hive::start(bench, 0)?;
    // The first one finds nothing of before.
    for arguments in HOOKS {
        called(bench, &hive, arguments)?;
    }
    let mut all = Vec::with_capacity(HOOKS.len());
    for arguments in HOOKS {
        let samples = (0..each).map(|_| called(bench, &hive, arguments));
        let samples = samples.collect::<Result<Vec<_>>>()?;
        all.push(statistics::percentiles(samples).context("no hook was called")?);
    }
    hive.stop()?;
    let worst = |of: fn(&Percentiles) -> Duration| all.iter().map(of).max().unwrap_or_default();
    let (p50, p99) = (worst(|one| one.p50), worst(|one| one.p99));
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Measurement {
        value: millis(p99),
        n: each * HOOKS.len(),
        latency: Some(Percentiles { p50, p99 }),
        details: vec![
            Detail::new("hooks", HOOKS.len() as f64, ""),
            Detail::new("p50 of the slowest", millis(p50), "ms"),
        ],
    })
}

fn called(bench: &Bench, hive: &Hive, arguments: &[&str]) -> Result<Duration> {
    let start = Instant::now();
    let output = Command::new(&bench.binary)
        .arg("hooks")
        .args(arguments)
        .current_dir(hive.skep_home())
        .env("SKEP_HOME", hive.skep_home())
        .env_remove("SKEP_URL")
        .env_remove("SKEP_TOKEN")
        .stdin(Stdio::null())
        .output();
    let took = start.elapsed();
    let output = output.context("start `skep hooks`")?;
    // A hook ends well whatever happens, and says there what was not stored.
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && complaint.is_empty(),
        "`skep hooks {}`: {}, {complaint}",
        arguments.join(" "),
        output.status
    );
    Ok(took)
}

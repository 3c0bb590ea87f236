//! Rows about tasks that start a process.

use super::{Bench, Measurement, contract, latency_rows, statistics};
use anyhow::{Context, Result, ensure};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a command task adds to the start and end of the process itself: the median of a task that
/// runs `true`, less the median of starting `/bin/true` from here.
pub(super) fn command_overhead(bench: &Bench) -> Result<Measurement> {
    let n = bench.amount(200, 20);
    let body = contract::command();
    let task = latency_rows::one_at_a_time(bench, 1, contract::TASKS, &body, n)?;
    let bare = (0..n).map(|_| bare_process()).collect::<Result<Vec<_>>>()?;
    let bare = statistics::percentiles(bare).context("no process was started")?;
    let value = (task.p50.as_secs_f64() - bare.p50.as_secs_f64()) * 1e3;
    Ok(Measurement {
        value,
        n,
        latency: Some(task),
        details: Vec::new(),
    })
}

fn bare_process() -> Result<Duration> {
    let start = Instant::now();
    let status = Command::new("/bin/true").stdin(Stdio::null()).status();
    let took = start.elapsed();
    ensure!(
        status.context("start `/bin/true`")?.success(),
        "`/bin/true` failed"
    );
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_process_takes_some_time() {
        assert!(bare_process().unwrap() > Duration::ZERO);
    }
}

//! Rows about the binary itself and about its start.

use super::hive::Hive;
use super::{Bench, Measurement, statistics};
use anyhow::{Context, Result};
use std::fs;

/// Bytes of a megabyte, as disks are sold.
const MEGABYTE: f64 = 1e6;

/// Size of the release binary.
pub(super) fn binary_size(bench: &Bench) -> Result<Measurement> {
    let path = &bench.binary;
    let metadata = fs::metadata(path).with_context(|| format!("look at `{}`", path.display()))?;
    Ok(Measurement {
        value: metadata.len() as f64 / MEGABYTE,
        n: 1,
        latency: None,
        details: Vec::new(),
    })
}

/// Time from the start of `skep up` in an empty directory until it serves.
pub(super) fn up_ready(bench: &Bench) -> Result<Measurement> {
    let n = bench.amount(5, 1);
    let mut samples = Vec::with_capacity(n);
    for _ in 0..n {
        let hive = Hive::start_with_own_nodes(bench)?;
        samples.push(hive.ready_after);
        hive.stop()?;
    }
    let latency = statistics::percentiles(samples).context("nothing was started")?;
    Ok(Measurement {
        value: latency.p50.as_secs_f64(),
        n,
        latency: Some(latency),
        details: Vec::new(),
    })
}

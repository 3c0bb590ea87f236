//! Facts about the machine, without which a figure says nothing.

use super::statistics;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Instant;

/// Appends that are timed for the speed of the disk.
const SYNCS: usize = 200;
const APPEND_BYTES: usize = 1024;

/// The machine, as far as it matters here.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    cpu: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
    /// Median of appending 1 KiB and syncing it, where the data directories are.
    disk_sync_p50_ms: f64,
}

impl Machine {
    /// Looks, and measures the disk of this directory.
    pub(super) fn examine(directory: &Path) -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).with_context(|| format!("read `{path}`"));
        let cpu = field(&read("/proc/cpuinfo")?, "model name")
            .unwrap_or("unknown")
            .to_owned();
        let memory = read("/proc/meminfo")?;
        let memory_kib = field(&memory, "MemTotal").and_then(|text| text.split(' ').next());
        let memory_kib: u64 = memory_kib
            .context("`/proc/meminfo` has no total")?
            .parse()?;
        Ok(Self {
            cpu,
            cores: thread::available_parallelism()
                .context("count the cores")?
                .get(),
            memory_mib: memory_kib / 1024,
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            disk_sync_p50_ms: disk_sync_p50_ms(directory)?,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cpu,
            cores,
            memory_mib,
            kernel,
            disk_sync_p50_ms,
        } = self;
        write!(
            f,
            "{cpu}, {cores} cores, {memory_mib} MiB, Linux {kernel}, "
        )?;
        write!(f, "synced append of 1 KiB p50 {disk_sync_p50_ms:.2} ms")
    }
}

/// The value of a `name : value` line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
        .next()
}

fn disk_sync_p50_ms(directory: &Path) -> Result<f64> {
    let mut file = tempfile::tempfile_in(directory).context("make a file to measure the disk")?;
    let mut samples = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let start = Instant::now();
        file.write_all(&[0x5a; APPEND_BYTES]).context("append")?;
        file.sync_data().context("sync")?;
        samples.push(start.elapsed());
    }
    let found = statistics::percentiles(samples).context("no append was timed")?;
    Ok(found.p50.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_from_the_files_of_the_kernel() {
        let text = "processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\nmodel name\t: other\n";
        assert_eq!(field(text, "model name"), Some("Fast CPU @ 3 GHz"));
        assert_eq!(field("MemTotal:       8 kB\n", "MemTotal"), Some("8 kB"));
        assert_eq!(field(text, "flags"), None);
    }
}

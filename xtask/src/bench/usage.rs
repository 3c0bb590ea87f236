//! What a process uses, as the kernel counts it.

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::time::{Duration, Instant};

/// A process at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    at: Instant,
    /// Main memory that it holds.
    pub(super) rss_bytes: u64,
    /// The most that it ever held.
    pub(super) rss_peak_bytes: u64,
    /// Processor time of all its threads, kernel included.
    pub(super) cpu: Duration,
}

impl Usage {
    pub(super) fn of(pid: u32) -> Result<Self> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).with_context(|| format!("read `{path}`"))
        };
        let status = read("status")?;
        Ok(Self {
            at: Instant::now(),
            rss_bytes: kib(&status, "VmRSS:")? * 1024,
            rss_peak_bytes: kib(&status, "VmHWM:")? * 1024,
            cpu: cpu(&read("stat")?, rustix::param::clock_ticks_per_second())?,
        })
    }

    pub(super) fn rss_mib(&self) -> f64 {
        self.rss_bytes as f64 / f64::from(1 << 20)
    }

    /// Processor time since then.
    pub(super) fn cpu_since(&self, earlier: &Self) -> Duration {
        self.cpu.saturating_sub(earlier.cpu)
    }

    /// Percent of one processor since then.
    pub(super) fn percent_since(&self, earlier: &Self) -> f64 {
        let took = self.at.duration_since(earlier.at).as_secs_f64();
        self.cpu_since(earlier).as_secs_f64() / took * 100.0
    }
}

/// The number of a line `name:  123 kB`.
fn kib(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    let kib = kib.with_context(|| format!("the status has no line `{name}`"))?;
    kib.trim().parse().context("read a size")
}

/// User and system time of a line of `/proc/PID/stat`.
fn cpu(stat: &str, ticks_per_second: u64) -> Result<Duration> {
    // The name before it may hold anything, also brackets and spaces.
    let (_, fields) = stat.rsplit_once(')').context("the stat has no name")?;
    let fields: Vec<_> = fields.split_whitespace().collect();
    // Fields 14 and 15 of the line; the first behind the name is 3.
    let ticks = fields.get(11..13).context("the stat has no times")?;
    let ticks = ticks.iter().map(|field| field.parse::<u64>());
    let ticks: u64 = ticks.sum::<Result<_, _>>().context("read the times")?;
    Ok(Duration::from_secs(ticks) / u32::try_from(ticks_per_second)?)
}

/// Lets the processes that are started from here open as many files as they may: thousands of
/// connections need a file each.
pub(super) fn allow_many_files() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).context("raise the limit of open files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_those_of_user_and_system() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu(stat, 100).unwrap(), Duration::from_secs(4));
        assert!(cpu("7 (a) S 1", 100).is_err());
    }

    #[test]
    fn this_process_uses_memory_and_its_use_is_compared() {
        let before = Usage::of(std::process::id()).unwrap();
        let after = Usage {
            at: before.at + Duration::from_secs(2),
            cpu: before.cpu + Duration::from_secs(1),
            ..before
        };
        assert!(before.rss_bytes > 0 && before.rss_peak_bytes >= before.rss_bytes);
        assert!((after.percent_since(&before) - 50.0).abs() < 1e-9);
    }
}

//! `cargo xtask bench`: measures the release binary, row by row.
//!
//! A row is measured several times and the median run is reported. Rows that need a coordinator
//! start one of their own on a fresh directory, so that no row changes the next.

mod command_rows;
mod contract;
mod event_stream;
mod hive;
mod http;
mod latency_rows;
mod machine;
mod start_rows;
mod statistics;
mod throughput_rows;

use crate::console::{note, say};
use crate::workspace::{Workspace, run_visibly};
use anyhow::{Context, Result, ensure};
use clap::Args;
use machine::Machine;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Times a row is measured.
const RUNS: usize = 3;

/// How to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Measure only this row
    #[arg(long, value_name = "ROW")]
    only: Option<String>,
    /// One run and less work in a row: to try it, not to compare
    #[arg(long)]
    quick: bool,
}

/// Something that is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    name: &'static str,
    unit: &'static str,
    measure: fn(&Bench) -> Result<Measurement>,
}

/// Everything that is measured. To add a row, write its function and name it here.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "binary_size",
        unit: "MB",
        measure: start_rows::binary_size,
    },
    Row {
        name: "up_ready",
        unit: "s",
        measure: start_rows::up_ready,
    },
    Row {
        name: "submit_batch_100",
        unit: "tasks/s",
        measure: throughput_rows::submit_batch_100,
    },
    Row {
        name: "submit_single_64",
        unit: "tasks/s",
        measure: throughput_rows::submit_single_64,
    },
    Row {
        name: "end_to_end_noop_4_nodes",
        unit: "tasks/s",
        measure: throughput_rows::end_to_end_noop_4_nodes,
    },
    Row {
        name: "queue_rss_per_100k",
        unit: "MiB",
        measure: throughput_rows::queue_rss_per_100k,
    },
    Row {
        name: "idle_latency",
        unit: "ms",
        measure: latency_rows::idle_latency,
    },
    Row {
        name: "dag_1000_makespan",
        unit: "s",
        measure: latency_rows::dag_1000_makespan,
    },
    Row {
        name: "command_overhead",
        unit: "ms",
        measure: command_rows::command_overhead,
    },
];

/// What the rows share.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The release binary.
    binary: PathBuf,
    /// Where data directories are made: on the disk of the build, not on a memory disk.
    directory: PathBuf,
    quick: bool,
}

impl Bench {
    /// The full amount of work, or the little one of `--quick`.
    const fn amount(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

/// One run of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measurement {
    /// In the unit of the row.
    value: f64,
    /// Operations that were measured.
    n: usize,
    /// Median and 99th percentile of the single operations, where they were timed.
    latency: Option<Percentiles>,
}

/// Of the durations of single operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percentiles {
    p50: Duration,
    p99: Duration,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    rows: Vec<ReportRow>,
}

#[derive(Debug, Serialize)]
struct ReportRow {
    name: &'static str,
    value: f64,
    unit: &'static str,
    n: usize,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

/// Measures the rows and prints them.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let rows = select(options.only.as_deref())?;
    run_visibly(&mut workspace.cargo("build --release --package skep-cli"))?;
    let directory = workspace.target_directory().join("bench");
    fs::create_dir_all(&directory).context("make the directory for measuring")?;
    let machine = Machine::examine(&directory)?;
    let bench = Bench {
        binary: workspace.skep_binary("release"),
        directory,
        quick: options.quick,
    };
    let mut report = Report {
        machine,
        rows: Vec::new(),
    };
    for row in rows {
        note(&format!("==> {}", row.name));
        let measured = measure(row, &bench).with_context(|| format!("measure `{}`", row.name))?;
        report.rows.push(report_row(row, measured));
    }
    if options.json {
        say(&serde_json::to_string_pretty(&report).context("encode the report")?);
    } else {
        say(&table(&report));
    }
    Ok(())
}

fn select(only: Option<&str>) -> Result<Vec<&'static Row>> {
    let rows: Vec<_> = ROWS
        .iter()
        .filter(|row| only.is_none_or(|name| name == row.name))
        .collect();
    let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    ensure!(
        !rows.is_empty(),
        "no row `{}`: use {}",
        only.unwrap_or_default(),
        names.join(", ")
    );
    Ok(rows)
}

fn measure(row: &Row, bench: &Bench) -> Result<Measurement> {
    let runs = bench.amount(RUNS, 1);
    let mut measured = Vec::with_capacity(runs);
    for _ in 0..runs {
        let one = (row.measure)(bench)?;
        note(&format!("    {} {}", decimals(one.value), row.unit));
        measured.push(one);
    }
    statistics::median_by_value(measured).context("nothing was measured")
}

fn report_row(row: &Row, measured: Measurement) -> ReportRow {
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    ReportRow {
        name: row.name,
        value: measured.value,
        unit: row.unit,
        n: measured.n,
        p50_ms: measured.latency.map(|latency| ms(latency.p50)),
        p99_ms: measured.latency.map(|latency| ms(latency.p99)),
    }
}

fn table(report: &Report) -> String {
    let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), decimals);
    let rows = report.rows.iter().map(|row| {
        let (p50, p99) = (optional(row.p50_ms), optional(row.p99_ms));
        let value = decimals(row.value);
        format!(
            "{:24} {value:>12} {:8} {:>8} {p50:>10} {p99:>10}",
            row.name, row.unit, row.n
        )
    });
    let title = format!(
        "{:24} {:>12} {:8} {:>8} {:>10} {:>10}",
        "row", "value", "unit", "n", "p50 ms", "p99 ms"
    );
    [report.machine.to_string(), title]
        .into_iter()
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Three digits that count.
fn decimals(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// A fresh directory for one coordinator; removed when dropped.
fn fresh_directory(parent: &Path) -> Result<tempfile::TempDir> {
    tempfile::tempdir_in(parent).context("make a data directory")
}

#[cfg(test)]
mod tests;

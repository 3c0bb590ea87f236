//! `cargo xtask bench`: measures the release binary, row by row.
//!
//! A row is measured several times and the median run is reported. Rows that need a coordinator
//! start one of their own on a fresh directory, so that no row changes the next.

mod budget;
mod command_rows;
mod contract;
mod event_stream;
mod fleet_process;
mod fleet_rows;
mod hive;
mod hook_rows;
mod http;
mod latency_rows;
mod load;
mod machine;
mod mcp_rows;
mod memory_rows;
mod metrics_text;
mod overload_rows;
mod page;
mod queue_rows;
mod rows;
mod scaling;
mod start_rows;
mod statistics;
mod throughput_rows;
mod usage;
mod web_socket;

use crate::console::{note, say};
use crate::workspace::{Workspace, run_visibly};
use anyhow::{Context, Result, bail, ensure};
use budget::Must;
use clap::Args;
use machine::Machine;
pub(crate) use rows::ROWS;
use serde::Serialize;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Times a row is measured.
const RUNS: usize = 3;

/// How to measure.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Options {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Measure only this row; may be given again
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// One run and less work in a row: to try it, not to compare
    #[arg(long)]
    quick: bool,
    /// Times a row is measured; the median counts
    #[arg(long, value_name = "N", default_value_t = RUNS, value_parser = at_least_once)]
    runs: usize,
    /// Measure, instead of rows, what a task costs with more queued tasks and with more nodes
    #[arg(long, conflicts_with = "only")]
    scaling: bool,
    /// Write what was measured into `docs/performance.md`
    #[arg(long, conflicts_with = "quick")]
    write: bool,
}

fn at_least_once(text: &str) -> Result<usize> {
    let runs: usize = text.parse()?;
    ensure!(runs > 0, "a row is measured at least once");
    Ok(runs)
}

/// Something that is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    name: &'static str,
    unit: &'static str,
    must: Option<Must>,
    measure: fn(&Bench) -> Result<Measurement>,
}

/// What the rows share.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The release binary.
    binary: PathBuf,
    /// Where data directories are made: on the disk of the build, not on a memory disk.
    directory: PathBuf,
    /// The program that plays many callers.
    fleet: PathBuf,
    quick: bool,
    runs: usize,
}

impl Bench {
    /// The full amount of work, or the little one of `--quick`.
    const fn amount(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

/// One run of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measurement {
    /// In the unit of the row.
    value: f64,
    /// Operations that were measured.
    n: usize,
    /// Median and 99th percentile of the single operations, where they were timed.
    latency: Option<Percentiles>,
    /// What else was seen.
    details: Vec<Detail>,
}

/// A figure beside the one that a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Detail {
    name: &'static str,
    value: f64,
    unit: &'static str,
}

impl Detail {
    const fn new(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit }
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    must: Option<Must>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

/// Measures the rows, or how the cost of a task grows, and prints it.
///
/// The load comes from the processors that are measured, so this program is built for release as well
/// and does it from there: its own share has to be as small as that of a good client.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let rows = select(&options.only)?;
    if cfg!(debug_assertions) {
        let words = "run --quiet --release --package xtask --";
        return run_visibly(workspace.cargo(words).args(env::args_os().skip(1)));
    }
    let build = "build --release --package skep-cli --package skep-fleet";
    run_visibly(&mut workspace.cargo(build))?;
    usage::allow_many_files()?;
    let directory = workspace.target_directory().join("bench");
    fs::create_dir_all(&directory).context("make the directory for measuring")?;
    let machine = Machine::examine(&directory)?;
    let binary = workspace.skep_binary("release");
    let bench = Bench {
        fleet: binary.with_file_name("skep-fleet"),
        binary,
        directory,
        quick: options.quick,
        runs: if options.quick { 1 } else { options.runs },
    };
    if options.scaling {
        return scaling::run(workspace, &bench, &machine, options);
    }
    let mut report = Report {
        machine,
        rows: Vec::new(),
    };
    for row in rows {
        note(&format!("==> {}", row.name));
        let measured = measure(row, &bench).with_context(|| format!("measure `{}`", row.name))?;
        report.rows.push(report_row(row, measured, &bench));
    }
    if options.write {
        page::write_rows(workspace, &report)?;
    }
    if options.json {
        say(&serde_json::to_string_pretty(&report).context("encode the report")?);
    } else {
        say(&table(&report));
    }
    Ok(())
}

fn select(only: &[String]) -> Result<Vec<&'static Row>> {
    let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("no row `{unknown}`: use {}", names.join(", "));
    }
    let wanted = |row: &&Row| only.is_empty() || only.iter().any(|name| name == row.name);
    Ok(ROWS.iter().filter(wanted).collect())
}

fn measure(row: &Row, bench: &Bench) -> Result<Measurement> {
    let mut measured = Vec::with_capacity(bench.runs);
    for _ in 0..bench.runs {
        let one = (row.measure)(bench)?;
        note(&format!("    {} {}", decimals(one.value), row.unit));
        measured.push(one);
    }
    statistics::median_by_value(measured).context("nothing was measured")
}

fn report_row(row: &Row, measured: Measurement, bench: &Bench) -> ReportRow {
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    ReportRow {
        name: row.name,
        value: measured.value,
        unit: row.unit,
        n: measured.n,
        p50_ms: measured.latency.map(|latency| ms(latency.p50)),
        p99_ms: measured.latency.map(|latency| ms(latency.p99)),
        // Less work than the budget is about says nothing about it.
        must: row.must.filter(|_| !bench.quick),
        details: measured.details,
    }
}

fn table(report: &Report) -> String {
    let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), decimals);
    let rows = report.rows.iter().map(|row| {
        let (p50, p99) = (optional(row.p50_ms), optional(row.p99_ms));
        let value = decimals(row.value);
        let budget = row.must.map(|must| must.judge(row.value));
        let more = row.details.iter().map(|detail| {
            let Detail { name, value, unit } = detail;
            format!("\n    {name}: {} {unit}", decimals(*value))
        });
        format!(
            "{:24} {value:>12} {:8} {:>8} {p50:>10} {p99:>10}  {}{}",
            row.name,
            row.unit,
            row.n,
            budget.unwrap_or_default(),
            more.collect::<String>()
        )
    });
    let title = format!(
        "{:24} {:>12} {:8} {:>8} {:>10} {:>10}  budget",
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

//! `skep-chaos`: kills real coordinators and nodes while tasks run, and checks what is left.
//!
//! Start a coordinator and three nodes, submit a mix of tasks from two clients, follow the events
//! with two readers, and meanwhile kill, stop and restart processes as the seed says. When all is
//! final, the [`checker`] judges requests, answers, events, and what the tasks wrote down
//! themselves by what Skep promises. `--sabotage` puts an earlier state of the coordinator's data
//! back, which the checker has to notice.
//!
//! `SIGKILL` leaves the page cache alone: what a loss of power does to a disk is tested in the
//! store, not here. A seed draws the same tasks and faults again; the interleaving is the
//! machine's own.
//!
//! This crate may not: use any crate of Skep. What it believes about the product, it reads from
//! the HTTP API, from `/proc`, and from what the tasks wrote down.
//!
//! This crate may not: use any crate of Skep. It judges from outside, by what the HTTP API says.

#![expect(
    clippy::print_stdout,
    reason = "a tool for developers prints its findings"
)]
#![expect(
    clippy::print_stderr,
    reason = "a tool for developers prints its findings"
)]

mod args;
mod checker;
mod faults;
mod follower;
mod history;
mod http;
mod living;
mod play;
mod random;
mod report;
mod sabotage;
mod signals;
mod submitter;
mod swarm;
mod workload;

use anyhow::{Context, Result};
use args::Args;
use checker::Rule;
use history::History;
use report::{Coverage, Report};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(word) => {
            eprintln!("`{word}` is not understood; {}", args::USAGE);
            return ExitCode::from(64);
        }
    };
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Plays once; whether all rules hold, or, after sabotage, whether it was noticed.
fn run(args: &Args) -> Result<bool> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("skep-chaos-");
    let mut directory = match &args.dir {
        Some(place) => builder.tempdir_in(place),
        None => builder.tempdir(),
    }
    .context("make a temporary directory")?;
    let played = play::play(args, directory.path());
    let judged =
        played.and_then(|(history, coverage)| judge(args, directory.path(), &history, &coverage));
    if !matches!(judged, Ok(true)) {
        directory.disable_cleanup(true);
        eprint!("{}", report::log_tails(directory.path()));
        eprintln!("kept: {}", directory.path().display());
        eprintln!("{}", report::replay_line(args));
    }
    judged
}

/// Checks the history and shows what was found.
fn judge(args: &Args, directory: &Path, history: &History, coverage: &Coverage) -> Result<bool> {
    let violations = checker::check(history);
    let is_fine = if args.sabotage {
        let noticed = |rule| violations.iter().any(|violation| violation.rule == rule);
        noticed(Rule::AcceptedTasksAreKept) && noticed(Rule::StreamsAreComplete)
    } else {
        violations.is_empty()
    };
    let report = Report {
        args,
        history,
        coverage,
        violations: &violations,
    };
    if args.json {
        println!("{:#}", report.json((!is_fine).then_some(directory)));
    } else {
        println!("{}", report.text());
    }
    if args.sabotage {
        eprintln!(
            "the sabotage was {}",
            if is_fine { "noticed" } else { "NOT NOTICED" }
        );
    }
    if !is_fine {
        let history = serde_json::to_vec(history).context("write the history as JSON")?;
        fs::write(directory.join("history.json"), history).context("keep the history")?;
    }
    Ok(is_fine)
}

//! `skep-chaos`: kills real coordinators and nodes while tasks run, and checks what is left.
//!
//! Start a coordinator and three nodes, submit a mix of tasks from two clients, follow the events
//! with two readers, and meanwhile kill, stop and restart processes as the seed says. When all is
//! final, the [`checker`] judges requests, answers, events, and what the tasks wrote down
//! themselves by what Skep promises. `--sabotage` puts an earlier state of the coordinator's data
//! back, which the checker has to notice.
//!
//! `skep-chaos net` does the same with hosts of their own and a network between them that breaks;
//! see [`net`]. `skep-chaos delay-proxy` is the tool by which one path of it becomes bad; see
//! [`delay_proxy`].
//!
//! `SIGKILL` leaves the page cache alone: what a loss of power does to a disk is tested in the
//! store, not here. A seed draws the same tasks and faults again; the interleaving is the
//! machine's own.
//!
//! This crate may not: use any crate of Skep. What it believes about the product, it reads from
//! the HTTP API, from `/proc`, and from what the tasks wrote down.

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
mod delay_proxy;
mod faults;
mod follower;
mod history;
mod http;
mod living;
mod net;
mod play;
mod process;
mod random;
mod report;
mod sabotage;
mod signals;
mod submitter;
mod swarm;
mod unrest;
mod wiring;
mod workload;

use anyhow::{Context, Result};
use args::Args;
use checker::Rule;
use history::History;
use net::NetArgs;
use report::{Coverage, Report};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// What the command line is not, as the system's own tools say it.
const USAGE_ERROR: u8 = 64;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let played = match words.peek().map(String::as_str) {
        Some("delay-proxy") => delay_proxy::run(words.skip(1)).map(|()| true),
        Some("net") => match NetArgs::parse(words.skip(1)) {
            Ok(args) => net::run(&args),
            Err(word) => return not_understood(&word, net::USAGE),
        },
        // In the namespaces that `net` made.
        Some("net-scenario") => match NetArgs::parse(words.skip(1)) {
            Ok(args) => net::run_scenario(&args),
            Err(word) => return not_understood(&word, net::USAGE),
        },
        _ => match Args::parse(words) {
            Ok(args) => run(&args),
            Err(word) => return not_understood(&word, args::USAGE),
        },
    };
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn not_understood(word: &str, usage: &str) -> ExitCode {
    eprintln!("`{word}` is not understood; {usage}");
    ExitCode::from(USAGE_ERROR)
}

/// Rules that cannot hold when data is put back to an earlier state.
const BROKEN_BY_SABOTAGE: &[Rule] = &[Rule::AcceptedTasksAreKept, Rule::StreamsAreComplete];

/// Plays once; whether all rules hold, or, after sabotage, whether it was noticed.
fn run(args: &Args) -> Result<bool> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("skep-chaos-");
    let mut directory = match &args.dir {
        Some(place) => builder.tempdir_in(place),
        None => builder.tempdir(),
    }
    .context("make a temporary directory")?;
    let played = unrest::play(args, directory.path());
    let judged = played.and_then(|(history, coverage)| {
        judge(
            args,
            directory.path(),
            &history,
            &coverage,
            BROKEN_BY_SABOTAGE,
        )
    });
    if !matches!(judged, Ok(true)) {
        directory.disable_cleanup(true);
        eprint!("{}", report::log_tails(directory.path()));
        eprintln!("kept: {}", directory.path().display());
        eprintln!("{}", report::replay_line(args));
    }
    judged
}

/// Checks the history and shows what was found. After sabotage it is fine that the rules which that
/// breaks do not hold, and only that.
fn judge(
    args: &Args,
    directory: &Path,
    history: &History,
    coverage: &Coverage,
    broken_by_sabotage: &[Rule],
) -> Result<bool> {
    let violations = checker::check(history);
    let is_fine = if args.sabotage {
        let noticed = |rule| violations.iter().any(|violation| violation.rule == rule);
        broken_by_sabotage.iter().all(|rule| noticed(*rule))
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

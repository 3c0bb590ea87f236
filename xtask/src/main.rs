//! `cargo xtask`: everything the repository does to itself: lint, fix, test, docs, bench, study.
//!
//! Each command is a list of named steps or rows, kept as data: [`lint::STEPS`],
//! [`test_steps::STEPS`], [`docs::GENERATORS`] and [`bench::ROWS`] are the places to add one.
//!
//! This crate may not: be used by another crate, write anything in `lint` and `docs --check`,
//! or contain logic that the product needs.

mod bench;
mod clients;
mod console;
mod doc_commands;
mod docs;
mod layers;
mod licences;
mod lint;
mod mcp_conformance;
mod mcp_server;
mod orphans;
mod packages;
mod step;
mod study;
mod test_steps;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use workspace::Workspace;

/// Lints, tests, documents and measures Skep.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check format, lints, layers, tidiness, licences and generated files; never writes
    Lint {
        /// Run only this step
        #[arg(long, value_name = "STEP")]
        only: Option<String>,
    },
    /// Repair what `lint` would complain about and a machine can repair
    Fix,
    /// Build and run every test
    Test {
        /// Run only this step
        #[arg(long, value_name = "STEP")]
        only: Option<String>,
        /// Run only clients of MCP that others wrote; fail when they cannot be installed
        #[arg(long, conflicts_with = "only")]
        clients: bool,
    },
    /// Write the generated pages below `docs/`
    Docs {
        /// Write nothing; fail when a page is not current
        #[arg(long)]
        check: bool,
    },
    /// Measure the release binary
    Bench(bench::Options),
    /// Compare the strategies of the scheduler, or time its rounds, without a swarm
    Study(study::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    match command {
        Command::Lint { only } => lint::check(&workspace, only.as_deref()),
        Command::Fix => lint::fix(&workspace),
        Command::Test { clients: true, .. } => test_steps::run_clients(&workspace),
        Command::Test { only, .. } => test_steps::run(&workspace, only.as_deref()),
        Command::Docs { check: true } => docs::check(&workspace),
        Command::Docs { check: false } => docs::write(&workspace),
        Command::Bench(options) => bench::run(&workspace, &options),
        Command::Study(options) => study::run(&workspace, &options),
    }
}

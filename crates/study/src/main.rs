//! `skep-study`: what the scheduler makes of measured work, in virtual time, and how long its
//! rounds take.
//!
//! `placement` replays real task durations over simulated nodes and compares the strategies;
//! `round` times single rounds over many nodes and tasks. Both call the scheduler that ships.
//!
//! This crate may not: be used by another crate, or hold a copy of anything the scheduler decides.

mod console;
mod measured;
mod placement;
mod random;
mod replay;
mod round;
mod scenario;
mod swarm;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Studies of the scheduler.
#[derive(Debug, Parser)]
#[command(name = "skep-study")]
struct Arguments {
    #[command(subcommand)]
    study: Study,
}

#[derive(Debug, Subcommand)]
enum Study {
    /// Compare the strategies over real task durations
    Placement(placement::Options),
    /// Time rounds of placing
    Round(round::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().study {
        Study::Placement(options) => placement::run(&options),
        Study::Round(options) => round::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

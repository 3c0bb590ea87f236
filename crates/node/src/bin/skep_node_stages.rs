//! The runner's internal stages as a binary of their own, so that this crate's tests need no other
//! crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    skep_runner::internal_main(std::env::args_os().skip(1)).unwrap_or(ExitCode::FAILURE)
}

//! `cargo xtask study`: builds `skep-study` for release and hands it the arguments.

use crate::workspace::{Workspace, run_visibly};
use anyhow::Result;

/// Which study, with its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// `placement` or `round`, and options of `skep-study`; `placement --help` lists them
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs the study; what it prints is the result.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let words = "run --quiet --release --package skep-study --";
    run_visibly(workspace.cargo(words).args(&options.words))
}

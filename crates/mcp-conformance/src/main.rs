//! `skep-mcp-conformance`: a coordinator with its MCP endpoint, and beside Skep's tools those that
//! the official conformance suite calls.
//!
//! Endpoint, authentication, handler and the store of tasks are the product's. What is made for
//! the suite is here: tools, prompts and resources of its choice. Work that such a tool starts is
//! a task of the swarm, run by a node.
//!
//! This crate may not: be used by the product, or change an answer of Skep's own tools.

#![expect(
    deprecated,
    reason = "the suite still asks for what the newest revision gives up, such as log messages"
)]

mod contents;
mod coordinator;
mod fixture;
mod jobs;
mod material;
mod older;
mod questions;
mod signals;

use anyhow::{Context, Result};
use clap::Parser;
use std::io::Read;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Serves the suite until the end of its input.
#[derive(Debug, Parser)]
#[command(name = "skep-mcp-conformance")]
struct Arguments {
    /// Empty directory for all data
    #[arg(long)]
    home: PathBuf,
    /// Written when it is ready: JSON with `url` and `token_file`
    #[arg(long)]
    ready_file: PathBuf,
    /// The `skep` binary, which runs the node
    #[arg(long)]
    skep: PathBuf,
    /// Give clients of older revisions a session, so that tools can ask them something
    #[arg(long)]
    sessions: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let stop = CancellationToken::new();
    let end = stop.clone();
    let read = move || {
        // Whoever started this process ends it by closing its input, also by dying.
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        end.cancel();
    };
    let reader = std::thread::Builder::new().name("stdin".to_owned());
    reader.spawn(read).context("start a thread")?;
    coordinator::run(&arguments, stop).await
}

//! `skep mcp`: the swarm's tools for an agent, over stdin and stdout; and the set-up of clients.

mod client_file;
mod config;
mod coordinator;
mod entry_check;
mod forwarder;
mod json_file;
mod lines;
mod message;
mod own_runtime;
mod own_session;
mod subscriptions;
mod toml_file;

use super::Session;
use crate::args::{McpArgs, McpCommand};
use crate::exit::Outcome;

pub(crate) async fn run(session: &Session, args: McpArgs) -> Outcome {
    match args.command {
        Some(McpCommand::Config(config)) => config::run(session, config).await,
        None => forwarder::run(session, args.toolset).await,
    }
}

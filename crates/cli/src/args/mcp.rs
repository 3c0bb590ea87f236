//! The verb for agents: serving tools over stdin and stdout, and setting up clients for that.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    #[command(subcommand)]
    pub(crate) command: Option<McpCommand>,
    /// Tools to offer
    #[arg(long, value_enum, default_value_t = Toolset::Native)]
    pub(crate) toolset: Toolset,
}

/// A set of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Toolset {
    /// A dozen for everyday work, and a pair that finds and calls everything else
    Native,
    /// Those of Claude-Flow that have a meaning here, under their own names
    ClaudeFlow,
    /// Both
    All,
}

impl Toolset {
    /// Its name on the command line and in the URL.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::ClaudeFlow => "claude-flow",
            Self::All => "all",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum McpCommand {
    /// Print how a client is told of this server, or write it into the client's configuration
    Config(McpConfigArgs),
}

#[derive(Debug, Args)]
pub(crate) struct McpConfigArgs {
    /// Program that shall use the tools
    #[arg(value_enum, value_name = "CLIENT")]
    pub(crate) client: McpClient,
    /// Write the entry into the client's file, keep a copy of what was there, then start the server
    /// as the entry says and call it
    #[arg(long)]
    pub(crate) write: bool,
    /// Tools that the entry offers; claude-flow makes an entry of that name
    #[arg(long, value_enum, default_value_t = Toolset::Native)]
    pub(crate) toolset: Toolset,
    /// File of the client, instead of its usual one
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// A program that uses tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum McpClient {
    /// Claude Code, for this user
    ClaudeCode,
    /// Claude Desktop
    ClaudeDesktop,
    /// Cursor
    Cursor,
    /// Visual Studio Code
    Vscode,
    /// Codex
    Codex,
}

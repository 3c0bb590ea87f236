//! Verbs that come in families: config, token, node, task, artifact.

use super::ListArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show all values with their origin
    Show,
    /// Show one value with its origin
    Explain {
        /// Name of the value
        key: String,
    },
    /// Check the configuration files
    Validate,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// List tokens, without their secrets
    Ls,
    /// Make a token; its secret is shown once
    New {
        /// Name for people
        name: String,
        /// What it allows: read, write, node or admin
        #[arg(long = "scope", required = true, value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Ends after this many seconds
        #[arg(long, value_name = "SECONDS")]
        ttl: Option<u64>,
    },
    /// End a token
    Revoke {
        /// Token id
        token: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Run a node in the foreground
    Start(NodeStartArgs),
    /// List nodes
    Ls,
    /// Show a node
    Show {
        /// Node id or name
        node: String,
    },
    /// Give a node no new work; what it runs goes on
    Drain {
        /// Node id or name
        node: String,
    },
    /// Give a drained node work again
    Resume {
        /// Node id or name
        node: String,
    },
    /// Forget a node that holds no work
    Rm {
        /// Node id or name
        node: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NodeStartArgs {
    /// Coordinator, e.g. ws://127.0.0.1:8600; found by itself when it is this user's
    #[arg(long, value_name = "URL")]
    pub(crate) coordinator: Option<String>,
    /// Name for people; the host's name unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Attempts to run at a time; the number of processors unless given
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<u32>,
    /// Word for affinity rules
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// What its agent can do, e.g. rust or rust=expert
    #[arg(long = "capability", value_name = "NAME[=PROFICIENCY]")]
    pub(crate) capabilities: Vec<String>,
    /// Directory that tasks may read, beside the system's own
    #[arg(long = "allow-read", value_name = "DIR")]
    pub(crate) allow_read: Vec<PathBuf>,
    /// Directory that tasks never see, even where a plan lets them read around it
    #[arg(long = "hide", value_name = "DIR")]
    pub(crate) hide: Vec<PathBuf>,
    /// Directory for identity, spool, logs and workspaces of this node
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// File with the node token
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// End at once when stdin closes, as it does when the process that started this one dies
    #[arg(long, hide = true)]
    pub(crate) end_with_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// List tasks, newest first
    Ls {
        #[command(flatten)]
        list: ListArgs,
        /// Only those of this run
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
        /// Words to search for in names, labels and errors of finished tasks
        #[arg(long, value_name = "WORDS")]
        search: Option<String>,
    },
    /// Show a task with its attempts, gates and evidence
    Show {
        /// Task id
        task: String,
    },
    /// Print the log of a task's newest attempt
    Logs {
        /// Task id
        task: String,
        /// Another attempt than the newest
        #[arg(long, value_name = "N")]
        attempt: Option<u32>,
        /// Go on as it grows
        #[arg(long, short, conflicts_with = "grep")]
        follow: bool,
        /// Only lines that match this regular expression
        #[arg(long, value_name = "REGEX")]
        grep: Option<String>,
    },
    /// Cancel a task
    Cancel {
        /// Task id
        task: String,
    },
    /// Try a task again
    Retry {
        /// Task id
        task: String,
    },
    /// Hold a task that no agent holds
    Pause {
        /// Task id
        task: String,
    },
    /// Let a held task go on
    Resume {
        /// Task id
        task: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactCommand {
    /// List the artifacts of a run or task
    Ls {
        /// Run or task id
        id: String,
    },
    /// Fetch an artifact
    Get {
        /// BLAKE3 hash, as listed
        hash: String,
        /// File to write; stdout unless given
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

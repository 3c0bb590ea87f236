//! Verbs that come in families: config, token, node, task, artifact, merge.

use super::ListArgs;
use super::nodes::JoinTokenArgs;
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
        /// What it allows: read, write, node, agent or admin
        #[arg(long = "scope", required = true, value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Ends after this many seconds
        #[arg(long, value_name = "SECONDS")]
        ttl: Option<u64>,
    },
    /// Make a join token, by which other machines join with `skep join`; it is shown once
    Join(JoinTokenArgs),
    /// End a token or a join token
    Revoke {
        /// Id of the token or join token
        // Not called `token`: that is the flag of all commands.
        #[arg(value_name = "TOKEN")]
        id: String,
    },
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
    /// Add tasks to the run of a task; a running attempt does so for its own
    Split {
        /// File with a `tasks:` map as in a plan; `-` reads it from stdin
        file: PathBuf,
        /// Task id; in an attempt its own
        #[arg(long, env = "SKEP_TASK_ID", value_name = "TASK")]
        task: String,
        /// Key under which a repeated call adds nothing; made anew unless given
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
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

#[derive(Debug, Subcommand)]
pub(crate) enum MergeCommand {
    /// Join JSON objects by a rule for each field
    Aggregate(AggregateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AggregateArgs {
    /// The rules, e.g. {"lines": "sum"}
    #[arg(long, value_name = "JSON")]
    pub(crate) fields: String,
    /// File for the result
    #[arg(long, value_name = "PATH")]
    pub(crate) output: PathBuf,
    /// The results, in the order of the parts
    #[arg(last = true, required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

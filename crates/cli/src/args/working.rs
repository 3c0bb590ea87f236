//! Verbs of agents, and of shells that take part as one.

use super::ListArgs;
use super::nodes::milliseconds;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// List agents: those that nodes host, and sessions that attached themselves
    Ls {
        #[command(flatten)]
        list: ListArgs,
        /// Only `hosted` or only `attached` ones
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
    },
    /// Show an agent; of an attached one also what it says it can do, and what came of its work
    Show {
        /// Agent id or name
        agent: String,
    },
}

/// Which session acts.
#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// Id or name of the session, as `skep work register` printed it
    #[arg(long, env = "SKEP_SESSION", value_name = "SESSION")]
    pub(crate) session: String,
}

/// The task that a session has.
#[derive(Debug, Args)]
pub(crate) struct HeldArgs {
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    /// Task id
    pub(crate) task: String,
    /// Proof of the grant, as it was given with the task; else the one that the session has now
    #[arg(long, value_name = "FENCE")]
    pub(crate) fence: Option<String>,
}

/// An agent that runs a command for each task.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The command
    #[arg(long, value_name = "COMMAND")]
    pub(crate) exec: String,
    /// Name; made up if there is none
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What it can do, NAME or NAME=PROFICIENCY; basic unless said
    #[arg(long = "can", value_name = "CAPABILITY")]
    pub(crate) capabilities: Vec<String>,
    /// Leave after so many tasks
    #[arg(long, value_name = "TASKS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkCommand {
    /// Register this shell as an attached agent; prints its id
    Register {
        /// Name; made up if there is none
        #[arg(long)]
        name: Option<String>,
        /// What it can do, NAME or NAME=PROFICIENCY; basic unless said
        #[arg(long = "can", value_name = "CAPABILITY")]
        capabilities: Vec<String>,
        /// Heartbeats come all the while, also during work: it is given up after three minutes
        /// without one
        #[arg(long)]
        heartbeats: bool,
    },
    /// Take tasks one after the other over one connection, and run a command for each
    #[command(
        after_help = "The command runs in a shell, in the present directory. It reads the instructions \
                      on stdin, and finds SKEP_SESSION, SKEP_TASK, SKEP_FENCE and SKEP_ATTEMPT in its \
                      environment. With exit code 0 the task is completed, and what it wrote to \
                      stdout is the result; else the attempt failed. It is ended when the task is \
                      taken back."
    )]
    Serve(ServeArgs),
    /// Ask for a task, and wait for it; prints the one that the session has already
    Request {
        #[command(flatten)]
        session: SessionArgs,
        /// How long to wait, at most 1m
        #[arg(long, default_value = "30s", value_name = "TIME", value_parser = milliseconds)]
        wait: u64,
    },
    /// Take a named task, or accept the one that was given, and begin it
    Claim {
        #[command(flatten)]
        session: SessionArgs,
        /// Task id
        task: String,
    },
    /// Say that the session is there
    Heartbeat {
        #[command(flatten)]
        session: SessionArgs,
        /// The task that it works on
        task: Option<String>,
    },
    /// Say that work goes on, with a note for the task's log
    Progress {
        #[command(flatten)]
        held: HeldArgs,
        /// The note
        note: Option<String>,
    },
    /// End a task well, with what came of it
    Complete {
        #[command(flatten)]
        held: HeldArgs,
        /// What came of it, as text
        #[arg(long, value_name = "TEXT")]
        result: Option<String>,
        /// The commit that holds it
        #[arg(long, value_name = "COMMIT")]
        commit: Option<String>,
        /// File to hand in; its path below the present directory is kept
        #[arg(long = "artifact", value_name = "FILE")]
        artifacts: Vec<PathBuf>,
    },
    /// Say that a task could not be done
    Fail {
        #[command(flatten)]
        held: HeldArgs,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Hand a task back, for others
    HandBack {
        #[command(flatten)]
        held: HeldArgs,
    },
    /// End the session; its task goes back
    Leave {
        #[command(flatten)]
        session: SessionArgs,
    },
}

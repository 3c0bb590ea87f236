//! The command line of `skep`: names, flags and their help. Nothing is decided here.

mod analysing;
mod families;
mod mcp;
mod memory;
mod nodes;
mod operating;
mod schedules;
mod triggers;
mod up;
mod working;

pub(crate) use families::{
    AggregateArgs, ArtifactCommand, ConfigCommand, MergeCommand, TaskCommand, TokenCommand,
};

pub(crate) use analysing::AnalyseCommand;
pub(crate) use mcp::{McpArgs, McpClient, McpCommand, McpConfigArgs, Toolset};

pub(crate) use memory::{
    BatchArgs, EmbedArgs, EntryArgs, MemoryCommand, NamespaceCommand, NamespaceSettingArgs,
    NearArgs, SetArgs as MemorySetArgs, TouchArgs, UpdateArgs,
};

pub(crate) use nodes::{
    DiscoverArgs, JoinArgs, JoinTokenArgs, NodeCommand, NodeHomeArgs, NodeParkArgs,
    NodeProfileArgs, NodeSetArgs, NodeStartArgs, NodesArgs, milliseconds,
};

#[cfg(test)]
pub(crate) use nodes::OnDisconnectArg;
pub(crate) use schedules::{CreateScheduleArgs, ScheduleCommand};
pub(crate) use triggers::{CreateTriggerArgs, TriggerCommand};
pub(crate) use up::{MemoryServerArgs, RedisMirrorArgs, UpArgs};
pub(crate) use working::{AgentCommand, HeldArgs, ServeArgs, WorkCommand};

pub(crate) use operating::{BackupCommand, DebugCommand, ServiceArgs, ServiceCommand};

use clap::{Args, Parser, Subcommand, ValueEnum};
use skep_model::limits::TASKS_PER_SUBMISSION_MAX;
use std::path::PathBuf;

/// One hive for every agent you run: submit a task graph, run it on several nodes, lose nothing.
#[derive(Debug, Parser)]
#[command(
    name = "skep",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Args, Clone)]
pub(crate) struct Global {
    /// Print one JSON document on stdout (streams: one document a line), an error as JSON on the
    /// last line of stderr. Else stderr stays text for people: progress, warnings
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Coordinator to talk to, e.g. http://127.0.0.1:8600
    #[arg(long, global = true, env = "SKEP_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Fingerprint of the certificate authority to trust at an https address, 64 hexadecimal
    /// digits; `skep doctor` on the coordinator's machine shows it
    #[arg(
        long,
        global = true,
        env = "SKEP_AUTHORITY",
        value_name = "FINGERPRINT"
    )]
    pub(crate) authority: Option<String>,
    /// API token; found by itself for a coordinator of this user
    #[arg(
        long,
        global = true,
        env = "SKEP_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,
    /// Directory for all data, instead of the XDG directories
    #[arg(long, global = true, env = "SKEP_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// How progress is shown
    #[arg(long, global = true, value_enum, default_value_t = Progress::Auto)]
    pub(crate) progress: Progress,
    /// Where `url` comes from; filled in with the configuration.
    #[arg(skip)]
    pub(crate) url_origin: String,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// Live on a terminal, otherwise plain
    Auto,
    /// One line per change
    Plain,
    /// Nothing
    None,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a coordinator and a node on this machine
    Up(UpArgs),
    /// Join a swarm with this machine by a join token, and run its node in the foreground
    Join(Box<JoinArgs>),
    /// Run a plan to its end, with a coordinator of its own unless one is named; or look at runs
    #[command(args_conflicts_with_subcommands = true)]
    Run(RunArgs),
    /// Check a plan and show its graph, without running anything
    Plan(PlanArgs),
    /// Submit a plan to the coordinator
    Submit(SubmitArgs),
    /// Show what the swarm does, live
    Watch(WatchArgs),
    /// Wait until a run or task has ended
    Wait(WaitArgs),
    /// Say why a task does not run yet, node by node
    Explain {
        /// Task id
        task: String,
    },
    /// Print events, from any point on
    Events(EventsArgs),
    /// Check this machine and the coordinator, with a cure for what is wrong
    Doctor {
        /// Also verify all that the coordinator stores, which may take minutes
        #[arg(long)]
        full: bool,
    },
    /// Measure a running swarm with tasks that do nothing
    Bench(BenchArgs),
    /// Look at what was done: figures of a time, their course, what holds work up, errors that are
    /// alike
    Analyse {
        #[command(subcommand)]
        command: AnalyseCommand,
    },
    /// Print a completion script for a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Show the configuration and where each value comes from
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Make, list and revoke API tokens and join tokens
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Start and look after nodes
    Node {
        #[command(subcommand)]
        command: NodeCommand,
    },
    /// Look at tasks and steer them
    Task {
        #[command(subcommand)]
        command: TaskCommand,
    },
    /// Look at agents, hosted and attached ones
    Agent {
        #[command(subcommand)]
        command: AgentCommand,
    },
    /// Take part as an attached agent from a shell: ask for work, claim it, say what came of it
    Work {
        #[command(subcommand)]
        command: WorkCommand,
    },
    /// List and fetch artifacts
    Artifact {
        #[command(subcommand)]
        command: ArtifactCommand,
    },
    /// Submit plans again and again, at set times
    #[command(after_help = schedules::EXAMPLES)]
    Schedule {
        #[command(subcommand)]
        command: ScheduleCommand,
    },
    /// Submit plans when something happens
    #[command(after_help = triggers::EXAMPLES)]
    Trigger {
        #[command(subcommand)]
        command: TriggerCommand,
    },
    /// Read and write values that the swarm shares
    #[command(after_help = memory::EXAMPLES)]
    Memory {
        #[command(subcommand)]
        command: MemoryCommand,
    },
    /// Serve the swarm's tools to an agent over stdin and stdout (MCP), from the coordinator that
    /// runs or one that ends with this; or set up a client for it
    #[command(args_conflicts_with_subcommands = true)]
    Mcp(McpArgs),
    /// Store what an agent's program does, called by its settings as Claude-Flow writes them; always
    /// ends with 0
    Hooks {
        /// pre-task, post-task, pre-edit, post-edit, pre-bash (or pre-command), post-bash (or
        /// post-command), post-search, mcp-initialized, agent-spawned, task-orchestrated,
        /// neural-trained, session-end, session-restore or notify; modify-bash, modify-file and
        /// modify-git-commit are taken, and change nothing
        #[arg(value_name = "NAME")]
        hook: String,
        /// Flags of the hook, as Claude-Flow has them
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "FLAGS"
        )]
        flags: Vec<String>,
    },
    /// Back up the data of a coordinator, check backups, and start anew from one
    Backup {
        #[command(subcommand)]
        command: BackupCommand,
    },
    /// Keep a node or the coordinator running by systemd
    Service {
        #[command(subcommand)]
        command: ServiceCommand,
    },
    /// Help to find a fault
    Debug {
        #[command(subcommand)]
        command: DebugCommand,
    },
    /// Join the results of parts; merges of plans run this
    #[command(hide = true)]
    Merge {
        #[command(subcommand)]
        command: MergeCommand,
    },
    /// Print a description for machines
    Schema {
        /// What to describe
        name: SchemaName,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SchemaName {
    /// The plan file, as JSON Schema
    Plan,
    /// The HTTP API, as OpenAPI 3.1
    Openapi,
    /// All error codes, as pages in Markdown by file name
    Errors,
    /// The tools of Claude-Flow's contract, as a page in Markdown by file name
    ClaudeFlow,
}

#[derive(Debug, Args)]
pub(crate) struct PlanInput {
    /// Plan file, YAML or JSON
    #[arg(value_name = "PLAN")]
    pub(crate) plan: PathBuf,
    /// Set a parameter of the plan
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub(crate) params: Vec<String>,
    /// Read parameters from a YAML or JSON file
    #[arg(long, value_name = "FILE")]
    pub(crate) var_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RunCommand>,
    /// Plan file, YAML or JSON
    #[arg(value_name = "PLAN", required = true)]
    pub(crate) plan: Option<PathBuf>,
    /// Set a parameter of the plan
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub(crate) params: Vec<String>,
    /// Read parameters from a YAML or JSON file
    #[arg(long, value_name = "FILE")]
    pub(crate) var_file: Option<PathBuf>,
    /// Node processes to start for this run, 1 to 64
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) nodes: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// List runs, newest first
    Ls(ListArgs),
    /// Show a run with its tasks and artifacts
    Show {
        /// Run id
        run: String,
    },
    /// Cancel a run
    Cancel {
        /// Run id
        run: String,
    },
    /// Hold a run: running attempts go on, no new one starts
    Pause {
        /// Run id
        run: String,
    },
    /// Let a held run go on
    Resume {
        /// Run id
        run: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) input: PlanInput,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    #[command(flatten)]
    pub(crate) input: PlanInput,
    /// Wait for the end of the run; exit code 5 if it fails
    #[arg(long)]
    pub(crate) wait: bool,
    /// Two submissions with the same key within 24 hours are one
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Only this run
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Run or task id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// State to wait for: done (any final state) or the name of a state
    #[arg(long = "for", default_value = "done", value_name = "STATE")]
    pub(crate) state: String,
    /// Give up after this many seconds, with exit code 124
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Start after this cursor, as printed with each event; `0.0` starts at the beginning
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
    /// Only events of this run
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Go on with new events as they come
    #[arg(long, short)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Tasks to submit
    #[arg(long, default_value_t = 10_000, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) tasks: u32,
    /// Tasks in one request
    #[arg(long, default_value_t = 100, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=TASKS_PER_SUBMISSION_MAX as i64))]
    pub(crate) batch: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those in this state
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: usize,
}

//! Verbs about nodes and joining.

use clap::{Args, Subcommand, ValueEnum};
use skep_model::hold::OnDisconnect;
use skep_model::limits::SLOTS_MAX;
use skep_model::node::NodeClass;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Run a node in the foreground
    Start(Box<NodeStartArgs>),
    /// Prepare the state directory of a node, with what its owner says about it
    Init(NodeHomeArgs),
    /// Change what the owner says about a node of this machine; its next start follows it
    Configure(NodeHomeArgs),
    /// List coordinators that announce themselves nearby; joining needs a token all the same
    Discover(DiscoverArgs),
    /// List nodes
    Ls {
        /// List machines that joined and wait for approval, with their pairing codes
        #[arg(long)]
        pending: bool,
    },
    /// Show a node
    Show {
        /// Node id or name
        node: String,
    },
    /// Give a node labels, a region or a policy that win over its own
    Set(NodeSetArgs),
    /// Let a machine connect that joined and waits for approval
    Approve {
        /// Node id or name
        node: String,
    },
    /// Give nodes no new work; what they run goes on
    Drain(NodesArgs),
    /// Give drained nodes work again
    Resume(NodesArgs),
    /// Let what a node runs stand still and wait while its machine sleeps
    Park(NodeParkArgs),
    /// Let what a parked node runs go on
    Unpark {
        /// Node id or name; without it all nodes that run here under this user
        node: Option<String>,
    },
    /// Forget a node that holds no work, or whose work would wait for it for ever; a machine that
    /// joined has to join anew
    Rm {
        /// Node id or name
        node: String,
    },
}

/// How patient the coordinator is with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClassArg {
    /// Always on, well connected
    Server,
    /// A laptop or a workstation: longer heartbeats, longer leases
    Consumer,
}

impl From<ClassArg> for NodeClass {
    fn from(class: ClassArg) -> Self {
        match class {
            ClassArg::Server => Self::Server,
            ClassArg::Consumer => Self::Consumer,
        }
    }
}

/// What becomes of the attempts of a node that is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnDisconnectArg {
    /// They are given to others when its lease is over
    Replace,
    /// They wait ten minutes for it, and are given to others then
    Wait,
    /// They wait for it until they are cancelled, their deadline passes, or it is removed
    Keep,
}

impl From<OnDisconnectArg> for OnDisconnect {
    fn from(policy: OnDisconnectArg) -> Self {
        match policy {
            OnDisconnectArg::Replace => Self::Replace,
            OnDisconnectArg::Wait => Self::Wait,
            OnDisconnectArg::Keep => Self::Keep,
        }
    }
}

/// The same, as an operator sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnDisconnectSettingArg {
    /// As the node says itself, or as is usual for its class
    Own,
    /// They are given to others when its lease is over
    Replace,
    /// They wait ten minutes for it, and are given to others then
    Wait,
    /// They wait for it until they are cancelled, their deadline passes, or it is removed
    Keep,
}

impl OnDisconnectSettingArg {
    /// The word of the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Replace => OnDisconnect::Replace.as_str(),
            Self::Wait => OnDisconnect::Wait.as_str(),
            Self::Keep => OnDisconnect::Keep.as_str(),
        }
    }
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NodeProfileArgs {
    /// Name for people; the host's name unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Attempts to run at a time; the number of processors unless given
    #[arg(long, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(SLOTS_MAX)))]
    pub(crate) slots: Option<u32>,
    /// How patient the coordinator is to be with this machine
    #[arg(long, value_enum)]
    pub(crate) class: Option<ClassArg>,
    /// What becomes of its attempts while it is not heard; replace for servers and wait for
    /// consumer machines unless given
    #[arg(long, value_enum, value_name = "POLICY")]
    pub(crate) on_disconnect: Option<OnDisconnectArg>,
    /// Where the machine stands, e.g. office or eu-west
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Option<String>,
    /// Model that it could serve; may be repeated
    #[arg(long = "model", value_name = "NAME")]
    pub(crate) models: Vec<String>,
    /// Word for affinity rules
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// What its agent can do, e.g. rust or rust=expert
    #[arg(long = "capability", value_name = "NAME[=PROFICIENCY]")]
    pub(crate) capabilities: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NodeHomeArgs {
    #[command(flatten)]
    pub(crate) profile: NodeProfileArgs,
    /// Directory for identity, key, spool, logs and workspaces of this node
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct NodeStartArgs {
    /// Coordinator, e.g. ws://127.0.0.1:8600, or wss://10.0.0.1:8600 for a machine that joined;
    /// found by itself when it is this user's, or the one this machine joined
    #[arg(long, value_name = "URL")]
    pub(crate) coordinator: Option<String>,
    #[command(flatten)]
    pub(crate) profile: NodeProfileArgs,
    /// Directory that tasks may read, beside the system's own
    #[arg(long = "allow-read", value_name = "DIR")]
    pub(crate) allow_read: Vec<PathBuf>,
    /// Directory that tasks never see, even where a plan lets them read around it
    #[arg(long = "hide", value_name = "DIR")]
    pub(crate) hide: Vec<PathBuf>,
    /// Directory for identity, key, spool, logs and workspaces of this node
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// File with the node token
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// End at once when stdin closes, as it does when the process that started this one dies
    #[arg(long, hide = true)]
    pub(crate) end_with_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NodesArgs {
    /// Node ids or names
    #[arg(value_name = "NODE", required_unless_present = "all")]
    pub(crate) nodes: Vec<String>,
    /// All nodes that have not left
    #[arg(long, conflicts_with = "nodes")]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// Join token; `-` reads it from stdin, so that no other user of this machine sees it
    #[arg(value_name = "TOKEN", env = "SKEP_JOIN_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
    #[command(flatten)]
    pub(crate) profile: NodeProfileArgs,
    /// Directory for identity, key, spool, logs and workspaces of this node
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Join, and leave the start to `skep node start` or a service
    #[arg(long)]
    pub(crate) no_start: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JoinTokenArgs {
    /// What it lets in: server, node or volunteer
    #[arg(long, default_value = "node", value_name = "KIND")]
    pub(crate) kind: String,
    /// Ends after this many seconds; an hour unless given
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ttl: Option<u64>,
    /// How many machines it lets in; 5 unless given
    #[arg(long, value_name = "N")]
    pub(crate) uses: Option<u32>,
    /// Label that machines get, whatever they say themselves
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// Pool that machines are put in, shown as the label `pool`
    #[arg(long, value_name = "NAME")]
    pub(crate) pool: Option<String>,
    /// Forget machines as soon as they leave or are lost
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Machines wait until a person compares pairing codes and approves them
    #[arg(long)]
    pub(crate) needs_approval: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NodeSetArgs {
    /// Node id or name
    pub(crate) node: String,
    /// Label; all that are named replace those that were set before
    #[arg(long = "label", value_name = "KEY=VALUE", conflicts_with = "no_labels")]
    pub(crate) labels: Vec<String>,
    /// Take back all labels that were set
    #[arg(long)]
    pub(crate) no_labels: bool,
    /// Region; an empty one means as the node says itself
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Option<String>,
    /// What becomes of its attempts while it is not heard
    #[arg(long, value_enum, value_name = "POLICY")]
    pub(crate) on_disconnect: Option<OnDisconnectSettingArg>,
}

#[derive(Debug, Args)]
pub(crate) struct NodeParkArgs {
    /// Node id or name; without it all nodes that run here under this user, also while their
    /// coordinator cannot be reached
    pub(crate) node: Option<String>,
    /// For how long, e.g. 90s, 30m or 8h: one second to one day
    #[arg(long = "for", default_value = "30m", value_name = "TIME", value_parser = milliseconds)]
    pub(crate) for_ms: u64,
}

/// A whole number with a unit of seconds, minutes or hours, in milliseconds.
pub(crate) fn milliseconds(text: &str) -> Result<u64, String> {
    let explain = || format!("`{text}` is no time: write a whole number and s, m or h, e.g. 30m");
    let unit_ms = match text.chars().last() {
        Some('s') => 1_000,
        Some('m') => 60_000,
        Some('h') => 3_600_000,
        _ => return Err(explain()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| explain())?;
    count.checked_mul(unit_ms).ok_or_else(explain)
}

#[derive(Debug, Args)]
pub(crate) struct DiscoverArgs {
    /// Where to look: local listens for announcements on this machine's networks
    #[arg(long, default_value = "local", value_parser = ["local"])]
    pub(crate) network: String,
    /// Listen this many seconds
    #[arg(long, default_value_t = 3, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Only these interfaces, by name or network (e.g. eth0, 192.168.1.0/24); may be repeated
    #[arg(long = "interface", value_name = "NAME|CIDR")]
    pub(crate) interfaces: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_with_a_unit() {
        let rows = [
            ("90s", Some(90_000)),
            ("30m", Some(1_800_000)),
            ("8h", Some(28_800_000)),
            ("30", None),
            ("", None),
            ("m", None),
            ("-1m", None),
            ("1.5h", None),
            ("99999999999999999h", None),
        ];
        for (text, expected) in rows {
            assert_eq!(milliseconds(text).ok(), expected, "{text}");
        }
    }
}

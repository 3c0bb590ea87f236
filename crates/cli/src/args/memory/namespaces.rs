//! Verbs about namespaces of shared memory.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum NamespaceCommand {
    /// List namespaces: how full they are, and to whom they are open
    List,
    /// Show a namespace and what is said about it
    Show {
        /// The namespace
        namespace: String,
    },
    /// Set quota, strategies and access of a namespace; what is not named stays
    Set(NamespaceSetArgs),
}

#[derive(Debug, Args)]
#[group(id = "settings", required = true, multiple = true)]
pub(crate) struct NamespaceSettingArgs {
    /// Entries it may hold
    #[arg(long, value_name = "N")]
    pub(crate) entries_max: Option<u64>,
    /// Bytes it may hold
    #[arg(long, value_name = "BYTES")]
    pub(crate) bytes_max: Option<u64>,
    /// What happens to writes from elsewhere under a prefix of keys: last_writer_wins, vector_clock,
    /// manual, set_union, counter, json_merge_patch or append; may be repeated, and replaces all
    #[arg(long = "strategy", value_name = "PREFIX=STRATEGY")]
    pub(crate) strategies: Vec<String>,
    /// Whether values are sealed before they are stored; only while nothing is in it
    #[arg(long, value_name = "BOOL")]
    pub(crate) secret: Option<bool>,
    /// Whether only administrators read and write it
    #[arg(long, value_name = "BOOL")]
    pub(crate) restricted: Option<bool>,
}

#[derive(Debug, Args)]
pub(crate) struct NamespaceSetArgs {
    /// The namespace
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) settings: NamespaceSettingArgs,
}

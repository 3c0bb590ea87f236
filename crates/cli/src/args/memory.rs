//! Verbs about shared memory.

mod changing;
mod namespaces;

pub(crate) use changing::{BatchArgs, EmbedArgs, NearArgs, TouchArgs, UpdateArgs};
pub(crate) use namespaces::{NamespaceCommand, NamespaceSettingArgs};

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Words after the help of the family.
pub(crate) const EXAMPLES: &str = "Examples:
  skep memory set swarm plan/step '{\"done\": 3}' --why 'after the build'
  skep memory get swarm plan/step
  skep memory set swarm plan/step '{\"done\": 4}' --if-version 17
  skep memory update swarm plan/count increment 1
  skep memory watch swarm 'plan/*'
  skep memory export swarm --output swarm.jsonl

Namespaces: `swarm` is for all, `knowledge` for what was learned (keys TOPIC/NAME), `run/RUN` belongs
to a live run. Exit codes: 6 for what cannot be, 7 for what is not there, 8 for another version, 9 for
a full namespace.";

#[derive(Debug, Subcommand)]
pub(crate) enum MemoryCommand {
    /// Print a value
    Get {
        #[command(flatten)]
        entry: EntryArgs,
        /// An earlier version
        #[arg(long, value_name = "VERSION")]
        at: Option<u64>,
        /// Print the bytes of the value and nothing else
        #[arg(long)]
        raw: bool,
        /// Write the bytes of the value to this file
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Take what the coordinator has at hand, and print how old it may be with --json
        #[arg(long)]
        eventual: bool,
    },
    /// Write a value
    Set(SetArgs),
    /// Remove an entry; its history stays
    Delete {
        #[command(flatten)]
        entry: EntryArgs,
        /// Only if it has this version
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
    /// List entries by key
    List {
        /// The namespace
        namespace: String,
        /// Only keys that begin so
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
        /// Only entries with this tag; may be repeated
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        /// Only entries written then or later, e.g. 2026-11-21T10:39:04.123Z
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only entries written before
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 1_000, value_name = "N")]
        limit: usize,
    },
    /// List the versions of an entry, newest first
    History {
        #[command(flatten)]
        entry: EntryArgs,
        /// At most this many
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Search keys, tags and values for words
    Search {
        /// Words that must all occur; the last one may be the beginning of one
        #[arg(required = true)]
        words: Vec<String>,
        /// Only in this namespace
        #[arg(long, value_name = "NAMESPACE")]
        namespace: Option<String>,
        /// Only keys that begin so
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: usize,
    },
    /// Find the entries whose meaning is nearest to a text or an embedding
    Near(NearArgs),
    /// Change a value by a function of the present one, as one step
    Update(UpdateArgs),
    /// Let an entry live for longer or shorter; its version stays
    Touch(TouchArgs),
    /// Do several writes in one step
    Batch(BatchArgs),
    /// Write an entry anew with an embedding, for `near`; all else of it stays
    Embed(EmbedArgs),
    /// List, show and set namespaces: quotas, strategies, secrecy, access
    #[command(alias = "namespaces")]
    Namespace {
        #[command(subcommand)]
        command: Option<NamespaceCommand>,
    },
    /// List entries for which somebody has to decide between values, or show one of them
    Conflicts {
        /// The namespace
        namespace: String,
        /// Show this entry with the values that wait
        key: Option<String>,
    },
    /// Decide between an entry and the values that wait
    Resolve {
        #[command(flatten)]
        entry: EntryArgs,
        /// The version whose value is to be the entry: the present one, or one that waits
        #[arg(
            long,
            value_name = "N",
            conflicts_with = "value",
            required_unless_present = "value"
        )]
        take: Option<u64>,
        /// Or else a new value
        value: Option<String>,
        /// Only if the entry still has this version
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
    /// Print changes as they come
    Watch {
        /// Namespace; `*` stands for any letters
        #[arg(default_value = "*")]
        namespace: String,
        /// Key; `*` stands for any letters
        #[arg(default_value = "*")]
        key: String,
        /// Start after this cursor, as printed with each change; `0.0` starts at the beginning
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
    },
    /// Write a namespace as lines of JSON
    Export {
        /// The namespace
        namespace: String,
        /// File to write; stdout unless given
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Only keys that begin so
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
        /// Also the earlier versions of each entry
        #[arg(long)]
        history: bool,
    },
    /// Take in what was exported, or Claude-Flow's `.swarm/memory.db` or `memory-store.json`
    Import {
        /// The file
        file: PathBuf,
        /// Into this namespace, whatever the file says
        #[arg(long, value_name = "NAMESPACE")]
        namespace: Option<String>,
        /// Leave entries as they are that are there already
        #[arg(long)]
        keep: bool,
    },
    /// Exchange entries with another installation that the coordinator's configuration names
    Sync {
        /// The peer, by its name there
        peer: String,
        /// Only this of its namespaces; may be repeated
        #[arg(long = "namespace", value_name = "NAMESPACE")]
        namespaces: Vec<String>,
        /// Only this way
        #[arg(long, value_name = "WAY", value_parser = ["pull", "push", "both"])]
        direction: Option<String>,
    },
    /// Make room on disk: remove what is no longer kept and give back its space
    Compact {
        /// Only old versions of this namespace; those of all unless given
        namespace: Option<String>,
    },
    /// List the installations with which entries can be exchanged
    Peers,
    /// Keep a namespace as it is now under a name
    Snapshot {
        /// The namespace
        namespace: String,
        /// The name; one that is there already is replaced
        name: String,
    },
    /// List snapshots
    Snapshots,
    /// Make a namespace what it was in a snapshot, all of it or nothing
    Restore {
        /// The namespace
        namespace: String,
        /// The name of the snapshot
        name: String,
    },
}

/// Names an entry.
#[derive(Debug, Args)]
pub(crate) struct EntryArgs {
    /// The namespace
    pub(crate) namespace: String,
    /// The key
    pub(crate) key: String,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    pub(crate) entry: EntryArgs,
    /// The value: JSON if it reads as JSON, else a text
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub(crate) value: Option<String>,
    /// Take VALUE as a text, whatever it reads as
    #[arg(long, requires = "value")]
    pub(crate) text: bool,
    /// Take the bytes of this file, `-` for stdin, as they are
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Ends after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ttl: Option<u64>,
    /// A word that finds it; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// What else there is to say about it; may be repeated
    #[arg(long = "meta", value_name = "KEY=VALUE")]
    pub(crate) metadata: Vec<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: Option<String>,
    /// Only if the entry has this version
    #[arg(long, value_name = "N", conflicts_with = "if_absent")]
    pub(crate) if_version: Option<u64>,
    /// Only if there is no such entry
    #[arg(long)]
    pub(crate) if_absent: bool,
    /// Let the coordinator ask its model server where the value lies among meanings, for `near`
    #[arg(long, conflicts_with = "embedding")]
    pub(crate) embed: bool,
    /// Or numbers that a model gave, as a JSON list in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) embedding: Option<PathBuf>,
    /// Name of the model that gave them; only embeddings of one model are compared
    #[arg(
        long,
        value_name = "NAME",
        requires = "embedding",
        conflicts_with = "embed"
    )]
    pub(crate) embedding_model: Option<String>,
    /// Two writes with the same key within 24 hours are one
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

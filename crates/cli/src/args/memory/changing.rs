//! What changes entries in other ways than by a new value of the command line.

use super::EntryArgs;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    pub(crate) entry: EntryArgs,
    /// How the new value is made of the present one and VALUE: the sum of both numbers, a JSON merge
    /// patch, VALUE's elements behind those that are there, each element once, or the larger number of
    /// each replica
    #[arg(value_parser = ["increment", "json_merge_patch", "append", "set_union", "counter"])]
    pub(crate) function: String,
    /// JSON if it reads as JSON, else a text; without an entry it is the new value
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: String,
    /// Ends after this many seconds; without it, when it would have ended
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ttl: Option<u64>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: Option<String>,
    /// Two updates with the same key within 24 hours are one
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TouchArgs {
    #[command(flatten)]
    pub(crate) entry: EntryArgs,
    /// Ends after this many seconds from now
    #[arg(long, value_name = "SECONDS", required_unless_present = "forever")]
    pub(crate) ttl: Option<u64>,
    /// Never ends
    #[arg(long, conflicts_with = "ttl")]
    pub(crate) forever: bool,
    /// Only if the entry has this version
    #[arg(long, value_name = "N")]
    pub(crate) if_version: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// File of writes, `-` for stdin: a JSON list, or one JSON object a line, each with `namespace`,
    /// `key`, and one of `put`, `delete` and `touch`
    pub(crate) file: PathBuf,
    /// Do all of them or none
    #[arg(long)]
    pub(crate) all_or_nothing: bool,
    /// Two batches with the same key within 24 hours are one
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) entry: EntryArgs,
    /// Numbers that a model gave, as a JSON list in this file, `-` for stdin; without it the
    /// coordinator asks its model server
    #[arg(long, value_name = "FILE")]
    pub(crate) embedding: Option<PathBuf>,
    /// Name of the model that gave them; only embeddings of one model are compared
    #[arg(long = "embedding-model", value_name = "NAME", requires = "embedding")]
    pub(crate) model: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NearArgs {
    /// A text, for which the coordinator asks its model server
    #[arg(required_unless_present = "embedding", conflicts_with = "embedding")]
    pub(crate) words: Vec<String>,
    /// Or numbers that a model gave, as a JSON list in this file, `-` for stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) embedding: Option<PathBuf>,
    /// Name of the model that gave them; only embeddings of one model are compared
    #[arg(
        long = "embedding-model",
        value_name = "NAME",
        requires = "embedding",
        conflicts_with = "words"
    )]
    pub(crate) model: Option<String>,
    /// Only in this namespace
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Only keys that begin so
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) limit: usize,
}

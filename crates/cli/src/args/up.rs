//! What `skep up` is started with.

use clap::Args;
use skep_mirror::MirrorPrefix;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8600]
    ///
    /// On loopback only this machine is served. Elsewhere, e.g. on 0.0.0.0:8600, other machines
    /// are let in by TLS, and a join token is printed.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// Address that join tokens name, instead of those of this machine; may be repeated
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Vec<String>,
    /// Announce the coordinator on the local network (mDNS), for `skep node discover`. It tells
    /// everybody there name, addresses and swarm; joining needs a token all the same
    #[arg(long)]
    pub(crate) announce: bool,
    /// Announce, and on this interface only, e.g. eth0 or 192.168.1.0/24; may be repeated
    #[arg(long = "interface", value_name = "NAME|CIDR")]
    pub(crate) interfaces: Vec<String>,
    /// Write url and token file here, as JSON, when ready; with a join token if others can join
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// Node processes to start beside the coordinator, at most 64
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=64))]
    pub(crate) nodes: u32,
    /// Strategy of the scheduler: capability-weighted (default), round-robin, geographic-affinity,
    /// optimal or power-of-two
    #[arg(long, value_name = "NAME")]
    pub(crate) strategy: Option<String>,
    #[command(flatten)]
    pub(crate) memory: MemoryServerArgs,
    #[command(flatten)]
    pub(crate) mirror: RedisMirrorArgs,
}

/// Where the swarm is shown to tools that read Redis.
#[derive(Debug, Args)]
pub(crate) struct RedisMirrorArgs {
    /// Redis or Valkey server in which to show sessions, queue, knowledge and counts in the layout of
    /// the Unified Swarm, e.g. redis://127.0.0.1:6379/1; one way: nothing is read back
    #[arg(long, value_name = "URL", env = "SKEP_REDIS_MIRROR")]
    pub(crate) redis_mirror: Option<String>,
    /// What stands before the names of its keys [default: nothing]
    #[arg(
        long,
        value_name = "TEXT",
        env = "SKEP_REDIS_MIRROR_PREFIX",
        requires = "redis_mirror"
    )]
    pub(crate) redis_mirror_prefix: Option<MirrorPrefix>,
}

/// Servers that shared memory may use.
#[derive(Debug, Args)]
pub(crate) struct MemoryServerArgs {
    /// Redis or Valkey server that keeps copies of values of shared memory, e.g.
    /// redis://127.0.0.1:6379/0; a lost one slows reads and changes no answer
    #[arg(long, value_name = "URL", env = "SKEP_REDIS")]
    pub(crate) redis: Option<String>,
    /// Model server that says where texts lie among meanings, e.g. http://127.0.0.1:11434/v1
    #[arg(
        long,
        value_name = "URL",
        env = "SKEP_EMBEDDING_URL",
        requires = "embedding_model"
    )]
    pub(crate) embedding_url: Option<String>,
    /// The model to ask there
    #[arg(
        long,
        value_name = "NAME",
        env = "SKEP_EMBEDDING_MODEL",
        requires = "embedding_url"
    )]
    pub(crate) embedding_model: Option<String>,
    /// File with the key that the model server wants
    #[arg(
        long,
        value_name = "FILE",
        env = "SKEP_EMBEDDING_KEY_FILE",
        requires = "embedding_url"
    )]
    pub(crate) embedding_key_file: Option<PathBuf>,
}

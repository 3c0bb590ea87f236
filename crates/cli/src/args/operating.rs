//! Verbs about operating a swarm: backups, bundles for diagnosis, services.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Copy the data of this user's coordinator while it runs, and check the copy
    Create {
        /// New or empty directory; skep-backup-TIME here unless given
        #[arg(long, short, value_name = "DIR")]
        output: Option<PathBuf>,
        /// Leave out what attempts printed
        #[arg(long)]
        no_logs: bool,
    },
    /// Make the data of a coordinator from a backup, as a swarm of its own: where none is yet, see
    /// --home. Nodes have to join again
    Restore {
        /// Directory of the backup
        #[arg(value_name = "DIR")]
        backup: PathBuf,
    },
    /// Check every part of a backup and the whole log in it
    Verify {
        /// Directory of the backup
        #[arg(value_name = "DIR")]
        backup: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DebugCommand {
    /// Collect what helps to find a fault, without secrets, in a directory to look at and send
    Bundle {
        /// New directory; skep-debug-TIME here unless given
        #[arg(long, short, value_name = "DIR")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Write a systemd unit that keeps a node of this machine running, and say how to start it;
    /// without --user also one that parks it while the machine sleeps
    Install(ServiceArgs),
    /// Remove what install wrote
    Uninstall(ServiceArgs),
    /// Show the unit, installed or not
    Show(ServiceArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    /// For the systemd of this user instead of the one of the machine, which only root may change
    #[arg(long)]
    pub(crate) user: bool,
    /// Name of the node; the host's name unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The coordinator of this user instead of a node: `skep up`
    #[arg(long, conflicts_with = "name")]
    pub(crate) coordinator: bool,
    /// User whose processes they are; the present one unless given
    #[arg(long, value_name = "USER", conflicts_with = "user")]
    pub(crate) run_as: Option<String>,
}

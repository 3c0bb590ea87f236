//! The coordinator's name, known on all hosts of a scenario by a file of names of their own.

use super::hosts::COORDINATOR;
use crate::wiring::PORT;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// No name server knows a name that ends like this.
pub(super) const COORDINATOR_NAME: &str = "coordinator.test";
const SYSTEM_FILE: &str = "/etc/hosts";
const ALWAYS_KNOWN: &str = "127.0.0.1 localhost\n";

/// A file of names that hides the system's own, for the processes of this scenario alone.
#[derive(Debug)]
pub(super) struct Names {
    file: PathBuf,
}

impl Names {
    /// Makes the file, with the coordinator's name in it, and puts it in the place of the system's.
    pub(super) fn hide_system(directory: &Path) -> Result<Self> {
        let names = Self {
            file: directory.join("hosts"),
        };
        names.keep()?;
        let hidden = Command::new("mount")
            .arg("--bind")
            .arg(&names.file)
            .arg(SYSTEM_FILE)
            .status()
            .context("start `mount`")?;
        ensure!(hidden.success(), "`mount --bind` ended with {hidden}");
        ensure!(
            is_resolved(),
            "`{COORDINATOR_NAME}` is in `{SYSTEM_FILE}` and does not resolve"
        );
        Ok(names)
    }

    /// The name resolves again.
    pub(super) fn keep(&self) -> Result<()> {
        self.write(&format!("{ALWAYS_KNOWN}{COORDINATOR} {COORDINATOR_NAME}\n"))
    }

    /// Nobody resolves the name any more.
    pub(super) fn forget(&self) -> Result<()> {
        self.write(ALWAYS_KNOWN)?;
        ensure!(!is_resolved(), "`{COORDINATOR_NAME}` still resolves");
        Ok(())
    }

    /// In place: another file of this name would not be the one that was mounted.
    fn write(&self, text: &str) -> Result<()> {
        fs::write(&self.file, text).context("write the file of names")
    }
}

fn is_resolved() -> bool {
    (COORDINATOR_NAME, PORT).to_socket_addrs().is_ok()
}

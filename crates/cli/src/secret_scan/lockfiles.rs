//! Whether the manifests at the top of a directory have the lockfiles that fix their dependencies.

use super::{Finding, Severity};
use serde::Serialize;
use std::io;
use std::path::Path;

/// A manifest, and what can lock it.
const KNOWN: [(&str, &[&str]); 6] = [
    ("Cargo.toml", &["Cargo.lock"]),
    (
        "package.json",
        &[
            "package-lock.json",
            "npm-shrinkwrap.json",
            "yarn.lock",
            "pnpm-lock.yaml",
            "bun.lock",
            "bun.lockb",
        ],
    ),
    (
        "pyproject.toml",
        &["uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"],
    ),
    ("go.mod", &["go.sum"]),
    ("Gemfile", &["Gemfile.lock"]),
    ("composer.json", &["composer.lock"]),
];

/// A manifest that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Manifest {
    pub(crate) manifest: &'static str,
    /// Its lockfile, if there is one.
    pub(crate) lockfile: Option<&'static str>,
}

impl Manifest {
    pub(super) fn finding(&self) -> Finding {
        Finding {
            rule: "lockfile-missing",
            severity: Severity::Low,
            file: self.manifest.to_owned(),
            line: None,
            excerpt: "no lockfile beside it: what is built changes with the registry".to_owned(),
        }
    }
}

/// Those at the top of a directory.
pub(super) fn look(directory: &Path) -> io::Result<Vec<Manifest>> {
    let mut found = Vec::new();
    for (manifest, locks) in KNOWN {
        if !directory.join(manifest).try_exists()? {
            continue;
        }
        let there = |lock: &&&str| directory.join(lock).is_file();
        found.push(Manifest {
            manifest,
            lockfile: locks.iter().find(there).copied(),
        });
    }
    Ok(found)
}

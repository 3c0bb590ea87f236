//! `cargo xtask lint`, which never writes, and its mutating twin `cargo xtask fix`.

use crate::console::say;
use crate::docs;
use crate::layers;
use crate::licences;
use crate::step::{self, Step};
use crate::tidy;
use crate::workspace::{Workspace, run_visibly};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

/// What `lint` checks; the quick ones first.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "format",
        about: "cargo fmt --check",
        run: |workspace| cargo(workspace, "fmt --all --check"),
    },
    Step {
        name: "lockfile",
        about: "Cargo.lock fits the manifests",
        run: lockfile_is_current,
    },
    Step {
        name: "layers",
        about: "dependencies between our crates",
        run: layers::check,
    },
    Step {
        name: "tidy",
        about: "rules about files and manifests",
        run: tidy::check,
    },
    Step {
        name: "licences",
        about: "deny.toml: licences, bans, sources",
        run: licences::check,
    },
    Step {
        name: "clippy",
        about: "warnings are errors",
        run: |workspace| cargo(workspace, "clippy --workspace --all-targets -- -D warnings"),
    },
    Step {
        name: "rustdoc",
        about: "links in the documentation of the code lead somewhere",
        run: |workspace| cargo(workspace, "doc --workspace --no-deps --quiet"),
    },
    Step {
        name: "docs",
        about: "generated pages are current",
        run: |workspace| docs::check(workspace).map(|()| vec![]),
    },
];

/// What `fix` does.
const REPAIRS: &[Step] = &[
    Step {
        name: "clippy",
        about: "apply suggestions",
        run: |workspace| {
            cargo(
                workspace,
                "clippy --workspace --all-targets --fix --allow-dirty --allow-staged",
            )
        },
    },
    Step {
        name: "format",
        about: "cargo fmt",
        run: |workspace| cargo(workspace, "fmt --all"),
    },
    Step {
        name: "docs",
        about: "write the generated pages",
        run: |workspace| docs::write(workspace).map(|()| vec![]),
    },
];

/// Runs the checks and stops at the first that fails.
pub(crate) fn check(workspace: &Workspace, only: Option<&str>) -> Result<()> {
    step::run_until_failure(&step::select(STEPS, only)?, workspace)?;
    say("lint: all clean");
    Ok(())
}

/// Repairs what can be repaired.
pub(crate) fn fix(workspace: &Workspace) -> Result<()> {
    step::run_until_failure(&step::select(REPAIRS, None)?, workspace)
}

fn cargo(workspace: &Workspace, words: &str) -> Result<step::Summary> {
    run_visibly(&mut workspace.cargo(words))?;
    Ok(vec![])
}

fn lockfile_is_current(workspace: &Workspace) -> Result<step::Summary> {
    let mut command: Command = workspace.cargo("metadata --locked --format-version 1");
    let output = command
        .stdout(Stdio::null())
        .output()
        .context("start `cargo metadata`")?;
    if !output.status.success() {
        bail!(
            "`Cargo.lock` does not fit the manifests; run `cargo check` and commit it: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(vec![])
}

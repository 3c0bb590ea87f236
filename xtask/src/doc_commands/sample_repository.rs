//! The small git repository in which documented commands run.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Who commits; the machine's own git settings are not used.
pub(super) const AUTHOR: [(&str, &str); 6] = [
    ("GIT_AUTHOR_NAME", "Ada Example"),
    ("GIT_AUTHOR_EMAIL", "ada@example.org"),
    ("GIT_COMMITTER_NAME", "Ada Example"),
    ("GIT_COMMITTER_EMAIL", "ada@example.org"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
];

const FILES: [(&str, &str); 3] = [
    ("README.md", "# Greeter\n\nSays hello.\n"),
    ("greet.sh", "#!/bin/sh\necho \"hello, ${1:-world}\"\n"),
    (
        "test.sh",
        "#!/bin/sh\ntest \"$(sh greet.sh bee)\" = 'hello, bee'\n",
    ),
];

/// Makes the repository with one commit on the branch `main`.
pub(super) fn create(directory: &Path) -> Result<()> {
    fs::create_dir(directory).context("make the sample repository")?;
    for (name, text) in FILES {
        fs::write(directory.join(name), text).with_context(|| format!("write `{name}`"))?;
    }
    git(directory, &["init", "--quiet", "--initial-branch=main"])?;
    git(directory, &["add", "."])?;
    git(
        directory,
        &["commit", "--quiet", "--message=greeter: say hello"],
    )
}

fn git(directory: &Path, words: &[&str]) -> Result<()> {
    let mut command = Command::new("git");
    let output = command
        .args(words)
        .current_dir(directory)
        .envs(AUTHOR)
        .output();
    let output = output.context("start `git`")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`git {}` failed: {}",
        words.join(" "),
        errors.trim()
    );
    Ok(())
}

//! The workspace on disk: its root, its members, and commands run in it.

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{Metadata, MetadataCommand, Package};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace this program belongs to.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Directory of the root manifest.
    pub(crate) root: PathBuf,
    /// Manifests of the members, without the graph of third-party crates.
    pub(crate) metadata: Metadata,
}

impl Workspace {
    /// Reads the manifests of all members.
    pub(crate) fn load() -> Result<Self> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let metadata = MetadataCommand::new()
            .current_dir(&manifest_dir)
            .no_deps()
            .exec()
            .context("read the manifests of the workspace")?;
        Ok(Self {
            root: metadata.workspace_root.clone().into_std_path_buf(),
            metadata,
        })
    }

    /// The members.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.metadata.packages.iter()
    }

    /// Directory of a member.
    pub(crate) fn directory_of(package: &Package) -> Result<&Path> {
        let manifest = package.manifest_path.as_std_path();
        manifest
            .parent()
            .with_context(|| format!("`{}` has no directory", package.name))
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target_directory(&self) -> &Path {
        self.metadata.target_directory.as_std_path()
    }

    /// The `skep` binary of this profile directory (`debug`, `release`).
    pub(crate) fn skep_binary(&self, profile: &str) -> PathBuf {
        self.target_directory().join(profile).join("skep")
    }

    /// A file below the root, as text.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.root.join(path)).with_context(|| format!("read `{path}`"))
    }

    /// A cargo command in the root; `words` are its arguments, separated by spaces.
    pub(crate) fn cargo(&self, words: &str) -> Command {
        let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .args(words.split_whitespace())
            .stdin(Stdio::null());
        command
    }

    /// Files that git tracks or would track, relative to the root.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let output = Command::new("git")
            .current_dir(&self.root)
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .output()
            .context("start `git`: install it, it lists the files to check")?;
        ensure!(
            output.status.success(),
            "`git ls-files` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let text = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let names = text.split_terminator('\0').map(str::to_owned);
        let mut files: Vec<_> = names
            .filter(|name| self.root.join(name).is_file())
            .collect();
        files.sort_unstable();
        files.dedup();
        Ok(files)
    }
}

/// Runs a command that shows its own output, and fails when it does.
pub(crate) fn run_visibly(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command
        .status()
        .with_context(|| format!("start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status}); its output is above");
    }
    Ok(())
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

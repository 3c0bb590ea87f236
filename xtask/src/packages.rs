//! Programs of other registries that tests run: installed below the target directory, in the
//! versions that are named here, and kept for the next time.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is installed; left by the last complete installation.
const INSTALLED: &str = "installed";

/// Packages from npm, with the Node.js that runs them, which may be newer than the system's.
#[derive(Debug)]
pub(crate) struct NpmPackages {
    directory: PathBuf,
}

impl NpmPackages {
    /// Installs packages, given as `NAME@VERSION`, into this directory unless they are there.
    pub(crate) fn install(directory: PathBuf, packages: &[&str]) -> Result<Self> {
        install(&directory, packages, |directory| {
            // Without a manifest of its own, npm would use one of a directory above.
            fs::write(directory.join("package.json"), "{\"private\": true}\n")
                .context("write a manifest")?;
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund"])
                .args(packages)
                .current_dir(directory);
            run(&mut npm)
        })?;
        Ok(Self { directory })
    }

    /// A program of a package that needs no Node.js.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.directory.join("node_modules/.bin").join(name));
        command.stdin(Stdio::null());
        command
    }

    /// A program of a package, run by the Node.js that was installed with it.
    pub(crate) fn script(&self, name: &str) -> Command {
        let binaries = self.directory.join("node_modules/.bin");
        let mut command = Command::new(binaries.join("node"));
        command
            .arg(binaries.join(name))
            .current_dir(&self.directory)
            .stdin(Stdio::null());
        command
    }
}

/// Packages from PyPI in an environment of their own.
#[derive(Debug)]
pub(crate) struct PythonPackages {
    directory: PathBuf,
}

impl PythonPackages {
    /// Installs packages, given as `NAME==VERSION`, into this directory unless they are there.
    pub(crate) fn install(directory: PathBuf, packages: &[&str]) -> Result<Self> {
        install(&directory, packages, |directory| {
            let mut venv = Command::new("python3");
            venv.args(["-m", "venv", "--clear"]).arg(directory);
            run(&mut venv)?;
            let mut pip = Command::new(directory.join("bin/pip"));
            pip.args(["install", "--quiet", "--disable-pip-version-check"])
                .args(packages);
            run(&mut pip)
        })?;
        Ok(Self { directory })
    }

    /// A program of the environment, such as `python`.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.directory.join("bin").join(name));
        command.stdin(Stdio::null());
        command
    }
}

/// Runs `fill` unless the directory holds these packages; what an interrupted one left is removed.
fn install(
    directory: &Path,
    packages: &[&str],
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let mark = directory.join(INSTALLED);
    let wanted = packages.join("\n");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if directory.exists() {
        fs::remove_dir_all(directory).context("remove an older installation")?;
    }
    fs::create_dir_all(directory).context("make a directory for packages")?;
    fill(directory)?;
    fs::write(mark, wanted).context("mark the installation as complete")
}

/// Runs a command that says nothing unless it fails.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start `{program}`"))?;
    ensure!(
        output.status.success(),
        "`{program}` failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_kept_until_other_versions_are_wanted() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("packages");
        let times = std::cell::Cell::new(0);
        let fill = |directory: &Path| {
            assert_eq!(fs::read_dir(directory).unwrap().count(), 0);
            times.set(times.get() + 1);
            Ok(())
        };
        install(&directory, &["a@1"], fill).unwrap();
        install(&directory, &["a@1"], fill).unwrap();
        assert_eq!(times.get(), 1);
        install(&directory, &["a@2"], fill).unwrap();
        assert_eq!(times.get(), 2);
    }

    #[test]
    fn an_installation_that_failed_is_made_again() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("packages");
        let fail = |_: &Path| run(Command::new("sh").args(["-c", "echo why >&2; exit 1"]));
        let error = install(&directory, &["a"], fail).unwrap_err().to_string();
        assert!(error.contains("why"), "{error}");
        assert!(install(&directory, &["a"], fail).is_err());
        install(&directory, &["a"], |_| Ok(())).unwrap();
    }
}

//! Runs the commands that the documentation shows: blocks fenced as ` ```sh run `.
//!
//! Each page gets a small git repository of its own, in which its blocks run in order, with
//! `skep` on the path and `SKEP_HOME` beside the repository. A block has to exit with 0, or with
//! the code that a line `# exits N` in it states. What a page starts in the background may live
//! until the end of the page.

mod blocks;
mod sample_repository;

use crate::console::note;
use crate::orphans;
use crate::step::Summary;
use crate::workspace::{Workspace, run_visibly};
use anyhow::{Context, Result, bail, ensure};
use blocks::Block;
use rustix::process::{Pid, Signal, kill_process_group};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest time a block may take.
const BLOCK_TIMEOUT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(10);

/// Runs the blocks of all pages.
pub(crate) fn run(workspace: &Workspace) -> Result<Summary> {
    run_visibly(&mut workspace.cargo("build --quiet --workspace --bins"))?;
    let binary = workspace.skep_binary("debug");
    let directory = binary.parent().context("the binary has no directory")?;
    let mut count = 0;
    let mut failures = Vec::new();
    for page in workspace.files()?.into_iter().filter(|path| is_page(path)) {
        let blocks = blocks::read(&workspace.read(&page)?)
            .with_context(|| format!("read the blocks of `{page}`"))?;
        count += blocks.len();
        if let Err(error) = run_page(&page, &blocks, directory) {
            failures.push(format!("{page}: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    ensure!(
        count > 0,
        "no page has a block fenced as `sh run`, so nothing was tested"
    );
    Ok(vec![format!(
        "documentation: {count} blocks of commands did what the pages say"
    )])
}

fn is_page(path: &str) -> bool {
    path == "README.md"
        || (path.starts_with("docs/") && Path::new(path).extension().is_some_and(|end| end == "md"))
}

fn run_page(page: &str, blocks: &[Block], binaries: &Path) -> Result<()> {
    if blocks.is_empty() {
        return Ok(());
    }
    note(&format!("    {page}: {} blocks", blocks.len()));
    let stage = Stage::new(binaries)?;
    let mut shells = Vec::new();
    let outcome = blocks.iter().try_for_each(|block| {
        let child = stage.start(block)?;
        let group = child.id();
        shells.push(group);
        stage.finish(block, child)
    });
    for group in shells {
        if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
            // The group is gone when the block left nothing in the background.
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
    outcome.and(orphans::none_left(&stage.home))
}

/// Where the blocks of one page run.
#[derive(Debug)]
struct Stage {
    repository: PathBuf,
    home: PathBuf,
    search_path: OsString,
    /// Removed with everything in it.
    directory: tempfile::TempDir,
}

impl Stage {
    fn new(binaries: &Path) -> Result<Self> {
        let directory = tempfile::tempdir().context("make a temporary directory")?;
        let repository = directory.path().join("project");
        let home = directory.path().join("skep");
        fs::create_dir(&home).context("make a directory for `SKEP_HOME`")?;
        sample_repository::create(&repository)?;
        let old_path = env::var_os("PATH").unwrap_or_default();
        let paths = [binaries.to_owned()]
            .into_iter()
            .chain(env::split_paths(&old_path));
        let search_path = env::join_paths(paths).context("put `skep` on the path")?;
        Ok(Self {
            repository,
            home,
            search_path,
            directory,
        })
    }

    fn output_file(&self) -> PathBuf {
        self.directory.path().join("output")
    }

    fn start(&self, block: &Block) -> Result<Child> {
        // A file and not a pipe: a pipe stays open while something runs in the background.
        let output = File::create(self.output_file()).context("make a file for the output")?;
        let errors = output.try_clone().context("make a file for the output")?;
        let mut command = Command::new("sh");
        command
            .args(["-eu", "-c", &block.script])
            .current_dir(&self.repository)
            .env("PATH", &self.search_path)
            .env("HOME", self.directory.path())
            .env("SKEP_HOME", &self.home)
            .envs(sample_repository::AUTHOR)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        command.spawn().context("start `sh`")
    }

    fn finish(&self, block: &Block, mut child: Child) -> Result<()> {
        let status = wait(&mut child, BLOCK_TIMEOUT)?;
        if status.is_some_and(|status| status.code() == Some(block.exits)) {
            return Ok(());
        }
        let how = status.map_or_else(
            || format!("did not end within {} s", BLOCK_TIMEOUT.as_secs()),
            |status| format!("ended with {status}"),
        );
        let output = fs::read(self.output_file()).unwrap_or_default();
        bail!(
            "line {}: the block {how}, expected exit status {}; its output:\n{}",
            block.line,
            block.exits,
            String::from_utf8_lossy(&output).trim_end()
        );
    }
}

/// Waits for the end, at most so long.
fn wait(child: &mut Child, timeout: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        let status = child.try_wait().context("wait for `sh`")?;
        if status.is_some() || start.elapsed() > timeout {
            return Ok(status);
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_text(text: &str) -> Result<()> {
        run_page("page.md", &blocks::read(text).unwrap(), Path::new("/bin"))
    }

    #[test]
    fn blocks_run_in_order_in_a_repository() {
        let text = "```sh run\ngit log --oneline > ../log\n```\n\n```sh run\n# exits 4\ngrep -q \
                    greeter ../log\nsh test.sh\ntest -d \"$SKEP_HOME\"\nexit 4\n```\n";
        run_text(text).unwrap();
        let error = run_text(&text.replace("exit 4", "exit 5"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("line 5: the block ended with exit status: 5, expected"),
            "{error}"
        );
    }

    #[test]
    fn a_block_that_fails_is_shown_with_its_output() {
        let error = run_text("\n```sh run\necho before\nfalse\necho after\n```\n").unwrap_err();
        let expected = "line 2: the block ended with exit status: 1, expected exit status 0; its \
                        output:\nbefore";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn what_runs_in_the_background_ends_with_the_page() {
        let text = "```sh run\nsleep 600 &\necho $! > ../pid\n```\n\n```sh run\nkill -0 \"$(cat \
                    ../pid)\"\n```\n";
        // A process that is left behind would be an error.
        run_text(text).unwrap();
    }
}

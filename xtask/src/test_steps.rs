//! `cargo xtask test`: the steps, and the tests' own summary at the end.

use crate::clients;
use crate::console::note;
use crate::doc_commands;
use crate::mcp_conformance;
use crate::step::{self, Step, Summary};
use crate::workspace::{Workspace, run_visibly, shown};
use anyhow::{Context, Result, anyhow, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

const CLIENTS: &str = "clients of MCP that others wrote, Claude Code among them";

/// What `test` runs, in this order. To add a step, name it here.
pub(crate) const STEPS: &[Step] = &[
    // The same packages and features as the tests, so that nothing is built twice.
    Step {
        name: "build",
        about: "debug binaries, for tests that start them",
        run: |workspace| {
            run_visibly(&mut workspace.cargo("build --workspace --bins")).map(|()| vec![])
        },
    },
    Step {
        name: "tests",
        about: "tests of all crates",
        run: run_tests,
    },
    Step {
        name: "simulator",
        about: "a thousand seeds against the invariants",
        run: |workspace| {
            let words = "run --profile sim --package skep-sim -- --seeds 1000";
            run_visibly(&mut workspace.cargo(words)).map(|()| vec![])
        },
    },
    Step {
        name: "crowd",
        about: "ten thousand nodes for a virtual hour, none given up that is there",
        run: run_crowd,
    },
    Step {
        name: "planted-bugs",
        about: "the simulator finds each mistake that is planted",
        run: |workspace| {
            let words = "run --profile sim --package skep-sim --features planted-bugs \
                         -- --planted --seeds 1000";
            run_visibly(&mut workspace.cargo(words)).map(|()| vec![])
        },
    },
    Step {
        name: "chaos",
        about: "2,000 tasks while real coordinators and nodes are killed",
        run: |workspace| {
            run_visibly(&mut workspace.cargo("build --package skep-cli"))?;
            let words = "run --package skep-chaos -- --tasks 2000";
            run_visibly(&mut workspace.cargo(words)).map(|()| vec![])
        },
    },
    Step {
        name: "network",
        about: "partitions, loss and delay between hosts in network namespaces",
        run: |workspace| {
            run_visibly(&mut workspace.cargo("build --package skep-cli"))?;
            let words = "run --package skep-chaos -- net";
            run_visibly(&mut workspace.cargo(words)).map(|()| vec![])
        },
    },
    Step {
        name: "mcp-conformance",
        about: "the official suite of MCP, all that both revisions require",
        run: mcp_conformance::run,
    },
    Step {
        name: "clients",
        about: CLIENTS,
        run: clients::run_if_installed,
    },
    Step {
        name: "docs",
        about: "commands in README.md and docs/",
        run: doc_commands::run,
    },
];

/// Runs the steps, all of them even when one fails.
pub(crate) fn run(workspace: &Workspace, only: Option<&str>) -> Result<()> {
    step::run_all(&step::select(STEPS, only)?, workspace)
}

/// Runs the clients of MCP; here it is a failure when they cannot be installed.
pub(crate) fn run_clients(workspace: &Workspace) -> Result<()> {
    let step = Step {
        name: "clients",
        about: CLIENTS,
        run: clients::run,
    };
    step::run_all(&[&step], workspace)
}

/// With nextest when it is installed, which is quicker, and else with cargo alone.
fn run_tests(workspace: &Workspace) -> Result<Summary> {
    let mut probe = workspace.cargo("nextest --version");
    let has_nextest = probe
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?
        .success();
    if has_nextest {
        return run_and_keep_summary(workspace.cargo("nextest run --workspace --no-fail-fast"));
    }
    note("cargo-nextest is not installed: using `cargo test`, which runs the same tests slower");
    run_and_keep_summary(workspace.cargo("test --workspace --all-targets --no-fail-fast"))
}

/// One test, too slow unless it is optimized as the simulator is.
fn run_crowd(workspace: &Workspace) -> Result<Summary> {
    const ONE_RAN: &str = "test result: ok. 1 passed";
    let words = "test --profile sim --package skep-coordinator --features crowd --lib \
                 -- ten_thousand_nodes";
    let summary = run_and_keep_summary(workspace.cargo(words))?;
    ensure!(
        summary.iter().any(|line| line.contains(ONE_RAN)),
        "no test of ten thousand nodes ran"
    );
    Ok(summary)
}

/// Shows the output as it comes and returns the lines of the summary. A failure ends with them
/// too.
fn run_and_keep_summary(mut command: Command) -> Result<Summary> {
    let shown = shown(&command);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start `{shown}`"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = (stdout.context("no stdout")?, stderr.context("no stderr")?);
    let reader = thread::Builder::new()
        .name("test-stderr".to_owned())
        .spawn(move || pass_on(stderr, &mut std::io::stderr()))
        .context("start a thread")?;
    let mut summary = pass_on(stdout, &mut std::io::stdout())?;
    summary.extend(
        reader
            .join()
            .map_err(|_| anyhow!("the reader of stderr panicked"))??,
    );
    let status = child
        .wait()
        .with_context(|| format!("wait for `{shown}`"))?;
    ensure!(
        status.success(),
        "`{shown}` failed ({status})\n{}",
        summary.join("\n")
    );
    Ok(summary)
}

/// Copies the lines and keeps those of the summary.
fn pass_on(source: impl Read, target: &mut impl Write) -> Result<Summary> {
    let mut lines = Vec::new();
    for line in BufReader::new(source).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("read the output of tests")?).into_owned();
        writeln!(target, "{line}").context("pass on the output of tests")?;
        lines.push(line);
    }
    Ok(summary_of(&lines))
}

/// nextest: from the line with `Summary [` on. cargo test: the result line of each binary.
fn summary_of(lines: &[String]) -> Summary {
    match lines
        .iter()
        .rposition(|line| line.trim_start().starts_with("Summary ["))
    {
        Some(start) => lines[start..].to_vec(),
        None => lines
            .iter()
            .filter(|line| line.starts_with("test result: "))
            .cloned()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_summary_of_either_runner_is_kept_as_it_is() {
        let nextest = "    PASS [ 0.1s] a b\n  -----\n     Summary [   1.0s] 2 tests run: 1 \
                       passed, 1 failed\n        FAIL [   0.0s] a c";
        assert_eq!(summary_of(&lines(nextest)), lines(nextest)[2..]);
        let cargo = "running 1 test\ntest a ... ok\n\ntest result: ok. 1 passed\nrunning 0 \
                     tests\ntest result: FAILED. 0 passed";
        let expected = ["test result: ok. 1 passed", "test result: FAILED. 0 passed"];
        assert_eq!(summary_of(&lines(cargo)), expected);
    }

    #[test]
    fn output_is_passed_on_byte_for_line() {
        let mut shown = Vec::new();
        let summary = pass_on(&b"one\ntest result: ok\n"[..], &mut shown).unwrap();
        assert_eq!(shown, b"one\ntest result: ok\n");
        assert_eq!(summary, ["test result: ok"]);
    }

    #[test]
    fn a_failed_command_fails_with_its_summary() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'test result: FAILED' >&1; exit 3"]);
        let error = run_and_keep_summary(command).unwrap_err().to_string();
        assert!(
            error.ends_with("(exit status: 3)\ntest result: FAILED"),
            "{error}"
        );
    }
}

//! All that a revision of the protocol requires, as the suite has frozen it, and what it reports
//! beside: extensions, and scenarios that came later.

use crate::console::note;
use crate::mcp_server::McpServer;
use crate::packages::NpmPackages;
use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fmt;

/// One run of the suite.
#[derive(Debug)]
pub(super) struct Set {
    revision: &'static str,
    has_sessions: bool,
    /// Scenarios in which a check fails. One that does not is a fault too: the list has to be true.
    failing: &'static [&'static str],
}

/// Without a session there is no way to ask a client of an older revision something in the middle
/// of a call; the product keeps none. That nothing else is lost is what the last set shows.
const NEED_SESSIONS: &[&str] = &[
    "elicitation-sep1034-defaults",
    "elicitation-sep1330-enums",
    "tools-call-elicitation",
    "tools-call-sampling",
];

pub(super) const SETS: [Set; 3] = [
    Set {
        revision: "2026-07-28",
        has_sessions: false,
        failing: &[],
    },
    Set {
        revision: "2025-11-25",
        has_sessions: true,
        failing: &[],
    },
    Set {
        revision: "2025-11-25",
        has_sessions: false,
        failing: NEED_SESSIONS,
    },
];

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sessions = if self.has_sessions { "with" } else { "without" };
        write!(f, "{} {sessions} sessions", self.revision)
    }
}

/// How the checks of a scenario went.
#[derive(Debug, PartialEq, Eq)]
struct Score {
    passed: usize,
    failed: usize,
}

/// Runs a set; gives a line about it.
pub(super) fn run(suite: &NpmPackages, workspace: &Workspace, set: &Set) -> Result<String> {
    let server = McpServer::of_suite(workspace, set.has_sessions)?;
    let results = tempfile::tempdir().context("make a directory for results")?;
    let output = suite
        .script("conformance")
        .args(["server", "--url", &super::url(&server)?])
        .args(["--requirements", set.revision, "--output-dir"])
        .arg(results.path())
        .output()
        .context("start the suite")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let judged = judge(&scores(&text), set);
    let word = if judged.is_ok() { "ok" } else { "FAILED" };
    note(&format!("    all that is required at {set}: {word}"));
    judged.with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// The lines of the suite's summary: `✓ NAME: 3 passed, 0 failed`.
fn scores(text: &str) -> BTreeMap<&str, Score> {
    text.lines().filter_map(score).collect()
}

fn score(line: &str) -> Option<(&str, Score)> {
    let line = line.trim().strip_prefix(['✓', '✗'])?;
    let (name, counts) = line.trim().split_once(": ")?;
    let (passed, failed) = counts.split_once(" passed, ")?;
    let failed = failed.split(' ').next()?;
    let score = Score {
        passed: passed.parse().ok()?,
        failed: failed.parse().ok()?,
    };
    Some((name, score))
}

fn judge(scores: &BTreeMap<&str, Score>, set: &Set) -> Result<String> {
    let failing = scores.iter().filter(|(_, score)| score.failed > 0);
    let failing: Vec<_> = failing.map(|(name, _)| *name).collect();
    ensure!(
        failing == set.failing,
        "failed: {failing:?}, expected: {:?}",
        set.failing
    );
    let passed: usize = scores.values().map(|score| score.passed).sum();
    ensure!(passed > 0, "no check was made");
    let mut line = format!(
        "MCP conformance to {set}: {passed} checks of {} scenarios passed",
        scores.len()
    );
    if !failing.is_empty() {
        let known = format!("; {} scenarios need sessions", failing.len());
        line.push_str(&known);
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "Running all\n=== SUMMARY ===\n✓ ping: 2 passed, 0 failed\n\
                          ✗ tools-list: 1 passed, 3 failed\nTotal: 3 passed, 3 failed\n";

    fn judged(text: &str, failing: &'static [&'static str]) -> Option<String> {
        let set = Set {
            revision: "2026-07-28",
            has_sessions: false,
            failing,
        };
        judge(&scores(text), &set).ok()
    }

    #[test]
    fn exactly_the_known_scenarios_may_fail() {
        let line = judged(OUTPUT, &["tools-list"]).unwrap();
        assert!(line.contains("3 checks of 2 scenarios"), "{line}");
        assert_eq!(judged(OUTPUT, &[]), None, "a new failure");
        assert_eq!(
            judged(OUTPUT, &["ping", "tools-list"]),
            None,
            "a stale entry"
        );
    }

    #[test]
    fn a_run_that_checks_nothing_has_not_passed() {
        assert_eq!(judged("Error: no connection\n", &[]), None);
    }
}

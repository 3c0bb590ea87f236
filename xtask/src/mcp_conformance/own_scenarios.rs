//! Scenarios that a server of its own tools can pass, against `skep` itself.

use crate::console::note;
use crate::packages::NpmPackages;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;

/// A scenario, the revision in which it is run, and its checks that fail for want of a tool made
/// for them. One of those that does not fail is a fault too: the list has to be true.
struct Scenario {
    name: &'static str,
    revision: &'static str,
    untestable: &'static [&'static str],
}

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";

const fn whole(revision: &'static str, name: &'static str) -> Scenario {
    Scenario {
        name,
        revision,
        untestable: &[],
    }
}

const SCENARIOS: [Scenario; 15] = [
    whole(OLD, "server-initialize"),
    whole(OLD, "ping"),
    whole(OLD, "tools-list"),
    whole(OLD, "resources-list"),
    whole(OLD, "prompts-list"),
    whole(OLD, "dns-rebinding-protection"),
    Scenario {
        untestable: &[
            "sep-2575-server-rejects-undeclared-capability",
            "sep-2575-missing-capability-http-400",
            "sep-2575-http-server-no-independent-requests-on-stream",
            "sep-2575-server-no-log-without-loglevel",
        ],
        ..whole(NEW, "server-stateless")
    },
    whole(NEW, "tools-list"),
    whole(NEW, "resources-list"),
    whole(NEW, "prompts-list"),
    whole(NEW, "caching"),
    whole(NEW, "http-header-validation"),
    whole(NEW, "sep-2164-resource-not-found"),
    whole(NEW, "input-required-result-unsupported-methods"),
    whole(NEW, "dns-rebinding-protection"),
];

/// Runs all of them and names those that failed.
pub(super) fn run(suite: &NpmPackages, url: &str) -> Result<String> {
    let mut failures = Vec::new();
    let mut checks = 0;
    for scenario in &SCENARIOS {
        match run_one(suite, url, scenario) {
            Ok(passed) => checks += passed,
            Err(error) => failures.push(format!(
                "{} at {}: {error:#}",
                scenario.name, scenario.revision
            )),
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    let count = SCENARIOS.len();
    Ok(format!(
        "MCP conformance of `skep` itself: {checks} checks of {count} scenarios passed"
    ))
}

/// Runs a scenario; gives how many of its checks passed.
fn run_one(suite: &NpmPackages, url: &str, scenario: &Scenario) -> Result<usize> {
    let Scenario { name, revision, .. } = scenario;
    let output = suite
        .script("conformance")
        .args(["server", "--url", url, "--scenario", name])
        .args(["--spec-version", revision])
        .output()
        .context("start the suite")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let judged = judge(&text, scenario);
    let word = if judged.is_ok() { "ok" } else { "FAILED" };
    note(&format!("    {name} at {revision}: {word}"));
    judged.with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// How many checks passed, when those that failed are exactly those that cannot be made here.
fn judge(text: &str, scenario: &Scenario) -> Result<usize> {
    let failed = text.lines().filter(|line| line.contains("FAILURE"));
    let failed: BTreeSet<_> = failed.filter_map(check_of).collect();
    let expected: BTreeSet<_> = scenario.untestable.iter().copied().collect();
    ensure!(
        failed == expected,
        "failed: {failed:?}, expected: {expected:?}"
    );
    let passed = text.lines().find_map(|line| line.strip_prefix("Passed: "));
    let passed = passed
        .and_then(|rest| rest.split('/').next())
        .and_then(|count| count.parse().ok())
        .context("the suite did not say how many checks passed")?;
    ensure!(passed > 0, "no check was made");
    Ok(passed)
}

/// The name of the check in a line of the suite: `TIME [NAME   ] RESULT ...`, with colours.
fn check_of(line: &str) -> Option<&str> {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix('['))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\u{1b}[90m2026\u{1b}[0m [a-b    ] \u{1b}[32mSUCCESS\u{1b}[0m fine\n\
                          \u{1b}[90m2026\u{1b}[0m [c-d    ] \u{1b}[31mFAILURE\u{1b}[0m bad\n\
                          Passed: 1/2, 1 failed, 0 warnings\n";

    fn judged(text: &str, untestable: &'static [&'static str]) -> Option<usize> {
        let scenario = Scenario {
            untestable,
            ..whole(NEW, "x")
        };
        judge(text, &scenario).ok()
    }

    #[test]
    fn exactly_the_known_checks_may_fail() {
        assert_eq!(judged(OUTPUT, &["c-d"]), Some(1));
        assert_eq!(judged(OUTPUT, &[]), None, "a new failure");
        assert_eq!(judged(OUTPUT, &["c-d", "e"]), None, "a stale entry");
    }

    #[test]
    fn a_scenario_that_checks_nothing_has_not_passed() {
        assert_eq!(judged("Passed: 0/0, 0 failed, 0 warnings\n", &[]), None);
        assert_eq!(judged("Error: no connection\n", &[]), None);
    }
}

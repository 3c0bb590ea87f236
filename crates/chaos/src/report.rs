//! What a play led to, for people and for programs.

use crate::args::Args;
use crate::checker::Violation;
use crate::history::History;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Violations shown in full for each rule.
const SHOWN_MAX: usize = 5;
/// Lines shown of each log.
const LOG_LINES_MAX: usize = 12;

/// Numbers that say whether the play was worth anything: faults that hit nothing prove nothing.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// What was done to the processes, in order.
    pub(crate) faults: Vec<String>,
    pub(crate) kills: usize,
    pub(crate) repeated_requests: usize,
    pub(crate) seconds: f64,
}

/// Everything a play led to.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) args: &'a Args,
    pub(crate) history: &'a History,
    pub(crate) coverage: &'a Coverage,
    pub(crate) violations: &'a [Violation],
}

impl Report<'_> {
    /// Counts by name, in the order of the names.
    fn counts(&self) -> BTreeMap<String, usize> {
        let history = self.history;
        let mut counts = BTreeMap::new();
        let mut add = |name: String, count: usize| *counts.entry(name).or_default() += count;
        for event in &history.all_events {
            let kind = match event.kind() {
                "attempt_ended" => format!("event attempt_ended {}", event.body["data"]["ended"]),
                kind => format!("event {kind}"),
            };
            add(kind.replace('"', ""), 1);
        }
        for task in &history.listed {
            add(format!("task {}", task.state), 1);
        }
        for stream in &history.streams {
            add(
                format!("connections of {}", stream.name),
                stream.connections,
            );
        }
        let answers: usize = history
            .submissions
            .iter()
            .map(|one| one.answers.len())
            .sum();
        add("answers to submissions".to_owned(), answers);
        add(
            "executions written down".to_owned(),
            history.executions.len(),
        );
        add("processes killed".to_owned(), self.coverage.kills);
        add(
            "requests repeated after an error".to_owned(),
            self.coverage.repeated_requests,
        );
        counts
    }

    /// Lines for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for fault in &self.coverage.faults {
            let _ = writeln!(text, "fault: {fault}");
        }
        for (name, count) in self.counts() {
            let _ = writeln!(text, "{count:>8}  {name}");
        }
        let mut shown: BTreeMap<_, usize> = BTreeMap::new();
        for violation in self.violations {
            let count = shown.entry(violation.rule).or_default();
            *count += 1;
            if *count <= SHOWN_MAX {
                let _ = writeln!(text, "VIOLATION {:?}: {}", violation.rule, violation.detail);
            }
        }
        for (rule, count) in shown {
            let _ = writeln!(text, "{count:>8}  violations of {rule:?}");
        }
        let (tasks, seconds) = (self.history.listed.len(), self.coverage.seconds);
        let verdict = if self.violations.is_empty() {
            "all rules hold"
        } else {
            "RULES BROKEN"
        };
        let _ = write!(
            text,
            "{verdict}: {tasks} tasks in {seconds:.1} s, seed {}",
            self.args.seed
        );
        text
    }

    /// The same for programs.
    pub(crate) fn json(&self, kept: Option<&Path>) -> Value {
        json!({
            "seed": self.args.seed,
            "cycles": self.args.cycles,
            "tasks": self.history.listed.len(),
            "seconds": self.coverage.seconds,
            "faults": self.coverage.faults,
            "counts": self.counts(),
            "violations": self.violations,
            "kept": kept,
        })
    }
}

/// How to play the same again.
pub(crate) fn replay_line(args: &Args) -> String {
    format!(
        "replay: cargo run -p skep-chaos -- --tasks {} --cycles {} --seed {} (the same tasks and \
         faults; the interleaving is the machine's own)",
        args.tasks, args.cycles, args.seed
    )
}

/// The ends of all logs in the directory.
pub(crate) fn log_tails(directory: &Path) -> String {
    let mut text = String::new();
    let mut files: Vec<_> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|end| end == "log"))
    {
        let log = fs::read(file).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let _ = writeln!(text, "end of `{}`:", file.display());
        for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES_MAX)) {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Rule;

    #[test]
    fn violations_are_shown_by_rule_and_decide_the_verdict() {
        let (args, history, coverage) = (Args::default(), History::default(), Coverage::default());
        let violation = Violation {
            rule: Rule::NoOrphans,
            detail: "7 `sleep`".to_owned(),
        };
        let violations = vec![violation; SHOWN_MAX + 1];
        let report = |violations| {
            Report {
                args: &args,
                history: &history,
                coverage: &coverage,
                violations,
            }
            .text()
        };
        let text = report(&violations);
        assert_eq!(
            text.matches("VIOLATION NoOrphans: 7 `sleep`").count(),
            SHOWN_MAX
        );
        assert!(text.contains("6  violations of NoOrphans"), "{text}");
        assert!(text.contains("RULES BROKEN"), "{text}");
        assert!(report(&[]).contains("all rules hold"));
    }

    #[test]
    fn the_ends_of_logs_are_shown() {
        let directory = tempfile::tempdir().unwrap();
        let lines: Vec<_> = (1..=20).map(|number| format!("line-{number}.")).collect();
        fs::write(directory.path().join("n1.log"), lines.join("\n")).unwrap();
        fs::write(directory.path().join("counter"), "not a log").unwrap();
        let text = log_tails(directory.path());
        assert!(
            text.contains("line-20.") && text.contains("line-9."),
            "{text}"
        );
        assert!(
            !text.contains("line-8.") && !text.contains("not a log"),
            "{text}"
        );
    }
}
